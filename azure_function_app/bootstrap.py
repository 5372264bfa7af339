"""Builds everything, once for each event loop: settings, client, store, jobs."""

import asyncio
import logging
import random
import secrets
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from copy import replace
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict, assert_never
from uuid import uuid4

from azure_function_app import __version__
from azure_function_app.aws_api.circuit_breaker import CircuitBreaker
from azure_function_app.aws_api.client import ApiClient
from azure_function_app.aws_api.destination import Destination
from azure_function_app.aws_api.direct_client import build_client_over, build_transport
from azure_function_app.aws_api.retry import PROXY_POLICY, SYNC_POLICY, Retrier, RetryPolicies
from azure_function_app.aws_api.retry_budget import RetryBudget
from azure_function_app.declared_settings import CallerAuthentication, ForwardedCalls
from azure_function_app.fan_out.sharded_sync import ShardedSync
from azure_function_app.health_report import Health
from azure_function_app.identity.credentials import build_credential, request_token
from azure_function_app.identity.token_diagnosis import report_token
from azure_function_app.identity.token_provider import TokenProvider
from azure_function_app.proxy.permissions import SignIn
from azure_function_app.proxy.proxy import Proxy
from azure_function_app.settings import (
    PostgresSettings,
    Settings,
    SqliteSettings,
    TableSettings,
    load_process_settings,
)
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.stores.table_store import TableStore, build_table_store
from azure_function_app.sync.change_feed import ChangeFeed
from azure_function_app.sync.checkpoint_store import PLAN_ROW, CheckpointStore
from azure_function_app.sync.record_sink import RecordSink
from azure_function_app.sync.record_view import RecordView
from azure_function_app.sync.runs.carry_over import AfterShards, CarryOver
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_job import SyncJob
from azure_function_app.sync.sync_store import StoresInOrder, SyncStore
from azure_function_app.tls import build_tls_context
from shared.clock import Clock, SystemClock
from shared.entra import TokenVersion
from shared.log import JsonLines, log_event
from shared.routes import ROUTES
from shared.settings_reader import SettingsError

if TYPE_CHECKING:
    from azure_function_app.stores.postgres.store import PostgresStore

_logger = logging.getLogger(__name__)

_SYNC_CONNECTIONS: Final = 4
"""A run has one call under way at most; the others are for runs that overlap."""
_SYNC_WAITING: Final = 16

_POSTGRES_SCOPES: Final = {
    "public": "https://ossrdbms-aad.database.windows.net/.default",
    "usgov": "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
    "china": "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
    "local": "https://ossrdbms-aad.database.windows.net/.default",
}
"""What a token must be for, to be a password of Azure's PostgreSQL, in each cloud."""

_TURN_SECONDS: Final = 0.0005

type Store = SqliteStore | TableStore | PostgresStore


@dataclass(frozen=True, slots=True)
class Services:
    """What the entries call. Belongs to one event loop."""

    sync_job: SyncJob
    sharded_sync: ShardedSync | None
    """Where the settings want the feed to be read by its shards; then the job is not run."""
    record_sink: RecordSink
    record_view: RecordView
    checkpoints: CheckpointStore
    """With the checkpoint that says how far the sync is: the plan's, where there is one."""
    proxy: Proxy
    health: Health


class ServicesPerLoop:
    """Builds the services when an event loop first needs them, and closes them when it ends.

    A connection belongs to the event loop that opened it. Functions has one loop a process, tests
    and local hosts have many.
    """

    def __init__(self, load_settings: Callable[[], Settings], clock: Clock) -> None:
        """Load the settings now, so that what is wrong with them is in the log from the start."""
        self._clock = clock
        self._settings: Settings | SettingsError
        try:
            self._settings = load_settings()
        except SettingsError as error:
            self._settings = error
            _log_settings_problems(error)
        self._by_loop: dict[
            asyncio.AbstractEventLoop, tuple[Services, AsyncGenerator[Services]]
        ] = {}

    @property
    def proxy_needs_sign_in(self) -> bool:
        """Return whether App Service, and not the host by a key, decides who reaches the proxy."""
        return isinstance(self._settings, Settings) and _needs_sign_in(self._settings)

    @property
    def fans_out(self) -> bool:
        """Return whether the sync is to have a queue, beside its timer."""
        return isinstance(self._settings, Settings) and self._settings.sync.fans_out

    async def get(self) -> Services:
        """Return the services of the running event loop.

        Raises:
            SettingsError: the settings are not valid; nothing was built.

        """
        if isinstance(self._settings, SettingsError):
            _log_settings_problems(self._settings)
            raise self._settings
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            # What a loop opened refers to the loop, so its entry would live as long as we do.
            for ended in [known for known in self._by_loop if known.is_closed()]:
                del self._by_loop[ended]
            # The loop itself ends the generator: `shutdown_asyncgens`, which `asyncio.run` calls.
            lifetime = self._lifetime(self._settings, loop)
            self._by_loop[loop] = (await anext(lifetime), lifetime)
        return self._by_loop[loop][0]

    async def _lifetime(
        self, settings: Settings, loop: asyncio.AbstractEventLoop
    ) -> AsyncGenerator[Services]:
        async with AsyncExitStack() as closing:
            closing.callback(self._by_loop.pop, loop, None)
            # No await before the yield: two first callers must not build everything twice.
            yield _build_services(settings, self._clock, closing)


