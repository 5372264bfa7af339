"""What the page on tracing says of the logs' fields is so; its queries ask for what there is."""

import json
import logging
import re
from pathlib import Path

import pytest

from aws_backend.dispatch import dispatch_event
from bridge_cli.tracing.local_logs import LOGS
from shared.log import JsonLines
from shared.trace_context import parse_amzn_trace_id, parse_traceparent
from tests.contract.test_aws_pages import (
    COMMANDS,
    access_log_members,
    authorizer_members,
    table_rows,
)
from tests.support.fake_api import FakeApi
from tests.support.fake_clock import FakeClock
from tests.support.proxy_calls import answer_of, caller
from tests.support.proxy_event import proxy_event

PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text("utf-8")
FIELDS = [
    [cell.strip("`") for cell in row[:5]]
    for row in table_rows(PAGE)
    if len(row) == 6 and row[0].startswith("`")
]
QUERIES = [
    query for query in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if "| filter" in query
]
KUSTO = re.findall(r"```kusto\n(.*?)```", PAGE, re.DOTALL)


async def members_by_log(caplog: pytest.LogCaptureFixture) -> list[set[str]]:
    """The names in each log's lines, in the order of the page's columns."""
    caplog.handler.setFormatter(JsonLines())
    with caplog.at_level(logging.INFO):
        await answer_of(FakeApi(b"{}"), caller())
        function_app = {name for line in caplog.text.splitlines() for name in json.loads(line)}
        caplog.clear()
        dispatch_event(proxy_event(), dict, FakeClock())
        backend = {name for line in caplog.text.splitlines() for name in json.loads(line)}
    return [function_app, access_log_members(), authorizer_members(), backend]


async def test_when_the_page_names_a_field_then_each_log_has_it_or_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A name in a column is one that the log's lines have; an empty cell says that none has it."""
    logs = await members_by_log(caplog)

    assert 15 <= len(FIELDS)
    for field, *names in FIELDS:
        for name, members in zip(names, logs, strict=True):
            if name:
                assert name in members, (field, name)
            else:
                assert field not in members, field


async def test_when_logs_share_a_name_then_it_is_on_the_page(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What two sides spell alike means the same on both, and the page says what."""
    logs = await members_by_log(caplog)
    named = {name for _, *names in FIELDS for name in names}
    shared = {name for name in set.union(*logs) if sum(name in each for each in logs) > 1}

    # Who called, of which the page on troubleshooting tells, and what every log line has.
    assert {"object_id", "roles", "token_id", "level", "logger"} == shared - named


@pytest.mark.parametrize("query", QUERIES)
async def test_when_the_page_has_a_query_then_the_logs_have_what_it_asks_for(
    query: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A misspelled name would find nothing."""
    known = set.union(*(await members_by_log(caplog)))
    names = set(re.findall(r"(?<![@\w])[A-Za-z_]+", re.sub(r'"[^"]*"', "", query)))

    assert set() == names - COMMANDS - known


async def test_when_the_page_asks_azure_then_the_function_app_writes_what_it_asks_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each `line.<name>` is a member of a line."""
    function_app = (await members_by_log(caplog))[0]
    named = set(re.findall(r"\bline\.(\w+)", "".join(KUSTO)))

    assert 3 == len(KUSTO)
    assert 4 == len(QUERIES)
    assert {"request_id", "aws_request_id", "event", "milliseconds"} <= named
    assert named <= function_app


def test_when_the_page_names_the_local_logs_then_the_command_reads_them() -> None:
    """All three."""
    assert LOGS.keys() <= set(re.findall(r"`([a-z-]+\.log)`", PAGE))


def test_when_the_page_says_how_the_traces_map_then_it_is_so() -> None:
    """Without `Root=`, `1-` and the dash it is the trace ID."""
    root = "Root=1-0af76519-16cd43dd8448eb211c80319c"
    x_ray = parse_amzn_trace_id(root)
    w3c = parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    assert x_ray is not None
    assert w3c is not None
    assert w3c.trace_id == x_ray.trace_id == root.removeprefix("Root=1-").replace("-", "")
    assert root.endswith(w3c.trace_id[-24:])
