"""The routing decision as a table: who asks, where they live, what for."""

import pytest

from gateway.credentials import Caller
from gateway.routing import (
    Ask,
    Await,
    Hold,
    Place,
    Refuse,
    Route,
    SayHealthy,
    ShowStart,
    State,
    ToPage,
    ToSession,
    ToShared,
    Upstream,
    fallback,
    gives_way,
    route,
)
from gateway.wire.upstream import Pool

UPSTREAM = Upstream("agent_1", "10.0.0.2", 4096, b"Basic x", Pool("agent_1", "10.0.0.2", 4096))
SOMEBODY = Caller("alice", "login", "session", "cookie")
BY_TOKEN = Caller("alice", None, "session", "bearer")
UNDECIDED = Caller("alice", "login", None, "cookie")

ASKS = {
    "page": Ask(b"GET", b"/", navigation=True),
    "call": Ask(b"GET", b"/session"),
    "prompt": Ask(b"POST", b"/session"),
    "health": Ask(b"GET", b"/global/health"),
    "events": Ask(b"GET", b"/global/event"),
    "bound": Ask(b"POST", b"/session/ses_1/message"),
    "bound page": Ask(b"GET", b"/session/ses_1", navigation=True),
    "terminal": Ask(b"POST", b"/pty"),
    "settings": Ask(b"PATCH", b"/config"),
}
CONTAINER = ToSession(UPSTREAM)
HELD, BRIEFLY, SHOWN = Hold(), Hold(briefly=True), ShowStart()
SHARED = ToShared("container_failed")
UNAVAILABLE, NOT_SHARED = Refuse("conversation_unavailable"), Refuse("not_on_shared")

WAITS: dict[str, Route] = {
    "page": SHOWN, "call": HELD, "prompt": HELD, "health": BRIEFLY, "events": HELD,
    "bound": HELD, "bound page": SHOWN, "terminal": HELD, "settings": HELD,
}  # fmt: skip
FALLS_BACK: dict[str, Route] = {
    "page": SHARED, "call": SHARED, "prompt": SHARED, "health": SHARED, "events": SHARED,
    "bound": UNAVAILABLE, "bound page": UNAVAILABLE, "terminal": NOT_SHARED,
    "settings": NOT_SHARED,
}  # fmt: skip
SLEEPS: dict[str, Route] = {**dict.fromkeys(ASKS, HELD), "health": SayHealthy("1.18.33")}
ENDS: dict[str, Route] = {**WAITS, "health": SayHealthy("1.18.33"), "events": Await()}
ALL_TO_CONTAINER: dict[str, Route] = dict.fromkeys(ASKS, CONTAINER)
REMOVING: dict[str, Route] = dict.fromkeys(ASKS, Refuse("session_removing"))
TABLE: dict[tuple[State, bool], dict[str, Route]] = {
    (State.NEW, True): WAITS,
    (State.NEW, False): WAITS,
    (State.STARTING, True): WAITS,
    (State.STARTING, False): WAITS,
    (State.READY, True): ALL_TO_CONTAINER,
    (State.READY, False): ALL_TO_CONTAINER,
    (State.FROZEN, True): SLEEPS,
    (State.FROZEN, False): SLEEPS,
    (State.STOPPING, True): ENDS,
    (State.STOPPING, False): ENDS,
    (State.STOPPED, True): WAITS,
    (State.STOPPED, False): WAITS,
    (State.FAILED, True): FALLS_BACK,
    (State.FAILED, False): WAITS,
    (State.REMOVING, True): REMOVING,
    (State.REMOVING, False): REMOVING,
}
ROWS = [(*key, kind, expected) for key, row in TABLE.items() for kind, expected in row.items()]


def place(state: State) -> Place:
    wait = 5.0 if state is State.FAILED else None
    upstream = UPSTREAM if state is State.READY else None
    kept = UPSTREAM if state in (State.FROZEN, State.STOPPING) else None
    return Place(state, upstream=upstream, kept=kept, retry_after_s=wait, version="1.18.33")


def decide(
    ask: Ask, caller: Caller | None, at: Place, *, shared: bool = True, has_agent: bool = True
) -> Route:
    return route(ask, caller, at, shared=shared, has_agent=has_agent)


def test_table_is_complete() -> None:
    assert set(TABLE) == {(state, shared) for state in State for shared in (True, False)}
    assert all(set(row) == set(ASKS) for row in TABLE.values())


@pytest.mark.parametrize("caller", [SOMEBODY, BY_TOKEN], ids=["cookie", "token"])
@pytest.mark.parametrize(("state", "shared", "kind", "expected"), ROWS)
def test_session_is_routed_by_where_it_lives(
    caller: Caller, state: State, shared: bool, kind: str, expected: Route
) -> None:
    assert decide(ASKS[kind], caller, place(state), shared=shared) == expected


@pytest.mark.parametrize("kind", ASKS)
def test_who_merely_listens_does_not_start_what_was_stopped_on_purpose(kind: str) -> None:
    at_rest = Place(State.STOPPED, version="1.18.33", at_rest=True)

    assert decide(ASKS[kind], SOMEBODY, at_rest) == ENDS[kind]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (b"HEAD", b"/global/health", SayHealthy("1.18.33")),
        (b"GET", b"/api/health/", SayHealthy("1.18.33")),
        (b"HEAD", b"/event", Await()),
        (b"OPTIONS", b"/global/event", Await()),
        (b"OPTIONS", b"/global/health", Await()),
        (b"POST", b"/event", HELD),
        (b"OPTIONS", b"/session", HELD),
    ],
)
def test_other_ways_to_listen_are_listening(method: bytes, path: bytes, expected: Route) -> None:
    at_rest = Place(State.STOPPED, version="1.18.33", at_rest=True)

    assert decide(Ask(method, path), SOMEBODY, at_rest) == expected


