"""The programs that make the pictures, at real terminals, browsers and pages."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from documenting.pictures.browser import ShotError, shoot
from documenting.pictures.privacy import PrivateError
from documenting.pictures.pseudo_terminal import RunError, run_in_terminal
from documenting.pictures.scene import Scene
from documenting.pictures.writing import UnlikePictureError, seen
from documenting.theme_pictures import for_the_site
from shared.clock import SystemClock
from tests.support.processes import becomes_true, hear_the_terminal_close, is_alive

CHECKOUT = Path(__file__).parents[2]
PAGE = """<!doctype html><title>t</title><style>
body { background: white; color: black }
@media (prefers-color-scheme: dark) { body { background: black; color: white } }
</style><h1>Calls</h1><p id="at">127.0.0.1:43817</p><p style="margin-top: 5000px">TEXT</p>"""
PROGRESS = """
import sys
from rich.console import Console
from rich.progress import Progress
console = Console(stderr=True)
with Progress(console=console) as progress:
    for name in ("first", "second"):
        task = progress.add_task(name, total=3)
        for _ in range(3):
            progress.advance(task)
            progress.refresh()
Console().print("[green]width[/]", Console().width, sys.stdout.isatty())
"""


def run(program: str, folder: Path, **options: float) -> list[str]:
    """The lines that a Python program leaves on the terminal."""
    return run_in_terminal(
        [sys.executable, "-c", program],
        folder,
        SystemClock(),
        columns=90,
        seconds=options.get("seconds", 20),
        expected=int(options.get("expected", 0)),
    ).text_lines()


def test_when_a_program_shows_progress_then_its_last_state_is_seen(tmp_path: Path) -> None:
    """In a terminal as wide as it was asked for, with colors, standard error included."""
    lines = run(PROGRESS, tmp_path)

    assert 3 == len(lines)
    assert ["first", "second"] == [line.split()[0] for line in lines[:2]]
    assert "100%" in lines[1]
    assert "width 90 True" == lines[2]


def test_when_a_program_fails_then_its_last_lines_are_in_the_message(tmp_path: Path) -> None:
    """There is no picture of it, so they would be lost."""
    with pytest.raises(RunError, match="ended with 3, not 0:\nthe reason"):
        run("import sys; print('the reason'); sys.exit(3)", tmp_path)


def test_when_a_program_must_fail_then_its_status_is_compared(tmp_path: Path) -> None:
    """A refused token is shown by a command that ends with 1."""
    assert ["refused"] == run("import sys; print('refused'); sys.exit(1)", tmp_path, expected=1)


def test_when_a_program_hangs_then_it_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """After its time."""
    program = (
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "pathlib.Path('child').write_text(str(child.pid))\n"
        "time.sleep(600)"
    )

    with pytest.raises(RunError, match="took longer than 2 s"):
        run(program, tmp_path, seconds=2)

    child = int((tmp_path / "child").read_text())
    assert becomes_true(lambda: not is_alive(child))


RECORDER = """
import sys
from pathlib import Path
from documenting.pictures.pseudo_terminal import run_in_terminal
from shared.clock import SystemClock
program = (
    "import os, pathlib, time;"
    "pathlib.Path('child').write_text(str(os.getpid())); time.sleep(600)"
)
run_in_terminal(
    [sys.executable, "-c", program], Path(sys.argv[1]), SystemClock(), columns=80, seconds=600
)
"""


def test_when_the_recorder_is_killed_then_the_command_ends_too(tmp_path: Path) -> None:
    """Its terminal closes with us, as when a window is closed."""
    child = tmp_path / "child"
    recorder = subprocess.Popen(
        [sys.executable, "-c", RECORDER, tmp_path],
        preexec_fn=hear_the_terminal_close,  # noqa: PLW1509 - no other thread runs here
        cwd=CHECKOUT,
    )
    assert becomes_true(lambda: child.exists() and child.read_text() != "", within_seconds=30)
    process_id = int(child.read_text())

    recorder.kill()
    recorder.wait()

    assert becomes_true(lambda: not is_alive(process_id))


def scene(program: str, *headings: str) -> Scene:
    """A picture of what a Python program prints."""
    return Scene("any", "Any", ("python", "-c", program), headings, columns=80, seconds=20)


def test_when_a_scene_is_run_then_its_command_and_its_lines_are_seen(tmp_path: Path) -> None:
    """With a prompt, and ports that are the same each time."""
    program = "print('Records at 127.0.0.1:43817')"

    command, line = seen(scene(program, "Records"), (), CHECKOUT, tmp_path, SystemClock())

    assert command.endswith(f"python -c {program}\x1b[0m")
    assert "127.0.0.1:50001" in line
    assert "43817" not in line


@pytest.mark.parametrize(
    "printed",
    ["/home/me/.bridge/up/logs", "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ"],
    ids=["folder", "token"],
)
def test_when_a_run_prints_what_is_private_then_there_is_no_picture(
    tmp_path: Path, printed: str
) -> None:
    """What it is does not get into the message either."""
    file = tmp_path / "printed"
    file.write_text(f"Heading\n{printed}\n", encoding="utf-8")

    with pytest.raises(PrivateError) as raised:
        seen(
            scene("print(open('printed').read())", "Heading"),
            *((), CHECKOUT, tmp_path, SystemClock()),
        )

    assert printed not in str(raised.value)


def test_when_a_run_lacks_a_heading_then_there_is_no_picture(tmp_path: Path) -> None:
    """It has shown something else than it is for."""
    with pytest.raises(UnlikePictureError, match="has not shown: Who did not get in"):
        seen(
            scene("print('Heading')", "Heading", "Who did not get in"),
            *((), CHECKOUT, tmp_path, SystemClock()),
        )


def test_when_an_unknown_picture_is_asked_for_then_the_known_ones_are_named() -> None:
    """In a sentence, with exit status 1."""
    command = [sys.executable, "-m", "documenting", "pictures", "--only", "nothing"]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert 1 == result.returncode
    assert result.stderr.startswith("there is no picture nothing; there are demo")


async def _is_there(page: Page) -> None:
    await page.wait_for_selector("h1")


def pictures_in(folder: Path) -> list[Path]:
    """Every picture that was written there."""
    return list(folder.glob("*.png"))


def page_with(tmp_path: Path, text: str) -> str:
    """A page's address; the text is far below what a window shows."""
    file = tmp_path / "page.html"
    file.write_text(PAGE.replace("TEXT", text), encoding="utf-8")
    return file.as_uri()


