"""Log lines."""

import asyncio
import json
import logging

import pytest

from shared.log import JsonLines, log_event, log_fields, redacted

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln"


def test_when_a_text_holds_a_jwt_then_it_is_taken_out() -> None:
    """A compact JWT anywhere in a text is replaced."""
    assert "got [redacted]!" == redacted(f"got {JWT}!")


def test_when_a_text_holds_a_bearer_credential_then_it_is_taken_out() -> None:
    """What follows the Bearer scheme is replaced even when it is no JWT."""
    assert "authorization: bearer [redacted]" == redacted("authorization: bearer 0123456789abcdef")


@pytest.mark.parametrize(
    "text",
    [
        "x-api-key: {}",
        "X-API-Key={}",
        "Headers({{'x-api-key': '{}', 'host': 'a'}})",
        "[(b'x-api-key', b'{}')]",
        '{{"headers": {{"x-api-key": "{}"}}}}',
        '{{\\"x-api-key\\":\\"{}\\"}}',
        '{{"usageIdentifierKey": "{}"}}',
        "proxy-authorization: Basic {}",
        "(b'Proxy-Authorization', b'Basic {}')",
    ],
)
def test_when_a_text_names_a_secret_header_then_its_value_is_taken_out(text: str) -> None:
    """As HTTP, JSON, JSON within JSON and Python write it; the rest stays."""
    assert text.format("[redacted]") == redacted(text.format("bm9ib2R5.made-up_key/01=="))


@pytest.mark.parametrize(
    "text", ["x-api-key required here", "set the x-api-key header in AWS_API_KEY"]
)
def test_when_a_text_speaks_of_a_header_then_it_stays(text: str) -> None:
    """The name without a value is none."""
    assert text == redacted(text)


def test_when_an_event_is_logged_then_its_line_is_one_json_object(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The event's name and its fields are members of one object."""
    with caplog.at_level(logging.INFO):
        log_event(logging.getLogger("n"), logging.INFO, "happened", count=2, token=JWT)

    line = JsonLines().format(caplog.records[0])
    assert {
        "time": int(caplog.records[0].created * 1_000),
        "level": "INFO",
        "logger": "n",
        "event": "happened",
        "count": 2,
        "token": "[redacted]",
    } == json.loads(line)


def test_when_a_line_is_written_in_a_block_then_it_has_the_blocks_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An inner block adds to the outer one, and the event's own fields win."""
    logger = logging.getLogger("n")
    caplog.handler.setFormatter(JsonLines())

    with log_fields(trace_id="t", request_id="outer"):
        with log_fields(request_id="inner"):
            log_event(logger, logging.WARNING, "one")
            logger.warning("two")
        log_event(logger, logging.WARNING, "three", trace_id="own")
    log_event(logger, logging.WARNING, "four")

    lines = [json.loads(line) for line in caplog.text.splitlines()]
    assert [
        ("one", "t", "inner"),
        ("two", "t", "inner"),
        ("three", "own", "outer"),
        ("four", None, None),
    ] == [(line["event"], line.get("trace_id"), line.get("request_id")) for line in lines]


async def test_when_calls_run_at_once_then_none_writes_anothers_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a thousand, whatever the order; a task and a thread of a call write its fields."""
    logger = logging.getLogger("n")
    caplog.handler.setFormatter(JsonLines())

    async def call(number: int) -> None:
        with log_fields(request_id=number):
            await asyncio.sleep(0)
            log_event(logger, logging.WARNING, "here", number=number)
            await asyncio.create_task(later(number))
            if number % 100 == 0:
                await asyncio.to_thread(log_event, logger, logging.WARNING, "thread", number=number)

    async def later(number: int) -> None:
        await asyncio.sleep(0)
        log_event(logger, logging.WARNING, "task", number=number)

    await asyncio.gather(*map(call, range(1_000)))

    lines = [json.loads(line) for line in caplog.text.splitlines()]
    assert 2_010 == len(lines)
    assert all(line["number"] == line["request_id"] for line in lines)
