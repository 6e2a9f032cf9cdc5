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
from tests.support.gateway_api import AGENT, PASSWORD, Gateway, gateway
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
