"""The benchmarks' charts are those of the results that are kept, on any machine."""

import ast
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from documenting.charts.all_charts import all_charts
from documenting.charts.chart import MODES
from documenting.charts.page import with_charts
from documenting.charts.results import read_results

CHECKOUT = Path(__file__).parents[2]
KEPT = CHECKOUT / "docs" / "charts"
RESULTS = CHECKOUT / "benchmarks" / "results"
PAGE = CHECKOUT / "docs" / "benchmarks.md"
CHARTS = all_charts(read_results(RESULTS))
FILES = sorted(chart.file_name(mode) for chart in CHARTS for mode in MODES)
MOST_BYTES = 80_000
MATPLOTLIBRC = "svg.fonttype: none\nfont.family: serif\nlines.linewidth: 9\nsavefig.dpi: 300\n"


def draw(checkout: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What the program says that draws a checkout's charts, where matplotlib is set up oddly."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    (home / "matplotlibrc").write_text(MATPLOTLIBRC, encoding="utf-8")
    python = CHECKOUT / ".tools" / "docs" / "bin" / "python"
    return subprocess.run(
        [
            *("env", f"MPLCONFIGDIR={home}", "TZ=Asia/Tokyo", "LC_ALL=C"),
            *(str(python), "-m", "documenting", "charts", "--to", str(folder), *options),
        ],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def copy_of_the_program(folder: Path) -> Path:
    """A checkout with the program and the results and nothing else."""
    checkout = folder / "checkout"
    shutil.copytree(CHECKOUT / "documenting", checkout / "documenting")
    shutil.copytree(RESULTS, checkout / "benchmarks" / "results")
    return checkout


def test_when_the_charts_are_drawn_again_then_they_are_the_kept_ones(tmp_path: Path) -> None:
    """Byte for byte, whatever the machine's own matplotlib settings, language and day."""
    drawn = tmp_path / "drawn"

    result = draw(CHECKOUT, drawn)

    assert (0, "") == (result.returncode, result.stdout), result.stderr
    assert FILES == sorted(file.name for file in drawn.iterdir())
    assert [] == [
        name
        for name in FILES
        if not (KEPT / name).is_file() or (drawn / name).read_bytes() != (KEPT / name).read_bytes()
    ], "run: make charts"


def test_when_a_figure_changes_then_its_chart_does(tmp_path: Path) -> None:
    """A chart is drawn from the results, so another figure is another picture."""
    checkout, drawn = copy_of_the_program(tmp_path), tmp_path / "drawn"
    file = checkout / "benchmarks" / "results" / "feed.json"
    results = json.loads(file.read_text(encoding="utf-8"))
    results["by_shards_and_writers"][0]["writes_per_second"] = 61.0
    file.write_text(json.dumps(results), encoding="utf-8")

    result = draw(checkout, drawn, "--only", "feed-shards")

    assert 0 == result.returncode, result.stderr
    assert ["feed-shards-dark.svg", "feed-shards-light.svg"] == sorted(
        file.name for file in drawn.iterdir()
    )
    assert (KEPT / "feed-shards-dark.svg").read_bytes() != (
        drawn / "feed-shards-dark.svg"
    ).read_bytes()


def test_when_nobody_knows_a_promise_then_no_chart_is_drawn(tmp_path: Path) -> None:
    """A new promise must get its place in the chart of all of them."""
    checkout = copy_of_the_program(tmp_path)
    file = checkout / "benchmarks" / "results" / "sync.json"
    results = json.loads(file.read_text(encoding="utf-8"))
    results["targets"][0]["name"] = "something new"
    file.write_text(json.dumps(results), encoding="utf-8")

    result = draw(checkout, tmp_path / "drawn")

    assert 1 == result.returncode
    assert "something new" in result.stderr
    assert "Traceback" not in result.stderr


def test_when_a_chart_is_kept_then_the_program_still_draws_it() -> None:
    """No chart stays behind that the results have outgrown."""
    assert FILES == sorted(file.name for file in KEPT.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_when_a_chart_is_shown_then_it_needs_nothing_from_elsewhere(name: str) -> None:
    """It is small, well-formed, and has no font, script or address in it."""
    chart = (KEPT / name).read_text(encoding="utf-8")
    addresses = re.findall(r'(?<!xmlns=")(?<!xmlns:xlink=")https?://[^"\s]+', chart)
    tags = {element.tag.split("}")[1] for element in ET.fromstring(chart).iter()}  # noqa: S314 - our own

    assert len(chart.encode()) < MOST_BYTES
    assert [] == addresses
    assert {"title", "use", "path"} <= tags
    assert set() == tags & {"text", "image", "script", "foreignObject"}


@pytest.mark.parametrize("name", FILES)
def test_when_a_chart_refers_to_a_part_of_itself_then_it_is_there(name: str) -> None:
    """Every glyph, hatch and clip that is used has its definition."""
    chart = (KEPT / name).read_text(encoding="utf-8")
    used = set(re.findall(r'(?:href="|url\()#([\w-]+)', chart))
    defined = set(re.findall(r' id="([\w-]+)"', chart))

    assert len(used) > 20
    assert set() == used - defined


def test_when_the_page_is_read_then_each_chart_has_the_words_of_its_figures() -> None:
    """Who does not see the charts reads or hears what they show."""
    page = PAGE.read_text(encoding="utf-8")

    assert with_charts(page, CHARTS) == page, "run: make charts"
    for chart in CHARTS:
        assert f'alt="{chart.alternative}"' in unescape(page)


def test_when_a_module_imports_matplotlib_then_it_is_one_that_draws() -> None:
    """Whatever else runs does so in an environment without it."""
    importers = {
        str(file.relative_to(CHECKOUT))
        for file in CHECKOUT.rglob("*.py")
        if not any(part.startswith(".") for part in file.relative_to(CHECKOUT).parts)
        and "matplotlib" in file.read_text(encoding="utf-8")
        and _imports_matplotlib(file)
    }

    assert {"documenting/charts/drawing.py", "documenting/charts/lettering.py"} == importers


def _imports_matplotlib(file: Path) -> bool:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return any(name.split(".")[0] == "matplotlib" for name in names)
