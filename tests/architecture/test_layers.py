"""The shape of the code, held by a machine."""

import configparser
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
MOST_MODULES = 15
MOST_LINES = 450
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


def _exhaustive_containers() -> set[str]:
    parser = _contracts()
    return {
        container
        for section in parser.sections()
        if parser[section].get("exhaustive", "").strip().lower() == "true"
        for container in parser[section]["containers"].split()
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
    assert _packages() <= _exhaustive_containers()


def test_when_a_folder_has_modules_then_a_layers_contract_leaves_none_out() -> None:
    """Every room of the Function App has exhaustive layers too."""
    rooms = {
        f"azure_function_app.{folder.parent.name}"
        for folder in (CHECKOUT / "azure_function_app").glob("*/__init__.py")
    }

    assert rooms
    assert rooms <= _exhaustive_containers()


def test_when_a_package_is_added_then_its_folders_must_not_form_circles() -> None:
    """The contract against circles starts from every top-level package."""
    (circles,) = (
        section for section in _contracts().values() if section.get("type") == "acyclic_siblings"
    )

    assert _packages() == set(circles["ancestors"].split())


def test_when_a_folder_gets_many_modules_then_it_needs_rooms() -> None:
    """A folder can be taken in at a glance; the authorizer's flat one tells its story by names."""
    crowded = {
        str(folder.relative_to(CHECKOUT))
        for package in _packages()
        for folder in [CHECKOUT / package, *(CHECKOUT / package).rglob("*/")]
        if len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) > MOST_MODULES
    }

    assert {"aws_authorizer"} == crowded


def test_when_a_module_grows_long_then_it_must_be_split() -> None:
    """No module of the product is longer than can be read in one go."""
    long = {
        str(path.relative_to(CHECKOUT))
        for package in _packages()
        for path in (CHECKOUT / package).rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES
    }

    assert set() == long


def test_when_a_unit_test_is_written_then_it_stands_where_its_module_does() -> None:
    """The Function App's tests mirror its tree: `<room>/test_<module>.py`.

    The tests of one with much to test are split by subject: `test_<module>_<subject>.py`.
    """
    product = CHECKOUT / "azure_function_app"
    tests = CHECKOUT / "tests" / "unit" / "azure_function_app"
    strays = {
        str(path.relative_to(tests))
        for path in tests.rglob("test_*.py")
        if not any(
            f"{path.stem}_".startswith(f"test_{module.stem}_")
            for module in (product / path.relative_to(tests)).parent.glob("*.py")
        )
    }

    assert set() == strays


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
