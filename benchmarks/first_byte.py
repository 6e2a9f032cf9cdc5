"""How long the first byte of an answer takes, by a socket that is connected before.

It knows no session and no container: a request goes out, and the clock stops when anything comes.
"""

import socket
import time

from benchmarks.real_deployment import Way

_PATIENCE_S = 90


def first_byte_ms(way: Way, path: str, patience_s: float = _PATIENCE_S) -> float:
    """Ask once, on a connection of its own; raises OSError where nobody answers.

    Any answer but a 200 ends the benchmarks: what it took would be another thing's time.
    """
    with socket.create_connection((way.host, way.port), timeout=patience_s) as connection:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {way.host}:{way.port}\r\nAccept: application/json\r\n"
            f"{way.credential}\r\n\r\n"
        )
        started = time.perf_counter()
        connection.sendall(request.encode())
        answer = connection.recv(65536)
        taken = (time.perf_counter() - started) * 1e3
    if not answer:
        raise ConnectionResetError("The connection was closed without an answer.")
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"A benchmark request for {path} failed: {answer[:500]!r}")
    return taken
