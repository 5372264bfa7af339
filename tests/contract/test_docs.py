"""What the pages name is there: files, make targets, options of the command line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(CHECKOUT)
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md")
    for path in CHECKOUT.glob(pattern)
)
# What exists on a user's machine alone, or stands for a name of the user's own.
MADE_LATER = re.compile(r"^(?:\.bridge|\.venv|\.tools|\.cache|\.aws-sam)(?:/|$)|[<>*{}]")
FOLDERS = tuple(
    path.name for path in CHECKOUT.iterdir() if path.is_dir() and not path.name.startswith(".")
)


def _text(page: Path) -> str:
    return (CHECKOUT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_when_a_page_links_to_a_file_then_it_is_there(page: Path) -> None:
    """Relative links lead somewhere."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", _text(page))

    assert [] == [link for link in links if not (CHECKOUT / page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_when_a_page_names_a_path_then_it_is_there(page: Path) -> None:
    """A path in code type, below one of the checkout's folders, exists."""
    quoted = re.findall(r"`([A-Za-z_.][\w./-]*)`", _text(page))
    paths = [
        path
        for path in quoted
        if path.split("/")[0] in FOLDERS and "/" in path and not MADE_LATER.search(path)
    ]

    assert [] == [path for path in paths if not (CHECKOUT / path).exists()]


def test_when_a_page_names_a_make_target_then_make_has_it() -> None:
    """Every `make x` on a page can be made."""
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`|^\$ )make ([a-z][a-z-]*)", _text(page), re.MULTILINE)
    }

    assert "demo" in named
    assert set() == named - targets


def test_when_a_page_names_an_option_then_the_command_has_it() -> None:
    """The options of `bridge up` in the local development page are real."""
    bridge = Path(sys.executable).with_name("bridge")
    command = [str(bridge), "up", "--help"]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"`(--[a-z-]+)", _text(Path("docs/local-development.md"))))

    assert {"--credential", "--record-store"} <= named
    assert set() == {option for option in named if option not in usage}
