"""How a running spare is told its identity: one line to its standard input, and a word back.

The launcher listens there once, so a spare that was told can't be told again. Blocks; what an
identity says is not known here.
"""

import time
from contextlib import closing
from typing import Any

from orchestrator.containers import Identity
from orchestrator.engines.base import EngineError
from orchestrator.engines.docker_files import BOUND

_PATIENCE_S = 5.0


def tell(client: Any, container_id: str, identity: Identity) -> None:
    """Return when the spare has it. Raises EngineError if it does not say so in time."""
    attached = client.attach_socket(container_id, {"stdin": 1, "stdout": 1, "stream": 1})
    with closing(attached), closing(attached._response):
        # docker-py wraps the socket where it is not encrypted, and reads it without a deadline.
        line = getattr(attached, "_sock", attached)
        try:
            line.settimeout(_PATIENCE_S)
            line.sendall(identity.configuration.encode() + b"\n")
            taken = _answered(line, time.monotonic() + _PATIENCE_S)
        except TimeoutError:
            taken = False
    if not taken:
        raise EngineError("The spare container did not take its agent's configuration.")


def _answered(line: Any, deadline: float) -> bool:
    """Whether it said so. What else it prints arrives here too."""
    heard = b""
    while time.monotonic() < deadline and (part := line.recv(4096)):
        heard = heard[-len(BOUND) :] + part
        if BOUND in heard:
            return True
    return False
