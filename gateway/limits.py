"""How much one client, one session and one request may take, as an operator sets it.

Each name carries its unit. It reads values and knows nothing of what holds them to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, the rest counts; where nought is allowed, it means no limit.

    Connections are counted by each worker for itself.
    """

    head_bytes: int
    target_bytes: int
    headers: int
    body_bytes: int
    connections_per_address: int
    connections_per_session: int
    pipelined_bytes: int


def load_limits(values: Mapping[str, str]) -> Limits:
    """Read every limit; a ValueError's sentence names the variable and what it may be."""
    return Limits(
        head_bytes=_whole(values, "MAX_HEAD_BYTES", 32 * 1024, least=1024),
        target_bytes=_whole(values, "MAX_TARGET_BYTES", 16 * 1024, least=256),
        headers=_whole(values, "MAX_HEADERS", 128, least=16),
        body_bytes=_whole(values, "MAX_BODY_BYTES", 4 * 1024**3),
        connections_per_address=_whole(values, "MAX_CONNECTIONS_PER_ADDRESS", 4096),
        connections_per_session=_whole(values, "MAX_CONNECTIONS_PER_SESSION", 1024),
        pipelined_bytes=_whole(values, "PIPELINED_BYTES", 64 * 1024, least=1024),
    )


def _whole(values: Mapping[str, str], name: str, default: int, *, least: int = 0) -> int:
    text = values.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) >= least):
        more = "; 0 for no limit" if least == 0 else f" of at least {least}"
        raise ValueError(f"{name} must be a whole number{more}, not {text!r}.")
    return int(text)
