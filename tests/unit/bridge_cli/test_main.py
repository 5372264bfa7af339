"""The command line: wrong usage and help. What the commands do is in the integration tests."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge_cli.main import app
from emulator.tenant import LocalCredentialKind

AT_80_COLUMNS = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("up --schedule never", "--schedule"),
        ("up --schedule '* * * * *'", "--schedule"),
        ("up --schedule '0 0 0 30 2 *'", "--schedule"),
        ("up --record-store paper", "--record-store"),
        ("demo --credential password", "--credential"),
        ("demo --functions-host docker", "--functions-host"),
        ("demo --aws-port 65536", "--aws-port"),
        ("demo --entra-port -1", "--entra-port"),
        ("demo --functions-port many", "--functions-port"),
        ("up --console-port 65536", "--console-port"),
        ("up --console-port many", "--console-port"),
        ("demo --no-such-option", "--no-such-option"),
        ("demo extra", "extra"),
        ("no-such-command", "no-such-command"),
        ("sync --full --reset", "--full, --reset and --from"),
        ("sync --full --from x", "--full, --reset and --from"),
        ("sync --accept-deletions --reset", "--accept-deletions"),
        ("sync --accept-deletions --dry-run", "--accept-deletions"),
        ("sync poison drop", "--all"),
        ("sync poison drop key --all", "--all"),
        ("sync poison drop key --reason x", "--reason"),
        ("sync poison list --limit 0", "--limit"),
        ("sync --full status", "--full is before"),
        ("sync --json status", "--json is before"),
        ("sync no-such-command", "no-such-command"),
        ("import records.jsonl", "--table"),
        ("import records.txt --table t", "--format"),
        ("import records.txt --table t --format xml", "--format"),
    ],
)
def test_when_the_usage_is_wrong_then_one_sentence_names_the_option(
    arguments: str, named: str
) -> None:
    """Exit code 2, before anything is started."""
    result = CliRunner().invoke(app, arguments, env=AT_80_COLUMNS)
    (box,) = re.findall(r"─ Error ─.*?╮(.*)╰", result.stderr, re.DOTALL)

    assert 2 == result.exit_code
    assert named in box
    assert 1 == len(re.findall("Invalid value|No such|unexpected", box))


JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtYXJrZWQifQ.bWFya2Vk"
COMMANDS = sorted(str(command.name) for command in app.registered_commands if command.name)


@pytest.mark.parametrize(
    "arguments",
    [
        [JWT],
        [f"--{JWT}"],
        ["sync", JWT],
        ["sync", "--settings", JWT],
        ["sync", "poison", JWT],
        ["doctor", "--settings", JWT],
        ["doctor", "--url", f"https://app?code={JWT}"],
        ["trace", "id", JWT],
        ["trace", f"Authorization: Bearer {JWT}"],
        *([command, JWT] for command in COMMANDS),
    ],
    ids=str,
)
def test_when_a_token_stands_on_the_command_line_then_no_command_repeats_it(
    arguments: list[str],
) -> None:
    """Neither as a command that there is not, nor as an argument too many, or a file."""
    result = CliRunner().invoke(app, arguments, env=AT_80_COLUMNS | {"COLUMNS": "400"})

    assert 2 == result.exit_code
    assert "token_on_command_line" in result.stderr
    assert not [part for part in JWT.split(".") if part in result.stdout + result.stderr]


@pytest.mark.parametrize("command", ["demo", "up"])
def test_when_help_is_asked_for_at_80_columns_then_what_can_be_chosen_is_whole(
    command: str,
) -> None:
    """A value that is broken in two cannot be copied."""
    text = CliRunner().invoke(app, [command, "--help"], env=AT_80_COLUMNS).stdout

    assert max(map(len, text.splitlines())) <= 80
    for choice in (*LocalCredentialKind, "core-tools", "emulated", "auto"):
        assert re.search(rf"(?<![\w-]){choice}(?![\w-])", text), choice


@pytest.mark.parametrize("command", ["sync", "sync status", "import"])
def test_when_help_is_asked_for_at_80_columns_then_it_fits_and_says_how_it_ends(
    command: str,
) -> None:
    """A script has to know the exit codes."""
    text = CliRunner().invoke(app, [*command.split(), "--help"], env=AT_80_COLUMNS).stdout

    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"Exits\s+with 0", text)


def test_when_the_settings_are_missing_then_each_is_named_and_where_to_put_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anything is called; with --json as the one object on standard output."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_API_BASE_URL", "ENTRA_TENANT_ID", "API_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)

    result = CliRunner().invoke(app, ["sync"], env=AT_80_COLUMNS)
    as_json = CliRunner().invoke(app, ["sync", "status", "--json"], env=AT_80_COLUMNS)

    assert (1, 1) == (result.exit_code, as_json.exit_code)
    for named in ("AWS_API_BASE_URL", "ENTRA_TENANT_ID", "--settings FILE"):
        assert named in result.stderr
    assert ("", "settings_invalid") == (
        as_json.stderr,
        json.loads(as_json.stdout)["error_code"],
    )
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "is missing"), ("{", "not valid JSON"), ("{}", "encrypted"), ("[]", "JSON object")],
)
def test_when_the_settings_file_is_unusable_then_the_message_says_how(
    tmp_path: Path, content: str | None, named: str
) -> None:
    """And nothing is called."""
    file = tmp_path / "app.json"
    if content is not None:
        file.write_text(content, "utf-8")

    result = CliRunner().invoke(app, ["sync", "--settings", str(file)], env=AT_80_COLUMNS)

    assert 1 == result.exit_code
    assert named in result.stderr


def test_when_records_are_wrong_then_all_are_named_and_the_exit_code_is_one(
    tmp_path: Path,
) -> None:
    """With --check nothing in AWS is called, which a unit test could not do."""
    file = tmp_path / "mine.jsonl"
    file.write_text('{"id": "a", "data": {}}\n{"id": "", "data": {}}\nnope\n', "utf-8")
    arguments = ["import", str(file), "--table", "t", "--check"]

    result = CliRunner().invoke(app, arguments, env=AT_80_COLUMNS)
    as_json = CliRunner().invoke(app, [*arguments, "--json"], env=AT_80_COLUMNS)

    assert (1, 1) == (result.exit_code, as_json.exit_code)
    assert "line 2: A record ID is" in result.stderr
    assert "line 3: no JSON" in result.stderr
    assert [2, 3] == [problem["line"] for problem in json.loads(as_json.stdout)["problems"]]
