"""What the programs say of themselves, line by line, on standard error."""

import logging


def set_up(level: str) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Their informational lines repeat ours.
    for name in ("uvicorn.error", "httpx", "httpcore", "alembic", "docker", "urllib3", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
