import importlib.util
import marshal
import zipfile
from pathlib import Path
from types import CodeType

import pytest

from bundling.bundles import RECIPES, BundleBuilder, Recipe
from bundling.errors import BundleError

RECIPE = Recipe("package", None)


def checkout(folder: Path) -> Path:
    """A checkout with one package and `shared`, as small as can be."""
    for package in ("package", "shared"):
        (folder / package / "__pycache__").mkdir(parents=True)
        (folder / package / "__init__.py").write_text("")
        (folder / package / "__pycache__" / "old.cpython-39.pyc").write_text("stale")
    (folder / "package" / "handler.py").write_text("def handler(event, context):\n    return 1\n")
    return folder


def builder(root: Path) -> BundleBuilder:
    """A builder that has no installer, because nothing is to be installed."""
    return BundleBuilder(root, uv=Path("no-uv"), cache=root / "cache")


def build(root: Path) -> Path:
    """The zip file of the one recipe."""
    return builder(root).build_zip(RECIPE, platform=None)


def build_with_program(root: Path, text: str) -> Path:
    """The zip file of the one recipe, with a program beside it."""
    return builder(root).build_zip(RECIPE, platform=None, programs={"start": text})


def names_in(bundle: Path) -> list[str]:
    """The files of a zip."""
    with zipfile.ZipFile(bundle) as archive:
        return archive.namelist()


def test_when_two_checkouts_are_alike_then_their_bundles_are_the_same_bytes(tmp_path: Path) -> None:
    """No path, time or order of the machine gets into a bundle."""
    one = build(checkout(tmp_path / "one"))
    two = build(checkout(tmp_path / "elsewhere" / "two"))

    assert one.read_bytes() == two.read_bytes()
    assert str(tmp_path).encode() not in one.read_bytes()


def test_when_a_bundle_is_built_then_it_has_sources_and_their_bytecode(tmp_path: Path) -> None:
    """The package, `shared`, one .pyc for each, and nothing that lay about."""
    tag = importlib.util.cache_from_source("x.py").split(".")[-2]

    assert [
        "package/__init__.py",
        f"package/__pycache__/__init__.{tag}.pyc",
        f"package/__pycache__/handler.{tag}.pyc",
        "package/handler.py",
        "shared/__init__.py",
        f"shared/__pycache__/__init__.{tag}.pyc",
    ] == names_in(build(checkout(tmp_path)))


def test_when_a_folder_is_never_imported_then_the_bundle_is_without_it(tmp_path: Path) -> None:
    """What explains tokens to people is not shipped with what decides on them."""
    root = checkout(tmp_path)
    (root / "package" / "explanation").mkdir()
    (root / "package" / "explanation" / "fixes.py").write_text("")
    recipe = Recipe("package", None, left_out="explanation")

    bundle = builder(root).build_zip(recipe, platform=None)

    assert "explanation" == RECIPES["AuthorizerFunction"].left_out
    assert not [name for name in names_in(bundle) if "explanation" in name]
    assert "package/handler.py" in names_in(bundle)


def test_when_bytecode_is_made_then_the_runtime_takes_it_unchecked(tmp_path: Path) -> None:
    """PEP 552: flags 0b01 is hash-based and unchecked. Tracebacks name Lambda's own folder."""
    with zipfile.ZipFile(build(checkout(tmp_path))) as archive:
        (name,) = [each for each in archive.namelist() if "handler.cpython" in each]
        bytecode = archive.read(name)

    code = marshal.loads(bytecode[16:])  # noqa: S302 - compiled by this very test
    assert importlib.util.MAGIC_NUMBER == bytecode[:4]
    assert 0b01 == int.from_bytes(bytecode[4:8], "little")
    assert isinstance(code, CodeType)
    assert "/var/task/package/handler.py" == code.co_filename


def test_when_a_program_goes_along_then_only_it_can_be_executed(tmp_path: Path) -> None:
    """A runtime that execs its program finds it ready; nothing else of the bundle is one."""
    with zipfile.ZipFile(build_with_program(checkout(tmp_path), "#!/bin/sh\n")) as archive:
        modes = {each.filename: each.external_attr >> 16 & 0o777 for each in archive.infolist()}
        program = archive.read("start")

    assert 0o755 == modes.pop("start")
    assert {0o644} == set(modes.values())
    assert b"#!/bin/sh\n" == program


def test_when_a_program_differs_then_another_bundle_is_built(tmp_path: Path) -> None:
    """A bundle with a program is never taken for one without, or for one with another."""
    root = checkout(tmp_path)

    bundles = {build(root), build_with_program(root, "one"), build_with_program(root, "two")}

    assert 3 == len(bundles)


def test_when_nothing_has_changed_then_the_bundle_is_not_built_again(tmp_path: Path) -> None:
    """A second run finds the file where it is."""
    root = checkout(tmp_path)
    first = build(root)
    first.write_bytes(b"kept")

    second = build(root)

    assert first == second
    assert b"kept" == second.read_bytes()


@pytest.mark.parametrize("file", ["package/handler.py", "shared/new.py"])
def test_when_a_source_changes_then_another_bundle_is_built(tmp_path: Path, file: str) -> None:
    """The package and `shared` both count."""
    root = checkout(tmp_path)
    first = build(root)
    (root / file).write_text("x = 1\n")

    assert first != build(root)


def test_when_a_source_is_no_python_then_the_error_says_where(tmp_path: Path) -> None:
    """A bundle without its bytecode is not shipped."""
    root = checkout(tmp_path)
    (root / "package" / "handler.py").write_text("def handler(:\n")

    with pytest.raises(BundleError, match="package is no valid Python"):
        build(root)
