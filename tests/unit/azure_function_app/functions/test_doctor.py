"""The doctor's function, called with the worker's own request and context."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from azure_function_app.doctor import examination
from azure_function_app.doctor.report import Report
from azure_function_app.functions.doctor import build_doctor
from tests.support.fake_clock import FakeClock
from tests.support.functions_app import context, http_request


def doctor_function() -> Callable[..., Awaitable[Any]]:
    """The function as it was written."""
    (builder,) = build_doctor(dict, FakeClock())._function_builders
    function: Callable[..., Awaitable[Any]] = builder._function.get_user_function()
    return function


async def test_when_an_administrator_asks_then_the_report_is_json_that_nobody_keeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is of this moment, and for who asked."""

    async def examine(*_: object, at: str, **__: object) -> Report:
        return Report("1", at, 0.1, ())

    monkeypatch.setattr(examination, "examine", examine)

    response = await doctor_function()(http_request(), context())

    assert (200, "application/json", "no-store") == (
        response.status_code,
        response.headers["Content-Type"],
        response.headers["Cache-Control"],
    )
    assert "function_app" == json.loads(response.get_body())["at"]


async def test_when_the_examination_fails_then_the_answer_tells_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log has the reason, under the request's ID."""

    async def examine(*_: object, **__: object) -> Report:
        raise KeyError("private")

    monkeypatch.setattr(examination, "examine", examine)

    response = await doctor_function()(http_request(), context())

    assert 500 == response.status_code
    assert "internal_error" == json.loads(response.get_body())["code"]
    assert b"private" not in response.get_body()
