"""One trace from the caller through every part of a real local stack, and what is shown of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from bridge_cli.main import app
from bridge_cli.tracing.local_logs import LocalLogs
from bridge_cli.tracing.traced_call import CALLED, DECISION_REUSED, Actor, TracedCall
from emulator.stack import LocalStack
from tests.support.local_stack import running_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

PARTS = [Actor.CALLER, Actor.FUNCTION_APP, Actor.GATEWAY, Actor.AUTHORIZER, Actor.BACKEND]
AT_ONCE = 64
_WAITS = 100
_WAIT_SECONDS = 0.05


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """One stack for all tests of this module."""
    async with running_stack(tmp_path_factory.mktemp("trace"), record_limit=20) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client that knows nothing of traces by itself."""
    async with httpx.AsyncClient(timeout=60.0, trust_env=False) as client:
        yield client


def _traced(number: int, request_id: str) -> dict[str, str]:
    return {
        "traceparent": f"00-{_trace_id(number)}-{'b7ad6b7169203331'}-01",
        "tracestate": "vendor=1",
        "x-request-id": request_id,
    }


def _trace_id(number: int) -> str:
    return f"{0xABCDEF:08x}{number:024x}"


async def _call(
    stack: LocalStack, http: httpx.AsyncClient, number: int, request_id: str, **request: Any
) -> httpx.Response:
    """What the proxy answers to a caller with a trace."""
    options: dict[str, Any] = {"method": "GET", "url": "/v1/records?limit=1"} | request
    url = f"{stack.functions.url}/api/aws{options.pop('url')}"
    return await http.request(
        options.pop("method"), url, headers=_traced(number, request_id), **options
    )


async def _found(stack: LocalStack, any_id: str, parts: list[Actor]) -> TracedCall:
    """The call, once each of these parts has a line about it."""
    logs = LocalLogs(stack.log_folder)
    call = None
    for _ in range(_WAITS):
        logs.read_new()
        call = logs.find(any_id)
        if call is not None and set(parts) <= {step.actor for step in call.steps}:
            return call
        await asyncio.sleep(_WAIT_SECONDS)
    raise AssertionError(f"not all parts have logged {any_id}: {call}")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


async def test_when_a_caller_traces_then_every_parts_line_is_in_the_trace(
    stack: LocalStack, http: httpx.AsyncClient
) -> None:
    """The first call is decided by the authorizer, the second by what the gateway has kept."""
    first = await _call(stack, http, 1, "mine-1")
    second = await _call(stack, http, 2, "mine-2")

    asked = await _found(stack, "mine-1", PARTS)
    kept = await _found(stack, second.headers["x-amzn-requestid"], PARTS)

    assert (200, 200) == (first.status_code, second.status_code)
    assert (_trace_id(1), _trace_id(2)) == (asked.trace_id, kept.trace_id)
    assert (False, True) == (asked.is_cached, kept.is_cached)
    assert ("allowed", "allowed") == (asked.reason, kept.reason)
    assert {"mine-1", first.headers["x-amzn-requestid"]} <= set(asked.request_ids)
    assert CALLED == asked.steps[0].event
    (reused,) = [step for step in kept.steps if step.event == DECISION_REUSED]
    assert reused.fields["decision_id"] in asked.request_ids
    assert _trace_id(1) == reused.fields["decided_in"]


async def test_when_the_command_is_given_any_id_then_it_shows_the_call(
    stack: LocalStack, http: httpx.AsyncClient
) -> None:
    """With the reason of the authorizer, which no answer has."""
    headers = {
        "authorization": "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImtleSJ9.e30.AAAA",
        "x-amzn-trace-id": f"Root=1-{_trace_id(3)[:8]}-{_trace_id(3)[8:]};Sampled=1",
    }
    refused = await http.get(f"{stack.api_url}/v1/records", headers=headers)
    call = await _found(stack, refused.json()["request_id"], [Actor.GATEWAY, Actor.AUTHORIZER])

    result = CliRunner().invoke(
        app, ["trace", refused.headers["x-amzn-requestid"], "--folder", str(stack.folder)]
    )

    assert (401, _trace_id(3)) == (refused.status_code, call.trace_id)
    assert 1 == result.exit_code
    assert f"Why:     {call.reason}" in result.stdout
    assert call.reason not in {None, "allowed", "unauthorized"}
    assert "Change:" in result.stdout


