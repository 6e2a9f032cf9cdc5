"""A page in Chromium, which complains if what it shows breaks the content security policy."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

_TIMEOUT_MS = 10_000


@asynccontextmanager
async def chromium_page(base_url: str, **context: Any) -> AsyncIterator[Page]:
    """Yield a page of a fresh profile; skip the test where Chromium is not installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed.")
    complaints: list[str] = []
    async with async_playwright() as playwright:
        # As root, as in a container, Chromium refuses to run with its sandbox.
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = await browser.new_page(base_url=base_url, **context)
        page.set_default_timeout(_TIMEOUT_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        try:
            yield page
        finally:
            await browser.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []
