"""Makes releases: `make version`, `make release`, `make sbom` and `make licenses`.

It is `python -m releasing version|build|release|verify|sbom|licenses`.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from releasing.artifacts import build_artifacts
from releasing.bill_of_materials import BillOfMaterialsBuilder
from releasing.changelog import section_of
from releasing.errors import ReleaseError
from releasing.git import Checkout
from releasing.licenses import LicenseReader, check_licenses, write_notices
from releasing.locks import RUNTIME_LOCKS, LockedEnvironments
from releasing.new_version import check_tag, declared_version, set_version, tag_of, today
from releasing.release_folder import (
    put_in_place,
    read_checksums,
    refuse_foreign,
    write_checksums,
)
from releasing.repetition import build_repeatedly, compare, compare_with_release
from releasing.semantic_version import SemanticVersion
from shared.clock import SystemClock

_TOOLS: Final = Path(".tools/delivery-checks/bin")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the one thing that was asked for, in the checkout around the current folder."""
    parsed = _parser().parse_args(arguments)
    try:
        _do(parsed, Path.cwd())
    except ReleaseError as error:
        sys.exit(f"{error} ({error.code})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m releasing", description=main.__doc__)
    tasks = parser.add_subparsers(dest="task", required=True)
    version = tasks.add_parser("version", help="give the checkout its next version")
    version.add_argument("version")
    version.add_argument("--date", type=date.fromisoformat, help="today in UTC by default")
    for task, what in (
        ("build", "build every artifact once"),
        ("release", "build every artifact twice, compare, and add what goes with it"),
        ("verify", "fail unless this checkout builds the release that the folder has"),
        ("sbom", "write what each deployable is made of"),
        ("licenses", "write the licenses of all of it, and fail if one is not allowed"),
    ):
        builder = tasks.add_parser(task, help=what)
        builder.add_argument("folder", type=Path)
        builder.add_argument("--uv", type=Path, required=True, help="the installer")
        if task == "release":
            builder.add_argument("--tag", help="fail unless it is this checkout's version")
    return parser


def _do(parsed: argparse.Namespace, root: Path) -> None:
    match parsed.task:
        case "version":
            version = SemanticVersion.parse(parsed.version)
            set_version(Checkout(root), version, parsed.date or today(SystemClock()))
            tag = tag_of(version)
            _say(f"CHANGELOG.md and pyproject.toml say {version}. When they are on main:")
            _say(f"  git tag {tag} && git push origin {tag}")
        case "build":
            build_artifacts(root, parsed.uv, parsed.folder)
        case "release":
            _release(root, parsed.uv, parsed.folder, parsed.tag)
        case "verify":
            _verify(root, parsed.uv, parsed.folder)
        case "sbom":
            _write_bills(root, parsed.uv, parsed.folder)
        case "licenses":
            _write_licenses(root, parsed.uv, parsed.folder)


def _release(root: Path, uv: Path, folder: Path, tag: str | None) -> None:
    changes = _changes(root, tag) if tag is not None else None
    folder = folder.absolute()
    refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that a run that is killed leaves no half of a release there.
    with TemporaryDirectory(prefix=".release-", dir=folder.parent) as scratch:
        builds = build_repeatedly(root, Checkout(root).files(), uv.absolute(), Path(scratch))
        compare(builds)
        filled = builds[0]
        _write_bills(root, uv, filled)
        _write_licenses(root, uv, filled)
        if changes is not None:
            (filled / "CHANGES.md").write_text(changes, encoding="utf-8")
        write_checksums(filled)
        put_in_place(filled, folder)
    _say(f"{folder} has a release whose two builds are the same bytes.")


def _changes(root: Path, tag: str) -> str:
    version = check_tag(root, tag)
    return section_of((root / "CHANGELOG.md").read_text(encoding="utf-8"), str(version)) + "\n"


def _verify(root: Path, uv: Path, folder: Path) -> None:
    released = read_checksums(folder)
    with TemporaryDirectory(prefix="verify-") as scratch:
        built = Path(scratch) / "built"
        build_artifacts(root, uv.absolute(), built)
        compare_with_release(built, released)
    _say(f"These sources build the bytes of the release in {folder}.")


def _write_bills(root: Path, uv: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    builder = BillOfMaterialsBuilder(_environments(root, uv), root / _TOOLS / "cyclonedx-py")
    version = declared_version((root / "pyproject.toml").read_text(encoding="utf-8"))
    for deployable, lock in RUNTIME_LOCKS.items():
        listed = builder.build(deployable, str(version), root / lock if lock else None)
        (folder / f"{deployable}.cdx.json").write_bytes(listed)


def _write_licenses(root: Path, uv: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    reader = LicenseReader(_environments(root, uv), root / _TOOLS / "pip-licenses")
    licenses = reader.read(root / lock for lock in {*RUNTIME_LOCKS.values()} if lock)
    check_licenses(licenses)
    (folder / "THIRD-PARTY-LICENSES.txt").write_text(write_notices(licenses), encoding="utf-8")


def _environments(root: Path, uv: Path) -> LockedEnvironments:
    return LockedEnvironments(uv.absolute(), root / ".cache" / "locked")


def _say(line: str) -> None:
    print(line)  # noqa: T201 - its output


if __name__ == "__main__":
    main()
