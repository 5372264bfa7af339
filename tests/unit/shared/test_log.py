"""Log lines."""

import json
import logging

import pytest

from shared.log import JsonLines, log_event, redacted

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
        "level": "INFO",
        "logger": "n",
        "event": "happened",
        "count": 2,
        "token": "[redacted]",
    } == json.loads(line)
