"""The Docker engine: what is asked of Docker, and in which order.

The line it is asked on, with its deadlines and errors, is in `docker_line`; what is said and what
the answers mean is in `docker_json`; what goes into a container's file system is in `docker_files`.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

from orchestrator.containers import (
    Environment,
    Identity,
    Limits,
    Observation,
    Room,
    Spec,
    Usage,
    is_spare,
    name_of,
)
from orchestrator.engines import docker_files as files
from orchestrator.engines import docker_json as shapes
from orchestrator.engines.base import EngineError
from orchestrator.engines.docker_events import DockerEvents
from orchestrator.engines.docker_json import Place
from orchestrator.engines.docker_line import ACT_TIMEOUT_S, Client, DockerLine, NotFound, Refused
from orchestrator.engines.docker_spares import tell
from orchestrator.engines.memory import room_here

_GRACE_S = 5
_LINES = 20


class DockerEngine:
    """Containers of a Docker Engine; see `base.Engine` for what its methods promise."""

    name = "docker"
    has_spares = True

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
            self._make_volume(client, spec.volume)
            try:
                client.create_container_from_config(configuration, name_of(spec.key))
            except Refused as error:
                if error.status_code != 409:
                    raise
                self._clear_name(client, spec.key)
                client.create_container_from_config(configuration, name_of(spec.key))
            client.put_archive(name_of(spec.key), "/", files.volume_archive())
            return self._shown(client, name_of(spec.key))

        return await self._line.act(work)

    async def start(self, key: str, environment: Environment) -> Observation:
        def work(client: Client) -> Observation:
            container_id = self._shown(client, name_of(key)).container_id
            secrets = files.secrets_archive(environment, listens=is_spare(key))
            client.put_archive(container_id, "/", secrets)
            try:
                client.start(container_id)
            except Refused:
                _take_secrets(client, container_id)
                raise
            return self._shown(client, container_id)

        return await self._line.act(work)

    async def claim(self, spare: str, key: str, identity: Identity) -> Observation:
        """The name comes last: whoever has a session's name has been told whose it is, and a spare
        that was told cannot be claimed by the next."""

        def work(client: Client) -> Observation:
            container_id = self._shown(client, name_of(spare)).container_id
            tell(client, container_id, identity)
            try:
                client.rename(container_id, name_of(key))
            except Refused as error:
                if error.status_code != 409:
                    raise
                raise EngineError(f"There is a container named {name_of(key)} already.") from error
            return self._shown(client, container_id)

        return await self._line.act(work)

    async def freeze(self, key: str) -> None:
        def work(client: Client) -> None:
            seen = self._shown(client, name_of(key))
            if not seen.running:
                raise EngineError("What does not run can't be frozen.")
            if not seen.frozen:
                client.pause(seen.container_id)

        await self._line.act(work)

    async def thaw(self, key: str) -> Observation:
        def work(client: Client) -> Observation:
            seen = self._shown(client, name_of(key))
            if not seen.frozen:
                return seen
            client.unpause(seen.container_id)
            return self._shown(client, seen.container_id)

        return await self._line.act(work)

    async def stop(self, key: str) -> None:
        def work(client: Client) -> None:
            seen = self._look(client, name_of(key))
            if seen is None:
                return
            if seen.frozen:  # else it could not hear that it shall end
                client.unpause(seen.container_id)
            if seen.running:
                client.stop(seen.container_id, timeout=_GRACE_S)
            _take_secrets(client, seen.container_id)

        await self._line.act(work)

    async def remove(self, key: str) -> None:
        def work(client: Client) -> None:
            seen = self._look(client, name_of(key))
            if seen is not None:
                _remove(client, seen.container_id)

        await self._line.act(work)

    async def remove_volume(self, volume: str) -> None:
        def work(client: Client) -> None:
            with suppress(NotFound):
                if self._place.owns(client.inspect_volume(volume)["Labels"]):
                    client.remove_volume(volume, force=True)

        await self._line.act(work)

    async def find(self, key: str) -> Observation | None:
        return await self._line.ask(lambda client: self._look(client, name_of(key)))

    async def find_all(self) -> list[Observation]:
        def work(client: Client) -> list[Observation]:
            # By id: one that is renamed in between is still the same container.
            listed = client.containers(all=True, filters=self._place.filters())
            found = [self._look(client, each["Id"]) for each in listed]
            return [seen for seen in found if seen is not None]

        return await self._line.ask(work)

    async def volumes(self) -> list[str]:
        def work(client: Client) -> list[str]:
            listed = client.volumes(filters=self._place.filters())["Volumes"] or []
            return [each["Name"] for each in listed]

        return await self._line.ask(work)

    async def usage(self, key: str) -> Usage | None:
        def work(client: Client) -> Usage | None:
            seen = self._look(client, name_of(key))
            return _usage(client, seen.container_id) if seen is not None and seen.running else None

        return await self._line.ask(work)

    async def room(self) -> Room:
        """Of the machine the engine runs on, which is this one if it has as much memory to the
        byte. Elsewhere, what is left beside the containers."""

        def work(client: Client) -> Room:
            total, here = client.info()["MemTotal"], room_here()
            if total == here.total_bytes:
                return here
            used = [_usage(client, each["Id"]) for each in client.containers()]
            return Room(total, total - sum(each.memory_bytes for each in used if each is not None))

        return await self._line.ask(work)

    async def last_lines(self, key: str) -> list[str]:
        def work(client: Client) -> list[str]:
            seen = self._look(client, name_of(key))
            if seen is None:
                return []
            output: bytes = client.logs(seen.container_id, tail=_LINES)
            return output.decode("utf-8", "replace").splitlines()

        return await self._line.ask(work)

    async def events(self) -> AsyncGenerator[str | None, None]:
        stream = DockerEvents(self._line.connect, self._place.filters(), self._line.translated)
        try:
            async for key in stream.heard():
                yield key
        finally:
            stream.close()

    def hurry(self) -> None:
        self._line.hurry()

    async def aclose(self) -> None:
        self._line.close()

    def _look(self, client: Client, name: str) -> Observation | None:
        """The container of that name or id, unless it is somebody else's."""
        try:
            shown = client.inspect_container(name)
        except NotFound:
            return None
        key = shapes.key(shown)
        if key is None or not self._place.owns(shown["Config"]["Labels"]):
            return None
        return shapes.observation(self._place, key, shown)

    def _shown(self, client: Client, name: str) -> Observation:
        seen = self._look(client, name)
        if seen is None:
            raise EngineError("The container was removed by somebody else.")
        return seen

    def _make_volume(self, client: Client, name: str) -> None:
        volume = client.create_volume(name, labels=self._place.labels())
        if not self._place.owns(volume["Labels"]):
            raise EngineError(f"The volume name {name} is taken by a volume that is not ours.")

    def _clear_name(self, client: Client, key: str) -> None:
        """Remove a leftover of ours that holds the name; a stranger's is left alone."""
        seen = self._look(client, name_of(key))
        if seen is None:
            raise EngineError(
                f"The container name {name_of(key)} is taken by a container that this "
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


def _usage(client: Client, container_id: str) -> Usage | None:
    try:
        return shapes.usage(client.stats(container_id, stream=False, one_shot=True))
    except NotFound:
        return None


def _take_secrets(client: Client, container_id: str) -> None:
    """Leave no secret in a container that may have ended before its launcher had deleted itself."""
    with suppress(Refused):  # somebody removed it, or its disk is full: then nothing can be done
        client.put_archive(container_id, "/", files.spent_archive())


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