async def test_when_a_page_is_shown_then_there_is_a_picture_for_light_and_for_dark(
    tmp_path: Path,
) -> None:
    """Each as large as the window; what is out of sight may be private."""
    await shoot(page_with(tmp_path, "/home/me"), tmp_path, "any", _is_there, size=(400, 300))

    light, dark = ((tmp_path / f"any-{mode}.png").read_bytes() for mode in ("light", "dark"))
    assert light != dark
    for picture in (light, dark):
        assert (400, 300) == tuple(int.from_bytes(picture[place : place + 4]) for place in (16, 20))


async def test_when_a_page_shows_a_port_then_the_picture_has_a_fixed_one(tmp_path: Path) -> None:
    """The page in the browser has it, so the picture has it."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, port in ((one, "43817"), (other, "39002")):
        folder.mkdir()
        file = folder / "page.html"
        file.write_text(PAGE.replace("43817", port), encoding="utf-8")
        await shoot(file.as_uri(), folder, "any", _is_there, size=(400, 300))

    assert (one / "any-light.png").read_bytes() == (other / "any-light.png").read_bytes()


async def test_when_a_page_shows_what_is_private_then_there_is_no_picture(tmp_path: Path) -> None:
    """A token in sight is refused."""
    url = page_with(tmp_path, "")

    async def arrange(page: Page) -> None:
        await page.locator("h1").evaluate("e => { e.textContent = 'eyJhbGciOiJSUzI1NiJ9' }")

    with pytest.raises(PrivateError):
        await shoot(url, tmp_path, "any", arrange, size=(400, 300))

    assert [] == pictures_in(tmp_path)


async def test_when_a_page_never_gets_there_then_it_says_so(tmp_path: Path) -> None:
    """With the picture's name."""

    async def arrange(page: Page) -> None:
        await page.wait_for_selector("#never", timeout=200)

    with pytest.raises(ShotError, match="no picture of any"):
        await shoot(page_with(tmp_path, ""), tmp_path, "any", arrange, size=(400, 300))


LEAST_CHARTS = 8
SITE = """
site_name: t
docs_dir: pages
site_dir: site
use_directory_urls: false
plugins: []
theme:
  name: material
  font: false
  palette: [{scheme: default}, {scheme: slate}]
markdown_extensions: [attr_list, md_in_html]
"""


@pytest.fixture
def built_page(tmp_path: Path) -> Path:
    """The benchmarks' charts as a page of a site, built by the theme that the site has."""
    pages = tmp_path / "pages"
    shutil.copytree(CHECKOUT / "docs" / "charts", pages / "charts")
    text = (CHECKOUT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    only_pictures = "\n\n".join(
        part for part in text.split("\n\n") if part.startswith("<!-- chart: ")
    )
    (pages / "index.md").write_text(for_the_site(only_pictures), encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(SITE, encoding="utf-8")
    mkdocs = CHECKOUT / ".tools" / "docs" / "bin" / "mkdocs"
    subprocess.run([mkdocs, "build", "--quiet"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "site" / "index.html"


async def test_when_the_sites_switch_is_turned_then_the_other_picture_is_seen(
    built_page: Path,
) -> None:
    """Also where the machine is set to light and the reader has chosen dark."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = await browser.new_page(color_scheme="light")
        await page.goto(built_page.as_uri())
        seen = {}
        for scheme in ("default", "slate"):
            await page.evaluate(f"document.body.setAttribute('data-md-color-scheme', '{scheme}')")
            seen[scheme] = await page.evaluate(
                "Array.from(document.images).filter(i => i.offsetWidth && i.naturalWidth)"
                ".map(i => i.getAttribute('src').split('#')[0])"
            )
        await browser.close()

    assert len(seen["default"]) == len(seen["slate"]) >= LEAST_CHARTS
    assert all(name.endswith("-light.svg") for name in seen["default"])
    assert all(name.endswith("-dark.svg") for name in seen["slate"])
