"""Which session a terminal's ticket leads to, and for how long."""

import asyncio

from gateway.tickets import Tickets


def test_ticket_leads_to_the_session_that_asked_for_it() -> None:
    tickets = Tickets()
    tickets.note("pty_1", "session", now=0.0)

    assert tickets.session_of("pty_1", now=59.9) == "session"
    assert tickets.session_of("pty_2", now=0.0) is None


def test_ticket_expires() -> None:
    tickets = Tickets()
    tickets.note("pty_1", "session", now=0.0)

    assert tickets.session_of("pty_1", now=60.0) is None


def test_asking_again_renews_a_ticket() -> None:
    tickets = Tickets()
    tickets.note("pty_1", "session", now=0.0)
    tickets.note("pty_1", "session", now=30.0)

    assert tickets.session_of("pty_1", now=80.0) == "session"


def test_another_session_cannot_take_a_terminal_over() -> None:
    tickets = Tickets()
    tickets.note("pty_1", "session", now=0.0)
    tickets.note("pty_1", "thief", now=1.0)

    assert tickets.session_of("pty_1", now=2.0) == "session"


def test_forgotten_terminal_may_be_anybodys() -> None:
    tickets = Tickets()
    tickets.note("pty_1", "session", now=0.0)
    tickets.note("pty_1", "other", now=61.0)

    assert tickets.session_of("pty_1", now=62.0) == "other"


def test_memory_of_tickets_is_bounded() -> None:
    tickets = Tickets()
    for number in range(1000):
        tickets.note(f"pty_{number}", "session", now=0.0)

    assert tickets.session_of("pty_999", 1.0) == "session"
    assert tickets.session_of("pty_0", 1.0) is None


def test_one_session_cannot_use_up_the_places_of_another() -> None:
    tickets = Tickets()
    tickets.note("pty_mine", "mine", now=0.0)
    for number in range(1000):
        tickets.note(f"pty_{number}", "greedy", now=0.0)

    assert tickets.session_of("pty_mine", 1.0) == "mine"


async def test_who_waits_for_a_ticket_goes_on_when_it_is_noted() -> None:
    tickets = Tickets()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(tickets.comes("pty_1", 0.0, 60))
        await asyncio.sleep(0)
        tickets.note("pty_2", "session", 0.0)
        await asyncio.sleep(0)
        assert not waiting.done()

        tickets.note("pty_1", "session", 0.0)

    assert tickets.session_of("pty_1", 0.0) == "session"


async def test_who_waits_for_a_ticket_that_nobody_asked_for_goes_on_in_time() -> None:
    await Tickets().comes("pty_1", 0.0, 0.01)
