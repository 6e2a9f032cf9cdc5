"""What a person does on the pages, in Chromium, against the real API."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Browser, Page, expect
from playwright.async_api import Route as Asked
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway import api, pages
from gateway.parts import parts
from gateway.routing import Place, State
from tests.support.chromium import chromium, profile
from tests.support.gateway_api import AGENT, PASSWORD, Gateway, gateway, view
from tests.support.serving import serve

pytestmark = pytest.mark.browser


async def _opencode(request: Request) -> Response:
    """Serve `/` as the front does: the starting page until the session is ready."""
    place = parts(request).directory.place(request.scope["state"]["caller"].session_id)
    if place.state is State.READY:
        return PlainTextResponse("OpenCode")
    return await pages.starting(request)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path) as served:
        routes = [*api.routes, *pages.routes, Route("/", _opencode)]
        served.app = Starlette(routes=routes, exception_handlers=api.exception_handlers)
        served.app.state.parts = served.parts
        await served.add_user("alice")
        yield served


@pytest.fixture
async def page(served: Gateway, browser: Browser) -> AsyncIterator[Page]:
    async with serve(served) as url, profile(browser, url) as page:
        yield page


async def _sign_in(page: Page, password: str = PASSWORD) -> None:
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def _with_agent(page: Page) -> None:
    await page.goto("/gateway/login")
    await _sign_in(page)
    await page.wait_for_url("**/gateway/agents")
    await page.request.post("/api/agents", data=AGENT)


async def _with_session(page: Page, title: str = "Fix the test") -> str:
    await _with_agent(page)
    made = await (await page.request.post("/api/sessions", data={"title": title})).json()
    session_id: str = made["id"]
    return session_id


async def test_a_wrong_password_is_told_in_place(page: Page) -> None:
    await page.goto("/gateway/login")

    await _sign_in(page, "wrong")

    await expect(page.get_by_role("alert")).to_have_text("The username or the password is wrong.")
    await expect(page.get_by_label("Password")).to_be_focused()


async def test_signing_in_leads_where_the_person_was_going(page: Page) -> None:
    await page.goto("/gateway/login?next=/gateway/agents")

    await _sign_in(page)

    await page.wait_for_url("**/gateway/agents")


async def test_from_signing_in_to_a_session_that_can_be_opened(page: Page) -> None:
    await page.goto("/gateway/")
    await _sign_in(page)
    await expect(page.get_by_text("An agent is the model provider you work")).to_be_visible()
    await page.get_by_label("Name", exact=True).fill("Claude")
    await page.get_by_label("Token").fill("sk-ant-0123456789")
    await page.get_by_role("button", name="Create agent").click()
    await page.wait_for_url("**/gateway/#start")
    await expect(page.get_by_label("Title")).to_be_focused()
    await page.get_by_label("Title").fill("Fix the test")
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.get_by_role("heading", name="Session created")).to_be_focused()
    command = await page.locator("#created-command").inner_text()
    token = await page.locator("#created-token").inner_text()

    await page.get_by_role("button", name="Open in the browser").click()

    await expect(page.get_by_role("heading", name="Starting your session")).to_be_visible()
    assert command.endswith(f" --password {token}")


async def _alice(served: Gateway) -> str:
    account = await served.parts.store.account("alice")
    assert account is not None
    return account.user.id


async def test_the_access_token_is_shown_only_once(page: Page) -> None:
    await _with_agent(page)
    await page.goto("/gateway/")
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.get_by_role("heading", name="Session created")).to_be_visible()
    token = await page.locator("#created-token").inner_text()

    await page.get_by_role("button", name="I have copied it").click()

    assert token not in await page.content()
    await page.get_by_text("Connect from a terminal").click()
    await expect(page.locator("[data-part=command]")).to_contain_text("--password ACCESS_TOKEN")


async def test_an_openai_compatible_agent_is_asked_for_its_address(page: Page) -> None:
    await page.goto("/gateway/agents")
    await _sign_in(page)
    await expect(page.get_by_label("Base URL")).to_be_hidden()

    await page.get_by_label("Provider").select_option("openai-compatible")

    await expect(page.get_by_label("Base URL")).to_be_visible()


async def test_what_the_api_refuses_is_told_on_the_page(page: Page) -> None:
    await page.goto("/gateway/agents")
    await _sign_in(page)
    await page.get_by_label("Name", exact=True).fill("Claude")
    await page.get_by_label("Token").fill("two\u00adwords")

    await page.get_by_role("button", name="Create agent").click()

    await expect(page.get_by_role("alert")).to_contain_text("token must be one line")


async def test_an_agent_keeps_its_token_when_something_else_changes(
    page: Page, served: Gateway
) -> None:
    await _with_agent(page)
    await page.goto("/gateway/agents")
    await page.get_by_role("button", name="Edit Claude").click()
    await page.get_by_label("Name", exact=True).fill("Opus")

    await page.get_by_role("button", name="Save changes").click()

    await expect(page.get_by_role("heading", name="Opus")).to_be_visible()
    (agent,) = await served.parts.store.agents_of(await _alice(served))
    assert (agent.name, agent.token_hint) == ("Opus", "…6789")


async def test_what_is_known_of_an_agent_is_told_apart(page: Page) -> None:
    await _with_agent(page)

    await page.goto("/gateway/agents")

    provider = page.locator("[data-part=provider]")
    await expect(provider).to_have_text("Anthropic")
    separator = await provider.evaluate("part => getComputedStyle(part, '::after').content")
    assert separator == '"·"'


async def test_a_refusal_is_taken_back_when_the_person_goes_on_to_something_else(
    page: Page,
) -> None:
    await _with_session(page)
    await page.goto("/gateway/agents")
    await page.get_by_role("button", name="Delete Claude").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("alert")).to_contain_text("still use this agent")

    await page.get_by_role("button", name="Edit Claude").click()

    await expect(page.get_by_role("alert")).to_be_empty()


@pytest.mark.parametrize(
    ("state", "action", "said", "then"),
    [
        (State.STOPPED, "start", "Starting …", "Starting"),
        (State.READY, "stop", "Stopping …", "Stopped"),
    ],
)
async def test_what_a_person_asks_of_a_session_is_told_at_once(
    page: Page, served: Gateway, state: State, action: str, said: str, then: str
) -> None:
    session_id = await _with_session(page)
    served.directory.places[session_id] = Place(state)
    answers = anyio.Event()

    async def held(asked: Asked) -> None:
        await answers.wait()
        await asked.continue_()

    await page.route(f"**/{action}", held)
    await page.goto("/gateway/")

    await page.locator(f"[data-action={action}]").click()

    await expect(page.locator("[data-part=state]")).to_have_text(said)
    answers.set()
    await expect(page.locator("[data-part=state]")).to_have_text(then)


async def test_a_session_is_deleted_only_when_that_is_meant(page: Page, served: Gateway) -> None:
    session_id = await _with_session(page)
    await page.goto("/gateway/")
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Keep it").click()
    assert served.directory.asked == []

    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    await expect(page.get_by_text("No sessions yet.")).to_be_visible()
    assert served.directory.asked == [("remove", session_id)]


async def test_the_list_follows_a_session_that_starts(page: Page, served: Gateway) -> None:
    session_id = await _with_session(page)
    await page.goto("/gateway/")

    await page.locator("[data-action=start]").click()
    await expect(page.locator("[data-part=state]")).to_have_text("Starting")
    served.directory.places[session_id] = Place(State.READY, why="OpenCode answers.")

    await expect(page.locator("[data-part=state]")).to_have_text("Ready")
    await expect(page.get_by_role("status")).to_have_text("Fix the test: Ready. OpenCode answers.")


def _next(in_s: float, action: str = "freeze") -> dict[str, object]:
    return {"action": action, "at": "2026-11-22T14:06:00Z", "in_s": in_s}


@pytest.mark.parametrize(
    ("in_s", "first", "later_ms", "then"),
    [
        (240, "in 4 min", 61_000, "in 3 min"),
        (40, "in 40 s", 10_000, "in 30 s"),
        (7200, "in 2 h", 300_000, "in 1 h 55 min"),
        (5, "in 5 s", 60_000, "in a moment"),
        (200_000, "in 2 days", 100_000_000, "in 27 h 47 min"),
    ],
)
async def test_the_time_that_is_left_is_counted_down_between_two_answers(
    page: Page, served: Gateway, in_s: float, first: str, later_ms: int, then: str
) -> None:
    session_id = await _with_session(page)
    served.directory.client.views = {session_id: view(session_id, next=_next(in_s))}
    await page.clock.install(time=0)
    await page.clock.pause_at(1000)
    await page.goto("/gateway/")
    why = page.locator("[data-part=why]")
    await expect(why).to_have_text(f"OpenCode answers. It freezes {first}.")
    await page.route("**/api/sessions", lambda asked: asked.abort())

    await page.clock.fast_forward(later_ms)

    await expect(why).to_have_text(f"OpenCode answers. It freezes {then}.")


async def test_a_session_is_kept_awake_and_let_rest_again(page: Page, served: Gateway) -> None:
    session_id = await _with_session(page)
    served.directory.client.views = {session_id: view(session_id, next=_next(240))}
    await page.goto("/gateway/")

    await page.get_by_label("How long it is kept awake").select_option("4 h")
    await page.get_by_role("button", name="Keep awake for").click()

    await expect(page.locator("[data-part=why]")).to_contain_text("Kept awake until")
    await expect(page.get_by_role("button", name="Keep awake for")).to_be_hidden()
    await expect(page.get_by_role("button", name="Let it rest")).to_be_focused()
    await page.get_by_role("button", name="Let it rest").click()
    await expect(page.get_by_role("button", name="Keep awake for")).to_be_focused()
    assert served.directory.client.kept == [(session_id, 14400), (session_id, 0)]


async def test_what_never_rests_need_not_be_kept_awake(page: Page, served: Gateway) -> None:
    session_id = await _with_session(page)
    served.directory.client.views = {session_id: view(session_id)}
    await page.goto("/gateway/")

    await expect(page.locator("[data-part=state]")).to_have_text("Ready")
    await expect(page.get_by_role("button", name="Keep awake for")).to_be_hidden()


async def test_a_stop_that_waits_for_a_turn_is_shown_as_under_way(
    page: Page, served: Gateway
) -> None:
    session_id = await _with_session(page)
    served.directory.places[session_id] = Place(State.READY)
    served.directory.stopping = anyio.Event()
    await page.goto("/gateway/")

    await page.get_by_role("button", name="Stop").click()

    await expect(page.locator("[data-part=why]")).to_have_text("A turn may end first.")
    await expect(page.locator("[data-part=state]")).to_have_text("Stopping")
    await expect(page.locator("[data-action=start]")).to_be_hidden()
    served.directory.places[session_id] = Place(State.STOPPED)
    await expect(page.locator("[data-part=state]")).to_have_text("Stopped")


async def test_who_waits_for_a_start_sees_their_place(page: Page, served: Gateway) -> None:
    session_id = await _with_session(page)
    queued = view(session_id, "starting", phase="queued", queue={"place": 3, "of": 7})
    served.directory.client.views = {session_id: queued}
    await page.goto("/")
    await expect(page.get_by_text("It is the 3rd of 7 waiting for a start.")).to_be_visible()

    queued["queue"] = {"place": 1, "of": 5}

    await expect(page.get_by_text("It is the 1st of 5 waiting for a start.")).to_be_visible()


async def test_a_crash_loop_is_explained_and_ended_by_the_person(
    page: Page, served: Gateway
) -> None:
    session_id = await _with_session(page)
    why = "It ended 5 times. It printed last:\nout of luck"
    served.directory.client.views = {
        session_id: view(session_id, "failed", why=why, problem="crash_loop")
    }
    await page.goto("/")
    await expect(page.get_by_role("heading")).to_have_text("Your session keeps breaking down")
    await expect(page.get_by_text("out of luck")).to_be_visible()
    await expect(page.get_by_text("Creating the container")).to_be_hidden()
    served.directory.client.views = {}

    await page.get_by_role("button", name="Start again").click()

    await expect(page.get_by_text("Creating the container")).to_be_visible()
    assert served.directory.asked == [("start, forced", session_id)]


async def test_a_start_that_meets_the_persons_limit_leads_to_what_can_be_stopped(
    page: Page, served: Gateway
) -> None:
    session_id = await _with_session(page)
    served.directory.places[session_id] = Place(State.STARTING, phase="queued")
    await page.goto("/")
    await expect(page.get_by_role("heading")).to_have_text("Starting your session")
    served.directory.places[session_id] = Place(
        State.FAILED, "You may run 3 sessions.", problem="too_many_containers"
    )

    await page.get_by_role("link", name="Stop another session").click()

    await page.wait_for_url("**/gateway/")


async def test_a_start_that_came_to_nothing_is_begun_again(page: Page, served: Gateway) -> None:
    await _with_session(page)
    await page.clock.install()
    await page.goto("/")
    await expect(page.get_by_role("heading")).to_have_text("Starting your session")
    await page.clock.run_for(1000)

    async with page.expect_navigation():
        await page.clock.run_for(4000)


async def test_a_frozen_session_is_opened_not_started(page: Page, served: Gateway) -> None:
    session_id = await _with_session(page)
    served.directory.places[session_id] = Place(State.STARTING, phase="checking")
    await page.goto("/")

    frozen = view(session_id, "frozen", workspace="/workspace")
    served.directory.client.views = {session_id: frozen}

    await page.wait_for_url("**/L3dvcmtzcGFjZQ/session")


async def test_the_starting_page_gives_way_once_the_session_is_ready(
    page: Page, served: Gateway
) -> None:
    session_id = await _with_session(page)
    booting = Place(State.STARTING, why="It boots.", phase="booting")
    served.directory.places[session_id] = booting
    await page.goto("/")
    await expect(page.locator("li[data-phase=booting]")).to_have_attribute(
        "data-standing", "current"
    )
    served.directory.places[session_id] = replace(booting, phase="checking", why="It answers.")
    await expect(page.locator("li[data-phase=booting]")).to_have_attribute("data-standing", "done")

    served.directory.places[session_id] = Place(State.READY)

    await expect(page.get_by_text("OpenCode", exact=True)).to_be_visible()


async def test_a_failed_start_can_be_tried_again(page: Page, served: Gateway) -> None:
    session_id = await _with_session(page)
    retry_at = anyio.current_time() + 60
    served.directory.places[session_id] = Place(
        State.FAILED, why="The image is missing.", phase="creating", retry_at=retry_at
    )
    await page.goto("/")
    await expect(page.get_by_text("The image is missing.")).to_be_visible()
    await expect(page.get_by_text(re.compile(r"Next attempt in \d+ s"))).to_be_visible()

    await page.get_by_role("button", name="Try again").click()

    await expect(page.get_by_role("heading", name="Starting your session")).to_be_visible()
    assert served.directory.asked == [("start, forced", session_id)]


async def test_without_a_script_the_starting_page_asks_again_by_itself(
    page: Page, served: Gateway, browser: Browser
) -> None:
    session_id = await _with_session(page)
    served.directory.places[session_id] = Place(State.STARTING, why="It boots.")
    options = {"java_script_enabled": False, "storage_state": await page.context.storage_state()}
    async with profile(browser, page.url.partition("/gateway")[0], **options) as plain:
        await plain.goto("/")
        await expect(plain.get_by_text("It boots.")).to_be_visible()

        served.directory.places[session_id] = Place(State.READY)

        await expect(plain.get_by_text("OpenCode", exact=True)).to_be_visible()
