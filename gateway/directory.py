"""Where each session lives, in memory: follows the orchestrator's events, and asks it to act.

The hot path reads `place`; everything else here is awaited by whoever must wait anyway. When the
orchestrator is away, what is known stays known. It knows no request and makes no routing decision.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, ItemsView, Mapping
from typing import Any

from gateway.errors import GatewayError
from gateway.orchestrator_client import OrchestratorClient, View
from gateway.places import about_to_start, is_only_looked_for, not_started, place_of
from gateway.routing import Place, State, Upstream
from gateway.wire.tasks import Tasks

logger = logging.getLogger(__name__)

Order = Mapping[str, Any]
_UNKNOWN = Place(State.NEW)
_RECONNECT_S = 1.0
# Failures that say nothing about the container itself.
_NOT_ITS_OWN = (
    "container_stopped",
    "orchestrator_failed",
    "orchestrator_unavailable",
    "session_removing",
)


class Directory:
    """`order` makes the orchestrator's order for a session; `changed` is told of every change, as
    is who watches; `gone` is told of every session whose container and volume were deleted."""

    def __init__(
        self,
        client: OrchestratorClient,
        tasks: Tasks,
        order: Callable[[str], Awaitable[Order]],
        changed: Callable[[str, Place], None],
        gone: Callable[[str], None],
    ) -> None:
        self.client = client
        self._tasks = tasks
        self._order = order
        self._changed = [changed]
        self._gone = gone
        self._places: dict[str, Place] = {}
        self._living: dict[str, Upstream] = {}
        self._starts: dict[str, asyncio.Future[Place]] = {}
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._retried: set[str] = set()
        self._warned: dict[str, str] = {}
        self.connected = False

    def place(self, session_id: str) -> Place:
        return self._places.get(session_id, _UNKNOWN)

    def living(self) -> ItemsView[str, Upstream]:
        """Return the sessions whose containers live, with where their connections go."""
        return self._living.items()

    def watch(self, changed: Callable[[str, Place], None]) -> None:
        """Tell of every change from now on."""
        self._changed.append(changed)

    def is_due(self, session_id: str) -> bool:
        """Whether a failed container's next automatic start may be tried now."""
        return not self.wait_s(session_id)

    def wait_s(self, session_id: str) -> float | None:
        """Return how long until that start, as far as it is known."""
        retry_at = self.place(session_id).retry_at
        return None if retry_at is None else max(0.0, retry_at - asyncio.get_running_loop().time())

    async def ensure(self, session_id: str, *, force: bool = False) -> Place:
        """Return the session's place once it is ready; all who ask join one start.

        Raises GatewayError when it cannot be had. A caller that leaves does not end the start.
        """
        place = self.place(session_id)
        if place.upstream is not None:
            return place
        return await asyncio.shield(self._start(session_id, force=force))

    async def ready(self, session_id: str) -> Place:
        """Return the session's place once somebody else has had it started; asks for nothing.

        Raises GatewayError if it is deleted.
        """
        while (place := self.place(session_id)).upstream is None:
            if session_id not in self._places:
                raise GatewayError("session_removing", "This session was deleted.")
            if session_id not in self._awaited:
                self._awaited[session_id] = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._awaited[session_id])
        return place

    def start_soon(self, session_id: str, *, force: bool = False) -> None:
        """Begin a start that nobody waits for; its outcome shows in `place`."""
        if self.place(session_id).upstream is None:
            if self.place(session_id).did_not_start and not force:
                self._retried.add(session_id)
            self._start(session_id, force=force)

    async def verify(self, session_id: str) -> Place:
        """Have a container looked at that did not answer us; return its place now."""
        self._take(await self.client.verify(session_id))
        return self.place(session_id)

    def verify_soon(self, session_id: str) -> None:
        self._tasks.start(self._verify_quietly(session_id), "verify")

    async def stop(self, session_id: str) -> None:
        self._take(await self.client.stop(session_id))

    async def remove(self, session_id: str) -> None:
        """Delete container and volume; returns when they are gone."""
        await self.client.remove(session_id)
        self._forget(session_id)

    async def follow(self) -> None:
        """Follow the orchestrator's events until cancelled, reconnecting when they end."""
        told = ""
        while True:
            reason = "Its event stream ended."
            try:
                async for event, data in self.client.events():
                    self.connected, told = True, ""
                    self._apply(event, data)
            except GatewayError as error:
                reason = error.message
            except (KeyError, TypeError, ValueError):
                # Not of our contract, as from another version: the gateway goes on without it.
                logger.exception("orchestrator event not understood")
            if reason != told:
                logger.warning("orchestrator lost reason=%r", reason)
            self.connected, told = False, reason
            await asyncio.sleep(_RECONNECT_S)

    def close(self) -> None:
        for upstream in self._living.values():
            upstream.pool.close()

    def _start(self, session_id: str, *, force: bool) -> asyncio.Future[Place]:
        running = self._starts.get(session_id)
        if running is not None:
            return running
        if force:
            self._retried.discard(session_id)
        future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        # Somebody may have left by the time it fails; the failure is kept in the place as well.
        future.add_done_callback(lambda f: None if f.cancelled() else f.exception())
        self._starts[session_id] = future
        before = self.place(session_id)
        if before.state is not State.FROZEN:
            retried = session_id in self._retried
            self._put(session_id, about_to_start(before, retried=retried))
        self._tasks.start(self._run_start(session_id, future, before, force), f"start {session_id}")
        return future

    async def _run_start(
        self, session_id: str, future: asyncio.Future[Place], before: Place, force: bool
    ) -> None:
        try:
            order = await self._order(session_id)
            self._take(await self.client.ensure({**order, "force": force}))
        except GatewayError as error:
            if error.code in _NOT_ITS_OWN or before.kept is not None:
                self._put_back(session_id, before)
            self._settle(session_id, future, error)
        except BaseException:
            self._put_back(session_id, before)
            del self._starts[session_id]
            future.set_exception(
                GatewayError("internal_error", "The start failed inside the gateway; see its log.")
            )
            raise
        else:
            self._settle(session_id, future, None)

    def _settle(
        self, session_id: str, future: asyncio.Future[Place], error: GatewayError | None
    ) -> None:
        del self._starts[session_id]
        if error is not None:
            self._note_failure(session_id, error)
        place = self.place(session_id)
        if place.upstream is not None:
            future.set_result(place)
        else:
            future.set_exception(error or _gone_again(place))

    def _put_back(self, session_id: str, before: Place) -> None:
        """Nothing was begun after all; whatever the orchestrator told meanwhile stays."""
        place = self.place(session_id)
        if place.phase == "queued" and place.generation == before.generation:
            self._put(session_id, before)

    def _note_failure(self, session_id: str, error: GatewayError) -> None:
        """Know of a failed start at once; what the orchestrator tells of it may come later."""
        self._warn(session_id, f"code={error.code} reason={error.message!r}")
        known = self.place(session_id)
        wait = error.data.get("retry_after_s")
        told = known.state is State.FAILED and wait is not None
        if told or known.living is not None or error.code in _NOT_ITS_OWN:
            return
        now = asyncio.get_running_loop().time()
        self._put(session_id, not_started(error, known, now=now))

    def _warn(self, session_id: str, failure: str) -> None:
        """Log a failure once: a frozen session's wake is tried each second until it succeeds."""
        if self._warned.get(session_id) != failure:
            self._warned[session_id] = failure
            logger.warning("start failed session=%s %s", session_id, failure)

    async def _verify_quietly(self, session_id: str) -> None:
        try:
            await self.verify(session_id)
        except GatewayError as error:
            logger.warning("verify failed session=%s reason=%r", session_id, error.message)

    def _apply(self, event: str, data: View) -> None:
        if event == "snapshot":
            views: list[View] = data["sessions"]
            for session_id in self._places.keys() - {view["session_id"] for view in views}:
                # Its end was told while nobody listened.
                if self.place(session_id).state is State.REMOVING:
                    self._gone(session_id)
                self._forget(session_id)
            for view in views:
                self._take(view)
        elif event == "session":
            self._take(data)
        elif event == "removed":
            self._forget(data["session_id"])
            self._gone(data["session_id"])

    def _take(self, view: View) -> None:
        """Put a view in the place of what was known, unless it is older."""
        session_id: str = view["session_id"]
        known = self.place(session_id)
        if view["generation"] < known.generation or is_only_looked_for(view, known):
            return
        retried = session_id in self._retried
        now = asyncio.get_running_loop().time()
        place = place_of(view, known, now=now, retried=retried)
        if place.upstream is not None:
            self._retried.discard(session_id)
            self._warned.pop(session_id, None)
        self._put(session_id, place)
        if place != known:
            self._tell(session_id, place)

    def _tell(self, session_id: str, place: Place) -> None:
        awaited = self._awaited.pop(session_id, None)
        if awaited is not None:
            awaited.set_result(None)
        for told in self._changed:
            told(session_id, place)

    def _put(self, session_id: str, place: Place) -> None:
        """Know this place from now on; what another container had open is closed."""
        self._places[session_id] = place
        before, living = self._living.get(session_id), place.living
        if before is not None and before is not living:
            del self._living[session_id]
            before.pool.close()
        if living is not None:
            self._living[session_id] = living

    def _forget(self, session_id: str) -> None:
        self._retried.discard(session_id)
        self._warned.pop(session_id, None)
        self._places.pop(session_id, None)
        upstream = self._living.pop(session_id, None)
        if upstream is not None:
            upstream.pool.close()
        self._tell(session_id, _UNKNOWN)


def _gone_again(place: Place) -> GatewayError:
    return GatewayError("container_unavailable", place.why, retry_after_s=1)
