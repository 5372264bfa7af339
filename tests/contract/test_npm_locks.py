"""The locks of what npm installs."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = [
    ROOT / "benchmarks" / "authorizer" / "node" / "package-lock.json",
    ROOT / "documenting" / "site_package" / "package-lock.json",
    ROOT / "emulator" / "azurite_package" / "package-lock.json",
    ROOT / "emulator" / "postgres_package" / "package-lock.json",
]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_when_a_package_is_locked_then_its_hash_is_and_its_registry_is_not(lock: Path) -> None:
    """Any mirror will do, because the bytes are pinned."""
    packages = json.loads(lock.read_text())["packages"]
    installed = {name: package for name, package in packages.items() if name}

    assert installed
    assert [] == [name for name, package in installed.items() if "resolved" in package]
    assert [] == [name for name, package in installed.items() if "integrity" not in package]
