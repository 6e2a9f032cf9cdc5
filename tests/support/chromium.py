"""A page in Chromium, which complains if what it shows breaks the content security policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.support.installed import installed

_TIMEOUT_MS = 10_000
# A refused login and a page that says 503 are meant; the other is two fields that want the focus.
_HARMLESS = ("Failed to load resource", "Autofocus processing was blocked")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Yield a browser; skip the test where Chromium is not installed."""
    program = installed("chromium", "chromium-browser")
    async with async_playwright() as playwright:
        # As root, as in a container, Chromium refuses to run with its sandbox.
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def profile(browser: Browser, base_url: str, **options: Any) -> AsyncIterator[Page]:
    """Yield a page of a fresh profile."""
    complaints: list[str] = []
    context = await browser.new_context(base_url=base_url, **options)
    page = await context.new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    try:
        yield page
    finally:
        await context.close()
    assert [text for text in complaints if not text.startswith(_HARMLESS)] == []
