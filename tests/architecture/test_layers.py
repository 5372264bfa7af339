"""The shape of the code, held by a machine."""

import configparser
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
NOT_LAYERED = {"tests", "benchmarks", "docs", "infra", "requirements", "scripts"}


def _contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / ".importlinter", encoding="utf-8")
    return parser


def _packages() -> set[str]:
    return {
        folder.name
        for folder in CHECKOUT.iterdir()
        if (folder / "__init__.py").is_file() and folder.name not in NOT_LAYERED
    }


def test_when_the_imports_are_linted_then_every_arrow_points_one_way() -> None:
    """The layers of `.importlinter` hold."""
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [lint, "--no-cache", "--no-logo"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )

    assert 0 == result.returncode, result.stdout


def test_when_a_package_is_added_then_it_must_have_a_place_in_the_layers() -> None:
    """Every top-level package is a root package of the layers."""
    listed = _contracts()["importlinter"]["root_packages"].split()

    assert _packages() == set(listed)


def test_when_a_package_is_layered_then_its_layers_are_exhaustive() -> None:
    """Every package has layers of its own that leave no module out."""
    parser = _contracts()
    containers = {
        container
        for section in parser.sections()
        if parser[section].get("exhaustive", "").strip().lower() == "true"
        for container in parser[section]["containers"].split()
    }

    assert _packages() <= containers


def test_when_a_module_is_named_then_the_name_says_what_it_does() -> None:
    """No module carries one of the names that mean nothing."""
    meaningless = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    found = {
        str(path.relative_to(CHECKOUT))
        for package in _packages() | {"tests"}
        for path in (CHECKOUT / package).rglob("*.py")
        if path.stem in meaningless
    }

    assert set() == found
