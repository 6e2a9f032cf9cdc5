"""What every page promises whoever opens it, before any script has run."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from gateway import api, pages
from gateway.accounts import hash_token
from gateway.rendering import asset_url
from gateway.routing import Place, State
from tests.support.gateway_api import Browser, Gateway, agent, gateway, session

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path) as served:
        served.app = Starlette(
            routes=[*api.routes, *pages.routes], exception_handlers=api.exception_handlers
        )
        served.app.state.parts = served.parts
        yield served


@pytest.fixture
async def stranger(served: Gateway) -> AsyncIterator[Browser]:
    async with served.client() as client:
        yield client


@pytest.fixture
async def alice(served: Gateway) -> AsyncIterator[Browser]:
    async with served.logged_in("alice") as client:
        yield client


@pytest.mark.parametrize("path", ["/gateway/", "/gateway/agents", "/gateway/starting"])
async def test_pages_are_strict_about_what_they_load(alice: Browser, path: str) -> None:
    await session(alice)

    answer = await alice.get(path)

    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/gateway/", "/gateway/agents", "/gateway/starting"])
async def test_pages_have_no_inline_script_or_style(alice: Browser, path: str) -> None:
    await session(alice)

    html = (await alice.get(path)).text

    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", html)


# Signing in


@pytest.mark.parametrize("path", ["/gateway/", "/gateway/agents"])
async def test_a_stranger_signs_in_first_and_comes_back(stranger: Browser, path: str) -> None:
    answer = await stranger.get(path)

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/gateway/login?next={path}"


async def test_whoever_is_signed_in_need_not_do_it_again(alice: Browser) -> None:
    answer = await alice.get("/gateway/login?next=/gateway/agents")

    assert answer.headers["location"] == "/gateway/agents"


async def test_an_access_token_opens_no_page(served: Gateway, alice: Browser) -> None:
    token = (await session(alice))["access_token"]

    async with served.client(Authorization=f"Bearer {token}") as client:
        answer = await client.get("/gateway/")

    assert answer.headers["location"] == "/gateway/login?next=/gateway/"


async def test_a_one_time_link_signs_in_once(served: Gateway, stranger: Browser) -> None:
    user = await served.add_user("alice", None)
    soon = datetime.now(tz=UTC) + timedelta(minutes=5)
    await served.parts.store.add_link(hash_token("one-time"), user.id, soon)

    first = await stranger.get("/gateway/login?token=one-time")
    async with served.client() as another:
        second = await another.get("/gateway/login?token=one-time")

    assert (first.status_code, first.headers["location"]) == (303, "/gateway/")
    assert second.status_code == 401
    assert "This link was used before or is too old" in second.text


@pytest.mark.parametrize(
    ("wanted", "goal"),
    [
        ("/", "/"),
        ("/gateway/agents", "/gateway/agents"),
        ("/d29yaw/session/ses_1?a=%20b#c", "/d29yaw/session/ses_1?a=%20b#c"),
        (None, "/gateway/"),
        ("", "/gateway/"),
        ("https://evil.example/", "/gateway/"),
        ("//evil.example/", "/gateway/"),
        ("/\\evil.example/", "/gateway/"),
        ("/\t/evil.example/", "/gateway/"),
        ("\n//evil.example/", "/gateway/"),
        ("javascript:alert(1)", "/gateway/"),
    ],
)
def test_signing_in_leads_to_this_origin_only(wanted: str | None, goal: str) -> None:
    assert pages.own_path(wanted) == goal


@given(st.text(alphabet="/\\ \t\n:@.?#%ab"))
def test_no_path_leads_to_another_origin(wanted: str) -> None:
    # Browsers drop these before they read an address, and take a backslash for a slash.
    read = re.sub(r"[\t\n\r]", "", pages.own_path(wanted)).replace("\\", "/")

    assert urlsplit(urljoin("http://gateway.test/", read)).netloc == "gateway.test"


# Sessions and agents


async def test_without_an_agent_the_sessions_page_leads_to_making_one(alice: Browser) -> None:
    answer = await alice.get("/gateway/")

    assert (answer.status_code, answer.headers["location"]) == (303, "/gateway/agents")


async def test_with_an_agent_the_sessions_page_is_shown(alice: Browser) -> None:
    await agent(alice)

    answer = await alice.get("/gateway/")

    assert answer.status_code == 200
    assert "Start a session" in answer.text


async def test_an_image_can_be_chosen_where_there_is_a_choice(alice: Browser) -> None:
    assert 'name="image"' in (await alice.get("/gateway/agents")).text


async def test_an_image_cannot_be_chosen_where_there_is_none(tmp_path: Path) -> None:
    async with gateway(tmp_path, AGENT_IMAGES="agent:1") as served:
        served.app = Starlette(routes=[*api.routes, *pages.routes])
        served.app.state.parts = served.parts
        async with served.logged_in("alice") as alice:
            assert 'name="image"' not in (await alice.get("/gateway/agents")).text


# A session that starts


async def test_the_starting_page_is_complete_without_a_script(
    served: Gateway, alice: Browser
) -> None:
    made = await session(alice, title="<script>")
    served.directory.places[made["id"]] = Place(
        State.STARTING, why="It <boots>.", phase="booting", since=datetime.now(tz=UTC)
    )

    answer = await alice.get("/gateway/starting")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert '<noscript><meta http-equiv="refresh" content="1"></noscript>' in answer.text
    assert "It &lt;boots&gt;." in answer.text
    assert "&lt;script&gt;" in answer.text
    assert 'data-phase="booting" data-standing="current"' in answer.text


async def test_a_failed_start_says_why_and_when_it_is_tried_again(
    served: Gateway, alice: Browser
) -> None:
    made = await session(alice)
    served.directory.places[made["id"]] = Place(
        State.FAILED,
        why="The image is missing.",
        phase="creating",
        retry_at=anyio.current_time() + 11.5,
    )

    answer = await alice.get("/gateway/starting")

    assert answer.headers["retry-after"] == "12"
    assert "The image is missing." in answer.text
    assert "Try again" in answer.text


@pytest.mark.parametrize(
    ("problem", "headline", "offered"),
    [
        ("crash_loop", "Your session keeps breaking down", "Start again"),
        ("no_room", "There is no room at the moment", "Try again"),
        ("too_many_containers", "You have reached your limit", "Stop another session"),
    ],
)
async def test_what_a_start_met_is_told_with_what_helps(
    served: Gateway, alice: Browser, problem: str, headline: str, offered: str
) -> None:
    made = await session(alice)
    served.directory.places[made["id"]] = Place(State.FAILED, "It is so.", problem=problem)

    html = (await alice.get("/gateway/starting")).text

    assert f'<h1 id="headline">{headline}</h1>' in html
    assert f">{offered}</" in html
    assert '<ol class="steps" id="steps" hidden>' in html


async def test_without_a_session_there_is_nothing_to_start(alice: Browser) -> None:
    answer = await alice.get("/gateway/starting")

    assert answer.headers["location"] == "/gateway/"


@pytest.mark.parametrize(
    ("state", "phase", "standings"),
    [
        ("new", None, ["current", "todo", "todo", "todo"]),
        ("starting", "queued", ["current", "todo", "todo", "todo"]),
        ("starting", "booting", ["done", "done", "current", "todo"]),
        ("starting", "checking", ["done", "done", "done", "current"]),
        ("failed", "creating", ["done", "failed", "todo", "todo"]),
        ("failed", None, ["failed", "todo", "todo", "todo"]),
        ("starting", "a phase of a later version", ["current", "todo", "todo", "todo"]),
    ],
)
def test_a_start_is_shown_as_steps(state: str, phase: str | None, standings: list[str]) -> None:
    assert [standing for _, _, standing in pages.steps(state, phase)] == standings


# Files


async def test_a_versioned_file_is_kept_for_good(stranger: Browser) -> None:
    answer = await stranger.get(asset_url("page.css"))

    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("query", ["", "?v=", "?v=of-another-release"])
async def test_any_other_version_is_asked_for_again(stranger: Browser, query: str) -> None:
    answer = await stranger.get(f"/gateway/static/gateway.js{query}")

    assert answer.headers["cache-control"] == "no-cache"


async def test_an_unchanged_file_is_not_sent_again(stranger: Browser) -> None:
    first = await stranger.get("/gateway/static/gateway.js")

    again = await stranger.get(
        "/gateway/static/gateway.js", headers={"If-None-Match": first.headers["etag"]}
    )

    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["", "nothing.css", "../pages.py", "%2e%2e/pages.py"])
async def test_nothing_else_is_served(stranger: Browser, name: str) -> None:
    assert (await stranger.get(f"/gateway/static/{name}")).status_code == 404
