"""What is wrong in a built site: links that lead nowhere, assets of others, raw Markdown."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_LINKS: Final = {("a", "href")}
_ASSETS: Final = {
    ("img", "src"),
    ("img", "srcset"),
    ("source", "src"),
    ("source", "srcset"),
    ("script", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("object", "data"),
    ("video", "src"),
}
_VOID: Final = {"img", "br", "hr", "input", "link", "meta", "source", "path", "wbr", "col"}
_LITERAL: Final = {"code", "pre", "script", "style", "svg", "kbd"}
# What Markdown leaves behind where it did not understand a page.
_RAW: Final = re.compile(
    r"```|^\s*\|.*\||\]\([^)\s]+\)|(?:^|\s)\*\*\S|^\s*#{1,6} |\[[ x]\] ", re.MULTILINE
)


@dataclass(slots=True)
class BuiltPage:
    """What a built page holds that can be wrong."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = BuiltPage()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self._open.append(tag)
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.page.anchors.add(value)
            elif (tag, name) in _LINKS:
                self.page.links.append(value)
            elif (tag, name) in _ASSETS:
                candidates = value.split(",") if name == "srcset" else [value]
                self.page.assets += [each.split()[0] for each in candidates if each.strip()]

    def handle_endtag(self, tag: str) -> None:
        while tag in self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "article" in self._open and not _LITERAL.intersection(self._open):
            self.page.raw += [found[0].strip() for found in _RAW.finditer(data)]


def read_site(folder: Path) -> Mapping[str, BuiltPage]:
    """Return each page of the site, by its place below `folder`."""
    pages: dict[str, BuiltPage] = {}
    for file in sorted(folder.rglob("*.html")):
        reader = _Reader()
        reader.feed(file.read_text(encoding="utf-8"))
        pages[file.relative_to(folder).as_posix()] = reader.page
    return pages


def problems_of(folder: Path) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong in the site that is in `folder`.

    An external link is looked at by its form only: nobody is asked whether it is there.
    """
    pages = read_site(folder)
    for place, page in pages.items():
        for link in page.links:
            if problem := _problem_of_link(folder, pages, place, link):
                yield f"{place}: {link} {problem}"
        for asset in page.assets:
            if urlsplit(asset).scheme or asset.startswith("//"):
                yield f"{place}: {asset} is fetched from elsewhere"
            elif not (folder / _target(place, asset)).is_file():
                yield f"{place}: {asset} is not there"
        for raw in page.raw:
            yield f"{place}: {raw[:60]!r} is Markdown that was not understood"


def _problem_of_link(
    folder: Path, pages: Mapping[str, BuiltPage], place: str, link: str
) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        is_good = parts.scheme in {"https", "http"} and "." in (parts.hostname or "")
        return None if is_good else "is no address"
    if parts.path.startswith("/"):
        return "begins at the host's root, where the site need not stand"
    target = _target(place, parts.path) if parts.path else place
    if not (folder / target).is_file():
        return "leads to no file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "leads to no heading"
    return None


def _target(place: str, link: str) -> str:
    path = unquote(urlsplit(link).path)
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), path))
