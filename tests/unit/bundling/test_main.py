"""The program behind `make build` and `sam build`."""

from pathlib import Path

import pytest

from bundling import __main__ as program
from bundling.bundles import Recipe

HEALTH = {"HealthFunction": Recipe("aws_backend", None)}


def test_when_one_function_is_named_then_its_files_lie_in_the_folder(tmp_path: Path) -> None:
    """In that form `sam build` takes a function; AWS's own runtime starts it."""
    program.main(["HealthFunction", str(tmp_path / "artifacts")])

    assert {"aws_backend", "shared"} == {each.name for each in (tmp_path / "artifacts").iterdir()}
    assert (tmp_path / "artifacts" / "aws_backend" / "handlers" / "health.py").is_file()


def test_when_all_are_named_then_each_function_has_a_zip_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make build` prints where each one is."""
    monkeypatch.setattr(program, "RECIPES", HEALTH)

    program.main(["all", str(tmp_path)])

    assert (tmp_path / "HealthFunction.zip").is_file()
    assert str(tmp_path / "HealthFunction.zip") in capsys.readouterr().out


def test_when_there_is_no_installer_then_the_program_ends_with_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message, not a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(program, "__file__", str(tmp_path / "bundling" / "__main__.py"))

    with pytest.raises(SystemExit, match="run: make install"):
        program.main(["all", str(tmp_path)])


def test_when_what_was_built_is_for_another_processor_then_the_program_ends_with_the_reason(
    tmp_path: Path,
) -> None:
    """It is run before `sam deploy`, which would take it."""
    (tmp_path / "a.so").write_bytes(b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little"))

    with pytest.raises(SystemExit, match=r"a.so is not for arm64"):
        program.main(["check", str(tmp_path)])
    program.main(["check", str(tmp_path), "--architecture", "x86_64"])


def test_when_nothing_was_built_then_the_check_does_not_pass(tmp_path: Path) -> None:
    """A mistyped folder has no wrong library either."""
    with pytest.raises(SystemExit, match=r"holds no bundle; run: ARCHITECTURE=arm64 sam build"):
        program.main(["check", str(tmp_path / "none")])
