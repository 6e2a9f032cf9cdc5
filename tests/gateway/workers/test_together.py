"""What one worker learns, every other knows: two workers are one gateway to whoever asks."""

import json
from functools import partial

from gateway import administration
from orchestrator.engines.base import EngineUnavailable
from tests.support.waiting import until
from tests.support.websocket import ASK
from tests.support.workers import PASSWORD, Asking, Gateway, Person, Shared

_AT_ONCE_S = 1.0


async def test_each_worker_serves(gateway: Gateway, both: tuple[Asking, Asking]) -> None:
    assert {asking.worker() for asking in both} == gateway.workers()
    assert len(gateway.workers()) == 2


async def test_requests_that_meet_in_two_workers_make_one_start(
    parts: Shared, both: tuple[Asking, Asking]
) -> None:
    before = parts.engine.calls["create"]
    await parts.meets(both, "/session")

    assert parts.engine.calls["create"] == before + 1


async def test_the_orchestrators_metrics_are_told_once_by_either_worker(
    both: tuple[Asking, Asking],
) -> None:
    told = [(await asking.ask("/gateway/metrics"))[1] for asking in both]

    assert [text.count(b"# TYPE opencode_gateway_containers gauge\n") for text in told] == [1, 1]


async def test_a_login_made_in_one_worker_counts_in_the_other(
    both: tuple[Asking, Asking], person: Person
) -> None:
    one, other = both
    one.send("/gateway/login", method="POST", cookie="", body=person.tries(PASSWORD))
    cookie = await one.new_cookie()

    status, me = await other.ask("/gateway/me", cookie=cookie)

    assert status == 200
    assert json.loads(me)["user"]["username"] == person.user.username


async def test_a_logout_in_one_worker_ends_what_the_other_holds(
    both: tuple[Asking, Asking],
) -> None:
    one, other = both
    await other.stream()

    assert (await one.ask("/gateway/logout", method="POST"))[0] == 204

    await other.stream_ends(_AT_ONCE_S)


async def test_a_session_deleted_in_one_worker_ends_what_the_other_holds(
    both: tuple[Asking, Asking], person: Person
) -> None:
    one, other = both
    await other.stream()

    status, _ = await one.ask(f"/api/sessions/{person.session.id}", method="DELETE")

    assert status == 204
    await other.stream_ends(_AT_ONCE_S)


async def test_a_session_made_in_one_worker_starts_in_the_other(
    both: tuple[Asking, Asking],
) -> None:
    one, other = both
    one.send("/api/sessions", method="POST", body=b"{}")
    cookie = await one.new_cookie()

    assert (await other.ask("/session", cookie=cookie))[0] == 200


async def test_a_session_is_stopped_and_started_from_any_worker(
    parts: Shared, both: tuple[Asking, Asking], person: Person
) -> None:
    before = parts.engine.calls.copy()
    one, other = both
    path = f"/api/sessions/{person.session.id}"
    await one.ask("/session")

    assert (await other.ask(f"{path}/stop", method="POST"))[0] == 202
    assert (await one.ask("/session"))[0] == 200
    assert parts.engine.calls["create"] == before["create"] + 1
    assert parts.engine.calls["stop"] == before["stop"] + 1


async def test_attempts_to_log_in_count_over_all_workers(
    both: tuple[Asking, Asking], person: Person
) -> None:
    one, other = both
    for asking in (*[one] * 5, *[other] * 5):
        status, _ = await asking.ask(
            "/gateway/login", method="POST", cookie="", body=person.tries("a wrong one")
        )
        assert status == 401

    for asking in both:
        status, told = await asking.ask(
            "/gateway/login", method="POST", cookie="", body=person.tries(PASSWORD)
        )
        assert status == 429, told


async def test_any_worker_tells_what_all_have_counted(
    gateway: Gateway, both: tuple[Asking, Asking]
) -> None:
    before = await gateway.counted('opencode_gateway_requests_total{route="session"')
    for asking in both:
        for _ in range(3):
            await asking.ask("/session")

    after = await gateway.counted('opencode_gateway_requests_total{route="session"')

    assert after - before == 6


async def test_a_terminals_ticket_asked_in_one_worker_opens_it_in_the_other(
    both: tuple[Asking, Asking],
) -> None:
    one, other = both
    for asking in both:
        await asking.ask("/session")
    await one.ask("/pty/pty_1/connect-token", method="POST")

    other.writer.write(ASK.replace(b"/pty/1/connect?x=%2F", b"/pty/pty_1/connect?ticket=t"))

    assert (await other.reader.head()).startswith(b"HTTP/1.1 101 ")


async def test_a_new_password_ends_every_workers_streams(
    parts: Shared, both: tuple[Asking, Asking], person: Person
) -> None:
    for asking in both:
        await asking.stream()

    await administration.set_password(parts.store, person.user.username, "another password")

    for asking in both:
        await asking.stream_ends(3)


async def test_a_deletion_that_the_engine_delays_is_finished_when_it_is_back(
    parts: Shared, both: tuple[Asking, Asking], person: Person
) -> None:
    one, other = both
    await one.ask("/session")
    parts.engine.refuse("remove", EngineUnavailable("The engine is away."))
    status, _ = await one.ask(f"/api/sessions/{person.session.id}", method="DELETE")
    assert status == 503
    assert person.session.id in (await other.ask("/api/sessions"))[1].decode()

    parts.engine.relent("remove")
    parts.engine.show_all()

    await until(partial(_is_gone, other, person), "the session is gone")


async def _is_gone(asking: Asking, person: Person) -> bool:
    return person.session.id not in (await asking.ask("/api/sessions"))[1].decode()
