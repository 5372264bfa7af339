"""The Function App's package, from a checkout as small as can be."""

import importlib.util
import marshal
import os
import platform as machine
import sys
import zipfile
from pathlib import Path

import pytest

from bundling.errors import BundleError
from bundling.function_app import (
    AZURE_PLATFORM,
    SITE_PACKAGES,
    FunctionAppBuilder,
    choose_local_platform,
)

FAKE_UV = """#!/bin/sh
# Stands in for uv: "installs" two packages where it is told to, and says how it was asked.
while [ "$1" != "--target" ]; do shift; done
folder="$2"
mkdir -p "$folder/library" "$folder/httpcore" "$folder/library-1.dist-info"
echo "x = 1" > "$folder/library/__init__.py"
echo "x = 1" > "$folder/httpcore/__init__.py"
touch "$folder/library-1.dist-info/METADATA" "$folder/library-1.dist-info/RECORD"
shift 2; echo "$@" | sed "s# --requirement .*##; s#--python /[^ ]* ##" > "$folder/asked"
"""


def checkout(folder: Path) -> Path:
    """A checkout that has what ships, and something that does not."""
    for package in ("azure_function_app", "shared", "emulator"):
        (folder / package / "__pycache__").mkdir(parents=True)
        (folder / package / "__init__.py").write_text("x = 1\n")
        (folder / package / "__pycache__" / "old.cpython-39.pyc").write_text("stale")
    (folder / "azure_function_app" / "doctor" / "checks").mkdir(parents=True)
    (folder / "azure_function_app" / "doctor" / "checks" / "__init__.py").write_text("x = 1\n")
    for name in ("function_app.py", "host.json", "requirements.txt"):
        (folder / name).write_text("")
    uv = folder / "uv"
    uv.write_text(FAKE_UV)
    uv.chmod(0o755)
    return folder


def build(root: Path, platform: str | None = AZURE_PLATFORM) -> Path:
    """The package of that checkout."""
    return FunctionAppBuilder(root, root / "uv", root / "cache").build_zip(platform)


def test_when_two_checkouts_are_alike_then_their_packages_are_the_same_bytes(
    tmp_path: Path,
) -> None:
    """No path, time or order of the machine gets into the package."""
    one = build(checkout(tmp_path / "one"))
    two = build(checkout(tmp_path / "elsewhere" / "two"))

    assert one.read_bytes() == two.read_bytes()


def test_when_the_package_is_built_then_it_has_what_azure_looks_for(tmp_path: Path) -> None:
    """host.json at its root, the packages where the worker looks, bytecode beside the sources."""
    tag = importlib.util.cache_from_source("x.py").split(".")[-2]

    with zipfile.ZipFile(build(checkout(tmp_path))) as archive:
        names = archive.namelist()

    assert {
        f"{SITE_PACKAGES}/asked",
        f"{SITE_PACKAGES}/httpcore/__init__.py",
        f"{SITE_PACKAGES}/library-1.dist-info/METADATA",
        f"{SITE_PACKAGES}/library/__init__.py",
        f"{SITE_PACKAGES}/library/__pycache__/__init__.{tag}.pyc",
        f"__pycache__/function_app.{tag}.pyc",
        "azure_function_app/__init__.py",
        f"azure_function_app/__pycache__/__init__.{tag}.pyc",
        "azure_function_app/doctor/checks/__init__.py",
        "function_app.py",
        "host.json",
        "requirements.txt",
        "shared/__init__.py",
        f"shared/__pycache__/__init__.{tag}.pyc",
    } == set(names)


def test_when_packages_are_installed_then_platform_and_hashes_are_asked_for(
    tmp_path: Path,
) -> None:
    """Without the platform's name the resolver takes wheels for a newer glibc than Azure's."""
    with zipfile.ZipFile(build(checkout(tmp_path))) as archive:
        asked = archive.read(f"{SITE_PACKAGES}/asked").decode()

    assert "--python-platform x86_64-manylinux_2_28" in asked
    assert "--only-binary :all:" in asked
    assert "--require-hashes" in asked


def test_when_built_for_this_machine_then_no_platform_is_named(tmp_path: Path) -> None:
    """The local profile of another machine takes wheels of its own."""
    with zipfile.ZipFile(build(checkout(tmp_path), None)) as archive:
        asked = archive.read(f"{SITE_PACKAGES}/asked").decode()

    assert "--python-platform" not in asked


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("__pycache__/function_app", "/home/site/wwwroot/function_app.py"),
        (
            f"{SITE_PACKAGES}/library/__pycache__/__init__",
            f"/home/site/wwwroot/{SITE_PACKAGES}/library/__init__.py",
        ),
    ],
)
def test_when_bytecode_is_made_then_the_worker_takes_it_unchecked(
    tmp_path: Path, source: str, shown: str
) -> None:
    """PEP 552: flags 0b01 is hash-based and unchecked. Tracebacks name Azure's own folder."""
    with zipfile.ZipFile(build(checkout(tmp_path))) as archive:
        (name,) = [each for each in archive.namelist() if each.startswith(f"{source}.cpython")]
        bytecode = archive.read(name)

    code = marshal.loads(bytecode[16:])  # noqa: S302 - compiled by this very test
    assert 0b01 == int.from_bytes(bytecode[4:8], "little")
    assert shown == code.co_filename


@pytest.mark.parametrize("file", ["host.json", "requirements.txt", "shared/new.py"])
def test_when_a_file_that_ships_changes_then_another_package_is_built(
    tmp_path: Path, file: str
) -> None:
    """Nothing that ships is left out of the hash."""
    root = checkout(tmp_path)
    first = build(root)
    (root / file).write_text("# changed\n")

    assert first != build(root)


def test_when_a_file_that_does_not_ship_changes_then_the_package_stays(tmp_path: Path) -> None:
    """The command line and the emulator are no part of it."""
    root = checkout(tmp_path)
    first = build(root)
    (root / "emulator" / "new.py").write_text("x = 2\n")

    assert first == build(root)


def test_when_the_installer_fails_then_the_error_names_the_lock(tmp_path: Path) -> None:
    """Nothing half-made stays behind."""
    root = checkout(tmp_path)
    (root / "uv").write_text("#!/bin/sh\necho no such wheel >&2\nexit 2\n")

    with pytest.raises(BundleError, match=r"^requirements\.txt could not be installed: no such"):
        build(root)

    assert [] == list((root / "cache").iterdir())


@pytest.mark.parametrize(
    ("system", "processor", "libc", "platform"),
    [
        ("linux", "x86_64", ("glibc", "2.28"), AZURE_PLATFORM),
        ("linux", "x86_64", ("glibc", "2.41"), AZURE_PLATFORM),
        ("linux", "x86_64", ("glibc", "2.27"), None),
        ("linux", "x86_64", ("", ""), None),
        ("linux", "aarch64", ("glibc", "2.41"), None),
        ("darwin", "x86_64", ("", ""), None),
    ],
)
def test_when_a_machine_runs_azures_wheels_then_the_rehearsal_has_azures_bytes(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    processor: str,
    libc: tuple[str, str],
    platform: str | None,
) -> None:
    """Elsewhere, on musl too, the package is built for the machine itself."""
    monkeypatch.setattr(sys, "platform", system)
    uname = type("Uname", (), {"machine": processor})
    monkeypatch.setattr(os, "uname", lambda: uname)
    monkeypatch.setattr(machine, "libc_ver", lambda: libc)

    assert platform == choose_local_platform()
