"""Spans on their way to Application Insights, through the emulated host and real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jwt
import pytest
import pytest_asyncio
import trustme

from bridge_cli.local_client import LocalClient
from emulator.stack import LocalStack
from tests.support.ingestion_endpoint import (
    IngestionEndpoint,
    connection_string,
    hanging_endpoint,
    running_ingestion_endpoint,
)
from tests.support.local_stack import another_function_app, running_stack
from tests.support.processes import becomes_true

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

KNOWN = "/aws/v1/records/00AA"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER_SPAN = "00f067aa0ba902b7"
SIGN_IN = "Authorization=AAD"
HTTP_OK = 200


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """What the app calls."""
    async with running_stack(tmp_path_factory.mktemp("telemetry"), record_limit=40) as stack:
        yield stack


@contextmanager
def marked_tokens(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Each part of every token that is issued meanwhile."""
    marks: set[str] = set()
    sign = stack.entra.issuer.sign

    def recording(claims: Mapping[str, object], **bent: object) -> str:
        token = sign(claims, **bent)  # type: ignore[arg-type]  # handed through as it came
        marks.update(part for part in token.split(".") if len(part) > 12)
        return token

    monkeypatch.setattr(stack.entra.issuer, "sign", recording)
    yield marks


async def arrived(endpoint: IngestionEndpoint, *names: str) -> bool:
    """Whether spans with all these names are there, in the time that a batch may take."""
    return await asyncio.to_thread(becomes_true, lambda: all(map(endpoint.spans, names)), 20)


def lines(stack: LocalStack, name: str, event: str) -> list[dict[str, Any]]:
    """The log's lines of one event."""
    found = []
    for line in (stack.log_folder / f"{name}.log").read_text().splitlines():
        start = line.find("{")
        if start >= 0 and f'"event": "{event}"' in line:
            found.append(json.loads(line[start:]))
    return found