def _build_services(config: Settings, clock: Clock, closing: AsyncExitStack) -> Services:
    apis = build_api_clients(config, clock)
    closing.push_async_callback(apis.aclose)
    stores = _build_stores(config, clock, closing)
    feed = ChangeFeed(apis.sync, clock)
    page_seconds = config.calls.sync_call_seconds
    limits = _RunLimits(
        clock=clock,
        new_run_id=lambda: str(uuid4()),
        page_size=config.sync.page_size,
        run_seconds=config.sync.run_seconds,
        page_seconds=page_seconds,
        most_poison_share=config.sync.most_poison_share,
        deletion_limit=DeletionLimit(config.sync.most_deleted_share),
    )
    after_shards = AfterShards(stores.checkpoints, CarryOver(feed, clock, page_seconds))
    fans_out = config.sync.fans_out
    checkpoints = stores.checkpoints.for_row(PLAN_ROW) if fans_out else stores.checkpoints
    return Services(
        sync_job=SyncJob(source=feed, store=stores.sync, after_shards=after_shards, **limits),
        sharded_sync=(
            ShardedSync(source=feed, store=stores.sync, checkpoints=stores.checkpoints, **limits)
            if fans_out
            else None
        ),
        record_sink=stores.sink,
        record_view=stores.sink.view,
        checkpoints=checkpoints,
        proxy=Proxy(
            api=apis.proxy,
            routes=ROUTES,
            clock=clock,
            call_seconds=config.calls.proxy_call_seconds,
            random_hex=secrets.token_hex,
            forwards_writes=_forwards_writes(config.proxy_forwards),
            sign_in=_build_sign_in(config) if _needs_sign_in(config) else None,
        ),
        health=Health(
            version=__version__,
            credential=config.token_source.credential.kind,
            record_store=config.record_sink.kind,
            checkpoints=stores.checkpoints,
            clock=clock,
        ),
    )


@dataclass(frozen=True, slots=True)
class ApiClients:
    """The API's clients, one for each kind of calls, over one token and the same connections.

    Each has places, a retry budget and a circuit breaker of its own: what befalls proxied calls
    keeps the sync from nothing, and the other way round.
    """

    proxy: ApiClient
    sync: ApiClient

    async def aclose(self) -> None:
        """Close every connection."""
        await self.proxy.aclose()
        await self.sync.aclose()


def build_api_clients(config: Settings, clock: Clock) -> ApiClients:
    """Return the API's clients, with every layer in place. Needs a running event loop."""
    calls, network = config.calls, config.network
    destination = Destination.parse(
        config.api_base_url, host=network.api_host, api_id=network.api_id
    )
    transport = build_transport(
        connect_seconds=calls.connect_seconds,
        ssl_context=build_tls_context(
            authorities_path=network.authorities_path, certificate=network.api_certificate
        ),
        proxy=network.api_proxy,
    )
    token_provider = TokenProvider(
        partial(request_token, config.token_source, **token_leg(config)),
        clock=clock,
        random=random.random,
        wait_seconds=calls.token_wait_seconds,
        on_first_token=partial(report_token, identity=config.api),
    )
    policies = RetryPolicies(
        proxy=replace(PROXY_POLICY, read_seconds=calls.proxy_read_seconds),
        sync=replace(SYNC_POLICY, read_seconds=calls.sync_read_seconds),
    )

    def build_with_places(connections: int, waiting: int) -> ApiClient:
        return ApiClient(
            destination=destination,
            client=build_client_over(
                transport, connections=connections, waiting=waiting, clock=clock
            ),
            token_provider=token_provider,
            retrier=Retrier(
                budget=RetryBudget(clock),
                clock=clock,
                random=random.random,
                sleep=asyncio.sleep,
                policies=policies,
            ),
            breaker=CircuitBreaker(clock=clock, random=random.random),
            api_key=network.api_key,
        )

    return ApiClients(
        proxy=build_with_places(calls.concurrent_calls, calls.waiting_calls),
        sync=build_with_places(_SYNC_CONNECTIONS, _SYNC_WAITING),
    )


