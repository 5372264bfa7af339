"""A pair that answers as a deployed one does, on a real socket, with one thing wrong at a time."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from deployment.smoke.outcome import CheckFailedError, CheckResult, SmokeReport
from deployment.smoke.smoke_run import SmokeLimits, run_smoke
from deployment.smoke.sources import AlarmState, FunctionKeys, SmokeSources
from deployment.smoke.target import ProxyCallers, SmokeTarget
from shared.clock import SystemClock
from shared.contract import ApiIdentity
from shared.entra import CLOUDS, TokenVersion
from tests.support.faulty_server import Behavior, Exchange, FaultyServer, answer, faulty_server
from tests.support.tokens import signed_token

TENANT: Final = "5e6f0000-0000-4000-8000-00000000000a"
CLIENT: Final = "a9100000-0000-4000-8000-00000000000a"
IDENTITY: Final = ApiIdentity(
    CLOUDS["public"], TENANT, CLIENT, f"api://{TENANT}/bridge-dev-api", frozenset({TokenVersion.V2})
)
FUNCTION_KEY: Final = "function-key-that-nobody-may-see"
MASTER_KEY: Final = "master-key-that-nobody-may-see"
METADATA: Final = "/.well-known/oauth-protected-resource"
PAGE: Final = {"items": [], "next_cursor": "x", "has_more": False}


def json_answer(status: int, document: object, *fields: tuple[str, str]) -> Behavior:
    """An answer in JSON."""
    return answer(status, json.dumps(document).encode(), *fields)


def problem(status: int, code: str, *fields: tuple[str, str]) -> Behavior:
    """A problem document."""
    return json_answer(status, {"status": status, "code": code}, *fields)


def caller_token(**changes: object) -> str:
    """A token of a caller who may only read, with these claims changed."""
    version = TokenVersion.V2
    claims: dict[str, object] = {
        "iss": IDENTITY.issuer(version),
        "aud": CLIENT,
        "tid": TENANT,
        "ver": version.value,
        "oid": "0b1d0000-0000-4000-8000-00000000000a",
        "idtyp": "app",
        "roles": ["Records.Read"],
    }
    return signed_token(claims | changes)


@dataclass(slots=True)
class FakeSources:
    """Gives what it has, and remembers how often it was asked."""

    given_token: str | CheckFailedError
    given_keys: FunctionKeys | CheckFailedError
    states: list[AlarmState | CheckFailedError]
    """One a look; the last one stays."""
    asked: list[str] = field(default_factory=list)

    async def token(self, scope: str) -> str:
        """The token, or the refusal."""
        self.asked.append(scope)
        if isinstance(self.given_token, CheckFailedError):
            raise self.given_token
        return self.given_token

    async def keys(self) -> FunctionKeys:
        """The keys, or the refusal."""
        self.asked.append("keys")
        if isinstance(self.given_keys, CheckFailedError):
            raise self.given_keys
        return self.given_keys

    async def undecided_alarm(self) -> AlarmState:
        """The next state, or the refusal."""
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, CheckFailedError):
            raise state
        return state


class Steps:
    """Remembers what was shown."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.texts: list[str] = []

    def step(self, text: str) -> None:
        """Keep the text."""
        self.texts.append(text)


