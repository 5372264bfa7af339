"""The console in Debian's Chromium, as a person uses it, and what must not happen meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright

CHROMIUM: Final = "/usr/bin/chromium"
_LAST_PRESS: Final = """(button) =>
    Number(document.querySelector(`[data-press="${button}"]`)?.dataset.key ?? 0)"""
_VERDICT_MILLISECONDS: Final = 40_000
_SHOWN_MILLISECONDS: Final = 10_000


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium; `make chromium` sees to it that it is there."""
    async with async_playwright() as playwright:
        # Root, as in a container, is given no sandbox.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(frozen=True, slots=True)
class ConsolePage:
    """The console, open in a window of its own."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    """What the browser complained of, and what the page asked of others."""

    @property
    def app(self) -> Any:
        """What is shown once the stream is there."""
        return self.page.locator("#app")

    async def press(self, button: str) -> str:
        """Press the button and return what came of it, once that is known."""
        before = await self.page.evaluate(_LAST_PRESS, button)
        await self.page.locator(f'[data-button="{button}"]').click()
        await self.page.wait_for_function(
            """([button, before]) => {
                const last = document.querySelector(`[data-press="${button}"]`);
                return last !== null && Number(last.dataset.key) > before
                    && last.dataset.verdict !== "running";
            }""",
            arg=[button, before],
            timeout=_VERDICT_MILLISECONDS,
        )
        return await self.page.locator(f'[data-press="{button}"]').first.inner_text()

    async def verdict(self, button: str) -> str | None:
        """The verdict on the button's last press."""
        last = self.page.locator(f'[data-press="{button}"]').first
        return await last.get_attribute("data-verdict")

    async def tile(self, name: str) -> str | None:
        """The state that a tile shows."""
        return await self.page.locator(f'[data-tile="{name}"]').get_attribute("data-value")

    async def becomes(self, selector: str) -> None:
        """Wait until there is such an element."""
        await self.page.wait_for_selector(selector, state="attached", timeout=_SHOWN_MILLISECONDS)


@asynccontextmanager
async def open_console(
    browser: Browser, url: str, *, anchor: str = "", **context: Any
) -> AsyncIterator[ConsolePage]:
    """The console's page in a browser context of its own, with what it complains of."""
    opened = await browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | context))
    page = await opened.new_page()
    console = ConsolePage(page, url)
    page.on(
        "console",
        lambda message: (
            console.complaints.append(message.text)
            if message.type in {"error", "warning"}
            else None
        ),
    )
    page.on("pageerror", lambda error: console.complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(url)
            else console.complaints.append(f"asked {request.url}")
        ),
    )
    try:
        await page.goto(f"{url}{anchor}")
        yield console
    finally:
        await opened.close()
