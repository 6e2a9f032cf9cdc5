"""What a person is told of a container's life: what happened last, what comes next, and when.

Pure: it makes sentences of a view, which has the shape of the orchestrator's answers. The time is
brought by the caller and serves to name the day; how long something takes comes in the view.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import floor
from typing import Any

View = Mapping[str, Any]

_NEXT = {
    "freeze": "It freezes {when}",
    "stop": "It is stopped {when}",
    "remove": "Its container is removed {when}, its files stay",
    "start": "A request can start it again {when}",
}
_RUNS = ("starting", "ready", "frozen")
_UNCERTAIN = "The orchestrator does not answer now, so this may have changed."


def why(view: View, now: datetime, *, fresh: bool) -> str:
    """Say in one text where it stands; not `fresh` is what was known before nobody answered."""
    said = [*_happened(view), *_comes(view, now)]
    return " ".join(said if fresh else [*said, _UNCERTAIN])


def in_words(seconds: float) -> str:
    """How long until something, in a person's units; `in_words` of sessions.js says the same."""
    return f"in {span(seconds)}" if seconds >= 0.5 else "in a moment"


def span(seconds: float) -> str:
    whole = _rounded(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = _rounded(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{_rounded(minutes / (24 * 60))} days"


def clock(time: datetime, now: datetime) -> str:
    """A time of day as people write it, with the day where that is another one."""
    there, here = time.astimezone(UTC), now.astimezone(UTC)
    day = "" if there.date() == here.date() else f" on {there.day} {there:%b}"
    return f"{there:%H:%M} UTC{day}"


def ordinal(number: int) -> str:
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _happened(view: View) -> Iterator[str]:
    queue = view.get("queue")
    if queue:
        yield f"It is the {ordinal(queue['place'])} of {queue['of']} waiting for a start."
    else:
        yield view["why"]
    if view.get("busy"):
        yield _sentence(view["busy"])


def _comes(view: View, now: datetime) -> Iterator[str]:
    until = view.get("awake_until")
    if until and view["state"] in _RUNS:
        yield f"Kept awake until {clock(datetime.fromisoformat(until), now)}."
    if view["state"] == "new":
        yield "The first request starts it."
    said = [*_next(view), *_idle(view, now)]
    if said:
        text = "; ".join(said)
        yield f"{text[0].upper()}{text[1:]}."


def _next(view: View) -> Iterator[str]:
    coming = view.get("next")
    if coming and coming["action"] in _NEXT:
        yield _NEXT[coming["action"]].format(when=in_words(coming["in_s"]))


def _idle(view: View, now: datetime) -> Iterator[str]:
    since = view.get("idle_since")
    # A frozen one's own why has told of it.
    if since and view["state"] == "ready" and not view.get("busy"):
        yield f"nothing has run since {clock(datetime.fromisoformat(since), now)}"


def _sentence(phrases: Sequence[str]) -> str:
    *before, last = phrases
    text = f"{', '.join(before)} and {last}" if before else last
    return f"{text[0].upper()}{text[1:]}."


def _rounded(number: float) -> int:
    """To the nearest, halves up, as the page's script does; `round` takes halves to even."""
    return floor(number + 0.5)
