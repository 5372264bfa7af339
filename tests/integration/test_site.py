"""The docs as a site: built without a network, without a dead link, and seen in a real browser."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from documenting.site.build import build_site
from documenting.site.checks import problems_of, read_site
from documenting.site.errors import SiteError
from documenting.site.navigation import pages_of_navigation
from documenting.site.pages import site_files
from tests.support.built_site import CHECKOUT, NO_NETWORK, chromium, served, watched

PARTS = ["Home", "Tutorial", "How-to", "Reference", "Explanation"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in a process tree in which nothing can connect."""
    folder = tmp_path_factory.mktemp("site")
    shut = folder / "shut"
    shut.mkdir()
    (shut / "sitecustomize.py").write_text(NO_NETWORK)
    command = [sys.executable, "-m", "documenting.site", str(folder / "built")]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{shut}:{CHECKOUT}"}
    result = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )

    assert (0, "") == (result.returncode, result.stderr)
    return folder / "built"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each opens a context of its own."""
    with chromium() as opened:
        yield opened


def test_when_the_network_is_shut_then_it_is_shut(tmp_path: Path) -> None:
    """Else the site's fixture would show nothing."""
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    program = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "the site is built without a network" in result.stderr


def test_when_the_site_is_built_then_nothing_in_it_leads_nowhere(site: Path) -> None:
    """Links, anchors, pictures, scripts; and no Markdown is left as it was written."""
    pages = read_site(site)

    assert [] == list(problems_of(site))
    assert len(pages) >= 40
    assert sum(len(page.links) for page in pages.values()) > 1_000


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('id="three-outcomes"', 'id="outcomes"', "architecture.html"),
        ('href="retries.html"', 'href="retrys.html"', "leads to no file"),
        ('src="scripts/', 'src="https://unpkg.com/', "fetched from elsewhere"),
    ],
)
def test_when_a_built_page_is_broken_then_it_is_found(
    site: Path, tmp_path: Path, old: str, new: str, told: str
) -> None:
    """The check bites on the real site."""
    for file in site.rglob("*.html"):
        target = tmp_path / file.relative_to(site)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text("utf-8")
        target.write_text(text.replace(old, new) if file.name == "architecture.html" else text)
    (tmp_path / "assets").symlink_to(site / "assets")
    (tmp_path / "scripts").symlink_to(site / "scripts")
    (tmp_path / "stylesheets").symlink_to(site / "stylesheets")

    assert [each for each in problems_of(tmp_path) if told in each]


def test_when_a_page_links_nowhere_then_the_site_is_not_built(tmp_path: Path) -> None:
    """Mkdocs is strict: a copy of the checkout with one bad link fails."""
    (tmp_path / ".tools").symlink_to(CHECKOUT / ".tools")
    for folder in ("documenting", "docs"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder)
    for name in ("mkdocs.yml", "SECURITY.md", "CONTRIBUTING.md"):
        shutil.copyfile(CHECKOUT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n[x](docs/index.md#nowhere)\n")

    with pytest.raises(SiteError, match="nowhere"):
        build_site(tmp_path, tmp_path / "built")


def test_when_a_page_is_written_then_it_is_in_the_navigation() -> None:
    """In one of the four parts; each page once, and none that is not there."""
    parts = pages_of_navigation(CHECKOUT / "mkdocs.yml")
    listed = [page for pages in parts.values() for page in pages]
    written = {place for place in site_files(CHECKOUT).values() if place.endswith(".md")}
    missing = [f"add {page} to one of {PARTS[1:]}" for page in sorted(written - {*listed})]

    assert list(parts) == PARTS
    assert [] == missing, f"in `nav` of mkdocs.yml: {missing}"
    assert sorted(written) == sorted(listed)


def _pages() -> list[str]:
    parts = pages_of_navigation(CHECKOUT / "mkdocs.yml")
    return [page.removesuffix(".md") for pages in parts.values() for page in pages]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_when_a_page_is_opened_then_nothing_leaves_this_machine(
    site: Path, browser: Browser, scheme: str
) -> None:
    """Every page, at a phone's width: no error, and nothing wider than the phone."""
    wide: list[str] = []
    options = {"color_scheme": scheme, "viewport": {"width": 390, "height": 800}}
    with served(site) as base, watched(browser, base, **options) as (page, problems):
        for name in _pages():
            page.goto(f"{base}{name}.html", wait_until="load")
            width = page.evaluate("document.documentElement.scrollWidth")
            wide += [f"{name} is {width} wide"] if width > 390 else []
        dark = page.evaluate("document.body.dataset.mdColorScheme")

    assert [] == problems
    assert [] == wide
    assert {"light": "default", "dark": "slate"}[scheme] == dark


def test_when_a_page_has_a_picture_in_mermaid_then_it_is_drawn(
    site: Path, browser: Browser
) -> None:
    """Each of them, by the script from the lock; material puts them into closed shadow roots."""
    drawn = {}
    pages = [file for file in site.rglob("*.html") if 'class="mermaid"' in file.read_text("utf-8")]
    open_roots = (
        "const attach = Element.prototype.attachShadow;"
        "Element.prototype.attachShadow = function () { return attach.call(this, {mode: 'open'}) }"
    )
    with served(site) as base, watched(browser, base) as (page, problems):
        page.add_init_script(open_roots)
        for file in pages:
            name = file.relative_to(site).as_posix()
            wanted = file.read_text("utf-8").count('class="mermaid"')
            page.goto(f"{base}{name}")
            # A Locator sees into open shadow roots.
            page.locator("div.mermaid svg").nth(wanted - 1).wait_for(state="attached")
            drawn[name] = page.locator("div.mermaid svg").count() == wanted
            assert 0 == page.get_by_text("Syntax error").count()

    assert [] == problems
    assert len(drawn) >= 4
    assert all(drawn.values())


@pytest.mark.parametrize("is_served", [True, False])
def test_when_something_is_looked_for_then_it_is_found_without_a_network(
    site: Path, browser: Browser, *, is_served: bool
) -> None:
    """From a server, and from the file itself."""
    with served(site) as served_at:
        base = served_at if is_served else f"{site.as_uri()}/"
        with watched(browser, base, viewport={"width": 1300, "height": 900}) as (page, problems):
            page.goto(f"{base}index.html")
            page.get_by_placeholder("Search").click()
            page.keyboard.type("checkpoint_damaged")
            found = page.locator(".md-search-result__link").first
            found.wait_for()
            found.click()
            page.wait_for_url("**/*.html*")

    assert [] == problems


def test_when_a_block_is_copied_then_its_commands_are_and_nothing_else(
    site: Path, browser: Browser
) -> None:
    """Neither the prompt nor what the command answers."""
    with served(site) as base, watched(browser, base) as (page, problems):
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"{base}tutorial.html")
        page.locator("[data-clipboard-target]").nth(1).click()
        page.wait_for_function("navigator.clipboard.readText().then(Boolean)")
        copied = page.evaluate("navigator.clipboard.readText()")

    assert [] == problems
    assert "curl -s http://127.0.0.1:7071/api/health" == copied.strip()
