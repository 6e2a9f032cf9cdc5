"""What a Docker Engine and OpenCode take by themselves: a container started without any of ours.

It is made with the configuration that the product gives a session's, less what only we need: its
secrets come by the environment, since nobody is to be kept from them here.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio

from benchmarks.first_byte import first_byte_ms
from benchmarks.real_deployment import Way, basic
from orchestrator import opencode
from orchestrator.containers import PORT, Agent, Limits, Spec
from orchestrator.engines import docker_json as shapes
from orchestrator.engines.base import EngineError
from orchestrator.engines.docker_line import DockerLine, NotFound, Refused

LIMITS = Limits(memory_bytes=2 << 30, cpus=1, pids=512)
_AGENT = Agent("bench", opencode.COMPATIBLE, "scripted", "http://127.0.0.1:9/v1", None)
_NETWORK = "opencode-network"
_ASK_EVERY_S = 0.005
_FIRST_PATIENCE_S = 0.05
_MORE_PATIENCE = 1.25
_BOOT_S = 60
_FREEZE_AGAIN_S = 0.5
_DOCKER_S = 60
_GRACE_S = 5


@dataclass(frozen=True, slots=True)
class Start:
    """The parts of one start, in milliseconds: Docker's create, until OpenCode's health answers,
    and the first byte of the first request's answer."""

    created: float
    booted: float
    answered: float

    @property
    def whole(self) -> float:
        return self.created + self.booted + self.answered


class BareContainer:
    """One container, from its creation on; `path` is what its first request asks for."""

    def __init__(self, client: Any, image: str, path: str) -> None:
        self._client = client
        self._name = f"opencode-gateway-bench-{secrets.token_hex(8)}"
        self._password = secrets.token_hex(16)
        self._path = path
        self._configuration = _configuration(client, image, self._name, self._password)

    def create(self) -> Start:
        """Make its volume and itself, and start it."""
        began = time.perf_counter()
        self._client.create_volume(self._name)
        self._client.create_container_from_config(self._configuration, self._name)
        return self._started(_ms_since(began))

    def start(self) -> Start:
        """Start it again after a stop."""
        return self._started(0.0)

    def stop(self) -> None:
        self._client.stop(self._name, timeout=_GRACE_S)

    def freeze(self) -> None:
        """Linux's first control groups can't freeze what is just making processes."""
        deadline = time.monotonic() + _BOOT_S
        while True:
            try:
                self._client.pause(self._name)
            except Refused:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_FREEZE_AGAIN_S)
            else:
                return

    def thaw(self) -> Start:
        way, began = self._way(), time.perf_counter()
        self._client.unpause(self._name)
        thawed = _ms_since(began)
        return Start(0.0, thawed, first_byte_ms(way, self._path))

    def remove(self) -> None:
        with suppress(NotFound):
            self._client.remove_container(self._name, force=True)
        with suppress(NotFound):
            self._client.remove_volume(self._name, force=True)

    def _started(self, created: float) -> Start:
        began = time.perf_counter()
        self._client.start(self._name)
        way = self._way()
        _wait_for_health(way)
        booted = _ms_since(began)
        return Start(created, booted, first_byte_ms(way, self._path))

    def _way(self) -> Way:
        networks = self._client.inspect_container(self._name)["NetworkSettings"]["Networks"]
        host = networks[_NETWORK]["IPAddress"]
        return Way(host, PORT, basic(opencode.USERNAME, self._password))


@contextmanager
def bare_container(client: Any, image: str, path: str) -> Iterator[BareContainer]:
    container = BareContainer(client, image, path)
    try:
        yield container
    finally:
        container.remove()


def has_engine() -> bool:
    """Say so where there is none: then what needs one is left out."""
    line = _line()
    try:
        anyio.run(line.ping)
    except EngineError as error:
        print(f"Containers' lives are not measured: {error}")
        return False
    finally:
        line.close()
    return True


@contextmanager
def docker_client() -> Iterator[Any]:
    """The engine that everything else is run by."""
    client = _line().connect()
    client.timeout = _DOCKER_S
    try:
        yield client
    finally:
        client.close()


def _line() -> DockerLine:
    environ = os.environ  # noqa: TID251 - the engine is chosen by it, as Docker's own command does
    return DockerLine({k: v for k, v in environ.items() if k.startswith("DOCKER_")})


def _configuration(client: Any, image: str, name: str, password: str) -> dict[str, Any]:
    spec = Spec("bare", name, 0, image, LIMITS, "", "")
    place = shapes.Place("benchmark", _NETWORK, "ip")
    whole = shapes.configuration(place, spec, client.inspect_image(image))
    # Our launcher, and the way by which a spare is told whose it is.
    del whole["Entrypoint"], whole["OpenStdin"]
    values = opencode.environment(_AGENT, "no-token", password).values
    return {**whole, "Env": [f"{name}={value}" for name, value in values.items()]}


def _wait_for_health(way: Way) -> None:
    """A question that comes while OpenCode listens and does not serve yet is never answered: ask
    anew soon, and let a machine with much to do have longer each time."""
    deadline, patience_s = time.monotonic() + _BOOT_S, _FIRST_PATIENCE_S
    while time.monotonic() < deadline:
        try:
            first_byte_ms(way, "/global/health", patience_s)
        except TimeoutError:
            patience_s *= _MORE_PATIENCE
        except OSError:
            time.sleep(_ASK_EVERY_S)
        else:
            return
    raise SystemExit(f"A bare container did not answer within {_BOOT_S} s.")


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3
