"""Calls of the proxy, in front of a fake API."""

import json
from typing import Any

from azure_function_app.call_trace import Tracer
from azure_function_app.http_response import HttpResponse
from azure_function_app.proxy.permissions import SignIn
from azure_function_app.proxy.proxy import CallerRequest, Proxy
from shared.routes import ROUTES
from tests.support.fake_api import FakeApi
from tests.support.fake_clock import FakeClock

TRACER = Tracer(lambda size: "ab" * size)
HOST = "https://bridge.azurewebsites.net"
RECORDS = f"{HOST}/api/aws/v1/records"


def caller(
    method: str = "GET",
    url: str = RECORDS,
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    trace_parent: str = "",
    trace_state: str = "",
) -> CallerRequest:
    """A request that the proxy forwards, unless the test bends it."""
    fields = dict(headers or {})
    if body:
        fields.setdefault("content-length", str(len(body)))
    return CallerRequest(
        method=method,
        url=url,
        headers=fields,
        body=body,
        invocation_id="invocation-1",
        trace_parent=trace_parent,
        trace_state=trace_state,
    )


def proxy_before(
    api: FakeApi, *, sign_in: SignIn | None = None, forwards_writes: bool = True
) -> Proxy:
    """The proxy in front of the API, for callers with a function key unless a test bends it."""
    return Proxy(
        api=api,
        routes=ROUTES,
        clock=FakeClock(),
        call_seconds=30.0,
        tracer=TRACER,
        forwards_writes=forwards_writes,
        sign_in=sign_in,
    )


async def answer_of(api: FakeApi, request: CallerRequest) -> HttpResponse:
    """What the proxy in front of the API answers."""
    return await proxy_before(api).answer(request)


def fields_of(answer: HttpResponse) -> dict[str, str]:
    """The answer's headers by lower-case name."""
    return {name.lower(): value for name, value in answer.headers}


def problem_of(answer: HttpResponse) -> dict[str, Any]:
    """The problem document that the answer is."""
    assert "application/problem+json" == fields_of(answer)["content-type"]
    document: dict[str, Any] = json.loads(answer.body)
    assert int(answer.status) == document["status"]
    return document


async def refusal(request: CallerRequest) -> tuple[int, str]:
    """Status and code of a refusal that nothing was sent for."""
    api = FakeApi()
    answer = await answer_of(api, request)
    assert [] == api.requests
    return int(answer.status), problem_of(answer)["code"]