class _RunLimits(TypedDict):
    clock: Clock
    new_run_id: Callable[[], str]
    page_size: int
    run_seconds: float
    page_seconds: float
    most_poison_share: float
    deletion_limit: DeletionLimit


class TokenLeg(TypedDict):
    """How the endpoints that issue tokens are reached."""

    proxy_url: str | None
    ca_file: str | None


def token_leg(config: Settings) -> TokenLeg:
    """Return how the endpoints that issue tokens are reached, by the settings."""
    proxy = config.network.token_proxy
    return {
        "proxy_url": None if proxy is None else proxy.url,
        "ca_file": config.network.authorities_path or config.token_ca_file,
    }


def _needs_sign_in(config: Settings) -> bool:
    match config.proxy_authentication:
        case CallerAuthentication.FUNCTION_KEY:
            return False
        case CallerAuthentication.EASY_AUTH:
            return True
        case _:
            assert_never(config.proxy_authentication)


def _build_sign_in(config: Settings) -> SignIn:
    sign_in = config.sign_in
    return SignIn(
        tenant_id=sign_in.tenant_id,
        home_issuers=frozenset(
            config.api.cloud.issuer(sign_in.tenant_id, version) for version in TokenVersion
        ),
        caller_roles=sign_in.caller_roles,
        admits_guests=sign_in.admits_guests,
    )


def _forwards_writes(forwarded: ForwardedCalls) -> bool:
    match forwarded:
        case ForwardedCalls.READ:
            return False
        case ForwardedCalls.READ_AND_WRITE:
            return True
        case _:
            assert_never(forwarded)


class _Stores(NamedTuple):
    sync: SyncStore
    sink: Store
    checkpoints: CheckpointStore


def _build_stores(config: Settings, clock: Clock, closing: AsyncExitStack) -> _Stores:
    checkpoints = build_store(config.checkpoint_store, config, clock)
    closing.push_async_callback(checkpoints.aclose)
    if config.record_sink != config.checkpoint_store:
        sink = build_store(config.record_sink, config, clock)
        closing.push_async_callback(sink.aclose)
        return _Stores(StoresInOrder(sink, checkpoints), sink, checkpoints)
    # One store keeps both, over the same connections.
    if isinstance(checkpoints, TableStore):
        return _Stores(StoresInOrder(checkpoints, checkpoints), checkpoints, checkpoints)
    return _Stores(checkpoints, checkpoints, checkpoints)


def build_store(
    chosen: SqliteSettings | TableSettings | PostgresSettings, config: Settings, clock: Clock
) -> Store:
    """Return the store that is chosen, which opens nothing before it is used."""
    match chosen:
        case SqliteSettings(path=path):
            return SqliteStore(Path(path))
        case TableSettings(endpoint=endpoint):
            return build_table_store(
                endpoint, partial(build_credential, config.token_source, **token_leg(config))
            )
        case PostgresSettings():
            return _build_postgres_store(chosen, config, clock)
        case _:
            assert_never(chosen)


def _build_postgres_store(chosen: PostgresSettings, config: Settings, clock: Clock) -> Store:
    # Only who has chosen it waits for its driver at a cold start.
    from azure_function_app.stores.postgres.connections import Server  # noqa: PLC0415
    from azure_function_app.stores.postgres.store import build_postgres_store  # noqa: PLC0415

    return build_postgres_store(
        Server(chosen.host, chosen.port, chosen.database, chosen.user),
        clock=clock,
        build_tls=partial(build_tls_context, authorities_path=config.network.authorities_path),
        request_token=partial(
            request_token,
            config.token_source,
            scope=_POSTGRES_SCOPES[config.api.cloud.name],
            **token_leg(config),
        ),
    )


def _log_settings_problems(error: SettingsError) -> None:
    log_event(
        _logger,
        logging.ERROR,
        error.code,
        problems={problem.name: problem.message for problem in error.problems},
    )


def configure_logging() -> None:
    """Make the host's log handlers write every line as JSON, with tokens taken out."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
    logging.getLogger("azure_function_app").setLevel(logging.INFO)
    for library in ("azure", "httpx", "msal", "urllib3"):
        logging.getLogger(library).setLevel(logging.WARNING)


def share_the_processor() -> None:
    """Let threads give way to the event loop after half a millisecond, where five is usual.

    The sync parses and stores in threads, and a proxied call waits for its turn several times.
    """
    sys.setswitchinterval(_TURN_SECONDS)


def build_services_per_loop() -> ServicesPerLoop:
    """Return the services of this process, from its environment."""
    return ServicesPerLoop(load_process_settings, SystemClock())
