"""The calls that a stack's logs tell of."""

import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from bridge_cli.tracing.local_logs import MOST_CALLS, LocalLogs, trace_id_in
from bridge_cli.tracing.traced_call import CALLED, DECISION_REUSED, Actor, TracedCall
from tests.support.traced_logs import (
    BEGAN,
    TRACE,
    access_line,
    backend_line,
    decision_line,
    kept_line,
    proxy_line,
    write_call,
    write_logs,
)

OTHER = "11111111222222222222222222222222"


def read(folder: Path) -> LocalLogs:
    """The logs in the folder, read."""
    logs = LocalLogs(folder)
    logs.read_new()
    return logs


def only(folder: Path) -> TracedCall:
    """The one call in the folder's logs."""
    (call,) = read(folder).calls()
    return call


def test_when_a_call_went_through_every_part_then_it_is_a_sequence(tmp_path: Path) -> None:
    """In the order in which each part began, with how long it took."""
    call = only(write_call(tmp_path, "r1"))

    assert [
        (Actor.CALLER, CALLED, 0, None),
        (Actor.FUNCTION_APP, "proxy_call", 0, 30.0),
        (Actor.GATEWAY, "request", 5, 20.0),
        (Actor.AUTHORIZER, "decision", 5, 8.0),
        (Actor.BACKEND, "request", 15, 9.0),
    ] == [
        (step.actor, step.event, round(step.at * 1_000 - BEGAN), step.milliseconds)
        for step in call.steps
    ]
    assert (TRACE, "GET", "/v1/records", 200, "allowed", False) == (
        call.trace_id,
        call.method,
        call.path,
        call.status,
        call.reason,
        call.is_cached,
    )
    assert ("r1", "gw-r1", "au-gw-r1") == call.request_ids


def test_when_the_gateway_had_the_answer_then_the_call_points_to_the_one_that_decided(
    tmp_path: Path,
) -> None:
    """The decision's own line is in another trace."""
    write_call(tmp_path, "r1")
    write_logs(
        tmp_path,
        function_app=(proxy_line("r2", at=130, trace_id=OTHER),),
        access=(kept_line("gw-r2", "au-gw-r1", at=105, trace_id=OTHER),),
        lambdas=(backend_line("gw-r2", "r2", at=120, trace_id=OTHER),),
    )

    logs = read(tmp_path)
    call = logs.find("r2")

    assert call is not None
    (reused,) = [step for step in call.steps if step.event == DECISION_REUSED]
    assert (True, "allowed") == (call.is_cached, call.reason)
    assert ("au-gw-r1", "allowed", TRACE, (BEGAN + 13) / 1_000) == (
        reused.fields["decision_id"],
        reused.fields["outcome"],
        reused.fields["decided_in"],
        reused.fields["decided_at"],
    )
    decided = logs.find("au-gw-r1")
    assert decided is not None
    assert "r1" == decided.request_ids[0]


def test_when_the_deciding_line_is_gone_then_the_call_is_known_to_be_cached_all_the_same(
    tmp_path: Path,
) -> None:
    """Only what was decided is not."""
    call = only(write_logs(tmp_path, access=(kept_line("gw", "au-old"),)))

    assert True is call.is_cached
    assert ["au-old"] == [
        step.fields["decision_id"] for step in call.steps if step.actor is Actor.AUTHORIZER
    ]


def test_when_a_token_is_rejected_then_the_call_has_the_authorizers_reason(tmp_path: Path) -> None:
    """It stands in no answer: the gateway's line has only the authorizer's ID."""
    call = only(
        write_logs(
            tmp_path,
            access=(
                access_line("gw", status="401", gateway_error="UNAUTHORIZED", decision_id="-"),
            ),
            lambdas=(
                decision_line(
                    "au-gw", outcome="rejected", reason="expired", what_to_change="Ask again."
                ),
            ),
        )
    )

    assert (401, "expired", False) == (call.status, call.reason, call.is_cached)


def fetch_line(*, at: int) -> str:
    """The authorizer's line about a fetch of the key set: it has the trace, and no other ID."""
    return json.dumps(
        {"event": "key_set_fetch", "result": "renewed", "trace_id": TRACE, "time": BEGAN + at}
    )


