"""The command line: wrong usage and help. What the commands do is in the integration tests."""

import re

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
        ("demo --no-such-option", "--no-such-option"),
        ("demo extra", "extra"),
        ("no-such-command", "no-such-command"),
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


@pytest.mark.parametrize("command", ["demo", "up"])
def test_when_help_is_asked_for_at_80_columns_then_what_can_be_chosen_is_whole(
    command: str,
) -> None:
    """A value that is broken in two cannot be copied."""
    text = CliRunner().invoke(app, [command, "--help"], env=AT_80_COLUMNS).stdout

    assert max(map(len, text.splitlines())) <= 80
    for choice in (*LocalCredentialKind, "core-tools", "emulated", "auto"):
        assert re.search(rf"(?<![\w-]){choice}(?![\w-])", text), choice