@pytest.mark.parametrize("kind", ASKS)
def test_container_that_ran_and_fell_silent_is_started_again(kind: str) -> None:
    silent = Place(State.FAILED, retry_after_s=0.0)

    assert decide(ASKS[kind], SOMEBODY, silent) == WAITS[kind]


@pytest.mark.parametrize("kind", ASKS)
def test_nobody_waits_for_what_is_only_tried_again(kind: str) -> None:
    retried = Place(State.STARTING, retried=True)

    assert decide(ASKS[kind], SOMEBODY, retried) == FALLS_BACK[kind]
    assert decide(ASKS[kind], SOMEBODY, retried, shared=False) == WAITS[kind]


@pytest.mark.parametrize("code", ["no_room", "start_queued", "standby"])
def test_where_there_is_no_room_the_shared_service_may_serve(code: str) -> None:
    full = Place(State.FAILED, retry_after_s=5.0, problem=code)

    assert gives_way(code)
    assert decide(ASKS["call"], SOMEBODY, full) == ToShared(code)


@pytest.mark.parametrize("code", ["too_many_containers", "crash_loop"])
def test_what_somebody_must_mend_is_told_and_never_covered_up(code: str) -> None:
    failed = Place(State.FAILED, retry_after_s=5.0, problem=code)

    assert not gives_way(code)
    assert decide(ASKS["call"], SOMEBODY, failed) == HELD


@pytest.mark.parametrize("state", State)
def test_conversation_of_the_shared_service_goes_nowhere_else(state: State) -> None:
    ask = Ask(b"POST", b"/session/ses_1/message", on_shared=True)

    assert decide(ask, SOMEBODY, place(state)) == ToShared("conversation")
    assert decide(ask, SOMEBODY, place(state), shared=False) == UNAVAILABLE


@pytest.mark.parametrize("act", [b"shell", b"command", b"init", b"share", b"revert"])
@pytest.mark.parametrize("state", State)
def test_conversation_of_the_shared_service_is_limited_to_talk(state: State, act: bytes) -> None:
    ask = Ask(b"POST", b"/session/ses_1/" + act, on_shared=True)

    assert decide(ask, SOMEBODY, place(state)) == NOT_SHARED


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", ASKS)
def test_nobody_reaches_no_container(state: State, kind: str) -> None:
    expected = ToPage("/gateway/login") if "page" in kind else Refuse("authentication_required")

    assert decide(ASKS[kind], None, place(state)) == expected
    assert decide(ASKS[kind], None, place(state), shared=False) == expected


@pytest.mark.parametrize("ask", [Ask(b"OPTIONS", b"/session"), Ask(b"GET", b"/site.webmanifest")])
def test_nobody_gets_what_opencode_gives_to_anybody(ask: Ask) -> None:
    refusal = Refuse("authentication_required")

    assert decide(ask, None, place(State.NEW)) == ToShared("public")
    assert decide(ask, None, place(State.NEW), shared=False) == refusal


@pytest.mark.parametrize(
    ("kind", "has_agent", "expected"),
    [
        ("page", True, ToPage("/gateway/")),
        ("page", False, ToPage("/gateway/agents")),
        ("call", True, Refuse("session_required")),
        ("call", False, Refuse("agent_required")),
        ("bound", True, Refuse("session_required")),
    ],
)
def test_login_without_a_session_is_led_to_one(kind: str, has_agent: bool, expected: Route) -> None:
    assert decide(ASKS[kind], UNDECIDED, place(State.NEW), has_agent=has_agent) == expected


@pytest.mark.parametrize("path", [b"/global/health", b"/api/health"])
def test_only_a_health_probe_is_held_briefly(path: bytes) -> None:
    assert decide(Ask(b"GET", path), SOMEBODY, place(State.NEW)) == BRIEFLY
    assert decide(Ask(b"POST", path), SOMEBODY, place(State.NEW)) == HELD


@pytest.mark.parametrize(
    ("kind", "shared", "expected"),
    [
        ("page", True, ToShared("why")),
        ("call", True, ToShared("why")),
        ("prompt", True, ToShared("why")),
        ("bound", True, UNAVAILABLE),
        ("terminal", True, NOT_SHARED),
        ("settings", True, NOT_SHARED),
        ("page", False, SHOWN),
        ("call", False, Refuse("container_unavailable")),
        ("bound", False, UNAVAILABLE),
        ("bound page", False, UNAVAILABLE),
        ("terminal", False, Refuse("container_unavailable")),
    ],
)
def test_fallback_is_the_shared_service_where_the_rules_allow_it(
    kind: str, shared: bool, expected: Route
) -> None:
    assert fallback(ASKS[kind], "why", shared=shared) == expected


@pytest.mark.parametrize("path", [b"/%70ty", b"//pty", b"/PTY", b"/session/ses%5F1", b"/pty;x"])
def test_fallback_is_not_fooled_by_another_spelling(path: bytes) -> None:
    assert isinstance(fallback(Ask(b"POST", path), "why", shared=True), Refuse)
