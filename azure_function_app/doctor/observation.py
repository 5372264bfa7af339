"""Runs every probe at once, each within a time limit of its own, and gathers what they saw.

A probe that hangs is given up and left to end by itself; the others go on. What a probe raises is a
fault of the probe, and ends no other one.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import httpx

from azure_function_app.aws_api.destination import Destination
from azure_function_app.aws_api.direct_client import build_transport
from azure_function_app.deadline import Deadline
from azure_function_app.doctor.evidence import Broke, Evidence, is_our_health
from azure_function_app.doctor.probes.exchange import Answered, Outcome, Unanswered, exchange
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.probes.queue_connection import (
    ConnectionProblem,
    read_connection,
)
from azure_function_app.doctor.probes.queue_trial import QueueOutcome, try_queue
from azure_function_app.doctor.probes.store_trial import StoreOutcome, try_store
from azure_function_app.doctor.probes.token_request import (
    RequestToken,
    TokenFailed,
    TokenObtained,
    request_token,
    try_token,
)
from azure_function_app.doctor.report import CallMark, CheckName
from azure_function_app.doctor.subject import Subject
from azure_function_app.errors import StoreTimedOut
from azure_function_app.http1.transport import HttpTransport
from azure_function_app.tls import TlsFileProblem, build_tls_context

WHOLE_SECONDS: Final = 4.5
"""Seconds for everything together."""
TOKEN_SECONDS: Final = 3.0
ISSUER_SECONDS: Final = 3.0
API_SECONDS: Final = 3.0
"""A Lambda function that nobody has called for a while takes a second or two to start."""
STORE_SECONDS: Final = 4.0
QUEUE_SECONDS: Final = 3.0
_GRACE_SECONDS: Final = 0.1
"""How long a probe may overrun its deadline: to say for itself that it has passed."""
_PARENTS: Final = 3
HEALTH_PATH: Final = "/health"
METADATA_PATH: Final = "/.well-known/oauth-protected-resource"
CALL_PATH: Final = "/v1/records"
CALL_QUERY: Final = "limit=1"


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """How long each probe may take, in seconds."""

    whole: float = WHOLE_SECONDS
    token: float = TOKEN_SECONDS
    issuer: float = ISSUER_SECONDS
    api: float = API_SECONDS
    store: float = STORE_SECONDS
    queue: float = QUEUE_SECONDS


@dataclass(slots=True)
class _Run:
    subject: Subject
    limits: ProbeLimits
    request_token: RequestToken
    evidence: Evidence
    end: Deadline
    """By when everything is over."""
    api: "_Api | None" = None

    def within(self, seconds: float) -> Deadline:
        """Return the deadline of a probe that begins now."""
        return Deadline.after(min(seconds, self.end.remaining_seconds()), self.subject.clock)


async def observe(
    subject: Subject,
    *,
    limits: ProbeLimits | None = None,
    request_token: RequestToken = request_token,
) -> Evidence:
    """Return what the probes saw, within the limit of the whole."""
    limits = limits or ProbeLimits()
    run = _Run(
        subject,
        limits,
        request_token,
        Evidence(subject.clock.now()),
        Deadline.after(limits.whole, subject.clock),
    )
    async with AsyncExitStack() as closing:
        await asyncio.gather(
            _store(run), _queue(run, closing), _issuer(run, closing), _api_and_token(run, closing)
        )
    return run.evidence


async def _timed[T](
    run: _Run, check: CheckName, deadline: Deadline, probe: Awaitable[T], late: Callable[[], T]
) -> T | Broke:
    """Return what the probe saw; `late()` if it has not ended soon after its deadline."""
    clock = run.subject.clock
    begun = clock.monotonic()
    task = asyncio.ensure_future(probe)
    await asyncio.wait({task}, timeout=deadline.remaining_seconds() + _GRACE_SECONDS)
    run.evidence.milliseconds[check] = 1_000 * (clock.monotonic() - begun)
    if not task.done():
        task.cancel()
        task.add_done_callback(_forget)
        return late()
    try:
        return task.result()
    except Exception as error:  # noqa: BLE001 - it must not keep the other probes' results from anybody
        return Broke(type(error).__name__)


def _forget[T](done: asyncio.Future[T]) -> None:
    if not done.cancelled():
        done.exception()


def _unanswered() -> Outcome:
    return Unanswered(Obstacle.TIMED_OUT, "no answer in time", 0.0)


async def _store(run: _Run) -> None:
    if run.subject.broken_for_store():
        return
    deadline = run.within(run.limits.store)
    run.evidence.store = await _timed(
        run,
        CheckName.STORE,
        deadline,
        try_store(run.subject.settings, deadline, run.subject.clock),
        lambda: StoreOutcome(run.limits.store, StoreTimedOut("the store did not answer in time")),
    )


async def _queue(run: _Run, closing: AsyncExitStack) -> None:
    subject = run.subject
    if subject.broken_for_queue() or not subject.settings.sync.fans_out:
        return
    try:
        connection = read_connection(subject.environment)
    except ConnectionProblem as problem:
        run.evidence.queue = problem
        return
    settings = subject.settings
    authorities = settings.network.authorities_path or settings.token_ca_file
    try:
        tls = build_tls_context(authorities_path=authorities)
    except (TlsFileProblem, OSError) as problem:
        failed = Unanswered(Obstacle.TLS_FAILED, f"REQUESTS_CA_BUNDLE {problem}", 0.0)
        run.evidence.queue = QueueOutcome(connection, failed)
        return
    transport = build_transport(connect_seconds=run.limits.queue, ssl_context=tls)
    closing.push_async_callback(transport.aclose)
    deadline = run.within(run.limits.queue)
    run.evidence.queue = await _timed(
        run,
        CheckName.QUEUE,
        deadline,
        try_queue(connection, settings, transport, deadline, subject.clock),
        lambda: QueueOutcome(connection, _unanswered()),
    )


async def _issuer(run: _Run, closing: AsyncExitStack) -> None:
    if run.subject.broken_for_issuer():
        return
    settings = run.subject.settings
    api, network = settings.api, settings.network
    deadline = run.within(run.limits.issuer)
    try:
        transport = build_transport(
            connect_seconds=run.limits.issuer,
            ssl_context=build_tls_context(
                authorities_path=network.authorities_path or settings.token_ca_file
            ),
            # A local issuer is not asked over https, and proxies are for that only.
            proxy=network.token_proxy if api.cloud.authority.startswith("https") else None,
        )
    except (TlsFileProblem, OSError) as problem:
        failed = Unanswered(Obstacle.TLS_FAILED, f"REQUESTS_CA_BUNDLE {problem}", 0.0)
        run.evidence.discovery = run.evidence.key_set = failed
        return
    closing.push_async_callback(transport.aclose)
    base = f"{api.cloud.authority}/{api.tenant_id}"

    async def get(url: str) -> Outcome:
        request = httpx.Request("GET", url, headers=_PLAIN)
        return await exchange(transport, request, clock=run.subject.clock, deadline=deadline)

    discovery = f"{base}/v2.0/.well-known/openid-configuration"
    run.evidence.discovery, run.evidence.key_set = await asyncio.gather(
        _timed(run, CheckName.DISCOVERY, deadline, get(discovery), _unanswered),
        _timed(run, CheckName.KEY_SET, deadline, get(api.key_set_url), _unanswered),
    )


_PLAIN: Final = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": "azure-aws-bridge-doctor",
}


async def _api_and_token(run: _Run, closing: AsyncExitStack) -> None:
    await asyncio.gather(_token(run), _api(run, closing))
    obtained = run.evidence.obtained
    # A token is sent to nobody who has not answered as the API does.
    if run.api is None or obtained is None or not is_our_health(run.evidence.health):
        return
    if not obtained.token.is_well_formed:
        return
    await _call(run, run.api, obtained)


async def _token(run: _Run) -> None:
    subject = run.subject
    if subject.broken_for_token():
        return
    deadline = run.within(run.limits.token)
    run.evidence.token = await _timed(
        run,
        CheckName.TOKEN,
        deadline,
        try_token(subject.settings, deadline, subject.clock, run.request_token),
        lambda: TokenFailed(
            run.limits.token, obstacle=Obstacle.TIMED_OUT, detail="no answer in time"
        ),
    )


@dataclass(frozen=True, slots=True)
class _Api:
    """The API as the app would call it."""

    transport: HttpTransport
    destination: Destination
    run: _Run

    async def get(self, path: str, deadline: Deadline, query: str = "", **headers: str) -> Outcome:
        """Return what came of a GET below the base URL."""
        request = httpx.Request(
            "GET",
            self.destination.url(path, query),
            headers=[*_PLAIN.items(), *self.destination.headers, *headers.items()],
        )
        self.destination.check(request)
        return await exchange(
            self.transport, request, clock=self.run.subject.clock, deadline=deadline
        )

    def at(self, base_url: str) -> "_Api":
        """Return the same API below another base URL."""
        network = self.run.subject.settings.network
        return _Api(
            self.transport,
            Destination.parse(base_url, host=network.api_host, api_id=network.api_id),
            self.run,
        )


async def _api(run: _Run, closing: AsyncExitStack) -> None:
    subject = run.subject
    if subject.broken_for_api():
        return
    settings = subject.settings
    network = settings.network
    transport = build_transport(
        connect_seconds=run.limits.api,
        ssl_context=build_tls_context(
            authorities_path=network.authorities_path, certificate=network.api_certificate
        ),
        proxy=network.api_proxy,
    )
    closing.push_async_callback(transport.aclose)
    destination = Destination.parse(
        settings.api_base_url, host=network.api_host, api_id=network.api_id
    )
    api = run.api = _Api(transport, destination, run)
    deadline = run.within(run.limits.api)
    headers = {} if network.api_key is None else {"x-api-key": network.api_key}
    run.evidence.health, run.evidence.metadata = await asyncio.gather(
        _timed(
            run,
            CheckName.API_REACHABLE,
            deadline,
            api.get(HEALTH_PATH, deadline, **headers),
            _unanswered,
        ),
        _timed(
            run,
            CheckName.API_METADATA,
            deadline,
            api.get(METADATA_PATH, deadline, **headers),
            _unanswered,
        ),
    )
    if isinstance(run.evidence.health, Answered) and not is_our_health(run.evidence.health):
        await _look_above(run, api, deadline)


async def _look_above(run: _Run, api: _Api, deadline: Deadline) -> None:
    """Look whether the base URL has a path too many."""
    base_url = api.destination.base_url
    for _ in range(_PARENTS):
        base_url, _, last = base_url.rpartition("/")
        if not last or base_url.endswith(("/", ":")) or deadline.has_passed:
            return
        found = await api.at(base_url).get(HEALTH_PATH, deadline)
        if is_our_health(found):
            run.evidence.answers_at = base_url
            return


async def _call(run: _Run, api: _Api, obtained: TokenObtained) -> None:
    subject = run.subject
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    headers = {
        "authorization": obtained.token.authorization,
        "traceparent": f"00-{trace_id}-{span_id}-01",
        # What API Gateway continues (docs.aws.amazon.com/xray: tracing header).
        "x-amzn-trace-id": f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={span_id};Sampled=1",
    }
    if (key := subject.settings.network.api_key) is not None:
        headers["x-api-key"] = key
    deadline = run.within(run.limits.whole)
    began_at = subject.clock.now()
    found = await _timed(
        run,
        CheckName.API_CALL,
        deadline,
        api.get(CALL_PATH, deadline, CALL_QUERY, **headers),
        _unanswered,
    )
    run.evidence.call = found
    request_id = found.headers.get("x-amzn-requestid") if isinstance(found, Answered) else None
    run.evidence.mark = CallMark(began_at, subject.clock.now(), request_id, trace_id)
