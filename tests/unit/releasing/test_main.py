"""The program, on a checkout as small as can be, with stand-ins for the tools that it calls."""

import json
import re
from pathlib import Path

import pytest

from releasing.__main__ import main
from releasing.locks import RUNTIME_LOCKS
from releasing.release_folder import write_checksums
from tests.unit.releasing.test_new_version import CHANGELOG, PROJECT, repository

UV = """\
#!/bin/sh
# Makes the folders that the real one fills.
case "$1 $2" in
  "venv --python") mkdir -p "$4/bin" ;;
  "pip install") while [ "$1" != --target ]; do shift; done; mkdir -p "$2" ;;
esac
"""
CYCLONEDX = """\
#!/bin/sh
test -z "$BROKEN_TOOLS" || { echo broken >&2; exit 1; }
echo '{"components": [{"bom-ref": "a==1"}, {"bom-ref": "b==1"}],
       "dependencies": [{"ref": "a==1", "dependsOn": ["b==1"]}, {"ref": "b==1"}],
       "metadata": {"properties": [], "tools": {}}}'
"""
PIP_LICENSES = """\
#!/bin/sh
test -z "$BROKEN_TOOLS" || { echo broken >&2; exit 1; }
echo '[{"Name": "A_b", "Version": "1", "License": "MIT",
       "LicenseText": "You may.", "NoticeText": "UNKNOWN"}]'
"""
# What bundling does in a real checkout, and the program itself in each of the two copies.
BUNDLING = """\
import os, sys
from pathlib import Path
if os.environ.get("BROKEN_BUNDLING"):
    sys.exit("no bundles today")
into = Path(sys.argv[2])
into.mkdir(parents=True)
(into / "FunctionApp.zip").write_text("app")
(into / "AuthorizerFunction.zip").write_text("for one processor")
"""
RELEASING = """\
import sys
from pathlib import Path
into = Path(sys.argv[2])
into.mkdir(parents=True)
(into / "FunctionApp.zip").write_text("app")
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of version 1.1.0, which the program runs in."""
    root = tmp_path / "checkout"
    files = {
        **{lock: "library==1\n" for lock in RUNTIME_LOCKS.values() if lock},
        **{f"{package}/__init__.py": "" for package in ("aws_authorizer", "aws_backend", "shared")},
        "bundling/__init__.py": "",
        "bundling/__main__.py": BUNDLING,
        "releasing/__init__.py": "",
        "releasing/__main__.py": RELEASING,
        ".gitignore": "/.tools/\n/.cache/\n/.release-*/\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    repository(root, CHANGELOG, PROJECT)
    tools = {
        "uv/bin/uv": UV,
        "delivery-checks/bin/cyclonedx-py": CYCLONEDX,
        "delivery-checks/bin/pip-licenses": PIP_LICENSES,
    }
    for name, text in tools.items():
        tool = root / ".tools" / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(text)
        tool.chmod(0o755)
    monkeypatch.chdir(root)
    return root


def run(*arguments: str) -> None:
    """The program, with the checkout's installer where it takes one."""
    main([*arguments, *([] if arguments[0] == "version" else ["--uv", ".tools/uv/bin/uv"])])


def names(folder: Path) -> set[str]:
    """What a folder holds."""
    return {file.name for file in folder.iterdir()}


BILLS = {f"{deployable}.cdx.json" for deployable in RUNTIME_LOCKS}


@pytest.mark.usefixtures("checkout")
def test_when_a_version_is_made_then_the_next_commands_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the tag."""
    run("version", "1.2.0", "--date", "2026-11-22")

    assert "git tag v1.2.0 && git push origin v1.2.0" in capsys.readouterr().out


def test_when_no_day_is_given_then_it_is_today(checkout: Path) -> None:
    """In the changelog's form."""
    run("version", "1.2.0")

    assert re.search(
        r"^## \[1\.2\.0\] - 20\d\d-\d\d-\d\d$",
        (checkout / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )


@pytest.mark.usefixtures("checkout")
def test_when_something_is_wrong_then_one_sentence_and_its_code_are_told() -> None:
    """And the exit status says so too."""
    with pytest.raises(SystemExit, match=r"later version\. \(version_not_later\)"):
        run("version", "1.0.0")


def test_when_a_release_is_made_then_everything_is_in_its_folder(checkout: Path) -> None:
    """And nothing is left beside it."""
    run("release", "dist", "--tag", "v1.1.0")

    assert BILLS | {
        "CHANGES.md",
        "FunctionApp.zip",
        "SHA256SUMS",
        "THIRD-PARTY-LICENSES.txt",
    } == names(checkout / "dist")
    assert "- Another.\n" == (checkout / "dist" / "CHANGES.md").read_text()
    assert not list(checkout.glob(".release-*"))


def test_when_no_tag_is_given_then_the_release_has_no_changes(checkout: Path) -> None:
    """It is one for looking at."""
    run("release", "dist")

    assert "CHANGES.md" not in names(checkout / "dist")


def test_when_the_tag_is_not_the_checkouts_then_nothing_is_built(checkout: Path) -> None:
    """Found before anything takes long."""
    with pytest.raises(SystemExit, match="tag_mismatched"):
        run("release", "dist", "--tag", "v1.2.0")

    assert not (checkout / "dist").exists()


def test_when_artifacts_are_built_then_each_processor_has_its_own(checkout: Path) -> None:
    """What bundling builds for one processor only is not taken a second time."""
    run("build", "built")

    assert "FunctionApp.zip" in names(checkout / "built")
    assert {"AuthorizerFunction-arm64.zip", "AuthorizerFunction-x86_64.zip"} < names(
        checkout / "built"
    )
    assert "AuthorizerFunction.zip" not in names(checkout / "built")


@pytest.mark.usefixtures("checkout")
def test_when_bundling_fails_then_its_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing passes for a release."""
    monkeypatch.setenv("BROKEN_BUNDLING", "1")

    with pytest.raises(SystemExit, match="no bundles today"):
        run("build", "built")


def test_when_a_release_is_verified_then_the_sources_must_be_its_own(checkout: Path) -> None:
    """One package less is another release."""
    run("build", "release")
    write_checksums(checkout / "release")
    run("verify", "release")
    sums = checkout / "release" / "SHA256SUMS"
    sums.write_text(sums.read_text().partition("\n")[2])

    with pytest.raises(SystemExit, match="release_differs"):
        run("verify", "release")


def test_when_the_bills_are_written_then_the_deployable_stands_at_the_root(checkout: Path) -> None:
    """It needs what nothing else on the list needs."""
    run("sbom", "dist")
    bill = json.loads((checkout / "dist" / "FunctionApp.cdx.json").read_text())

    assert names(checkout / "dist") == BILLS
    assert {"ref": "FunctionApp@1.1.0", "dependsOn": ["a==1"]} in bill["dependencies"]


def test_when_a_deployable_has_no_lock_then_its_bill_is_empty(checkout: Path) -> None:
    """It has the standard library only."""
    run("sbom", "dist")

    assert (
        [] == json.loads((checkout / "dist" / "HealthFunction.cdx.json").read_text())["components"]
    )


def test_when_the_licenses_are_written_then_each_stands_there_once(checkout: Path) -> None:
    """Three locks have it."""
    run("licenses", "dist")

    assert 1 == (checkout / "dist" / "THIRD-PARTY-LICENSES.txt").read_text().count("a-b 1\n")


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("task", "code"), [("sbom", "sbom_failed"), ("licenses", "licenses_failed")]
)
def test_when_a_tool_fails_then_nothing_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, task: str, code: str
) -> None:
    """Its words stand in the message."""
    monkeypatch.setenv("BROKEN_TOOLS", "1")

    with pytest.raises(SystemExit, match=rf"broken \({code}\)"):
        run(task, "dist")
