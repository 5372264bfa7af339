"""Which files of the checkout are in the site, and where they stand there."""

import posixpath
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from documenting.site.errors import SiteError
from documenting.site.markdown import with_links, with_plain_pipes, with_wider_lists
from documenting.theme_pictures import for_the_site

_ROOT_PAGES: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Pages that GitHub wants at the root of the checkout, and their names in the site."""


def site_files(checkout: Path) -> Mapping[str, str]:
    """Return each file's place in the site by its place in the checkout."""
    docs = checkout / "docs"
    below = (file.relative_to(docs).as_posix() for file in docs.rglob("*") if file.is_file())
    return {f"docs/{name}": name for name in sorted(below)} | _ROOT_PAGES


def stage(checkout: Path, folder: Path) -> tuple[str, ...]:
    """Return the site's pages, which are in `folder` then, ready for mkdocs.

    Raises SiteError where a page links to a file of the checkout that is not in the site. That
    the file exists, and the anchor in it, is seen in the built site.
    """
    files = site_files(checkout)
    shutil.rmtree(folder, ignore_errors=True)
    for source, place in files.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".md":
            text = (checkout / source).read_text(encoding="utf-8")
            target.write_text(page_of(text, source, files), encoding="utf-8")
        else:
            shutil.copyfile(checkout / source, target)
    return tuple(place for place in files.values() if place.endswith(".md"))


def page_of(text: str, source: str, files: Mapping[str, str]) -> str:
    """Return the page at `source` as mkdocs must have it."""

    def moved(link: str) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        if target not in files:
            message = (
                f"{source} links to {link}, which is not in the site: name the file in code type"
                " instead, or link to a page of docs/."
            )
            raise SiteError(message)
        return posixpath.relpath(files[target], PurePosixPath(files[source]).parent)

    return for_the_site(with_wider_lists(with_plain_pipes(with_links(text, moved))))
