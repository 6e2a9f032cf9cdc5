"""Whether a peer has left that nobody reads from: back-pressure holds its last word back as well.

The kernel knows; it is asked without taking a byte of what the peer sent before.
"""

import select
import socket

# Linux tells an end that stands behind unread bytes; elsewhere only a reset is told.
_ENDED = getattr(select, "POLLRDHUP", 0)
_LOST = select.POLLERR | select.POLLHUP


def has_left(connection: socket.socket, *, half_is_enough: bool) -> bool:
    """Whether the connection is lost or, where that is enough, the peer has ended its side."""
    watched = select.poll()
    watched.register(connection, _ENDED)
    told = _LOST | (_ENDED if half_is_enough else 0)
    return any(events & told for _, events in watched.poll(0))
