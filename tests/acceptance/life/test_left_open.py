"""A tab and an attached terminal that are left open keep no container awake, and stay usable.

Neither may see that its container was frozen: the attached terminal would not catch up with what it
missed after its event stream ended.
"""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Request, expect
from playwright.async_api import TimeoutError as NotInTime

from tests.support.chromium import chromium
from tests.support.deployment import Deployment
from tests.support.desk import Desk
from tests.support.life import witnessed
from tests.support.tmux import terminal
from tests.support.waiting import until

# The first test of the package waits for the deployment and two cold starts.
pytestmark = [
    *(pytest.mark.docker, pytest.mark.opencode, pytest.mark.browser),
    pytest.mark.timeout(300),
]

_WORKSPACE = f"/{urlsafe_b64encode(b'/workspace').decode().rstrip('=')}/session"
_HEALTH = ("/global/health", "/api/health")
_BOOT_MS = 90_000
_ANSWER_MS = 60_000


class Tab:
    """A page with the web UI; `asked` is each path it asked for, `ended` each that was over."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.ended: list[str] = []
        page.on("request", lambda request: self.asked.append(_path(request)))
        page.on("requestfinished", lambda request: self.ended.append(_path(request)))
        page.on("requestfailed", lambda request: self.ended.append(_path(request)))

    async def ask(self, text: str) -> bool:
        """Type and send; a page that still loads may lose what was typed, and a person repeats."""
        prompt = self.page.get_by_role("textbox", name="Prompt")
        await prompt.fill(text)
        await prompt.press("Enter")
        try:
            await self.page.wait_for_url("**/session/ses_*", timeout=20_000)
        except NotInTime:
            return False
        return True

    async def polls(self, count: int) -> None:
        """Wait until it has asked for health so many times more."""
        before = sum(map(self.asked.count, _HEALTH))

        async def has_polled() -> bool:
            return sum(map(self.asked.count, _HEALTH)) >= before + count

        await until(has_polled, "the tab's health polls", within_s=60)


def _path(request: Request) -> str:
    return urlsplit(request.url).path


@pytest.fixture
async def tab(alice: Desk) -> AsyncIterator[Tab]:
    async with chromium() as browser:
        context = await browser.new_context(base_url=alice.base_url)
        name, _, value = alice.cookie.partition("=")
        await context.add_cookies([{"name": name, "value": value, "url": alice.base_url}])
        yield Tab(await context.new_page())


async def test_a_tab_left_open_gets_its_container_frozen_and_goes_on_without_a_reload(
    alice: Desk, tab: Tab
) -> None:
    await alice.own("GET", "/session")
    await tab.page.goto(_WORKSPACE)
    await expect(tab.page.get_by_role("textbox", name="Prompt")).to_be_visible(timeout=_BOOT_MS)
    await until(lambda: tab.ask("first"), "the prompt sent", within_s=90)
    await expect(tab.page.get_by_text("You said: first")).to_be_visible(timeout=_ANSWER_MS)

    async with witnessed(alice) as witness:
        await witness.sees("pause")
        open_streams = tab.asked.count("/global/event") - tab.ended.count("/global/event")
        asked, ended = len(tab.asked), len(tab.ended)
        await tab.polls(2)
        slept = witness.actions
        await tab.ask("second")
        await expect(tab.page.get_by_text("You said: second")).to_be_visible(timeout=_ANSWER_MS)

    assert open_streams == 1
    assert slept == ["pause"]
    assert "/global/event" not in tab.asked[asked:]
    assert "/global/event" not in tab.ended[ended:]


async def test_an_attached_terminal_gets_its_container_frozen_and_goes_on(
    restless: Deployment, alice: Desk, opencode_binary: Path, tmp_path: Path
) -> None:
    attach = (str(opencode_binary), "attach", alice.base_url, "--password", alice.access_token)
    with terminal(tmp_path, attach) as screen:
        await until(lambda: screen.shows("Ask anything"), "the prompt of attach", within_s=90)
        await screen.type("first in a terminal")
        await until(lambda: screen.shows("first in a terminal"), "what was typed")
        await screen.press("Enter")
        await until(lambda: screen.shows("You said: first in"), "the answer", within_s=60)

        async with witnessed(alice) as witness:
            await witness.sees("pause")
            before = _streams_over(restless)
            await screen.type("second in a terminal")
            await until(lambda: screen.shows("second in a terminal"), "what was typed")
            await screen.press("Enter")
            await until(lambda: screen.shows("You said: second in"), "the answer", within_s=60)

        assert _streams_over(restless) == before


def _streams_over(running: Deployment) -> int:
    """How many event streams have ended: the log has a line for each when it is over."""
    return running.lines().count("GET /global/event ")
