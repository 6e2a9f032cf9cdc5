"""One deployment in use by several people at once, with Docker and a scripted model."""
