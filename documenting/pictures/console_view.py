"""The local console at work: some of its buttons were pressed, and a call is shown."""

from pathlib import Path
from typing import Final

from playwright.async_api import Page

from bridge_cli.console.server import serve_console
from bridge_cli.up_page import places_of
from documenting.pictures.browser import shoot
from documenting.pictures.stage import Stage
from shared.clock import Clock

NAME: Final = "console"
_SIZE: Final = (1280, 916)
_SHOWN: Final = "call_proxy"
"""The first call of all, so that nobody has its answer yet and every part is asked."""
_PRESSED: Final = (
    _SHOWN,
    "run_sync",
    "refuse_wrong_audience",
    "refuse_missing_role",
    "refuse_expired",
)
"""Each in its turn."""
_AT_THE_TOP: Final = """() => {
  document.activeElement.blur();
  for (const part of document.querySelectorAll("*")) part.scrollTop = 0;
}"""
_ENDED: Final = """button => {
  const press = document.querySelector(`[data-press="${button}"]`);
  return press !== null && press.dataset.verdict !== "running";
}"""


async def shoot_console(stage: Stage, folder: Path, clock: Clock) -> None:
    """Write the pictures of the console.

    Raises:
        ShotError, PrivateError: as `shoot` does.

    """
    async with serve_console(stage.stack, places_of(stage.stack), clock, port=0) as url:
        await shoot(url, folder, NAME, _arrange, size=_SIZE)


async def _arrange(page: Page) -> None:
    """Press the buttons once, and show the last call."""
    await page.wait_for_selector("#app:not([hidden])")
    for button in _PRESSED:
        if not await page.locator(f'[data-press="{button}"]').count():
            await page.locator(f'[data-button="{button}"]').click()
        await page.wait_for_function(_ENDED, arg=button)
    await page.locator(f'[data-press="{_SHOWN}"] button').first.click()
    await page.wait_for_selector("#picture svg")
    await page.mouse.move(0, 0)
    await page.evaluate(_AT_THE_TOP)
