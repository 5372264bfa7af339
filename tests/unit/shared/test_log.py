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
