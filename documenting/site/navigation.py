"""The site's navigation, as mkdocs.yml declares it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads a file of which only plain values matter; what has a tag of Python's is None."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def pages_of_navigation(configuration: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the pages of each part of the navigation, in order."""
    declared = yaml.load(configuration.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe one
    return {name: tuple(_pages(below)) for part in declared["nav"] for name, below in part.items()}


def _pages(below: Any) -> Iterator[str]:  # noqa: ANN401 - a tree of lists, tables and names
    match below:
        case str(page):
            yield page
        case list(entries):
            for entry in entries:
                yield from _pages(entry)
        case dict(named):
            for entry in named.values():
                yield from _pages(entry)
