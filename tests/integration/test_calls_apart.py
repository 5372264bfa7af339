"""The proxy and the sync job call one API, and what befalls the one does not befall the other."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from azure_function_app import bootstrap
from azure_function_app.aws_api.circuit_breaker import FAILURES_IN_A_ROW
from azure_function_app.bootstrap import Services
from azure_function_app.errors import BackendUnavailable, CircuitOpen
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.sync.checkpoint_store import SyncStatus
from shared.clock import SystemClock
from tests.support.faulty_server import (
    Behavior,
    Exchange,
    FaultyServer,
    answer,
    faulty_server,
    say_nothing,
)
from tests.support.functions_app import services_per_loop
from tests.support.proxy_calls import caller

RECORD = {"id": "a", "version": 1, "updated_at": "2026-11-21T05:47:00.000Z", "deleted": False}
PAGE = answer(
    200,
    json.dumps(
        {"items": [RECORD | {"data": {}}], "next_cursor": "end", "has_more": False}
    ).encode(),
    ("Content-Type", "application/json"),
)
BARE_503 = answer(503, b"Service Unavailable")
ONE_RECORD = "https://bridge.azurewebsites.net/api/aws/v1/records/a"


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token without a token endpoint: what is asked of that one is not the subject here."""
    clock = SystemClock()
    monkeypatch.setattr(
        bootstrap, "request_token", lambda *_, **__: AccessToken("a.b.c", clock.now() + 3600)
    )


def feed_and_records(feed: Behavior, records: Behavior) -> Behavior:
    """An API whose feed, which only the sync reads here, behaves otherwise than its records do."""

    async def behave(exchange: Exchange) -> None:
        is_feed = exchange.request.target.partition("?")[0].endswith("/v1/records")
        await (feed if is_feed else records)(exchange)

    return behave


@asynccontextmanager
async def function_app(
    behavior: Behavior, folder: Path, settings: Mapping[str, str]
) -> AsyncIterator[tuple[Services, FaultyServer]]:
    """The services of an app in front of an API that behaves so."""
    async with faulty_server(behavior) as server:
        # It closes what it has built when nobody holds it any more.
        app = services_per_loop(
            AWS_API_BASE_URL=f"http://127.0.0.1:{server.port}/prod",
            SQLITE_PATH=str(folder / "records.sqlite3"),
            PROXY_FORWARDS="read_and_write",
            **settings,
        )
        yield await app.get(), server


async def test_when_proxied_calls_have_opened_their_circuit_then_the_sync_still_runs(
    tmp_path: Path,
) -> None:
    """Ten PUTs answered 503 say nothing about the feed, and have not used up its retries."""
    put = caller("PUT", ONE_RECORD, body=b"{}")
    async with function_app(feed_and_records(PAGE, BARE_503), tmp_path, {}) as (services, _):
        answers = [await services.proxy.answer(put) for _ in range(FAILURES_IN_A_ROW)]
        report = await services.sync_job.run()

    assert "circuit_open" == json.loads(answers[-1].body)["code"]
    assert (SyncStatus.COMPLETE, 1) == (report.status, report.records_changed)


async def test_when_the_sync_has_opened_its_circuit_then_proxied_calls_still_pass(
    tmp_path: Path,
) -> None:
    """A feed that is broken for a while is nothing to a caller who wants one record."""
    limits = {"SYNC_CALL_SECONDS": "1"}
    behavior = feed_and_records(BARE_503, answer(200, b'{"id": "a"}'))
    async with function_app(behavior, tmp_path, limits) as (services, server):
        while len(server.requests) < FAILURES_IN_A_ROW:
            with pytest.raises((BackendUnavailable, CircuitOpen)):
                await services.sync_job.run()
        with pytest.raises(CircuitOpen):
            await services.sync_job.run()
        response = await services.proxy.answer(caller("GET", ONE_RECORD))

    assert 200 == response.status


async def test_when_proxied_calls_hold_every_place_then_the_sync_has_one_of_its_own(
    tmp_path: Path,
) -> None:
    """It neither waits for a caller's call to end nor is it refused as one too many."""
    limits = {"CONCURRENT_CALLS": "2", "WAITING_CALLS": "0", "PROXY_CALL_SECONDS": "20"}
    behavior = feed_and_records(PAGE, say_nothing)
    async with function_app(behavior, tmp_path, limits) as (services, server):
        get = caller("GET", ONE_RECORD)
        held = [asyncio.create_task(services.proxy.answer(get)) for _ in range(2)]
        async with asyncio.timeout(10.0):
            while len(server.requests) < len(held):  # noqa: ASYNC110 - the server has no event
                await asyncio.sleep(0.01)
        one_too_many = await services.proxy.answer(get)
        report = await services.sync_job.run()
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)

    assert "overloaded" == json.loads(one_too_many.body)["code"]
    assert SyncStatus.COMPLETE == report.status


async def test_when_proxy_and_sync_take_turns_then_they_share_a_connection(tmp_path: Path) -> None:
    """Apart are their places and their failures, not the connections that are kept open."""
    behavior = feed_and_records(PAGE, answer(200, b'{"id": "a"}'))
    async with function_app(behavior, tmp_path, {}) as (services, server):
        await services.proxy.answer(caller("GET", ONE_RECORD))
        await services.sync_job.run()
        await services.proxy.answer(caller("GET", ONE_RECORD))

    assert (3, 1) == (len(server.requests), server.connections)
