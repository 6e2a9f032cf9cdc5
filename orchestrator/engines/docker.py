"""The Docker engine; the only file that speaks to Docker.

docker-py blocks, so each call runs on a worker thread with a client of its own and a deadline, and
its errors become ours by one table. What is said and what the answers mean is in `docker_json`.
"""

import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import docker  # noqa: TID251 - this is the engine

from orchestrator.containers import Environment, Limits, Observation, Spec, name_of
from orchestrator.engines import docker_json as shapes
from orchestrator.engines.base import EngineError, EngineUnavailable
from orchestrator.engines.clients import Clients
from orchestrator.engines.docker_events import DockerEvents
from orchestrator.engines.docker_json import Place

T = TypeVar("T")
Client = Any  # docker-py has no types
_USUAL_SOCKET = "unix:///var/run/docker.sock"
_CLIENTS = 8
_PING_TIMEOUT_S = 3.0
_LOOK_TIMEOUT_S = 15.0
_ACT_TIMEOUT_S = 45.0
_GRACE_S = 5
_LINES = 20
_NotFound = docker.errors.NotFound
_Refused = docker.errors.APIError


class DockerEngine:
    """Containers of a Docker Engine; see `base.Engine` for what its methods promise."""

    name = "docker"

    def __init__(self, environment: Mapping[str, str], place: Place) -> None:
        # Never empty: docker-py would read the program's own environment instead.
        self._environment = {"DOCKER_HOST": _USUAL_SOCKET, **environment}
        self._place = place
        self._clients: Clients[Client] = Clients(self._connect, _CLIENTS)

    async def ping(self) -> None:
        await self._ask(lambda client: client.ping(), _PING_TIMEOUT_S)

    async def fingerprint(self, image: str, limits: Limits) -> str:
        def work(client: Client) -> str:
            network = _network(client, self._place.network)
            return shapes.fingerprint(self._place, _image(client, image), network, limits)

        return await self._act(work)

    async def create(self, spec: Spec) -> Observation:
        def work(client: Client) -> Observation:
            configuration = shapes.configuration(self._place, spec, _image(client, spec.image))
            self._make_volume(client, spec.session_id)
            try:
                client.create_container_from_config(configuration, name_of(spec.session_id))
            except _Refused as error:
                if error.status_code != 409:
                    raise
                self._clear_name(client, spec.session_id)
                client.create_container_from_config(configuration, name_of(spec.session_id))
            client.put_archive(name_of(spec.session_id), "/", shapes.volume_archive())
            return self._shown(client, spec.session_id)

        return await self._act(work)

    async def start(self, session_id: str, environment: Environment) -> Observation:
        def work(client: Client) -> Observation:
            container_id = self._shown(client, session_id).container_id
            client.put_archive(container_id, "/", shapes.secrets_archive(environment))
            try:
                client.start(container_id)
            except _Refused:
                _take_secrets(client, container_id)
                raise
            return self._shown(client, session_id)

        return await self._act(work)

    async def stop(self, session_id: str) -> None:
        def work(client: Client) -> None:
            seen = self._look(client, session_id)
            if seen is None:
                return
            if seen.running:
                client.stop(seen.container_id, timeout=_GRACE_S)
            _take_secrets(client, seen.container_id)

        await self._act(work)

    async def remove(self, session_id: str) -> None:
        def work(client: Client) -> None:
            seen = self._look(client, session_id)
            if seen is not None:
                _remove(client, seen.container_id)

        await self._act(work)

    async def remove_volume(self, session_id: str) -> None:
        def work(client: Client) -> None:
            with suppress(_NotFound):
                volume = client.inspect_volume(name_of(session_id))
                if self._place.owns(volume["Labels"]):
                    client.remove_volume(name_of(session_id), force=True)

        await self._act(work)

    async def find(self, session_id: str) -> Observation | None:
        return await self._ask(lambda client: self._look(client, session_id))

    async def find_all(self) -> list[Observation]:
        def work(client: Client) -> list[Observation]:
            listed = client.containers(all=True, filters=self._place.filters())
            sessions = [each["Labels"][shapes.SESSION] for each in listed]
            found = [self._look(client, session_id) for session_id in sessions]
            return [seen for seen in found if seen is not None]

        return await self._ask(work)

    async def last_lines(self, session_id: str) -> list[str]:
        def work(client: Client) -> list[str]:
            seen = self._look(client, session_id)
            if seen is None:
                return []
            output: bytes = client.logs(seen.container_id, tail=_LINES)
            return output.decode("utf-8", "replace").splitlines()

        return await self._ask(work)

    async def events(self) -> AsyncGenerator[str | None, None]:
        stream = DockerEvents(self._connect, self._place.filters(), self._translated)
        try:
            async for session_id in stream.heard():
                yield session_id
        finally:
            stream.close()

    async def aclose(self) -> None:
        self._clients.close()

    def _connect(self) -> Client:
        options = docker.utils.kwargs_from_env(environment=self._environment)
        _knock(self._environment["DOCKER_HOST"])
        return docker.APIClient(version="auto", timeout=_ACT_TIMEOUT_S, **options)

    async def _ask(self, work: Callable[[Client], T], timeout_s: float = _LOOK_TIMEOUT_S) -> T:
        try:
            return await self._clients.ask(work, timeout_s)
        except (docker.errors.DockerException, OSError) as error:
            raise self._translated(error) from error

    async def _act(self, work: Callable[[Client], T]) -> T:
        try:
            return await self._clients.act(work, _ACT_TIMEOUT_S)
        except (docker.errors.DockerException, OSError) as error:
            raise self._translated(error) from error

    def _look(self, client: Client, session_id: str) -> Observation | None:
        """The session's container, unless the one of that name is somebody else's."""
        try:
            shown = client.inspect_container(name_of(session_id))
        except _NotFound:
            return None
        if not self._place.owns(shown["Config"]["Labels"]):
            return None
        return shapes.observation(self._place, shown)

    def _shown(self, client: Client, session_id: str) -> Observation:
        seen = self._look(client, session_id)
        if seen is None:
            raise EngineError("The container was removed by somebody else.")
        return seen

    def _make_volume(self, client: Client, session_id: str) -> None:
        name = name_of(session_id)
        volume = client.create_volume(name, labels=self._place.labels(session_id))
        if not self._place.owns(volume["Labels"]):
            raise EngineError(f"The volume name {name} is taken by a volume that is not ours.")

    def _clear_name(self, client: Client, session_id: str) -> None:
        """Remove a leftover of ours that holds the name; a stranger's is left alone."""
        seen = self._look(client, session_id)
        if seen is None:
            raise EngineError(
                f"The container name {name_of(session_id)} is taken by a container that this "
                "gateway did not make. Rename or remove that container."
            )
        _remove(client, seen.container_id)

    def _translated(self, error: Exception) -> EngineError:
        """The table from Docker's errors to ours; the first row that fits counts."""
        where = self._environment["DOCKER_HOST"]
        if isinstance(error, _Refused):
            said = str(error.explanation or error).strip().rstrip(".")
            if "no space left on device" in said:
                return EngineError("The Docker Engine's disk is full. Free some space there.")
            return EngineError(f"The Docker Engine refused: {said}.")
        if isinstance(error, TimeoutError):
            return EngineUnavailable(f"The Docker Engine does not answer in time ({where}).")
        return EngineUnavailable(
            f"The Docker Engine does not answer ({where}). Is it running, and may this user use it?"
        )


