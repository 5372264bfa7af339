"""The proxy's function, called with the worker's own request and context."""

import json
from pathlib import Path
from typing import NoReturn

import azure.functions as func
import pytest

from azure_function_app import bootstrap
from azure_function_app.bootstrap import ServicesPerLoop
from azure_function_app.functions import http_proxy
from azure_function_app.http_response import HttpResponse, to_functions_response
from shared.log import JsonLines
from tests.support.fake_api import FakeApi
from tests.support.functions_app import (
    both_clients,
    context,
    http_request,
    services_per_loop,
    user_function,
)

SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class ClosableApi(FakeApi):
    """An API that can be closed, as the real one can."""

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ClosableApi:
    """What stands in for the API."""
    api = ClosableApi(b"[]", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    monkeypatch.setattr(bootstrap, "build_api_clients", lambda *_: both_clients(api))
    return api


@pytest.fixture
def services(tmp_path: Path) -> ServicesPerLoop:
    """The services of a well-configured app."""
    return services_per_loop(
        SQLITE_PATH=str(tmp_path / "records.sqlite3"), PROXY_FORWARDS="read_and_write"
    )


async def test_when_a_request_comes_then_all_of_it_reaches_the_proxy(
    services: ServicesPerLoop, api: ClosableApi
) -> None:
    """Method, URL, headers, body and trace go in; status, headers and body come out."""
    function = user_function(services, "http_proxy")
    request = http_request(
        "PUT",
        "http://localhost:7071/api/aws/v1/records/a?x=&x=1",
        headers={"If-Match": '"1"', "Content-Length": "3"},
        body=b"\x00\xff\x01",
    )

    response = await function(request, context(SPAN, "k=v"))

    assert ("PUT", "/v1/records/a", "x=&x=1", b"\x00\xff\x01") == (
        api.request.method,
        api.request.path,
        api.request.query,
        api.request.content,
    )
    assert ('"1"', SPAN[:35], "k=v", "invocation-1") == (
        api.request_headers["if-match"],
        api.request_headers["traceparent"][:35],
        api.request_headers["tracestate"],
        api.request_headers["x-request-id"],
    )
    assert (200, b"[]", ["a=1", "b=2"]) == (
        response.status_code,
        response.get_body(),
        response.headers.getlist("Set-Cookie"),
    )


async def test_when_the_host_has_no_trace_then_that_is_no_error(
    services: ServicesPerLoop, api: ClosableApi
) -> None:
    """Some hosts hand over None where there is no trace."""
    function = user_function(services, "http_proxy")

    await function(http_request(), context(None, None))  # type: ignore[arg-type] # as hosts do

    assert api.request_headers["traceparent"].endswith("-00")


async def test_when_the_settings_are_wrong_then_every_request_is_told_so(
    api: ClosableApi,
) -> None:
    """A clear 500 with a stable code, and no setting's name or value."""
    function = user_function(services_per_loop(AWS_API_BASE_URL="ftp://private"), "http_proxy")

    for _ in range(2):
        response = await function(http_request(), context())

        document = json.loads(response.get_body())
        assert (500, "settings_invalid", "invocation-1") == (
            response.status_code,
            document["code"],
            document["request_id"],
        )
        assert b"private" not in response.get_body()
    assert [] == api.requests


async def test_when_the_services_cannot_be_built_then_it_is_a_problem(
    services: ServicesPerLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong before the proxy is there has a request ID, and its reason in the log."""

    def fail(*_: object) -> NoReturn:
        raise OSError("no such disk")

    monkeypatch.setattr(bootstrap, "build_api_clients", fail)
    caplog.handler.setFormatter(JsonLines())

    response = await user_function(services, "http_proxy")(http_request(), context())

    document = json.loads(response.get_body())
    assert (500, "internal_error", "invocation-1") == (
        response.status_code,
        document["code"],
        document["request_id"],
    )
    assert '"request_id": "invocation-1"' in caplog.text
    assert "no such disk" in caplog.text
    assert b"no such disk" not in response.get_body()


async def test_when_the_worker_cannot_carry_the_answer_then_it_is_a_problem(
    services: ServicesPerLoop,
    api: ClosableApi,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The caller's own request ID comes back with it."""
    attempts = []

    def fail_once(response: HttpResponse) -> func.HttpResponse:
        attempts.append(response)
        if len(attempts) == 1:
            raise ValueError("no room for it")
        return to_functions_response(response)

    monkeypatch.setattr(http_proxy, "to_functions_response", fail_once)
    caplog.handler.setFormatter(JsonLines())

    response = await user_function(services, "http_proxy")(
        http_request(headers={"X-Request-Id": "mine"}), context()
    )

    document = json.loads(response.get_body())
    assert (502, "backend_answer_invalid", "mine") == (
        response.status_code,
        document["code"],
        document["request_id"],
    )
    assert '"request_id": "mine"' in caplog.text
    assert "no room for it" in caplog.text
    assert 1 == len(api.requests)
