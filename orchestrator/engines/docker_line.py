"""The line to a Docker Engine: how it is reached, how long it is waited for, what its errors mean.

docker-py blocks, so each call runs on a thread with a client to itself and a deadline, and its
errors become ours by one table. What is asked of Docker is not known here.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import docker  # noqa: TID251 - the engine's own line

from orchestrator.engines.base import EngineError, EngineUnavailable
from orchestrator.engines.clients import Clients

T = TypeVar("T")
Client = Any  # docker-py has no types
NotFound = docker.errors.NotFound
Refused = docker.errors.APIError
PING_TIMEOUT_S = 3.0
LOOK_TIMEOUT_S = 15.0
ACT_TIMEOUT_S = 45.0
_USUAL_SOCKET = "unix:///var/run/docker.sock"
_CLIENTS = 8
_LATE = (TimeoutError, docker.errors.requests.Timeout)


class DockerLine:
    """Calls to the engine that `environment` names. All of them raise EngineError."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # Never empty: docker-py would read the program's own environment instead.
        self._environment = {"DOCKER_HOST": _USUAL_SOCKET, **environment}
        self._clients: Clients[Client] = Clients(self.connect, _CLIENTS)

    async def ping(self) -> None:
        await self.ask(lambda _: None, PING_TIMEOUT_S)

    async def ask(self, work: Callable[[Client], T], timeout_s: float = LOOK_TIMEOUT_S) -> T:
        try:
            return await self._clients.ask(_once_awake(work, timeout_s), timeout_s)
        except (docker.errors.DockerException, OSError) as error:
            raise self.translated(error) from error

    async def act(self, work: Callable[[Client], T]) -> T:
        """As `ask`, for work that changes something: see `Clients.act`."""
        try:
            return await self._clients.act(_once_awake(work, ACT_TIMEOUT_S), ACT_TIMEOUT_S)
        except (docker.errors.DockerException, OSError) as error:
            raise self.translated(error) from error

    def connect(self) -> Client:
        """A client of its own, for what lasts. Blocks."""
        options = docker.utils.kwargs_from_env(environment=self._environment)
        _knock(self._environment["DOCKER_HOST"])
        return docker.APIClient(version="auto", timeout=PING_TIMEOUT_S, **options)

    def translated(self, error: Exception) -> EngineError:
        """The table from Docker's errors to ours; the first row that fits counts."""
        where = self._environment["DOCKER_HOST"]
        if isinstance(error, Refused):
            said = str(error.explanation or error).strip().rstrip(".")
            if "no space left on device" in said:
                return EngineError("The Docker Engine's disk is full. Free some space there.")
            return EngineError(f"The Docker Engine refused: {said}.")
        if isinstance(error, _LATE) or isinstance(error.__cause__, _LATE):
            return EngineUnavailable(f"The Docker Engine does not answer in time ({where}).")
        return EngineUnavailable(
            f"The Docker Engine does not answer ({where}). Is it running, and may this user use it?"
        )

    def hurry(self) -> None:
        self._clients.hurry()

    def close(self) -> None:
        self._clients.close()


def _once_awake(work: Callable[[Client], T], timeout_s: float) -> Callable[[Client], T]:
    """Have the engine show that it lives first: one that hangs is known in seconds then, however
    long the work itself may take."""

    def asked(client: Client) -> T:
        try:
            client.timeout = PING_TIMEOUT_S
            client.ping()
            client.timeout = timeout_s
            return work(client)
        finally:
            # It stays usable; else it would keep an idle connection to each path it ever asked for.
            client.close()

    return asked


def _knock(address: str) -> None:
    """Raise OSError if nobody listens. docker-py finds that out too, but leaks its socket then."""
    _, _, path = address.partition("unix://")
    if path:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(PING_TIMEOUT_S)
            door.connect(path)
