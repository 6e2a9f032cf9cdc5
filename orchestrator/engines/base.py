"""What an engine promises the supervisor, whatever runs the containers.

The contract, beyond the signatures:
* A container belongs to one session and one deployment. An engine neither shows nor touches what
  is not its own deployment's, and a name that a stranger holds is refused in words.
* `create` makes the session's volume if there is none; `remove` leaves it; only `remove_volume`
  deletes it. Removing or stopping what is not there is done, not an error, and it printed nothing.
* Secrets come with `start`, each time, and are in nothing that an engine shows or keeps.
* `events` yields a session's id whenever its container may have changed. It says no more: the
  reader looks for itself, so a late or doubled event is harmless. It first yields None, once it
  listens, and ends with EngineUnavailable when events may have been lost.
* Every call ends, by answer or by error, within a time the engine knows.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from orchestrator.containers import Environment, Limits, Observation, Spec


class EngineError(Exception):
    """The engine refused; the message is a sentence for a person."""

    code = "container_failed"


class EngineUnavailable(EngineError):
    """The engine does not answer, so nothing is known about any container."""

    code = "engine_unavailable"


class Engine(Protocol):
    """Runs containers. The methods are in the order of a container's life."""

    name: str

    async def ping(self) -> None:
        """Return if the engine answers, else raise EngineUnavailable."""

    async def fingerprint(self, image: str, limits: Limits) -> str:
        """What a container of this image and these limits is made of; equal means reusable."""

    async def create(self, spec: Spec) -> Observation: ...

    async def start(self, session_id: str, environment: Environment) -> Observation: ...

    async def stop(self, session_id: str) -> None: ...

    async def remove(self, session_id: str) -> None: ...

    async def remove_volume(self, session_id: str) -> None: ...

    async def find(self, session_id: str) -> Observation | None: ...

    async def find_all(self) -> list[Observation]: ...

    async def last_lines(self, session_id: str) -> list[str]:
        """The end of what the container printed, for a person who asks why it did not start."""

    def events(self) -> AsyncGenerator[str | None, None]: ...

    def hurry(self) -> None:
        """The program ends: what is still under way is waited for a moment, and no longer."""

    async def aclose(self) -> None: ...
