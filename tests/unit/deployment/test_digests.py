"""Digests of what is deployed: the same for the same, another for anything that differs."""

import json
from pathlib import Path

import pytest

from deployment.digests import digest_of, digest_of_bundles, digest_of_module

WEEK = 604_800


def test_when_parts_are_the_same_then_so_is_the_digest() -> None:
    """Whatever the order of the names; not where a value or its place differs."""
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})
    assert digest_of("a", "b") != digest_of("ab")
    assert digest_of(b"a") != digest_of("a")
    assert 32 == len(digest_of())


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "app.bicep"


MODULES = {
    "app.bicep": "module one 'parts/one.bicep' = {}\nvar x = loadJsonContent('data.json')",
    "parts/one.bicep": "module back '../app.bicep' = {}\nresource r 'Microsoft.Web/sites@2025'",
    "data.json": "{}",
    "other.bicep": "param x string",
}


@pytest.mark.parametrize("changed", ["app.bicep", "parts/one.bicep", "data.json"])
def test_when_a_file_of_the_module_changes_then_the_digest_does(
    tmp_path: Path, changed: str
) -> None:
    """Also one that it refers to by way of another, and though they refer to each other."""
    module = _write(tmp_path, MODULES)
    before = digest_of_module(module)
    (tmp_path / changed).write_text(MODULES[changed] + "\n")

    assert before != digest_of_module(module)


def test_when_another_module_changes_then_the_digest_does_not(tmp_path: Path) -> None:
    """Nor where the checkout is."""
    module = _write(tmp_path / "one", MODULES)
    other = _write(tmp_path / "two", MODULES | {"other.bicep": "changed"})

    assert digest_of_module(module) == digest_of_module(other)


def _bundles(folder: Path, keys: str = "a", retrieved_at: object = 0) -> str:
    key_set = json.dumps({"keys": [keys], "retrieved_at": retrieved_at})
    _write(folder, {"F/code.py": "x", "F/key_set.json": key_set, "G/code.py": "y"})
    return digest_of_bundles(folder, ["F", "G"])


def test_when_the_bundles_are_built_again_then_the_digest_is_the_same(tmp_path: Path) -> None:
    """Within the week in which the key set was retrieved."""
    assert _bundles(tmp_path, retrieved_at=1) == _bundles(tmp_path, retrieved_at=WEEK - 1)


def test_when_the_bundles_differ_then_the_digest_does(tmp_path: Path) -> None:
    """In a key, in the week, in the code, in a file more."""
    digests = {
        _bundles(tmp_path, retrieved_at=1),
        _bundles(tmp_path, keys="b", retrieved_at=1),
        _bundles(tmp_path, retrieved_at=WEEK),
        _bundles(tmp_path, retrieved_at=None),
    }
    (tmp_path / "G" / "more.py").write_text("z")
    digests.add(_bundles(tmp_path, retrieved_at=1))

    assert 5 == len(digests)
