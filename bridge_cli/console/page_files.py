"""The page's files, read once: the HTML gets the token of this start and where everything is."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

_FOLDER: Final = Path(__file__).with_name("page")
_TYPES: Final[Mapping[str, str]] = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
PAGE_TYPE: Final = "text/html"


class PageFile(NamedTuple):
    """A file as it is served."""

    media_type: str
    text: str


def load_assets() -> dict[str, PageFile]:
    """Return the files beside the page, by name."""
    return {
        name: PageFile(media_type, (_FOLDER / name).read_text("utf-8"))
        for name, media_type in _TYPES.items()
    }


def render_page(csrf_token: str, places: Sequence[tuple[str, str]]) -> PageFile:
    """Return the page with the token that its buttons send.

    The places are for who has no JavaScript: those with a page of their own are in the stream.
    """
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td><code>{escape(place)}</code></td></tr>"
        for name, place in places
    )
    html = (_FOLDER / "index.html").read_text("utf-8")
    html = html.replace("{{csrf_token}}", escape(csrf_token)).replace("{{places}}", rows)
    return PageFile(PAGE_TYPE, html)