def test_when_the_authorizer_fetched_keys_for_a_direct_call_then_that_is_a_step_of_it(
    tmp_path: Path,
) -> None:
    """The trace is all that joins the two."""
    call = only(
        write_logs(
            tmp_path,
            access=(access_line("gw-1", at=0),),
            lambdas=(
                fetch_line(at=6),
                decision_line("au-gw-1", at=8),
                backend_line("gw-1", at=15),
            ),
        )
    )

    assert "key_set_fetch" in [step.event for step in call.steps]
    assert 200 == call.status


def test_when_one_of_several_direct_calls_fetched_keys_then_it_has_the_step(
    tmp_path: Path,
) -> None:
    """Time says which, where the trace is another's too."""
    write_logs(
        tmp_path,
        access=(access_line("gw-1", at=0), access_line("gw-2", at=100)),
        lambdas=(
            decision_line("au-gw-1", at=8),
            fetch_line(at=106),
            decision_line("au-gw-2", at=108),
        ),
    )

    first, second = read(tmp_path).calls()

    assert "key_set_fetch" not in [step.event for step in first.steps]
    assert "key_set_fetch" in [step.event for step in second.steps]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "403", "gateway_error": "ACCESS_DENIED"}, "access_denied"),
        ({"status": "429", "gateway_error": "THROTTLED"}, "throttled"),
    ],
)
def test_when_the_gateway_refuses_whom_the_authorizer_let_in_then_its_error_is_the_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    """The decision was `allowed`, and says nothing about this route or this second."""
    write_logs(
        tmp_path, access=(access_line("gw", at=5, **changes),), lambdas=(decision_line("au-gw"),)
    )

    assert reason == only(tmp_path).reason


def test_when_a_retry_has_mended_it_then_the_call_went_well(tmp_path: Path) -> None:
    """The first attempt's refusal is a step of the call, and not its reason."""
    retried = json.loads(proxy_line("r1", at=8))
    retried |= {"event": "attempt_retried", "aws_request_id": "gw-r0", "milliseconds": None}
    write_call(tmp_path, "r1")
    write_logs(
        tmp_path,
        function_app=(json.dumps(retried),),
        access=(access_line("gw-r0", at=1, status="429", gateway_error="THROTTLED"),),
    )

    call = only(tmp_path)

    assert (200, "allowed") == (call.status, call.reason)
    assert [429, 200] == [
        step.fields["status"] for step in call.steps if step.actor is Actor.GATEWAY
    ]


def test_when_a_run_of_the_sync_asks_several_times_then_it_is_one_call(tmp_path: Path) -> None:
    """Its pages have IDs of their own, and one trace; it has no status, but perhaps a code."""
    started = json.loads(proxy_line("run", at=0)) | {"event": "sync_started", "run_id": "1"}
    finished = started | {"event": "sync_finished", "status": "failed", "error_code": "cancelled"}
    del started["status"]
    write_logs(
        tmp_path,
        function_app=(json.dumps(started), json.dumps(finished)),
        access=(access_line("gw-1"), kept_line("gw-2", "au-gw-1", at=50)),
        lambdas=(
            decision_line("au-gw-1"),
            backend_line("gw-1", "page-1"),
            backend_line("gw-2", "page-2", at=60),
        ),
    )

    call = only(tmp_path)

    assert (None, "cancelled", "") == (call.status, call.reason, call.method)
    assert {"run", "gw-1", "gw-2", "page-1", "page-2"} <= set(call.request_ids)
    assert 2 == len([step for step in call.steps if step.actor is Actor.GATEWAY])


