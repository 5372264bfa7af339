"""The report as a person reads it."""

import io
from typing import Any

import pytest
from rich.console import Console

from bridge_cli.diagnosing.doctor_view import plain_lines, print_report, verdict_sentence

LONG_ID = "5e6f0000-0000-4000-8000-000000000001"
FAILED = {
    "check": "token",
    "status": "failed",
    "found": "no such tenant",
    "cause": "tenant_unknown",
    "fix": {
        "sentence": "Set ENTRA_TENANT_ID.",
        "where": "function_app",
        "setting": "ENTRA_TENANT_ID",
        "value": LONG_ID,
        "value_from": None,
    },
}
PASSED = {"check": "store", "status": "passed", "found": "written", "cause": None, "fix": None}
OPEN = PASSED | {"check": "api_call", "status": "not_checked", "found": "needs token"}
WARNED = FAILED | {"check": "clock", "status": "warned", "cause": "machine_clock_off"}


def report(*checks: object) -> dict[str, Any]:
    """A report with these checks."""
    return {"verdict": "ill", "seconds": 1.0, "checks": list(checks)}


def on_screen(members: dict[str, Any], width: int, *, is_terminal: bool = True) -> str:
    """What is printed."""
    screen = io.StringIO()
    print_report(members, Console(file=screen, force_terminal=is_terminal, width=width))
    return screen.getvalue()


@pytest.mark.parametrize(
    ("checks", "sentence"),
    [
        ([PASSED], "All is well: 1 checks in 1.0 s."),
        ([PASSED, WARNED], "All is well: 2 checks in 1.0 s; look at clock."),
        ([PASSED, OPEN, WARNED], "Nothing is wrong, and not checked: api_call."),
        (
            [FAILED, OPEN, WARNED],
            ("Something is wrong: token: tenant_unknown: no such tenant. Set ENTRA_TENANT_ID."),
        ),
        (
            [FAILED, FAILED | {"check": "store"}],
            (
                "Something is wrong: token: tenant_unknown: no such tenant. Set ENTRA_TENANT_ID."
                " Then look at store."
            ),
        ),
    ],
)
def test_when_a_report_is_shown_then_one_sentence_says_it_all(
    checks: list[dict[str, Any]], sentence: str
) -> None:
    """What is wrong, and what to change, before anything else."""
    assert sentence == verdict_sentence(report(*checks))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_when_a_value_is_to_be_set_then_it_can_be_copied(width: int) -> None:
    """However narrow the terminal, its line is not broken."""
    assert f"Function App: ENTRA_TENANT_ID={LONG_ID}\n" in on_screen(report(FAILED, PASSED), width)


def test_when_the_output_is_no_terminal_then_each_check_is_one_plain_line() -> None:
    """For a log or a pipe: no table, no color."""
    lines = on_screen(report(FAILED, OPEN), 40, is_terminal=False).splitlines()

    assert 3 == len(lines)
    assert (
        "failed: token: tenant_unknown: no such tenant -> Set ENTRA_TENANT_ID."
        f" Function App: ENTRA_TENANT_ID={LONG_ID}"
    ) == lines[1]
    assert "not_checked: api_call: needs token" == lines[2]


def test_when_a_value_is_not_known_then_where_to_read_it_is_said() -> None:
    """With the setting, where there is one."""
    fix = FAILED["fix"] | {"value": None, "value_from": "the portal"}  # type: ignore[operator]  # it is a mapping
    bare = fix | {"setting": None}
    nothing = bare | {"value_from": None}

    lines = plain_lines(report(*(FAILED | {"fix": each} for each in (fix, bare, nothing))))

    assert lines[0].endswith("Function App: ENTRA_TENANT_ID from the portal")
    assert lines[1].endswith("Function App: the portal")
    assert lines[2].endswith("Set ENTRA_TENANT_ID.")


@pytest.mark.parametrize(
    "odd",
    [
        {"verdict": "ill", "checks": "none"},
        {"verdict": "ill"},
        report("text", 7),
        report({}),
        report({"status": 7, "found": [], "fix": "x"}),
        report(FAILED | {"found": "\x1b[31m[bold]red[/]", "fix": {"sentence": "a\nb"}}),
    ],
)
def test_when_another_app_answers_oddly_then_nothing_steers_the_terminal(
    odd: dict[str, Any],
) -> None:
    """What a deployed app says is somebody else's text."""
    shown = on_screen(odd, 80) + on_screen(odd, 80, is_terminal=False)

    assert "\x1b[31m[" not in shown
