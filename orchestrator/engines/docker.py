"""The Docker engine: what is asked of Docker, and in which order.

The line it is asked on, with its deadlines and errors, is in `docker_line`; what is said and what
the answers mean is in `docker_json`.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

from orchestrator.containers import Environment, Limits, Observation, Spec, name_of
from orchestrator.engines import docker_json as shapes
from orchestrator.engines.base import EngineError
from orchestrator.engines.docker_events import DockerEvents
from orchestrator.engines.docker_json import Place
from orchestrator.engines.docker_line import ACT_TIMEOUT_S, Client, DockerLine, NotFound, Refused

_GRACE_S = 5
_LINES = 20


class DockerEngine:
    """Containers of a Docker Engine; see `base.Engine` for what its methods promise."""

    name = "docker"

    def __init__(self, environment: Mapping[str, str], place: Place) -> None:
        self._line = DockerLine(environment)
        self._place = place

    async def ping(self) -> None:
        await self._line.ping()

    async def fingerprint(self, image: str, limits: Limits) -> str:
        def work(client: Client) -> str:
            network = _network(client, self._place.network)
            return shapes.fingerprint(self._place, _image(client, image), network, limits)

        return await self._line.act(work)

    async def create(self, spec: Spec) -> Observation:
        def work(client: Client) -> Observation:
            configuration = shapes.configuration(self._place, spec, _image(client, spec.image))
            self._make_volume(client, spec.session_id)
            try:
                client.create_container_from_config(configuration, name_of(spec.session_id))
            except Refused as error:
                if error.status_code != 409:
                    raise
                self._clear_name(client, spec.session_id)
                client.create_container_from_config(configuration, name_of(spec.session_id))
            client.put_archive(name_of(spec.session_id), "/", shapes.volume_archive())
            return self._shown(client, spec.session_id)

        return await self._line.act(work)

    async def start(self, session_id: str, environment: Environment) -> Observation:
        def work(client: Client) -> Observation:
            container_id = self._shown(client, session_id).container_id
            client.put_archive(container_id, "/", shapes.secrets_archive(environment))
            try:
                client.start(container_id)
            except Refused:
                _take_secrets(client, container_id)
                raise
            return self._shown(client, session_id)

        return await self._line.act(work)

    async def stop(self, session_id: str) -> None:
        def work(client: Client) -> None:
            seen = self._look(client, session_id)
            if seen is None:
                return
            if seen.running:
                client.stop(seen.container_id, timeout=_GRACE_S)
            _take_secrets(client, seen.container_id)

        await self._line.act(work)

    async def remove(self, session_id: str) -> None:
        def work(client: Client) -> None:
            seen = self._look(client, session_id)
            if seen is not None:
                _remove(client, seen.container_id)

        await self._line.act(work)

    async def remove_volume(self, session_id: str) -> None:
        def work(client: Client) -> None:
            with suppress(NotFound):
                volume = client.inspect_volume(name_of(session_id))
                if self._place.owns(volume["Labels"]):
                    client.remove_volume(name_of(session_id), force=True)

        await self._line.act(work)

    async def find(self, session_id: str) -> Observation | None:
        return await self._line.ask(lambda client: self._look(client, session_id))

    async def find_all(self) -> list[Observation]:
        def work(client: Client) -> list[Observation]:
            listed = client.containers(all=True, filters=self._place.filters())
            sessions = [each["Labels"][shapes.SESSION] for each in listed]
            found = [self._look(client, session_id) for session_id in sessions]
            return [seen for seen in found if seen is not None]

        return await self._line.ask(work)

    async def last_lines(self, session_id: str) -> list[str]:
        def work(client: Client) -> list[str]:
            seen = self._look(client, session_id)
            if seen is None:
                return []
            output: bytes = client.logs(seen.container_id, tail=_LINES)
            return output.decode("utf-8", "replace").splitlines()

        return await self._line.ask(work)

    async def events(self) -> AsyncGenerator[str | None, None]:
        stream = DockerEvents(self._line.connect, self._place.filters(), self._line.translated)
        try:
            async for session_id in stream.heard():
                yield session_id
        finally:
            stream.close()

    def hurry(self) -> None:
        self._line.hurry()

    async def aclose(self) -> None:
        self._line.close()

    def _look(self, client: Client, session_id: str) -> Observation | None:
        """The session's container, unless the one of that name is somebody else's."""
        try:
            shown = client.inspect_container(name_of(session_id))
        except NotFound:
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


def _image(client: Client, image: str) -> Any:
    try:
        return client.inspect_image(image)
    except NotFound as error:
        raise EngineError(
            f"The image {image} is not on this machine. Build or pull it there first."
        ) from error


def _network(client: Client, name: str) -> Any:
    try:
        return client.inspect_network(name)
    except NotFound:
        with suppress(Refused):  # somebody made it in between; the next line says what is wrong
            client.create_network(name, labels={shapes.MANAGED: "true"}, check_duplicate=True)
        return client.inspect_network(name)


def _take_secrets(client: Client, container_id: str) -> None:
    """Leave no secret in a container that may have ended before its launcher had deleted itself."""
    with suppress(Refused):  # somebody removed it, or its disk is full: then nothing can be done
        client.put_archive(container_id, "/", shapes.spent_archive())


def _remove(client: Client, container_id: str) -> None:
    try:
        client.remove_container(container_id, force=True)
    except NotFound:
        return
    except Refused as error:
        if error.status_code != 409:
            raise
        # Somebody else is removing it already.
        client.wait(container_id, timeout=ACT_TIMEOUT_S, condition="removed")