def test_when_calls_share_a_trace_then_none_has_anothers_lines(tmp_path: Path) -> None:
    """64 at once in a caller's one trace, their lines in any order."""
    chance = random.Random(7)  # noqa: S311 - an order, and the same each time
    names = [f"r{number}" for number in range(64)]
    access = [access_line(f"gw-{name}") for name in names]
    function_app = [proxy_line(name) for name in names]
    lambdas = [decision_line(f"au-gw-{name}") for name in names]
    lambdas += [backend_line(f"gw-{name}", name) for name in names]
    for lines in (access, function_app, lambdas):
        chance.shuffle(lines)
    write_logs(
        tmp_path, function_app=tuple(function_app), access=tuple(access), lambdas=tuple(lambdas)
    )

    calls = read(tmp_path).calls()

    assert sorted((name, f"gw-{name}", f"au-gw-{name}") for name in names) == sorted(
        call.request_ids for call in calls
    )
    assert {5} == {len(call.steps) for call in calls}


def test_when_nobody_in_azure_called_then_each_request_is_a_call(tmp_path: Path) -> None:
    """Also in one trace, as of somebody who sends the same header again."""
    write_logs(tmp_path, access=(access_line("a"), access_line("b", at=50)))

    assert [("a",), ("b",)] == [call.request_ids for call in read(tmp_path).calls()]


@pytest.mark.parametrize(
    "any_id",
    [
        "r1",
        " r1 ",
        "gw-r1",
        "au-gw-r1",
        TRACE,
        TRACE.upper(),
        f"00-{TRACE}-b7ad6b7169203331-01",
        f"1-{TRACE[:8]}-{TRACE[8:]}",
        f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent=b7ad6b7169203331;Sampled=1",
    ],
)
def test_when_any_of_its_ids_is_given_then_the_call_is_found(tmp_path: Path, any_id: str) -> None:
    """Whatever an answer or a log shows of it."""
    write_call(tmp_path, "r1")
    write_call(tmp_path, "r2", trace_id=OTHER)

    call = read(tmp_path).find(any_id)

    assert call is not None
    assert TRACE == call.trace_id


@pytest.mark.parametrize("any_id", ["", "r", "-", "r3", OTHER, "\x1b[2J", "x" * 10_000, "None"])
def test_when_no_call_has_the_id_then_none_is_found(tmp_path: Path, any_id: str) -> None:
    """A part of an ID is none."""
    write_call(tmp_path, "r1")

    assert read(tmp_path).find(any_id) is None


def test_when_a_text_names_no_trace_then_there_is_none() -> None:
    """Zeros are none in any spelling."""
    assert [None, None, None] == [trace_id_in(text) for text in ("", "0" * 32, "1-x-y")]


def test_when_lines_come_later_then_the_call_grows(tmp_path: Path) -> None:
    """The gateway's line is there before the caller has its answer."""
    logs = read(write_logs(tmp_path, access=(access_line("gw-r1"),)))
    before = logs.calls()

    write_logs(tmp_path, function_app=(proxy_line("r1"),), lambdas=(decision_line("au-gw-r1"),))
    logs.read_new()

    assert [1, 1] == [len(before), len(logs.calls())]
    assert (1 + 1, 4) == tuple(
        len([step for step in call.steps if step.event != DECISION_REUSED])
        for call in (*before, *logs.calls())
    )


def test_when_the_logs_are_anothers_then_what_was_read_stays(tmp_path: Path) -> None:
    """A stack that starts again empties them; its calls come beside the old ones."""
    logs = read(write_call(tmp_path, "r1"))
    for file in tmp_path.iterdir():
        file.unlink()
    write_call(tmp_path, "r2", trace_id=OTHER)

    logs.read_new()

    assert [TRACE, OTHER] == [call.trace_id for call in logs.calls()]


def test_when_there_are_very_many_calls_then_the_newest_are_kept(tmp_path: Path) -> None:
    """In bounded memory, also where all of them are in one trace."""
    with (tmp_path / "access.log").open("w", encoding="utf-8") as log:
        for number in range(5_000):
            trace_id = f"{number + 1:032x}" if number < 3_000 else TRACE
            log.write(access_line(f"g{number}", at=number, trace_id=trace_id) + "\n")

    tracemalloc.start()
    calls = read(tmp_path).calls()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert MOST_CALLS == len(calls)
    assert ("g4999",) == (calls[-1].request_ids[0],)
    assert peak < 30 * 1024 * 1024
