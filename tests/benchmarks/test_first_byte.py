"""What the time to the first byte is, on a real socket."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import create_server, socket

import pytest

from benchmarks.bare_container import Start
from benchmarks.first_byte import first_byte_ms
from benchmarks.real_deployment import Way

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


def test_the_clock_stops_at_the_first_byte_and_not_at_the_last() -> None:
    def answer(connection: socket, done: threading.Event) -> None:
        connection.sendall(_ANSWER[:20])
        done.wait(5)

    with _served(answer) as way:
        assert first_byte_ms(way, "/session") < 5000


def test_an_answer_that_is_a_refusal_is_no_figure() -> None:
    with (
        _served(lambda connection, _: connection.sendall(b"HTTP/1.1 503 No\r\n\r\n")) as way,
        pytest.raises(SystemExit, match="for /session failed"),
    ):
        first_byte_ms(way, "/session")


def test_who_does_not_answer_is_given_up_in_time() -> None:
    with _served(lambda _, done: done.wait(5)) as way, pytest.raises(TimeoutError):
        first_byte_ms(way, "/session", 0.05)


def test_a_bare_start_is_made_of_its_parts() -> None:
    assert Start(created=40.0, booted=3000.0, answered=10.0).whole == 3050.0


@contextmanager
def _served(answer: Callable[[socket, threading.Event], object]) -> Iterator[Way]:
    """Serve one connection; the event is set when the test has what it came for."""
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            answer(connection, done)

    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Way("127.0.0.1", listener.getsockname()[1], "Authorization: Basic eDp4")
        finally:
            done.set()
            thread.join()
