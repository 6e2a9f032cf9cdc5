"""How many files and sockets this process may have open: as many as it is allowed to ask for.

A relayed request holds two sockets, and the usual soft limit of 1024 is there for programs that
still call select(2), which none of ours does.
"""

import contextlib
import resource


def allow_most() -> int:
    """Raise the soft limit to the hard one, for the programs we start as well; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A system may name a hard limit above what it grants, as macOS does; then all stays as it is.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft
