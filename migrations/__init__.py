"""Two Alembic histories, one for each database, and the one function that applies them."""
