"""local.settings.json, and how it meets the environment."""

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.settings import (
    apply_settings,
    load_local_settings,
    resolve_indirection,
)


def write(folder: Path, document: Any) -> Path:
    """The document as a settings file."""
    path = folder / "local.settings.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_when_the_file_is_plain_then_its_values_are_read(tmp_path: Path) -> None:
    """Nulls are left out, as by Core Tools."""
    path = write(tmp_path, {"IsEncrypted": False, "Values": {"A": "1", "B": "", "C": None}})

    assert {"A": "1", "B": ""} == load_local_settings(path)


def test_when_the_file_starts_with_a_byte_order_mark_then_it_is_read(tmp_path: Path) -> None:
    """Windows editors write one."""
    path = write(tmp_path, '\ufeff{"IsEncrypted": false, "Values": {"A": "1"}}')

    assert {"A": "1"} == load_local_settings(path)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"IsEncrypted": True, "Values": {}}, "marked as encrypted"),
        ({"Values": {}}, "marked as encrypted"),
        ({"IsEncrypted": "false", "Values": {}}, "marked as encrypted"),
        ({"IsEncrypted": False, "Values": {"A": {"B": "C"}}}, "Values.A must be a string"),
        ({"IsEncrypted": False, "Values": {"A": True}}, "Values.A must be a string"),
        ({"IsEncrypted": False, "Values": []}, "Values must be an object"),
        ([], "must hold a JSON object"),
        ("{", "not valid JSON"),
    ],
)
def test_when_the_file_is_wrong_then_the_message_says_what_to_change(
    tmp_path: Path, document: Any, reason: str
) -> None:
    """Core Tools would not take it either, or would take it for something else."""
    with pytest.raises(FunctionsHostError, match=reason):
        load_local_settings(write(tmp_path, document))


def test_when_the_file_is_missing_then_the_message_names_the_example(tmp_path: Path) -> None:
    """The first start on a laptop."""
    with pytest.raises(FunctionsHostError, match=r"copy local\.settings\.json\.example"):
        load_local_settings(tmp_path / "local.settings.json")


PYTHON = {"FUNCTIONS_WORKER_RUNTIME": "python"}


def test_when_the_environment_has_a_value_then_it_wins(tmp_path: Path) -> None:
    """An empty variable counts as none."""
    environment = PYTHON | {"A": "environment", "B": ""}

    skipped = apply_settings({"A": "file", "B": "file", "C": "file"}, 7071, tmp_path, environment)

    assert ["A"] == skipped
    assert ("environment", "file", "file") == tuple(environment[name] for name in "ABC")


def test_when_the_host_starts_then_the_app_can_see_where_it_runs(tmp_path: Path) -> None:
    """The variables that Core Tools set, over whatever the shell says."""
    environment = PYTHON | {"AZURE_FUNCTIONS_ENVIRONMENT": "Production"}

    apply_settings({}, 7071, tmp_path, environment)

    assert "Development" == environment["AZURE_FUNCTIONS_ENVIRONMENT"]
    assert "localhost:7071" == environment["WEBSITE_HOSTNAME"]
    assert str(tmp_path) == environment["AzureWebJobsScriptRoot"]


@pytest.mark.parametrize(("runtime", "shown"), [("", "not set"), ("node", "node")])
def test_when_the_worker_runtime_is_not_python_then_nothing_starts(
    tmp_path: Path, runtime: str, shown: str
) -> None:
    """The real host cannot tell which worker to start either."""
    with pytest.raises(FunctionsHostError, match=f"FUNCTIONS_WORKER_RUNTIME is {shown}"):
        apply_settings({}, 7071, tmp_path, {"FUNCTIONS_WORKER_RUNTIME": runtime})


def test_when_a_text_names_settings_then_their_values_take_their_place() -> None:
    """The schedule of a timer is written as %NAME%."""
    assert "0 0 * * * *" == resolve_indirection("%S%", {"S": "0 0 * * * *"})
    assert "0 15 * * * *" == resolve_indirection("0 %MINUTE% * * * *", {"MINUTE": "15"})
    assert "0 0 * * * *" == resolve_indirection("0 0 * * * *", {})


def test_when_a_named_setting_is_missing_then_the_message_names_it() -> None:
    """The host must not guess a schedule."""
    with pytest.raises(ValueError, match="the app setting S is not set"):
        resolve_indirection("%S%", {"S": ""})
