"""OpenCode's own web UI in Chromium, with nothing but the gateway's cookie."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest
from playwright.async_api import Browser, Page, Response, Route, expect
from playwright.async_api import TimeoutError as NotInTime

from tests.support.chromium import chromium
from tests.support.deployment import Deployment
from tests.support.desk import Desk, seated
from tests.support.scripted_model import Model
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode, pytest.mark.browser]

_PICTURES = Path(__file__).parents[3] / "artifacts"
# Where OpenCode's web UI shows a folder, and thereby what a person keeps as a bookmark.
_WORKSPACE = f"/{urlsafe_b64encode(b'/workspace').decode().rstrip('=')}/session"
_BOOT_MS = 60_000


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
async def frank(running: Deployment, model: Model, slow_image: str) -> Desk:
    """Somebody whose container takes longer to start than the web UI waits for a health probe."""
    return await seated(running, model, "frank", image=slow_image)


@pytest.fixture
async def page(browser: Browser, deployment: Deployment, frank: Desk) -> AsyncIterator[Page]:
    context = await browser.new_context(base_url=frank.base_url)
    name, _, value = frank.cookie.partition("=")
    await context.add_cookies([{"name": name, "value": value, "url": frank.base_url}])
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def test_from_a_cold_start_to_an_answer(page: Page) -> None:
    await page.goto(_WORKSPACE)
    await expect(page.get_by_role("heading", name="Starting your session")).to_be_visible()

    prompt = page.get_by_role("textbox", name="Prompt")
    await expect(prompt).to_be_visible(timeout=_BOOT_MS)
    await until(lambda: _is_sent(page, "hello from a browser"), "the prompt sent", within_s=60)

    answer = page.get_by_text("You said: hello from a browser")
    await expect(answer).to_be_visible(timeout=_BOOT_MS)
    _PICTURES.mkdir(exist_ok=True)
    await page.screenshot(path=_PICTURES / "web-ui.png")


async def _is_sent(page: Page, text: str) -> bool:
    """Type and send; a page that is still loading may lose what was typed, and a person repeats."""
    prompt = page.get_by_role("textbox", name="Prompt")
    await prompt.fill(text)
    await prompt.press("Enter")
    try:
        await page.wait_for_url("**/session/ses_*", timeout=10_000)
    except NotInTime:
        return False
    return True


async def test_a_container_that_starts_slowly_is_not_taken_for_another_protocols(
    page: Page, frank: Desk
) -> None:
    """The UI asks for health once, as it loads; after 5 s it would speak OpenCode's next API."""
    prompt = page.get_by_role("textbox", name="Prompt")
    await frank.own("GET", "/session")
    cache = _Cache(page)
    await page.goto(_WORKSPACE)
    await expect(prompt).to_be_visible(timeout=_BOOT_MS)
    await cache.keep()
    await page.goto("about:blank")
    assert (await frank.http.post(f"/api/sessions/{frank.session_id}/stop")).status_code == 202

    await page.goto(_WORKSPACE)
    with anyio.fail_after(60):
        await cache.events_asked.wait()
    await expect(prompt).to_be_visible(timeout=_BOOT_MS)

    assert cache.asked[0] == "/global/health"
    assert "/api/event" not in cache.asked


class _Cache:
    """Keeps the web UI's own program as a browser may, so that it runs before its server does.

    From then on `asked` is what went to the server.
    """

    def __init__(self, page: Page) -> None:
        self.asked: list[str] = []
        self.events_asked = anyio.Event()
        self._page = page
        self._answers: list[Response] = []
        self._kept: dict[str, tuple[str, bytes]] = {}
        page.on("response", lambda answer: self._answers.append(answer))

    async def keep(self) -> None:
        for answer in self._answers:
            kind = answer.headers.get("content-type", "")
            if kind.startswith(("text/html", "text/javascript", "text/css")):
                self._kept[urlsplit(answer.url).path] = (kind, await answer.body())
        await self._page.route("**/*", self._answer)

    async def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path in self._kept:
            kind, body = self._kept[path]
            return await route.fulfill(body=body, content_type=kind)
        self.asked.append(path)
        if path == "/global/event":
            self.events_asked.set()
        return await route.continue_()
