"""The trace of the call that is being served."""

import asyncio
import logging
import secrets
from itertools import count

import pytest

from azure_function_app.call_trace import TraceHeaders, Tracer
from shared.log import log_event
from shared.trace_context import parse_amzn_trace_id, parse_traceparent

HOST = TraceHeaders("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "h=1")
CALLER = TraceHeaders("00-11111111111111111111111111111111-2222222222222222-01", "c=1")
NONE = TraceHeaders("", "")


def numbered() -> Tracer:
    """A tracer whose IDs are 1, 2, 3 and so on."""
    numbers = count(1)
    return Tracer(lambda size: f"{next(numbers):0{size * 2}x}")


@pytest.mark.parametrize(
    ("parents", "trace_id", "state"),
    [
        ((HOST, CALLER), HOST.parent[3:35], "h=1"),
        ((NONE, CALLER), CALLER.parent[3:35], "c=1"),
        ((HOST._replace(state="not one"),), HOST.parent[3:35], ""),
        ((NONE, TraceHeaders("nonsense", "c=1")), f"{1:032x}", ""),
        ((), f"{1:032x}", ""),
    ],
)
def test_when_a_call_comes_then_the_nearest_valid_parent_is_continued(
    parents: tuple[TraceHeaders, ...], trace_id: str, state: str
) -> None:
    """Without any it begins a trace; a state goes only with the parent beside it."""
    trace = numbered().continued(*parents)

    assert (trace_id, state) == (trace.context.trace_id, trace.state)


def test_when_the_api_is_called_then_each_call_is_a_span_of_its_own() -> None:
    """In the one trace, with both clouds' headers in agreement."""
    tracer = numbered()

    with tracer.serving("r", HOST):
        calls = [dict(tracer.outgoing_headers()) for _ in range(2)]

    assert [f"00-{HOST.parent[3:35]}-{number:016x}-01" for number in (1, 2)] == [
        call["traceparent"] for call in calls
    ]
    assert ["h=1", "h=1"] == [call["tracestate"] for call in calls]
    assert all(
        parse_traceparent(call["traceparent"]) == parse_amzn_trace_id(call["x-amzn-trace-id"])
        for call in calls
    )


def test_when_nothing_is_being_served_then_each_call_has_a_trace_of_its_own() -> None:
    """A block that has ended leaves nothing behind."""
    tracer = Tracer(secrets.token_hex)

    with tracer.serving("r", HOST):
        pass
    traces = {dict(tracer.outgoing_headers())["traceparent"][3:35] for _ in range(2)}

    assert 2 == len(traces)
    assert HOST.parent[3:35] not in traces


async def test_when_many_calls_are_served_at_once_then_none_is_in_anothers_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the lines of a call nor what it sends, tasks of its own included."""
    tracer = Tracer(secrets.token_hex)
    logger = logging.getLogger("n")

    async def send(number: int) -> str:
        await asyncio.sleep(0)
        log_event(logger, logging.WARNING, "sent", number=number)
        return dict(tracer.outgoing_headers())["traceparent"][3:35]

    async def serve(number: int) -> tuple[str, str, str]:
        parent = TraceHeaders(f"00-{number + 1:032x}-{'2' * 16}-01")
        with tracer.serving(f"r{number}", parent if number % 2 else NONE) as trace:
            await asyncio.sleep(0)
            first = await send(number)
            second = await asyncio.create_task(send(number))
            return trace.context.trace_id, first, second

    served = await asyncio.gather(*map(serve, range(500)))

    assert all(own == first == second for own, first, second in served)
    assert 500 == len({own for own, _, _ in served})
    lines = [vars(record)["bridge_fields"] for record in caplog.records]
    assert 1_000 == len(lines)
    assert all(
        (f"r{line['number']}", served[line["number"]][0]) == (line["request_id"], line["trace_id"])
        for line in lines
    )
