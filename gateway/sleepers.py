"""Frozen containers, as their clients are to see them: awake. Heartbeats go on, keystrokes wake.

Told of every change of a place. A client's stream stays open over freeze and wake; the attached TUI
would not catch up after a new one. Whether something is used is `activity`'s to say.
"""

import anyio

from gateway import open_streams
from gateway.activity import Activity
from gateway.routing import Interruption, Place, State, Upstream

# OpenCode's own pace. Its clients wait for ever, but proxies give up a silent stream after 60 s and
# Node's fetch after 300.
BEAT_EVERY_S = 10.0


class Sleepers:
    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._frozen: dict[str, Upstream] = {}

    def changed(self, session_id: str, place: Place) -> None:
        before = self._frozen.pop(session_id, None)
        if place.state is State.FROZEN and place.kept is not None:
            self._frozen[session_id] = place.kept
            if before is not place.kept:
                self._fell_asleep(session_id, place.kept)

    async def run(self) -> None:
        """Beat in the place of all who sleep, until cancelled."""
        while True:
            await anyio.sleep(BEAT_EVERY_S)
            for upstream in self._frozen.values():
                open_streams.beat(upstream)

    def _fell_asleep(self, session_id: str, upstream: Upstream) -> None:
        open_streams.listen(upstream, lambda: self._activity.wake(session_id))
        open_streams.beat(upstream)
        # What came while it was being frozen, and is stuck there now.
        if self._activity.look_at(session_id, upstream):
            self._activity.wake(session_id)


def end_streams(_session_id: str, place: Place) -> None:
    """Before a container ends, end its event streams: its last word to them is that all is gone,
    upon which an idle tab asks for everything anew, and would start what was just stopped."""
    if place.state is State.STOPPING and place.phase == "ending" and place.kept is not None:
        open_streams.end(place.kept)


class Unfinished:
    """Turns that a killed container left unfinished, told once to each open event stream.

    A stream that is opened later is greeted with them by whoever relays it (`decisions`).
    """

    def __init__(self) -> None:
        self._told: dict[str, tuple[Interruption, ...]] = {}

    def changed(self, session_id: str, place: Place) -> None:
        before = self._told.pop(session_id, ())
        if place.interrupted:
            self._told[session_id] = place.interrupted
        new = [turn for turn in place.interrupted if turn not in before]
        if new and place.living is not None:
            open_streams.tell(place.living, new, place.workspace)
