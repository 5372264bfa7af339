"""The authorizer's reason for the doctor's own call, from its log."""

import json
from pathlib import Path

import pytest

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.report import CallMark, Check, CheckName, Fix, Place, Report, Status
from bridge_cli.diagnosing.decisions import (
    Decision,
    LogUnreadableError,
    decision_of,
    decisions_in,
    needs_the_log,
    read_file,
    with_decision,
)
from shared.reasons import Reason

CALL = CallMark(1_000.0, 1_001.0, "gateway-id", "a" * 32)
REJECTED = Check.failed(
    CheckName.API_CALL, "HTTP 401", Cause.TOKEN_REJECTED, Fix("Look.", Place.AWS_OPERATIONS)
)


def line(reason: str, at: float = 1_000.5, **members: object) -> str:
    """A line as the authorizer writes it."""
    written = {"_aws": {"Timestamp": int(at * 1_000)}, "event": "decision", "reason": reason}
    return json.dumps(written | members)


def found(*lines: str) -> Reason | None:
    """What the lines say of the call."""
    decision = decision_of(CALL, decisions_in(lines))
    return None if decision is None else decision.reason


def test_when_a_decision_is_of_the_calls_time_then_it_is_the_calls() -> None:
    """Both sides of the boundary: the clocks may be two seconds apart."""
    assert Reason.UNKNOWN_KEY is found(line("unknown_key"))
    assert Reason.UNKNOWN_KEY is found(line("unknown_key", 998.0))
    assert Reason.UNKNOWN_KEY is found(line("unknown_key", 1_003.0))
    assert None is found(line("unknown_key", 997.9))
    assert None is found(line("unknown_key", 1_003.1))


def test_when_others_were_refused_at_that_time_then_only_a_trace_tells() -> None:
    """A wrong reason would be worse than none."""
    others = [line("expired"), line("allowed"), line("unknown_key")]

    assert None is found(*others)
    assert Reason.EXPIRED is found(others[0], others[1])
    assert Reason.BAD_SIGNATURE is found(*others, line("bad_signature", trace_id="a" * 32))
    assert Reason.BAD_SIGNATURE is found(line("bad_signature", 5.0, trace_id="a" * 32))


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "START RequestId: 1",
        "[" * 100_000,
        "[]",
        '{"event": "request"}',
        '{"event": "decision"}',
        line("no such reason"),
        line("expired", _aws=1),
        line("expired", _aws={"Timestamp": "x"}),
        line("expired", _aws={"Timestamp": 10**400}),
        '{"event": "decision", "reason": [], "time": 1000500}',
    ],
)
def test_when_a_line_is_no_decision_then_it_is_left_out(odd: str) -> None:
    """Everything stands in a Lambda's log."""
    assert Reason.UNKNOWN_KEY is found(odd, line("unknown_key"))


def test_when_a_line_has_a_time_of_its_own_then_that_counts() -> None:
    """In milliseconds since 1970."""
    assert Reason.EXPIRED is found('{"event": "decision", "reason": "expired", "time": 1000500}')


def test_when_the_log_is_long_then_its_end_is_read(tmp_path: Path) -> None:
    """A megabyte, whatever stands before; a half line is left out."""
    log = tmp_path / "lambda.log"
    log.write_text("x" * (2 << 20) + "\n" + line("expired") + "\n" + line("unk")[:-4])

    assert [Reason.EXPIRED] == [decision.reason for decision in read_file(log)]


def test_when_there_is_no_log_then_the_option_is_named(tmp_path: Path) -> None:
    """So that the right file can be given."""
    with pytest.raises(LogUnreadableError, match="--authorizer-log"):
        read_file(tmp_path / "none")


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ALLOWED])
def test_when_the_log_has_the_reason_then_the_report_has_it_too(reason: Reason) -> None:
    """In the same word, with the reason's own sentence; settings are told apart by their owner."""
    report = Report("1", "laptop", 1.0, (REJECTED,), CALL)

    check = with_decision(report, Decision(reason, 1_000.5, None)).check(CheckName.API_CALL)

    own = "authorizer_settings_invalid" if reason is Reason.SETTINGS_INVALID else reason.value
    assert (Status.FAILED, own) == (check.status, str(check.cause))
    assert check.fix is not None
    assert reason.what_to_change == check.fix.sentence


def test_when_the_log_does_not_tell_then_the_report_says_so() -> None:
    """And keeps its own cause."""
    report = Report("1", "laptop", 1.0, (REJECTED,), CALL)

    check = with_decision(report, None).check(CheckName.API_CALL)

    assert "no one decision" in check.found
    assert check.cause is Cause.TOKEN_REJECTED


def test_when_the_call_explains_itself_then_no_log_is_read() -> None:
    """Nor where there was no call."""
    well = Check.passed(CheckName.API_CALL, "HTTP 200")

    assert needs_the_log(Report("1", "laptop", 1.0, (REJECTED,), CALL))
    assert not needs_the_log(Report("1", "laptop", 1.0, (REJECTED,), None))
    assert not needs_the_log(Report("1", "laptop", 1.0, (well,), CALL))


def settings_line(*problems: object, **members: object) -> str:
    """A line as the authorizer writes it in place of a decision."""
    written = {"time": 1_000_500, "event": "settings_invalid", "reason": "settings_invalid"}
    return json.dumps(written | {"problems": list(problems)} | members)


def told_by(*lines: str) -> Check:
    """The check of the call, with what these lines say of it."""
    report = Report("1", "laptop", 1.0, (REJECTED,), CALL)
    return with_decision(report, decision_of(CALL, decisions_in(lines))).check(CheckName.API_CALL)


@pytest.mark.parametrize(
    ("setting", "parameter", "value"),
    [
        ("KEY_SET_FILE", "KeySetFile", ""),
        ("KEY_SET_FILE_MAX_AGE_SECONDS", "KeySetFileMaxAgeSeconds", ""),
        ("ENTRA_TENANT_ID", "EntraTenantId", None),
    ],
)
def test_when_the_authorizers_settings_are_invalid_then_the_stacks_parameter_is_named(
    setting: str, parameter: str, value: str | None
) -> None:
    """What may be empty can be made so; every other value is only known to who deploys."""
    check = told_by(settings_line(f"{setting}: names no file that made-up"))

    assert check.cause is Cause.AUTHORIZER_SETTINGS_INVALID
    assert check.fix is not None
    assert (Place.AWS_STACK, parameter, value) == (
        check.fix.where,
        check.fix.setting,
        check.fix.value,
    )
    assert setting in check.found
    assert "made-up" not in f"{check}"


@pytest.mark.parametrize(
    "problems", [(), ("odd",), (7,), ("[bold]\x1b: is",), ("ENTRA_AUTHORITY: x",)]
)
def test_when_a_problem_names_no_setting_of_the_stack_then_none_is_shown(
    problems: tuple[object, ...],
) -> None:
    """Whatever the line says is not repeated."""
    check = told_by(settings_line(*problems))

    assert check.cause is Cause.AUTHORIZER_SETTINGS_INVALID
    assert check.fix is not None
    assert (Place.AWS_OPERATIONS, None) == (check.fix.where, check.fix.setting)
    assert check.found.endswith("settings_invalid")


def test_when_the_problems_are_no_list_then_the_line_counts_all_the_same() -> None:
    """The reason stands beside them."""
    assert Reason.SETTINGS_INVALID is found(settings_line(problems=7))
