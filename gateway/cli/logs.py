"""What the programs say of themselves, line by line, on standard error."""

import logging
import sys


def set_up(level: str) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The access log's records are many lines, each with its own time.
    access = logging.getLogger("gateway.access")
    access.addHandler(logging.StreamHandler(sys.stderr))
    access.propagate = False
    # Their informational lines repeat ours.
    for name in ("uvicorn.error", "httpx", "httpcore", "alembic", "docker", "urllib3", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
