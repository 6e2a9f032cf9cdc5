"""The header that says where an answer came from, as the lines that are put into it."""

_NAME = b"X-OpenCode-Gateway-Route"
SESSION = _NAME + b": session\r\n"


def shared(reason: str) -> bytes:
    return b"%b: shared; reason=%b\r\n" % (_NAME, reason.encode())


def route_of(mark: bytes) -> str:
    """Read a mark back for the log: `session` or `shared; reason=…`."""
    return mark.partition(b": ")[2].decode().strip()