async def test_when_a_call_is_proxied_then_its_spans_arrive_in_the_callers_trace(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linked from the host's span down to the attempt, and free of what is nobody's business."""
    authority = trustme.CA()
    trusted = stack.folder / "trusted.pem"
    trusted.write_bytes(stack.entra.ca_file.read_bytes() + authority.cert_pem.bytes())
    async with running_ingestion_endpoint(authority=authority) as endpoint:
        settings = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.connection_string,
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": SIGN_IN,
            "REQUESTS_CA_BUNDLE": str(trusted),
        }
        with marked_tokens(stack, monkeypatch) as marks:
            async with (
                another_function_app(stack, "telling", settings) as app,
                LocalClient.to(stack, app.url) as client,
            ):
                answer = await client.call_function(
                    "GET",
                    f"{KNOWN}?code=marked-function-key",
                    headers={
                        "traceparent": f"00-{TRACE_ID}-{CALLER_SPAN}-01",
                        "Cookie": "session=marked-cookie",
                        "x-functions-key": "marked-function-key",
                        "x-request-id": "the-callers-own",
                    },
                )
                assert await arrived(endpoint, "proxy_call", "get_token")
    (call,) = endpoint.spans("proxy_call")
    (attempt,) = endpoint.spans("/v1/records/{id}")
    (token,) = endpoint.spans("get_token")
    (line,) = lines(stack, "telling", "proxy_call")

    assert HTTP_OK == answer.status_code
    assert {TRACE_ID} == {span["trace_id"] for span in (call, attempt, token)} | {line["trace_id"]}
    assert call["parent"] not in {None, CALLER_SPAN, attempt["id"], token["id"]}
    assert (call["id"], attempt["id"]) == (attempt["parent"], token["parent"])
    assert ("InProc", "HTTP", "InProc") == (call["type"], attempt["type"], token["type"])
    assert ("200", True) == (attempt["resultCode"], attempt["success"])
    assert {"1"} == {attempt["properties"]["attempt"]}
    assert line["aws_request_id"] == attempt["properties"]["aws.request_id"]
    assert "the-callers-own" == call["properties"]["request_id"]
    assert "/v1/records/{id}" == call["properties"]["route"]
    assert {"azure-aws-bridge"} == {call["app"], attempt["app"], token["app"]}
    said = "".join(endpoint.posts)
    secrets = {"marked-", "00AA", stack.entra.identity_header, *marks}
    assert 5 <= len(marks)
    assert set() == {mark for mark in secrets if mark in said}
    # Application Insights alone sees a token, and one for nothing but itself.
    (authorization,) = set(endpoint.authorizations)
    assert authorization is not None
    claims = jwt.decode(authorization.removeprefix("Bearer "), options={"verify_signature": False})
    assert "https://monitor.azure.com" == claims["aud"].rstrip("/")


async def test_when_the_sync_runs_then_its_run_and_pages_are_spans_of_one_trace(
    stack: LocalStack,
) -> None:
    """The run is the parent of what is read and written, and a page of the attempts to read it."""
    async with running_ingestion_endpoint() as endpoint:
        settings = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.connection_string,
            "SYNC_PAGE_SIZE": "20",
        }
        async with (
            another_function_app(stack, "syncing", settings) as app,
            LocalClient.to(stack, app.url) as client,
        ):
            await client.start_sync()
            assert await arrived(endpoint, "sync_run")
    (run,) = endpoint.spans("sync_run")
    read, written = endpoint.spans("read_page"), endpoint.spans("write_page")
    attempts = endpoint.spans("/v1/records")

    assert {run["trace_id"]} == {span["trace_id"] for span in (*read, *written, *attempts)}
    assert {run["id"]} == {span["parent"] for span in (*read, *written)}
    assert {span["id"] for span in read} == {span["parent"] for span in attempts}
    assert 2 <= len(read) == len(written)
    assert "40" == run["properties"]["records_read"]
    assert [None] == list(set(endpoint.authorizations))


@pytest.mark.parametrize("trouble", ["hangs", "refuses", "is not there"])
async def test_when_application_insights_is_in_trouble_then_no_call_feels_it(
    stack: LocalStack, trouble: str
) -> None:
    """Nor does the end of the app: it waits for three seconds, and leaves the rest."""
    name = f"troubled-{trouble.split(maxsplit=1)[0]}"
    with hanging_endpoint() as hanging:
        async with running_ingestion_endpoint(status=500) as refusing:
            url = {"hangs": hanging, "refuses": refusing.url}.get(trouble, "http://127.0.0.1:1")
            settings = {
                "APPLICATIONINSIGHTS_CONNECTION_STRING": connection_string(url),
            }
            async with (
                another_function_app(stack, name, settings) as app,
                LocalClient.to(stack, app.url) as client,
            ):
                statuses = [(await client.call_function("GET", KNOWN)).status_code]
                # Past the first batch, which by now is being sent.
                await asyncio.sleep(3)
                began = time.perf_counter()
                statuses += [
                    (await client.call_function("GET", KNOWN)).status_code for _ in range(20)
                ]
                took = time.perf_counter() - began
                began = time.perf_counter()
            stopping = time.perf_counter() - began

    assert {HTTP_OK} == set(statuses)
    assert 5 > took
    assert 8 > stopping


async def test_when_application_insights_is_not_there_then_one_line_says_what_is_lost(
    stack: LocalStack,
) -> None:
    """Ours, without the endpoint's answer; the exporter's own lines would be one a batch."""
    settings = {"APPLICATIONINSIGHTS_CONNECTION_STRING": connection_string("http://127.0.0.1:1")}
    async with (
        another_function_app(stack, "losing", settings) as app,
        LocalClient.to(stack, app.url) as client,
    ):
        for _ in range(3):
            await client.call_function("GET", KNOWN)
            await asyncio.sleep(1)
        assert await asyncio.to_thread(
            becomes_true, lambda: bool(lines(stack, "losing", "telemetry_lost")), 20
        )
    log = (stack.log_folder / "losing.log").read_text()

    assert 1 == len(lines(stack, "losing", "telemetry_lost"))
    assert "Traceback" not in log
    assert "azure.monitor" not in log


async def test_when_telemetry_is_off_then_open_telemetry_is_not_even_imported(
    stack: LocalStack,
) -> None:
    """As on a laptop, where nobody sets the connection string."""
    async with (
        another_function_app(stack, "silent", {"PYTHONPROFILEIMPORTTIME": "1"}) as app,
        LocalClient.to(stack, app.url) as client,
    ):
        answer = await client.call_function("GET", KNOWN)
    log = (stack.log_folder / "silent.log").read_text()

    assert HTTP_OK == answer.status_code
    assert "azure_function_app.telemetry.spans" in log
    assert "opentelemetry.sdk" not in log
    assert "azure.monitor" not in log


async def test_when_the_app_stops_then_the_spans_that_wait_are_sent(stack: LocalStack) -> None:
    """They wait for two seconds otherwise, and the app is gone by then."""
    async with running_ingestion_endpoint() as endpoint:
        settings = {"APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.connection_string}
        async with (
            another_function_app(stack, "stopping", settings) as app,
            LocalClient.to(stack, app.url) as client,
        ):
            await client.call_function("GET", KNOWN)
            await client.call_function("GET", KNOWN)

    assert 2 == len(endpoint.spans("proxy_call"))
