"""The Function App's package: the very bytes that Azure gets."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bundling.function_app import (
    NEVER_IMPORTED,
    OWN_FILES,
    OWN_PACKAGES,
    SELDOM_IMPORTED,
    SITE_PACKAGES,
    FunctionAppBuilder,
    build_function_app,
    choose_local_platform,
)
from bundling.requirements import find_uv

CHECKOUT = Path(__file__).parents[2]
MOST_BYTES = 12_000_000
FEWEST_FILES = 1_500


@pytest.fixture(scope="module")
def package() -> zipfile.ZipFile:
    """The package for Azure's platform."""
    return zipfile.ZipFile(build_function_app(CHECKOUT))


def digest_built_in(folder: Path) -> str:
    """The SHA-256 of the package that a copy of the checkout builds, without our cache."""
    for name in OWN_FILES:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, folder / name)
    for name in OWN_PACKAGES:
        shutil.copytree(CHECKOUT / name, folder / name)
    built = FunctionAppBuilder(folder, find_uv(CHECKOUT), folder / "cache").build_zip()
    return hashlib.sha256(built.read_bytes()).hexdigest()


def test_when_the_package_is_built_in_two_folders_then_it_is_the_same_bytes(
    tmp_path: Path,
) -> None:
    """With real requirements; so whoever builds a release again can compare it."""
    digests = {digest_built_in(tmp_path / "one"), digest_built_in(tmp_path / "else" / "where")}

    assert 1 == len(digests)


def test_when_the_package_is_built_then_it_is_small_and_whole(package: zipfile.ZipFile) -> None:
    """At most 12 MB, as a cold start fetches it; a floor of files says that there is something."""
    assert Path(str(package.filename)).stat().st_size <= MOST_BYTES
    assert len(package.namelist()) >= FEWEST_FILES


def test_when_the_package_is_built_then_every_compiled_module_is_for_azures_machines(
    package: zipfile.ZipFile,
) -> None:
    """ELF for x86_64 (e_machine 62), on whatever machine it was built."""
    modules = [package.read(name) for name in package.namelist() if name.endswith(".so")]

    assert 8 <= len(modules)
    assert {b"\x7fELF"} == {module[:4] for module in modules}
    assert {62} == {int.from_bytes(module[18:20], "little") for module in modules}


def test_when_the_package_is_built_then_no_module_asks_for_a_newer_c_library(
    package: zipfile.ZipFile,
) -> None:
    """The versions of glibc that their symbols need; a newer system's wheels need later ones."""
    needed = {
        (int(major), int(minor))
        for name in package.namelist()
        if name.endswith(".so")
        for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", package.read(name))
    }

    assert (2, 14) in needed
    assert (2, 28) >= max(needed)


IMPORTS = """
import importlib, json, pathlib, sys, warnings
root = pathlib.Path(sys.argv[1])
sys.path[:0] = [str(root), str(root / ".python_packages/lib/site-packages")]
warnings.simplefilter("error")
tried, absent = 0, set()
for package in sys.argv[2:]:
    folders = [pathlib.Path(path, package) for path in sys.path]
    (folder,) = filter(pathlib.Path.is_dir, folders)
    for source in sorted(folder.rglob("*.py")):
        parts = source.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name == "azure_function_app.app" or parts[-1] == "__main__":
            continue  # the first asks for its settings: the worker's own tests start it
        tried += 1
        try:
            importlib.import_module(name)
        except ImportError as error:
            absent.add(error.name or "")
import certifi, cryptography.hazmat.backends.openssl.backend
print(json.dumps([tried, sorted(absent), pathlib.Path(certifi.where()).stat().st_size]))
"""


def test_when_the_package_is_unpacked_then_every_module_of_it_can_be_imported(
    tmp_path: Path,
) -> None:
    """With nothing else on the path and no warning: what is trimmed away is read by none of them.

    Absent is what other transports than ours would take, which none of the locks has.
    """
    built = build_function_app(CHECKOUT, platform=choose_local_platform())
    zipfile.ZipFile(built).extractall(tmp_path)
    names = ["shared", "azure_function_app", "azure", "msal", "asyncpg", "cryptography", "httpx"]
    names += [
        "opentelemetry",
        "requests",
        "urllib3",
        "werkzeug",
        "yarl",
        "multidict",
        "charset_normalizer",
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORTS, tmp_path, *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stderr
    tried, absent, authorities = json.loads(done.stdout)

    assert 400 < tried
    assert set(absent) <= {"", "aiohttp", "click", "pymsalruntime", "trio"}
    assert 100_000 < authorities


def test_when_the_package_is_built_then_each_requirement_brings_its_license(
    package: zipfile.ZipFile,
) -> None:
    """Scanners and licenses find what is in it: every name of the lock, but what is trimmed."""
    lock = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}
    recorded = {
        name.split("/")[3].partition("-")[0].replace("_", "-")
        for name in package.namelist()
        if name.startswith(SITE_PACKAGES) and name.endswith(".dist-info/METADATA")
    }

    assert locked - {"pycparser"} == recorded


def test_when_the_package_is_built_then_all_that_a_cold_start_imports_is_compiled(
    package: zipfile.ZipFile,
) -> None:
    """Azure's folder cannot be written to, so what is not compiled here is compiled each time."""
    names = set(package.namelist())
    sources = {
        name
        for name in names
        if name.endswith(".py") and not name.startswith((*_site(NEVER_IMPORTED), *SELDOM_IMPORTED))
    }
    uncompiled = {name for name in sources if _bytecode(name) not in names}

    assert 500 <= len(sources)
    assert set() == uncompiled


def _site(packages: tuple[str, ...]) -> list[str]:
    return [f"{SITE_PACKAGES}/{package}/" for package in packages]


def _bytecode(source: str) -> str:
    path = Path(source)
    return (path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc").as_posix()