async def test_when_the_policy_closes_a_route_then_the_call_says_who_refused_it(
    stack: LocalStack, http: httpx.AsyncClient
) -> None:
    """The caller gets a 502 from the proxy, whose own token lacks the role."""
    answer = await _call(stack, http, 4, "mine-4", method="DELETE", url="/v1/records/00AA")
    call = await _found(stack, "mine-4", [Actor.FUNCTION_APP, Actor.GATEWAY])

    assert (502, 502, "access_denied") == (answer.status_code, call.status, call.reason)
    (gateway,) = [step for step in call.steps if step.actor is Actor.GATEWAY]
    assert (403, "ACCESS_DENIED") == (gateway.fields["status"], gateway.fields["gateway_error"])
    assert gateway.fields["decision_id"]


async def test_when_nobody_traces_then_the_parts_agree_on_a_trace_all_the_same(
    stack: LocalStack, http: httpx.AsyncClient
) -> None:
    """The host begins one for the proxy's callers, and the gateway for its own."""
    proxied = await http.get(f"{stack.functions.url}/api/aws/health")
    direct = await http.get(f"{stack.api_url}/health")

    calls = [
        await _found(stack, answer.headers["x-amzn-requestid"], parts)
        for answer, parts in (
            (proxied, [Actor.FUNCTION_APP, Actor.GATEWAY, Actor.BACKEND]),
            (direct, [Actor.GATEWAY, Actor.BACKEND]),
        )
    ]
    assert 2 == len({call.trace_id for call in calls})
    assert [None, None] == [call.is_cached for call in calls]


async def test_when_the_sync_runs_then_its_pages_are_in_its_trace(
    stack: LocalStack, http: httpx.AsyncClient
) -> None:
    """One trace a run, with every request for a page in it."""
    started = await http.post(
        f"{stack.functions.url}/admin/functions/sync_timer", json={"input": ""}
    )
    assert 202 == started.status_code
    log = stack.log_folder / "function-app.log"
    finished: list[dict[str, Any]] = []
    for _ in range(_WAITS):
        finished = [line for line in _lines(log) if line["event"] == "sync_finished"]
        if finished:
            break
        await asyncio.sleep(_WAIT_SECONDS)

    call = await _found(stack, finished[0]["request_id"], PARTS[1:])

    assert ("", None) == (call.method, call.status)
    requests = [step for step in call.steps if step.actor is Actor.GATEWAY]
    served = [step for step in call.steps if step.actor is Actor.BACKEND]
    assert 1 <= len(requests) == len(served)
    assert len(served) == len({step.fields["caller_request_id"] for step in served})


async def test_when_many_call_at_once_then_none_is_in_anothers_trace(
    stack: LocalStack, http: httpx.AsyncClient
) -> None:
    """Each part's line has the trace and the ID of its own call: 64 at once, in any order."""
    answers = await asyncio.gather(
        *(_call(stack, http, 1_000 + number, f"many-{number}") for number in range(AT_ONCE))
    )
    logs = LocalLogs(stack.log_folder)
    for number, answer in enumerate(answers):
        await _found(stack, f"many-{number}", PARTS)
        logs.read_new()
        call = logs.find(f"many-{number}")
        assert call is not None
        assert (_trace_id(1_000 + number), answer.status_code) == (call.trace_id, call.status)
        assert PARTS == [step.actor for step in call.steps if step.event != "attempt_retried"]
        assert answer.headers["x-amzn-requestid"] in call.request_ids
        backend = call.steps[-1].fields
        assert (f"many-{number}", answer.headers["x-amzn-requestid"]) == (
            backend["caller_request_id"],
            backend["request_id"],
        )


async def test_when_all_is_done_then_no_line_about_a_call_lacks_its_ids(stack: LocalStack) -> None:
    """In every log, with the same names; only what concerns no call has none."""
    lines = {
        name: _lines(stack.log_folder / name)
        for name in ("function-app.log", "lambda.log", "access.log")
    }
    ours = [
        line
        for line in lines["function-app.log"]
        if str(line.get("logger")).startswith("azure_function_app")
    ]
    lambdas = [line for line in lines["lambda.log"] if line["event"] != "bundled_key_set"]

    assert min(len(ours), len(lambdas), len(lines["access.log"])) >= AT_ONCE
    for line in [*ours, *lambdas]:
        assert 32 == len(line["trace_id"]), line
        assert "time" in line
        assert line.get("request_id") or line["event"] == "key_set_fetch", line
    for line in lines["access.log"]:
        assert line["trace"].startswith("Root=1-")
        assert line["request_id"]
