"""The pictures on the pages are there, show what they are said to show, and nothing private.

Their figures differ from run to run, so they are not compared with a new run.
"""

import io
import re
from html import unescape
from pathlib import Path

import pytest
from rich.console import Console

from bridge_cli.demo import DemoReport
from bridge_cli.demo_report import print_tables
from bridge_cli.refusals import REFUSAL_CASES
from documenting.pictures.browser import MOST_BYTES
from documenting.pictures.console_view import NAME as CONSOLE
from documenting.pictures.privacy import PrivateError, check_public
from documenting.pictures.scene import Scene
from documenting.pictures.scenes import SCENES
from documenting.theme_pictures import for_the_site
from tests.support.picture_text import lines_of

CHECKOUT = Path(__file__).parents[2]
PICTURES = CHECKOUT / "docs" / "pictures"
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])
SHOWN = re.compile(
    r'<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">\s*'
    r'<img alt="([^"]*)" src="([^"]+)"'
)
TERMINALS = sorted(PICTURES.glob("*.svg"))
LEAST_WORDS = 10
PNG = b"\x89PNG\r\n\x1a\n"


def shown_on(page: Path) -> list[tuple[Path, Path, str]]:
    """The dark and the light file of each picture on the page, and its words."""
    found = SHOWN.findall(page.read_text(encoding="utf-8"))
    return [(page.parent / dark, page.parent / light, unescape(alt)) for dark, alt, light in found]


ALL_SHOWN = [(page, *shown) for page in PAGES for shown in shown_on(page)]


def heading_words(printed: str) -> set[str]:
    """Every title and column of the tables, which stand out on a terminal of their own."""
    lines = [line for line in printed.splitlines() if line.startswith("┃") or line[:1].isalpha()]
    return {word for line in lines for word in line.replace("┃", " ").split()}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_when_a_command_has_a_picture_then_it_shows_the_command_and_what_it_prints(
    scene: Scene, mode: str
) -> None:
    """As it was typed, and the headings of what it prints."""
    lines = lines_of(PICTURES / f"{scene.name}-{mode}.svg")

    assert f"$ {' '.join(scene.command)}" in "\n".join(lines)
    assert [] == [each for each in scene.headings if each not in "\n".join(lines)]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_when_the_demo_prints_other_tables_then_its_picture_is_out_of_date(mode: str) -> None:
    """Titles, columns and rows of the report, and every case of a refusal."""
    printed = Console(file=io.StringIO(), record=True, width=200)
    print_tables(DemoReport(), printed)
    text = printed.export_text()
    rows = re.findall(r"^│ +(.+?) +│", text, re.MULTILINE)
    seen = "\n".join(lines_of(PICTURES / f"demo-{mode}.svg"))

    assert len(rows) > 8
    assert [] == [row for row in rows if row not in seen], "run: make pictures ONLY=demo"
    assert [] == [word for word in heading_words(text) if word not in seen]
    assert [] == [case.name for case in REFUSAL_CASES if case.name not in seen]


@pytest.mark.parametrize("picture", TERMINALS, ids=lambda picture: picture.name)
def test_when_a_terminal_is_shown_then_it_has_nothing_private(picture: Path) -> None:
    """No token, no folder of a machine; and nothing is fetched from elsewhere."""
    svg = picture.read_text(encoding="utf-8")
    lines = lines_of(picture)

    check_public(lines)
    assert len(lines) > 5
    assert 1 == svg.count("http://www.w3.org/")
    assert [] == re.findall(
        r"@import|@font-face|<image|<script|href=|https://\S*\.(?:woff|css)", svg
    )


def test_when_a_picture_shows_a_token_then_the_check_says_so(tmp_path: Path) -> None:
    """The check reads what is in the picture, also where it is in several pieces."""
    broken = tmp_path / "demo-light.svg"
    svg = (PICTURES / "demo-light.svg").read_text(encoding="utf-8")
    broken.write_text(svg.replace("no_token", "eyJhbGciOiJSUzI1NiJ9"), encoding="utf-8")

    with pytest.raises(PrivateError):
        check_public(lines_of(broken))


def test_when_a_picture_is_kept_then_a_page_shows_it() -> None:
    """In its light and its dark form, and no other file lies there."""
    shown = {file.resolve() for _, dark, light, _ in ALL_SHOWN for file in (dark, light)}
    kept = {
        file.resolve()
        for folder in ("pictures", "charts")
        for file in (CHECKOUT / "docs" / folder).iterdir()
    }

    assert len(kept) > 10
    assert kept == shown


@pytest.mark.parametrize(
    ("page", "dark", "light", "alt"), ALL_SHOWN, ids=lambda part: getattr(part, "name", None)
)
def test_when_a_page_shows_a_picture_then_its_words_say_what_is_seen(
    page: Path, dark: Path, light: Path, alt: str
) -> None:
    """A sentence or more, and two files that differ only in their theme."""
    assert dark.is_file()
    assert light.is_file()
    assert light.name == dark.name.replace("-dark.", "-light.")
    assert len(alt.split()) >= LEAST_WORDS, page


def test_when_the_readme_is_read_then_a_terminal_is_its_first_picture() -> None:
    """People would rather look."""
    assert "demo-light.svg" == shown_on(CHECKOUT / "README.md")[0][1].name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_when_a_page_becomes_a_page_of_the_site_then_its_pictures_follow_the_switch(
    page: Path,
) -> None:
    """Every picture is in the one form that the site knows."""
    text = page.read_text(encoding="utf-8")

    assert text.count("<picture>") == for_the_site(text).count("#only-dark")


def test_when_a_screenshot_is_kept_then_it_is_a_small_png() -> None:
    """A page with pictures still opens at once."""
    shots = sorted(PICTURES.glob("*.png"))

    assert [f"{CONSOLE}-dark.png", f"{CONSOLE}-light.png"] == [file.name for file in shots]
    for file in shots:
        assert PNG == file.read_bytes()[:8]
        assert file.stat().st_size <= MOST_BYTES
