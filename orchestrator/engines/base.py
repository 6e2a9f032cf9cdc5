"""What an engine promises the supervisor, whatever runs the containers.

The contract, beyond the signatures:
* A container belongs to one session (or is a spare) and to one deployment. `key` says whose it is.
  An engine neither shows nor touches what is not its own deployment's, and a name that a stranger
  holds is refused in words.
* `create` makes the volume that its spec names if there is none; `remove` leaves it; only
  `remove_volume` deletes it. Removing or stopping what is not there, freezing what is frozen and
  thawing what runs is done, not an error; what is not there printed nothing and uses nothing.
* A frozen container keeps its memory, its connections and what is sent to it, and runs nothing.
  `stop` and `remove` work on it as on any other.
* Secrets come with `start` or `claim`, each time, and are in nothing that an engine shows, nor in
  the container's file system once it is stopped.
* `events` yields a key whenever its container may have changed. It says no more: the
  reader looks for itself, so a late or doubled event is harmless. It first yields None, once it
  listens, and ends with EngineUnavailable when events may have been lost.
* Every call ends, by answer or by error, within a time the engine knows.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from orchestrator.containers import (
    Environment,
    Identity,
    Limits,
    Observation,
    Room,
    Spec,
    Usage,
)


class EngineError(Exception):
    """The engine refused; the message is a sentence for a person."""

    code = "container_failed"


class EngineUnavailable(EngineError):
    """The engine does not answer, so nothing is known about any container."""

    code = "engine_unavailable"


class Engine(Protocol):
    """Runs containers. The methods are in the order of a container's life."""

    name: str
    has_spares: bool
    """Whether a running container can become a session's: see `claim`."""

    async def ping(self) -> None:
        """Return if the engine answers, else raise EngineUnavailable."""

    async def fingerprint(self, image: str, limits: Limits) -> str:
        """What a container of this image and these limits is made of; equal means reusable."""

    async def create(self, spec: Spec) -> Observation: ...

    async def start(self, key: str, environment: Environment) -> Observation: ...

    async def claim(self, spare: str, key: str, identity: Identity) -> Observation:
        """Make a running spare this session's: its name, and what it is told of its agent. Raises
        EngineError if the spare is gone or a container of that name is there."""

    async def freeze(self, key: str) -> None: ...

    async def thaw(self, key: str) -> Observation: ...

    async def stop(self, key: str) -> None:
        """Ask it to end, and after a moment end it for certain."""

    async def remove(self, key: str) -> None: ...

    async def remove_volume(self, volume: str) -> None: ...

    async def find(self, key: str) -> Observation | None: ...

    async def find_all(self) -> list[Observation]:
        """Every container of this deployment: sessions' and spares', running or not."""

    async def volumes(self) -> list[str]:
        """Every volume of this deployment, by name."""

    async def usage(self, key: str) -> Usage | None:
        """What a running container uses; None if it does not run."""

    async def room(self) -> Room: ...

    async def last_lines(self, key: str) -> list[str]:
        """The end of what the container printed, for a person who asks why it did not start."""

    def events(self) -> AsyncGenerator[str | None, None]: ...

    def hurry(self) -> None:
        """The program ends: what is still under way is waited for a moment, and no longer."""

    async def aclose(self) -> None: ...
