"""The program behind `make build` and `sam build`."""

from pathlib import Path

import pytest

from bundling import __main__ as program
from bundling.bundles import Recipe
from bundling.function_app import AZURE_PLATFORM, FunctionAppBuilder

HEALTH = {"HealthFunction": Recipe("aws_backend", None)}


def build_nothing(builder: FunctionAppBuilder, _platform: str | None = None) -> Path:
    """An empty file in place of the package, which takes seconds and an index of packages."""
    builder.cache.mkdir(parents=True, exist_ok=True)
    empty = builder.cache / "empty.zip"
    empty.touch()
    return empty


def test_when_one_function_is_named_then_its_files_lie_in_the_folder(tmp_path: Path) -> None:
    """In that form `sam build` takes a function; AWS's own runtime starts it."""
    program.main(["HealthFunction", str(tmp_path / "artifacts")])

    assert {"aws_backend", "shared"} == {each.name for each in (tmp_path / "artifacts").iterdir()}
    assert (tmp_path / "artifacts" / "aws_backend" / "handlers" / "health.py").is_file()


def test_when_all_are_named_then_each_deployable_has_a_zip_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make build` prints where each one is."""
    monkeypatch.setattr(program, "RECIPES", HEALTH)
    monkeypatch.setattr(FunctionAppBuilder, "build_zip", build_nothing)

    program.main(["all", str(tmp_path)])

    printed = capsys.readouterr().out
    for name in ("HealthFunction.zip", "FunctionApp.zip"):
        assert (tmp_path / name).is_file()
        assert str(tmp_path / name) in printed


def test_when_a_zip_file_is_built_anew_then_whoever_reads_the_old_one_reads_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of us may deploy from one folder, and publish while the other builds."""
    monkeypatch.setattr(program, "RECIPES", HEALTH)
    monkeypatch.setattr(FunctionAppBuilder, "build_zip", build_nothing)
    old = tmp_path / "FunctionApp.zip"
    old.write_bytes(b"the old package")

    with old.open("rb") as reading:
        program.main(["all", str(tmp_path)])
        read = reading.read()

    assert b"the old package" == read
    assert {"FunctionApp.zip", "HealthFunction.zip"} == {each.name for each in tmp_path.iterdir()}


def test_when_the_function_app_is_named_then_its_files_lie_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that form it can be looked at, and be started on a laptop."""
    filled: list[tuple[Path, str | None]] = []
    monkeypatch.setattr(FunctionAppBuilder, "fill", lambda _, *given: filled.append(given))

    program.main(["FunctionApp", str(tmp_path / "app")])

    assert [(tmp_path / "app", AZURE_PLATFORM)] == filled


def test_when_only_a_zip_is_asked_for_then_nothing_else_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment needs the Function App's; `sam build` makes the functions' bundles by itself."""
    monkeypatch.setattr(FunctionAppBuilder, "build_zip", build_nothing)

    program.main(["FunctionApp", str(tmp_path), "--zip"])
    program.main(["HealthFunction", str(tmp_path), "--zip"])

    assert {"FunctionApp.zip", "HealthFunction.zip"} == {each.name for each in tmp_path.iterdir()}


@pytest.mark.parametrize("form", [[], ["--zip"]])
def test_when_it_is_for_this_machine_then_it_is_built_for_what_runs_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: list[str]
) -> None:
    """On a laptop of another kind Azure's wheels could not be loaded."""
    built: list[str | None] = []

    def build(builder: FunctionAppBuilder, platform: str | None) -> Path:
        built.append(platform)
        return build_nothing(builder)

    monkeypatch.setattr(program, "choose_local_platform", lambda: None)
    monkeypatch.setattr(FunctionAppBuilder, "build_zip", build)
    monkeypatch.setattr(FunctionAppBuilder, "fill", lambda builder, _, to: build(builder, to))

    program.main(["FunctionApp", str(tmp_path), *form, "--local"])
    program.main(["FunctionApp", str(tmp_path), *form])

    assert [None, AZURE_PLATFORM] == built


def test_when_a_lambda_is_to_be_built_for_this_machine_then_the_usage_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be taken for one that AWS can run."""
    with pytest.raises(SystemExit, match="2"):
        program.main(["all", str(tmp_path), "--local"])

    assert "--local is for FunctionApp" in capsys.readouterr().err


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
