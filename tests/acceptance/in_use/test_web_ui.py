"""OpenCode's own web UI in Chromium, with nothing but the gateway's cookie."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.support.chromium import chromium
from tests.support.deployment import Deployment
from tests.support.desk import Desk, seated
from tests.support.scripted_model import Model

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
    # Once it knows the model the page is done with its own changes, and keeps what is typed.
    await expect(page.get_by_role("button", name="scripted")).to_be_visible(timeout=_BOOT_MS)
    await prompt.click()
    await page.keyboard.type("hello from a browser")
    await page.keyboard.press("Enter")

    answer = page.get_by_text("You said: hello from a browser")
    await expect(answer).to_be_visible(timeout=_BOOT_MS)
    _PICTURES.mkdir(exist_ok=True)
    await page.screenshot(path=_PICTURES / "web-ui.png")


async def test_a_container_that_starts_slowly_is_not_taken_for_another_protocols(
    page: Page, frank: Desk
) -> None:
    """The UI asks for health once, as it loads; after 5 s it would speak OpenCode's next API."""
    await frank.own("GET", "/session")
    await page.route("**/*", _Cache().answer)
    await page.goto(_WORKSPACE)
    prompt = page.get_by_role("textbox", name="Prompt")
    await expect(prompt).to_be_visible(timeout=_BOOT_MS)
    await page.goto("about:blank")
    assert (await frank.http.post(f"/api/sessions/{frank.session_id}/stop")).status_code == 202
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))

    async with page.expect_request("**/global/event", timeout=_BOOT_MS):
        await page.goto(_WORKSPACE)
    await expect(prompt).to_be_visible(timeout=_BOOT_MS)

    assert "/global/health" in asked
    assert "/api/event" not in asked


class _Cache:
    """Keeps the program of the web UI as a browser may, so that it runs before its server does."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, dict[str, str]]] = {}

    async def answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path != _WORKSPACE and not path.startswith("/assets/"):
            return await route.continue_()
        if path not in self._kept:
            fetched = await route.fetch()
            self._kept[path] = (await fetched.body(), fetched.headers)
        body, headers = self._kept[path]
        return await route.fulfill(body=body, headers=headers)