def _knock(address: str) -> None:
    """Raise OSError if nobody listens. docker-py finds that out too, but leaks its socket then."""
    _, _, path = address.partition("unix://")
    if path:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(_PING_TIMEOUT_S)
            door.connect(path)


def _image(client: Client, image: str) -> Any:
    try:
        return client.inspect_image(image)
    except _NotFound as error:
        raise EngineError(
            f"The image {image} is not on this machine. Build or pull it there first."
        ) from error


def _network(client: Client, name: str) -> Any:
    try:
        return client.inspect_network(name)
    except _NotFound:
        with suppress(_Refused):  # somebody made it in between; the next line says what is wrong
            client.create_network(name, labels={shapes.MANAGED: "true"}, check_duplicate=True)
        return client.inspect_network(name)


def _take_secrets(client: Client, container_id: str) -> None:
    """Leave no secret in a container that may have ended before its launcher had deleted itself."""
    with suppress(_Refused):  # somebody removed it, or its disk is full: then nothing can be done
        client.put_archive(container_id, "/", shapes.spent_archive())


def _remove(client: Client, container_id: str) -> None:
    try:
        client.remove_container(container_id, force=True)
    except _NotFound:
        return
    except _Refused as error:
        if error.status_code != 409:
            raise
        client.wait(container_id, condition="removed")  # somebody else is removing it already
