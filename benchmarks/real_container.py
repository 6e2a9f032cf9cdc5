"""How long one small request takes: a keep-alive connection, one request after another."""

import socket
import time
from statistics import median, quantiles

from benchmarks.real_deployment import Way

_ROUNDS = 9
_REQUESTS = 200
_BROWSER_LIKE = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36\r\n"
    "Accept: application/json\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nSec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
)


def latency_us(ways: dict[str, Way]) -> dict[str, dict[str, float]]:
    """Return p50 and p99 in microseconds for each way: medians over alternating rounds."""
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for way in ways.values():
        _round(way)
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            rounds[name].append(_round(way))
    return {
        name: {
            "p50": round(median(p50 for p50, _ in found), 1),
            "p99": round(median(p99 for _, p99 in found), 1),
        }
        for name, found in rounds.items()
    }


def _round(way: Way) -> tuple[float, float]:
    request = (
        f"GET /global/health HTTP/1.1\r\nHost: {way.host}:{way.port}\r\n"
        f"{_BROWSER_LIKE}{way.credential}\r\n\r\n"
    ).encode()
    with socket.create_connection((way.host, way.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        taken = [_one(connection, request) for _ in range(_REQUESTS)]
    return median(taken), quantiles(taken, n=100)[98]


def _one(connection: socket.socket, request: bytes) -> float:
    started = time.perf_counter()
    connection.sendall(request)
    answer = b""
    while not answer.endswith(b"}"):
        piece = connection.recv(65536)
        if not piece:
            raise SystemExit(f"The connection was closed after {answer!r}.")
        answer += piece
    taken = (time.perf_counter() - started) * 1e6
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"A benchmark request failed: {answer!r}")
    return taken
