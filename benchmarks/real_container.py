"""How long one small request takes to a real container, direct and through the gateway.

A keep-alive connection of one client, one request after another: what the gateway adds to what a
person waits for, on all cores and with everything that a deployment runs.
"""

import socket
import time
from functools import partial
from statistics import median, quantiles

from benchmarks.real_deployment import Way, ways
from benchmarks.rounds import Figures, Results, alternate, percentiles

_REQUESTS = 200
_BROWSER_LIKE = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36\r\n"
    "Accept: application/json\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nSec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
)


def measure(rounds: int) -> Results:
    print("  starting a deployment with a real container …", flush=True)
    with ways() as both:
        found = alternate("real container", both, rounds, partial(_round, both))
    return {"real_container_latency_us": percentiles(found)}


def _round(ways: dict[str, Way], row: str) -> Figures:
    way = ways[row]
    request = (
        f"GET /global/health HTTP/1.1\r\nHost: {way.host}:{way.port}\r\n"
        f"{_BROWSER_LIKE}{way.credential}\r\n\r\n"
    ).encode()
    with socket.create_connection((way.host, way.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        taken = [_one(connection, request) for _ in range(_REQUESTS)]
    return {"p50": median(taken), "p99": quantiles(taken, n=100)[98]}


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
