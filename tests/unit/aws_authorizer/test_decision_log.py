"""Log lines that are metrics."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_authorizer.decision_log import NAMESPACE, DecisionLog, write_settings_problem
from aws_authorizer.key_set import FetchResult
from shared.principal import Principal
from shared.reasons import Reason
from tests.support.fake_clock import FakeClock

CALLER = Principal("object", "tenant", "client", frozenset({"b", "a"}), "token-id")


def log(lines: list[str], age: float | None = 12.4) -> DecisionLog:
    """A log that writes into a list."""
    return DecisionLog(lines.append, FakeClock(now=1_700_000_000.5), lambda: age, lambda: "trace-1")


def read(lines: list[str]) -> dict[str, object]:
    """The one line that was written."""
    (line,) = lines
    assert line.endswith("}\n")
    assert 1 == line.count("\n")
    members = json.loads(line)
    assert isinstance(members, dict)
    return members


def check_metrics(members: dict[str, object]) -> list[str]:
    """The metrics' names, once their description agrees with CloudWatch's embedded format."""
    metadata = members["_aws"]
    assert isinstance(metadata, dict)
    assert 1_700_000_000_500 == metadata["Timestamp"]
    (directive,) = metadata["CloudWatchMetrics"]
    assert NAMESPACE == directive["Namespace"]
    for dimension in directive["Dimensions"][0]:
        assert isinstance(members[dimension], str)
    names = [metric["Name"] for metric in directive["Metrics"]]
    for name in names:
        assert isinstance(members[name], int | float)
    return names


def test_when_a_caller_is_allowed_then_the_line_says_who_it_was() -> None:
    """Reason, caller, key-set age, and the metrics that count them."""
    lines: list[str] = []
    log(lines).write_decision("allowed", Reason.ALLOWED, "request-1", principal=CALLER)
    members = read(lines)

    assert ["Decisions", "KeySetAgeSeconds"] == check_metrics(members)
    del members["_aws"]
    assert {
        "event": "decision",
        "outcome": "allowed",
        "reason": "allowed",
        "Decisions": 1,
        "KeySetAgeSeconds": 12,
        "time": 1_700_000_000_500,
        "trace_id": "trace-1",
        "request_id": "request-1",
        "object_id": "object",
        "tenant_id": "tenant",
        "client_id": "client",
        "roles": "a b",
        "token_id": "token-id",
    } == members


def test_when_a_token_is_rejected_then_the_line_says_why_and_what_to_change() -> None:
    """And nothing about a caller, who is not proven."""
    lines: list[str] = []
    log(lines, None).write_decision("rejected", Reason.EXPIRED, "request-1")
    members = read(lines)

    assert ["Decisions"] == check_metrics(members)
    assert Reason.EXPIRED.what_to_change == members["what_to_change"]
    assert "object_id" not in members
    assert "KeySetAgeSeconds" not in members


def test_when_there_is_a_detail_then_the_line_holds_it() -> None:
    """For what is undecided."""
    lines: list[str] = []
    log(lines).write_decision("undecided", Reason.INTERNAL_ERROR, "", detail="KeyError in f:1")

    assert "KeyError in f:1" == read(lines)["detail"]


def test_when_a_value_holds_line_feeds_then_the_line_is_still_one() -> None:
    """Nobody can write a second line."""
    lines: list[str] = []
    log(lines).write_decision("rejected", Reason.EXPIRED, 'x"}\n{"event":"forged"}')

    assert 'x"}\n{"event":"forged"}' == read(lines)["request_id"]


@given(
    st.text(),
    st.text(min_size=1),
    st.builds(Principal, *[st.text()] * 3, st.just(frozenset()), st.text()),
)
def test_when_values_are_any_text_then_they_come_back_unchanged(
    request_id: str, detail: str, principal: Principal
) -> None:
    """No value can end its own string, and so add a member or a line to the log."""
    lines: list[str] = []
    log(lines).write_decision(
        "denied", Reason.MISSING_ROLE, request_id, principal=principal, detail=detail
    )
    members = read(lines)

    assert 16 == len(members)
    assert (request_id, detail) == (members["request_id"], members["detail"])
    assert principal.to_context().items() <= members.items()


@pytest.mark.parametrize("result", ["ok", "timed_out"])
def test_when_a_key_set_is_fetched_then_the_line_counts_it(result: str) -> None:
    """By result, with the seconds it took."""
    lines: list[str] = []
    log(lines).write_fetch(FetchResult(result, 0.12345))
    members = read(lines)

    assert ["KeySetFetches", "KeySetFetchSeconds"] == check_metrics(members)
    assert "trace-1" == members["trace_id"]
    assert (result, 1, 0.123) == (
        members["result"],
        members["KeySetFetches"],
        members["KeySetFetchSeconds"],
    )


def test_when_a_key_set_contradicts_itself_then_the_line_names_the_ids() -> None:
    """They are public, and whoever reads the line has to ask the issuer about them."""
    lines: list[str] = []
    log(lines).write_fetch(FetchResult("ok", 0.1, frozenset({"b", "a"})))

    assert ["a", "b"] == read(lines)["contradicted_key_ids"]


@pytest.mark.parametrize("is_used", [True, False])
def test_when_a_key_set_is_bundled_then_a_line_says_how_old_it_is(
    is_used: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """And whether it is still used."""
    lines: list[str] = []
    log(lines).write_bundled_key_set(86_400.4, {"a"}, is_used=is_used)

    assert {
        "event": "bundled_key_set",
        "age_seconds": 86_400,
        "is_used": is_used,
        "contradicted_key_ids": ["a"],
    }.items() <= read(lines).items()


def test_when_settings_are_wrong_then_the_line_names_each() -> None:
    """One line for all of them."""
    lines: list[str] = []
    write_settings_problem(
        lines.append, ["A: is missing", "B: is not valid"], 1.5, trace_id="t", request_id="r"
    )
    members = read(lines)

    assert ["A: is missing", "B: is not valid"] == members["problems"]
    assert (1500, "t", "r") == (members["time"], members["trace_id"], members["request_id"])
