"""A release of this very checkout, built twice."""

import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bundling.bundles import RECIPES, find_uv
from releasing.artifacts import PLATFORMS
from releasing.git import Checkout
from releasing.release_folder import checksums
from releasing.repetition import SURROUNDINGS, build_repeatedly, compare, copy_files

# Two builds of everything, on a machine that runs other tests too.
pytestmark = pytest.mark.timeout(300)

CHECKOUT = Path(__file__).parents[2]
WORKFLOW = CHECKOUT / ".github" / "workflows" / "release.yml"

# Of an ELF header: e_machine, two bytes from 18 on.
MACHINES = {"arm64": 183, "x86_64": 62}


@dataclass(frozen=True)
class Builds:
    """What was built of the same files, and where."""

    scratch: Path
    folders: list[Path]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    """Two builds, each in a fresh copy of the tracked files."""
    scratch = tmp_path_factory.mktemp("release")
    files = Checkout(CHECKOUT).files()
    return Builds(scratch, build_repeatedly(CHECKOUT, files, find_uv(CHECKOUT), scratch))


def test_when_a_release_is_built_twice_then_both_are_the_same_bytes(builds: Builds) -> None:
    """In folders, time zones, hash seeds, umasks and orders of files that differ."""
    names = compare(builds.folders).keys()

    assert {f"{function}-{each}.zip" for function in RECIPES for each in PLATFORMS} <= names


def test_when_the_workflow_names_a_file_of_a_release_then_it_is_built(builds: Builds) -> None:
    """What is attested, but for what goes along with the packages."""
    text = WORKFLOW.read_text(encoding="utf-8")
    patterns = re.findall(r"one/(\S+\.zip)", text)

    assert 3 == len(patterns)
    assert [] == [each for each in patterns if not list(builds.folders[0].glob(each))]


@pytest.mark.parametrize("architecture", PLATFORMS)
def test_when_a_package_is_for_a_processor_then_its_libraries_are(
    builds: Builds, architecture: str
) -> None:
    """AWS takes the other processor's without a word, and every call fails."""
    machines = set()
    with zipfile.ZipFile(builds.folders[0] / f"AuthorizerFunction-{architecture}.zip") as package:
        for name in package.namelist():
            if name.endswith(".so"):
                machines.add(int.from_bytes(package.read(name)[18:20], "little"))

    assert {MACHINES[architecture]} == machines


def test_when_a_package_is_built_then_nothing_of_this_machine_is_in_it(builds: Builds) -> None:
    """Neither where it was built, nor when."""
    for file in builds.folders[0].glob("*.zip"):
        with zipfile.ZipFile(file) as package:
            entries = package.infolist()
            text = b"".join(package.read(entry) for entry in entries)

        assert {(1980, 1, 1, 0, 0, 0)} == {entry.date_time for entry in entries}
        for path in (str(builds.scratch), str(CHECKOUT)):
            assert path.encode() not in text


def test_when_only_the_version_changes_then_no_package_does(builds: Builds) -> None:
    """`make version` moves no byte of what was tested before it."""
    copy = builds.scratch / "next-version"
    copy_files(CHECKOUT, Checkout(CHECKOUT).files(), copy)
    for name, old, new in (
        ("pyproject.toml", r'^version = ".*"$', 'version = "99.0.0"'),
        ("CHANGELOG.md", r"^## \[Unreleased\]$", "## [Unreleased]\n\n## [99.0.0] - 2026-11-22"),
    ):
        text, changes = re.subn(
            old, new, (copy / name).read_text(encoding="utf-8"), count=1, flags=re.MULTILINE
        )
        assert 1 == changes
        (copy / name).write_text(text, encoding="utf-8")
    installer = copy / ".tools" / "uv" / "bin" / "uv"
    installer.parent.mkdir(parents=True)
    installer.symlink_to(find_uv(CHECKOUT).resolve())
    built = builds.scratch / "built-as-next-version"
    command: list[str | Path] = [sys.executable, "-m", "releasing", "build", built]
    command += ["--uv", installer]
    subprocess.run(command, cwd=copy, check=True)

    assert checksums(builds.folders[0]) == checksums(built)


def test_when_the_builds_are_made_then_neither_knows_the_other(builds: Builds) -> None:
    """Each has a folder and a cache of its own; else the second would be the first's copy."""
    caches = [builds.scratch / each.folder / ".cache" / "bundles" for each in SURROUNDINGS]

    assert [True, True] == [any(cache.iterdir()) for cache in caches]
    assert not [cache for cache in caches if cache.is_symlink()]


def test_when_a_package_of_a_release_is_changed_then_these_sources_are_not_its_own(
    builds: Builds,
) -> None:
    """`make verify-release`, as the deployment runs it, on a good release and on a bad one."""
    with TemporaryDirectory() as scratch:
        release = Path(scratch) / "release"
        shutil.copytree(builds.folders[0], release)
        sums = [f"{digest}  {name}\n" for name, digest in checksums(release).items()]
        (release / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
        good = verify(release)
        (release / "SHA256SUMS").write_text(
            "".join(sums).replace(sums[0][:8], "00000000"), encoding="utf-8"
        )
        bad = verify(release)

    assert (0, "") == (good.returncode, good.stderr)
    assert 0 != bad.returncode
    assert "release_differs" in bad.stderr


def verify(release: Path) -> subprocess.CompletedProcess[str]:
    """What `make verify-release` says."""
    return subprocess.run(
        ["make", "verify-release", f"RELEASE={release}"],  # noqa: S607 - the machine's make
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
