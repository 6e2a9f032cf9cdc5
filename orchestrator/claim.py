"""One orchestrator to a state folder: two would each stop and remove what the other runs.

The claim is a lock of the operating system's, which ends with the process, however that ends.
"""

import fcntl
import os
from functools import cache
from pathlib import Path

from orchestrator.settings import SettingsError


@cache  # claimed once, and kept until the process ends
def claim(state: Path) -> int:
    """Keep every other process from running an orchestrator on the folder. Raises SettingsError."""
    path = state / "orchestrator.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise SettingsError(
            f"Another orchestrator is running on {state}: stop it, or choose another STATE=."
        ) from error
    except OSError as error:
        raise SettingsError(f"STATE needs a folder this program may lock: {error}.") from error
    return descriptor
