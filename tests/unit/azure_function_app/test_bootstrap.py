"""Wiring: one set of services a loop, and none at all without good settings."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import warnings
import weakref
from copy import replace
from pathlib import Path

import pytest

from azure_function_app import bootstrap
from azure_function_app.aws_api.client import ApiClient, ApiRequest
from azure_function_app.bootstrap import (
    Services,
    ServicesPerLoop,
    configure_logging,
    share_the_processor,
)
from azure_function_app.deadline import Deadline
from azure_function_app.errors import RequestRefused
from azure_function_app.settings import SqliteSettings, TableSettings, load_settings
from azure_function_app.stores.postgres.store import PostgresStore
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.stores.table_store import TableStore
from azure_function_app.sync.sync_store import StoresInOrder
from shared.clock import SystemClock
from shared.log import JsonLines
from shared.settings_reader import SettingsError
from tests.support.functions_app import NEEDED, services_per_loop

START_AND_NAME_DRIVERS = """
import asyncio, sys
import azure_function_app.app
from azure_function_app.bootstrap import build_services_per_loop

async def start():
    await build_services_per_loop().get()

asyncio.run(start())
print([name for name in sys.modules if name.partition(".")[0] == "asyncpg" or ".postgres" in name])
"""


@pytest.fixture
def subject(tmp_path: Path) -> ServicesPerLoop:
    """The services of an app whose store is in a new folder."""
    return services_per_loop(SQLITE_PATH=str(tmp_path / "records.sqlite3"))


async def test_when_services_are_asked_for_then_each_loop_has_one_set(
    subject: ServicesPerLoop,
) -> None:
    """The same loop gets the same services, however many ask at once."""
    first, second = await asyncio.gather(subject.get(), subject.get())

    assert first is second
    assert first is await subject.get()


def test_when_a_loop_ends_then_its_services_are_closed_and_the_next_has_its_own(
    subject: ServicesPerLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`asyncio.run` ends what was built in it, so no connection outlives its loop."""
    events: list[str] = []
    aclose = SqliteStore.aclose

    async def noted(store: SqliteStore) -> None:
        events.append("closed")
        await aclose(store)

    monkeypatch.setattr(SqliteStore, "aclose", noted)

    async def use() -> Services:
        services = await subject.get()
        await services.health.answer("r-1")
        return services

    first = asyncio.run(use())
    second = asyncio.run(use())

    assert first is not second
    assert ["closed", "closed"] == events


def collected() -> None:
    """Free what only refers to itself; twice, because finalizers may let more go."""
    gc.collect()
    gc.collect()


@pytest.mark.parametrize("used", [False, True])
def test_when_a_loop_ends_then_its_services_are_freed_with_it(
    subject: ServicesPerLoop, *, used: bool
) -> None:
    """A host with many loops, as tests are, must not keep the services of each for ever."""
    traces: list[weakref.ref[object]] = []

    async def use() -> None:
        services = await subject.get()
        if used:
            await services.health.answer("r-1")
        traces.extend(
            weakref.ref(thing)
            for thing in (
                asyncio.get_running_loop(),
                services.sync_job.store,
                services.proxy.api,
            )
        )

    for _ in range(3):
        asyncio.run(use())
    collected()

    assert [None] * 9 == [trace() for trace in traces]


def test_when_a_loop_is_closed_without_notice_then_the_next_one_frees_its_services(
    subject: ServicesPerLoop,
) -> None:
    """Not every host lets generators end: its connections are lost, and nothing else is."""
    abandoned = asyncio.new_event_loop()
    services = abandoned.run_until_complete(subject.get())
    api = services.proxy.api
    assert isinstance(api, ApiClient)
    abandoned.run_until_complete(api.aclose())
    traces: list[weakref.ref[object]] = [weakref.ref(api), weakref.ref(services.sync_job.store)]
    abandoned.close()
    loop = weakref.ref(abandoned)
    del abandoned, services, api

    async def use() -> None:
        await subject.get()

    with warnings.catch_warnings():
        # What the loop left running is said when it is freed.
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(use())
        collected()

    assert loop() is None
    assert [None, None] == [trace() for trace in traces]