@dataclass(slots=True)
class SmokePair:
    """Both sides on one port: the API below /prod, the Function App at the root."""

    token: str = field(default_factory=caller_token)
    wrong: dict[str, Behavior] = field(default_factory=dict)
    """What is answered in place of the right thing, by method and path without the query."""
    everything: Behavior | None = None
    """What is answered to every request in place of anything else."""
    public_url: str | None = None
    proxy_callers: ProxyCallers = ProxyCallers.FUNCTION_KEY
    has_functions: bool = True
    statuses: list[dict[str, object]] = field(default_factory=list)
    """The reports of the runs to come; the last one stays."""
    sources: FakeSources = field(init=False)
    server: FaultyServer = field(init=False)
    runs: int = 0
    steps: Steps = field(default_factory=Steps)

    def __post_init__(self) -> None:
        """Give out the right token and keys, and a quiet alarm."""
        self.sources = FakeSources(
            self.token, FunctionKeys(FUNCTION_KEY, MASTER_KEY), [AlarmState.OK]
        )

    @property
    def api_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.server.port}/prod"

    @property
    def target(self) -> SmokeTarget:
        """The pair as a target."""
        return SmokeTarget(
            api_url=self.api_url,
            identity=IDENTITY,
            public_url=self.public_url,
            function_app_url=(
                f"http://127.0.0.1:{self.server.port}" if self.has_functions else None
            ),
            proxy_callers=self.proxy_callers,
            proxy_scope="api://proxy/.default",
        )

    async def behave(self, exchange: Exchange) -> None:
        """Answer one request."""
        request = exchange.request
        path = request.target.partition("?")[0]
        wrong = self.everything or self.wrong.get(f"{request.method} {path}")
        await (wrong or self._right(exchange, path))(exchange)

    def _right(self, exchange: Exchange, path: str) -> Behavior:  # noqa: PLR0911 - one a path
        request = exchange.request
        tokens = request.values("authorization")
        keys = request.values("x-functions-key")
        if path == "/prod/health":
            return json_answer(200, {"status": "ok"})
        if path == f"/prod{METADATA}":
            return json_answer(200, self.metadata())
        if path.startswith("/prod/v1/"):
            if tokens != [f"Bearer {self.token}"]:
                return problem(401, "token_rejected", ("WWW-Authenticate", self.challenge()))
            denied = problem(403, "access_denied")
            return json_answer(200, PAGE) if request.method == "GET" else denied
        if path == "/api/health":
            return json_answer(200, self.health())
        if path.startswith("/api/aws/"):
            may = keys == [FUNCTION_KEY] or tokens == [f"Bearer {self.token}"]
            return json_answer(200, PAGE) if may else answer(401, b"")
        if path == "/admin/functions/sync_timer":
            self.runs += keys == [MASTER_KEY]
            return answer(202 if keys == [MASTER_KEY] else 401, b"")
        return problem(404, "route_unknown")

    def metadata(self, **changes: object) -> dict[str, object]:
        """The RFC 9728 document, with these members changed."""
        return {
            "resource": self.public_url or self.api_url,
            "authorization_servers": [IDENTITY.issuer(TokenVersion.V2)],
            "scopes_supported": [IDENTITY.scope],
            "bearer_methods_supported": ["header"],
        } | changes

    def challenge(self) -> str:
        """The 401's WWW-Authenticate."""
        if self.public_url is None:
            return "Bearer"
        return f'Bearer resource_metadata="{self.public_url}{METADATA}"'

    def health(self) -> dict[str, object]:
        """What the Function App says of itself; each look after a start sees the next report."""
        last: dict[str, object] | None = None
        if self.runs:
            last = (
                (self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])
                if self.statuses
                else run_report("complete")
            )
        return {
            "status": "ok",
            "error_code": None,
            "credential": "managed_identity",
            "record_store": "table",
            "last_sync": last,
        }


def run_report(status: str, **members: object) -> dict[str, object]:
    """The report of a run, as health shows it."""
    report = {"run_id": f"run-{status}", "status": status, "records_read": 7, "records_changed": 7}
    return report | {"error_code": None} | members


@asynccontextmanager
async def running(pair: SmokePair) -> AsyncIterator[SmokePair]:
    """The pair, answering until the block ends."""
    async with faulty_server(pair.behave) as pair.server:
        yield pair


async def smoke(
    pair: SmokePair, *only: str, total_seconds: float = 20.0, check_seconds: float = 5.0
) -> SmokeReport:
    """The report of a round that waits for nothing longer than it must."""
    return await run_smoke(
        pair.target,
        SmokeSources(pair.sources, pair.sources, pair.sources),
        clock=SystemClock(),
        reporter=pair.steps,
        limits=SmokeLimits(total_seconds, check_seconds),
        sleep=lambda seconds: asyncio.sleep(seconds / 50),
        **({"only": only} if only else {}),
    )


async def result_of(check_id: str, pair: SmokePair, **limits: float) -> CheckResult:
    """What one check finds."""
    (result,) = (await smoke(pair, check_id, **limits)).results
    return result
