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