async def test_when_settings_are_wrong_then_every_call_says_so_and_nothing_is_built(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names every setting at the start and at each call; the caller gets the error."""
    monkeypatch.setattr(bootstrap, "build_api_clients", lambda *_: pytest.fail("it was built"))
    with caplog.at_level(logging.ERROR):
        subject = services_per_loop(AWS_API_BASE_URL="ftp://x", SYNC_PAGE_SIZE="0")

    for _ in range(2):
        with pytest.raises(SettingsError):
            await subject.get()

    assert ["settings_invalid"] * 3 == [line.getMessage() for line in caplog.records]
    for line in caplog.records:
        assert {"AWS_API_BASE_URL", "SYNC_PAGE_SIZE"} == vars(line)["bridge_fields"][
            "problems"
        ].keys()


async def test_when_a_secret_is_wrong_then_no_log_line_holds_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A secret in the wrong place is named, not shown."""
    services_per_loop(AZURE_CLIENT_SECRET="hunter2")

    assert "AZURE_CLIENT_SECRET" in JsonLines().format(caplog.records[0])
    assert "hunter2" not in JsonLines().format(caplog.records[0])


@pytest.mark.parametrize(
    ("environment", "store", "kind"),
    [
        ({}, SqliteStore, "sqlite"),
        (
            {"RECORD_STORE": "table", "TABLE_ENDPOINT": "http://127.0.0.1:9/devstoreaccount1"},
            TableStore,
            "table",
        ),
        (
            {"RECORD_STORE": "table", "TABLE_ENDPOINT": "https://x.table.core.windows.net"},
            TableStore,
            "table",
        ),
        (
            {"RECORD_STORE": "postgres", "POSTGRES_HOST": "127.0.0.1", "POSTGRES_USER": "app"},
            PostgresStore,
            "postgres",
        ),
        (
            {"RECORD_STORE": "postgres", "POSTGRES_HOST": "x.example", "POSTGRES_USER": "app"},
            PostgresStore,
            "postgres",
        ),
    ],
)
async def test_when_a_store_is_named_then_it_is_the_one_that_is_used(
    environment: dict[str, str], store: type, kind: str, tmp_path: Path
) -> None:
    """Records and checkpoints go to the same store, and health names its kind."""
    subject = services_per_loop(SQLITE_PATH=str(tmp_path / "r.sqlite3"), **environment)

    services = await subject.get()

    checkpoints, used = services.health.checkpoints, services.sync_job.store
    assert isinstance(checkpoints, store)
    assert {id(checkpoints)} == (
        {id(used.sink), id(used.checkpoints)} if isinstance(used, StoresInOrder) else {id(used)}
    )
    assert kind == services.health.record_store


def test_when_another_store_is_chosen_then_the_driver_of_postgresql_is_not_imported(
    tmp_path: Path,
) -> None:
    """Its 100 ms of a cold start are for who has chosen it."""
    environment = NEEDED | {"SQLITE_PATH": str(tmp_path / "r.sqlite3")}
    started = subprocess.run(
        [sys.executable, "-c", START_AND_NAME_DRIVERS],
        env=environment | {"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "[]\n" == started.stdout, started.stderr


async def test_when_limits_are_set_then_the_jobs_have_them(subject: ServicesPerLoop) -> None:
    """What the settings say is what the jobs do."""
    services = await subject.get()

    assert (500, 240.0, 30.0, 0.2, 30.0) == (
        services.sync_job.page_size,
        services.sync_job.run_seconds,
        services.sync_job.page_seconds,
        services.sync_job.deletion_limit.share,
        services.proxy.call_seconds,
    )
    assert services.sync_job.new_run_id() != services.sync_job.new_run_id()
    assert 32 == len(services.proxy.tracer.random_hex(16))


async def test_when_settings_are_given_then_everything_is_built_from_them() -> None:
    """Nothing is connected to, and no token asked for, until somebody calls."""
    apis = bootstrap.build_api_clients(load_settings(NEEDED), SystemClock())

    for api in (apis.proxy, apis.sync):
        with pytest.raises(RequestRefused):
            await api.fetch(ApiRequest("GET", "/../x"), deadline=Deadline.after(1, SystemClock()))
    await apis.aclose()


async def test_when_sink_and_checkpoints_are_chosen_apart_then_each_is_built(
    tmp_path: Path,
) -> None:
    """A sink need not be able to keep checkpoints."""
    chosen = replace(
        load_settings(NEEDED),
        record_sink=SqliteSettings(str(tmp_path / "records.sqlite3")),
        checkpoint_store=TableSettings("http://127.0.0.1:9/devstoreaccount1"),
    )
    subject = ServicesPerLoop(lambda: chosen, SystemClock())

    services = await subject.get()

    store = services.sync_job.store
    assert isinstance(store, StoresInOrder)
    assert isinstance(store.sink, SqliteStore)
    assert isinstance(store.checkpoints, TableStore)
    assert store.checkpoints is services.health.checkpoints
    assert "sqlite" == services.health.record_store


@pytest.mark.parametrize(
    ("environment", "needs_sign_in"),
    [
        ({}, False),
        ({"PROXY_AUTHENTICATION": "easy_auth", "WEBSITE_AUTH_ENABLED": "True"}, True),
        ({"PROXY_AUTHENTICATION": "easy_auth"}, False),
    ],
)
def test_when_callers_sign_in_then_only_good_settings_can_say_so(
    environment: dict[str, str], *, needs_sign_in: bool
) -> None:
    """With wrong settings the proxy stays behind a function key."""
    assert needs_sign_in == services_per_loop(**environment).proxy_needs_sign_in


async def test_when_callers_sign_in_then_the_proxy_has_their_rules() -> None:
    """An account of the tenant is known by either issuer of its tokens; a key knows no accounts."""
    signed_in = {"PROXY_AUTHENTICATION": "easy_auth", "WEBSITE_AUTH_ENABLED": "True"}
    proxy = (await services_per_loop(**signed_in, PROXY_FORWARDS="read_and_write").get()).proxy
    by_key = (await services_per_loop().get()).proxy

    tenant = NEEDED["ENTRA_TENANT_ID"]
    assert proxy.sign_in is not None
    assert {
        f"https://sts.windows.net/{tenant}/",
        f"https://login.microsoftonline.com/{tenant}/v2.0",
    } == proxy.sign_in.home_issuers
    assert (tenant, False) == (proxy.sign_in.tenant_id, proxy.sign_in.admits_guests)
    assert (True, False, None) == (
        proxy.forwards_writes,
        by_key.forwards_writes,
        by_key.sign_in,
    )


@pytest.fixture
def handler() -> logging.Handler:
    """A handler as the host puts one on the root logger."""
    return logging.StreamHandler()


def test_when_logging_is_configured_then_every_line_is_json_without_tokens(
    handler: logging.Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's own handlers write through our formatter; chatty libraries are quieted."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])

    configure_logging()

    record = logging.makeLogRecord(
        {"msg": "Bearer abcdefghijkl", "name": "other", "levelname": "X", "created": 1.5}
    )
    line = '{"time": 1500, "level": "X", "logger": "other", "event": "Bearer [redacted]"}'
    assert line == handler.format(record)
    assert not logging.getLogger("azure.core").isEnabledFor(logging.INFO)
    assert logging.getLogger("azure_function_app.sync.sync_job").isEnabledFor(logging.INFO)


def test_when_the_process_starts_then_its_environment_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The production wiring reads the process's own settings."""
    signed_in = {"PROXY_AUTHENTICATION": "easy_auth", "WEBSITE_AUTH_ENABLED": "True"}
    monkeypatch.setattr(
        bootstrap, "load_process_settings", lambda: load_settings(NEEDED | signed_in)
    )

    assert bootstrap.build_services_per_loop().proxy_needs_sign_in


def test_when_threads_work_then_the_event_loop_waits_for_none_of_them_for_long() -> None:
    """A proxied call's turn comes within a millisecond while the sync parses and stores."""
    before = sys.getswitchinterval()
    try:
        share_the_processor()

        assert sys.getswitchinterval() == pytest.approx(0.0005)
    finally:
        sys.setswitchinterval(before)
