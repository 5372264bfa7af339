"""Pictures of a web page, by Debian's Chromium without a window."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from playwright.async_api import Error, Page, async_playwright

from documenting.pictures.privacy import check_public

CHROMIUM: Final = "/usr/bin/chromium"
MODES: Final = ("light", "dark")
MOST_BYTES: Final = 250_000
"""So that a page with pictures still opens at once."""

_WAIT_MILLISECONDS: Final = 20_000
_SEEN: Final = """() => {
  const lines = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const ports = new Map();
  const fixed = (whole, host, port) => {
    if (!ports.has(port)) ports.set(port, String((port.length < 5 ? 7071 : 50001) + ports.size));
    return host + ports.get(port);
  };
  for (let node; (node = walker.nextNode()); ) {
    const text = node.data.replace(/((?:127\\.0\\.0\\.1|localhost):)(\\d{4,5})\\b/g, fixed);
    if (text !== node.data) node.data = text;
    const range = document.createRange();
    range.selectNodeContents(node);
    const isSeen = Array.from(range.getClientRects()).some(
      (box) => box.width && box.bottom > 0 && box.top < innerHeight
        && box.right > 0 && box.left < innerWidth);
    if (isSeen && text.trim()) lines.push(text.trim());
  }
  return lines;
}"""
"""Returns the texts inside the window, in which ports are made-up ones from then on."""


class ShotError(Exception):
    """A page could not be shown as its picture needs it."""


async def shoot(
    url: str,
    folder: Path,
    name: str,
    arrange: Callable[[Page], Awaitable[None]],
    *,
    size: tuple[int, int],
) -> None:
    """Write a picture of the page for light and for dark pages, as large as the window.

    Args:
        url: where the page is.
        folder: where the pictures go.
        name: what their files are called, before `-light.png`.
        arrange: brings the page to the state that is shown, and waits until it is.
        size: the window's width and height in pixels.

    Raises:
        ShotError: the browser is missing, the page does not get there, or the picture is large.
        PrivateError: the page shows what stays on this machine.

    """
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox"]
            )
            for mode in MODES:
                context = await browser.new_context(
                    viewport={"width": size[0], "height": size[1]},
                    color_scheme=mode,
                    reduced_motion="reduce",
                    locale="en-US",
                    timezone_id="UTC",
                )
                context.set_default_timeout(_WAIT_MILLISECONDS)
                page = await context.new_page()
                await page.goto(url)
                await arrange(page)
                check_public(await page.evaluate(_SEEN))
                picture = await page.screenshot(animations="disabled", caret="hide")
                if len(picture) > MOST_BYTES:
                    raise ShotError(f"{name}-{mode}.png would have {len(picture):,} bytes")
                (folder / f"{name}-{mode}.png").write_bytes(picture)
            await browser.close()
    except Error as error:
        raise ShotError(f"no picture of {name}: {error.message}") from error
