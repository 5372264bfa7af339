"""What of the checkout is in the site, and where."""

from pathlib import Path

import pytest

from documenting.site.errors import SiteError
from documenting.site.pages import page_of, stage

FILES = {"docs/a.md": "a.md", "docs/adr/b.md": "adr/b.md", "SECURITY.md": "security.md"}


@pytest.mark.parametrize(
    ("source", "link", "moved"),
    [
        ("docs/a.md", "adr/b.md", "adr/b.md"),
        ("docs/adr/b.md", "../a.md", "../a.md"),
        ("docs/adr/b.md", "../../SECURITY.md", "../security.md"),
        ("SECURITY.md", "docs/a.md", "a.md"),
    ],
)
def test_when_a_page_links_to_another_then_the_link_holds_in_the_site(
    source: str, link: str, moved: str
) -> None:
    """As it does on GitHub."""
    assert f"[x]({moved}#y)\n" == page_of(f"[x]({link}#y)\n", source, FILES)


def test_when_a_page_links_to_a_file_outside_the_site_then_it_is_refused() -> None:
    """It would lead nowhere."""
    with pytest.raises(SiteError, match=r"docs/a\.md links to \.\./README\.md"):
        page_of("[x](../README.md)", "docs/a.md", FILES)


def test_when_pages_are_staged_then_pictures_are_too_and_what_was_there_is_gone(
    tmp_path: Path,
) -> None:
    """A page that was renamed is not left behind."""
    checkout, folder = tmp_path / "checkout", tmp_path / "source"
    (checkout / "docs" / "pictures").mkdir(parents=True)
    folder.mkdir()
    (folder / "old.md").touch()
    for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/a.md"):
        (checkout / name).write_text("# x\n")
    (checkout / "docs" / "pictures" / "p.svg").write_bytes(b"<svg/>")

    pages = stage(checkout, folder)

    assert {"a.md", "changelog.md", "contributing.md", "security.md"} == set(pages)
    assert {*pages, "pictures/p.svg"} == {
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()
    }
