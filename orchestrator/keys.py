"""Secrets kept in files: read where there are any, made at the first start where there are none.

A file appears whole or not at all, readable by its owner alone, so that two programs that start
together agree on one secret. This module does not know what a secret is for.
"""

import contextlib
import os
import secrets
from pathlib import Path


def read_or_make(path: Path) -> str:
    """Return the secret in `path`, which is made at random if there is none."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _publish(path, secrets.token_urlsafe(32))
    return path.read_text("utf-8").strip()


def _publish(path: Path, secret: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link fails where the name is taken, a rename would replace: whoever is first wins.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
