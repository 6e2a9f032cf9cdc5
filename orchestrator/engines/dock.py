"""What is asked of Docker, and in which order. Blocks throughout; a client is lent to each call.

What is said and what the answers mean is in `docker_json`; what goes into a container's file system
is in `docker_files`. Threads, deadlines and errors of the line are not known here.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
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
from orchestrator.engines.docker_json import Place
from orchestrator.engines.docker_line import ACT_TIMEOUT_S, Client, NotFound, Refused
from orchestrator.engines.docker_network import network
from orchestrator.engines.docker_spares import tell

_GRACE_S = 5
_FREEZE_S = 3.0
_LINES = 20
_CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Dock:
    """The containers and volumes of one deployment; the methods are those of `base.Engine`."""

    place: Place

    def fingerprint(self, client: Client, image: str, limits: Limits) -> str:
        shared = network(client, self.place.network)
        return shapes.fingerprint(self.place, _image(client, image), shared, limits)

    def create(self, client: Client, spec: Spec) -> Observation:
        configuration = shapes.configuration(self.place, spec, _image(client, spec.image))
        self._make_volume(client, spec.volume)
        try:
            client.create_container_from_config(configuration, name_of(spec.key))
        except Refused as error:
            if error.status_code != _CONFLICT:
                raise
            self._clear_name(client, spec.key)
            client.create_container_from_config(configuration, name_of(spec.key))
        client.put_archive(name_of(spec.key), "/", files.volume_archive())
        return self._shown(client, name_of(spec.key))

    def start(self, client: Client, key: str, environment: Environment) -> Observation:
        container_id = self._shown(client, name_of(key)).container_id
        secrets = files.secrets_archive(environment, listens=is_spare(key))
        client.put_archive(container_id, "/", secrets)
        try:
            client.start(container_id)
        except Refused:
            _take_secrets(client, container_id)
            raise
        return self._shown(client, container_id)

    def claim(self, client: Client, spare: str, key: str, identity: Identity) -> Observation:
        """The name comes last: whoever has a session's name has been told whose it is, and a spare
        that was told cannot be claimed by the next."""
        container_id = self._shown(client, name_of(spare)).container_id
        tell(client, container_id, identity)
        try:
            client.rename(container_id, name_of(key))
        except Refused as error:
            if error.status_code != _CONFLICT:
                raise
            raise EngineError(f"There is a container named {name_of(key)} already.") from error
        return self._shown(client, container_id)

    def freeze(self, client: Client, key: str) -> None:
        seen = self._shown(client, name_of(key))
        if not seen.running:
            raise EngineError("What does not run can't be frozen.")
        if not seen.frozen:
            pause(client, seen.container_id)

    def thaw(self, client: Client, key: str) -> Observation:
        seen = self._shown(client, name_of(key))
        if not seen.frozen:
            return seen
        client.unpause(seen.container_id)
        return self._shown(client, seen.container_id)

    def stop(self, client: Client, key: str) -> None:
        seen = self.find(client, key)
        if seen is None:
            return
        if seen.frozen:  # else it could not hear that it shall end
            client.unpause(seen.container_id)
        if seen.running:
            client.stop(seen.container_id, timeout=_GRACE_S)
        _take_secrets(client, seen.container_id)

    def remove(self, client: Client, key: str) -> None:
        seen = self.find(client, key)
        if seen is not None:
            _remove(client, seen.container_id)

    def remove_volume(self, client: Client, volume: str) -> None:
        with suppress(NotFound):
            if self.place.owns(client.inspect_volume(volume)["Labels"]):
                client.remove_volume(volume, force=True)

    def find(self, client: Client, key: str) -> Observation | None:
        return self._look(client, name_of(key))

    def find_all(self, client: Client) -> list[Observation]:
        # By id: one that is renamed in between is still the same container.
        listed = client.containers(all=True, filters=self.place.filters())
        found = [self._look(client, each["Id"]) for each in listed]
        return [seen for seen in found if seen is not None]

    def volumes(self, client: Client) -> list[str]:
        listed = client.volumes(filters=self.place.filters())["Volumes"] or []
        return [each["Name"] for each in listed]

    def usage(self, client: Client, key: str) -> Usage | None:
        seen = self.find(client, key)
        return _usage(client, seen.container_id) if seen is not None and seen.running else None

    def last_lines(self, client: Client, key: str) -> list[str]:
        seen = self.find(client, key)
        if seen is None:
            return []
        output: bytes = client.logs(seen.container_id, tail=_LINES)
        return output.decode("utf-8", "replace").splitlines()

    def _look(self, client: Client, name: str) -> Observation | None:
        """The container of that name or id, unless it is somebody else's."""
        try:
            shown = client.inspect_container(name)
        except NotFound:
            return None
        key = shapes.key(shown)
        if key is None or not self.place.owns(shown["Config"]["Labels"]):
            return None
        return shapes.observation(self.place, key, shown)

    def _shown(self, client: Client, name: str) -> Observation:
        seen = self._look(client, name)
        if seen is None:
            raise EngineError("The container was removed by somebody else.")
        return seen

    def _make_volume(self, client: Client, name: str) -> None:
        volume = client.create_volume(name, labels=self.place.labels())
        if not self.place.owns(volume["Labels"]):
            raise EngineError(f"The volume name {name} is taken by a volume that is not ours.")

    def _clear_name(self, client: Client, key: str) -> None:
        """Remove a leftover of ours that holds the name; a stranger's is left alone."""
        seen = self.find(client, key)
        if seen is None:
            raise EngineError(
                f"The container name {name_of(key)} is taken by a container that this "
                "gateway did not make. Rename or remove that container."
            )
        _remove(client, seen.container_id)


def pause(client: Client, container_id: str) -> None:
    """Version 1 of Linux' control groups fails to freeze what is busy making processes, now and
    then on a loaded machine; it is thawed again, and the next time works."""
    deadline = time.monotonic() + _FREEZE_S
    while True:
        try:
            client.pause(container_id)
        except Refused as error:
            if "unable to freeze" not in str(error.explanation) or time.monotonic() > deadline:
                raise
        else:
            return


def total_bytes(client: Client) -> int:
    total: int = client.info()["MemTotal"]
    return total


def room_beside(client: Client, total: int) -> Room:
    """What is left beside the containers, of an engine elsewhere."""
    used = [_usage(client, each["Id"]) for each in client.containers()]
    held = sum(each.memory_bytes for each in used if each is not None)
    return Room(total, max(0, total - held))


def _image(client: Client, image: str) -> Any:
    try:
        return client.inspect_image(image)
    except NotFound as error:
        raise EngineError(
            f"The image {image} is not on this machine. Build or pull it there first."
        ) from error


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
