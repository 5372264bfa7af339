"""The local Graph without sockets, and a client of it whose waiting takes no time."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import httpx

from deployment.entra.graph_client import TOTAL_SECONDS, GraphClient
from deployment.entra.registration import WantedRegistration
from emulator.entra.directory import Directory
from emulator.entra.graph.rights import ADMINISTRATOR_RIGHTS, make_administrator_token
from emulator.entra.graph.service import Graph, GraphRequest
from emulator.entra.issuer import Issuer
from emulator.entra.key_store import KeyStore
from emulator.entra.tenant_store import TenantStore
from shared.entra import parse_local_authority
from tests.support.fake_clock import FakeClock

TENANT_ID: Final = "11111111-2222-4333-8444-555555555555"
NAME: Final = "bridge-dev-api"
APP_ID_URI: Final = f"api://{TENANT_ID}/{NAME}"
ORIGIN: Final = "http://127.0.0.1:9"
_KEYS: Final = KeyStore(FakeClock())


def wanted_registration(**changes: object) -> WantedRegistration:
    """What an environment without an identity and developers asks for, changed in these."""
    fields = {"tenant_id": TENANT_ID, "name": NAME, "app_id_uri": APP_ID_URI, **changes}
    return WantedRegistration(**fields)  # type: ignore[arg-type]  # the dataclass takes what tests bend


@dataclass(slots=True)
class Tenant:
    """A tenant with its Graph, its clock and what has been asked of it."""

    directory: Directory = field(default_factory=lambda: Directory.empty(TENANT_ID))
    replication_delay: float = 0.0
    clock: FakeClock = field(default_factory=FakeClock)
    requests: list[GraphRequest] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    http_options: list[dict[str, object]] = field(default_factory=list)
    """With what a command under test made its HTTP clients."""
    store: TenantStore = field(init=False)
    issuer: Issuer = field(init=False)
    graph: Graph = field(init=False)

    def __post_init__(self) -> None:
        self.store = TenantStore(self.directory, self.clock, self.replication_delay)
        self.issuer = Issuer(self.directory, _KEYS, parse_local_authority(ORIGIN), self.clock)
        self.graph = Graph(self.store, self.issuer, self.clock)

    def token(self, rights: Collection[str] = ADMINISTRATOR_RIGHTS, lifetime: int = 3600) -> str:
        """An administrator's token with these rights."""
        return make_administrator_token(self.issuer, self.clock, TENANT_ID, rights, lifetime)

    def client(
        self,
        rights: Collection[str] = ADMINISTRATOR_RIGHTS,
        total_seconds: float = TOTAL_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> GraphClient:
        """A client with these rights."""
        http = httpx.Client(transport=transport or httpx.MockTransport(self.send))
        return GraphClient(
            http,
            ORIGIN,
            self.token(rights),
            clock=self.clock,
            sleep=self._sleep,
            total_seconds=total_seconds,
            spread=lambda: 1.0,
        )

    def send(self, request: httpx.Request) -> httpx.Response:
        """Ask the local Graph."""
        asked = GraphRequest(
            request.method,
            request.url.path,
            dict(request.url.params),
            {name.lower(): value for name, value in request.headers.items()},
            request.content,
            ORIGIN,
        )
        self.requests.append(asked)
        answer = self.graph.answer(asked)
        if answer.body is None:
            return httpx.Response(answer.status, headers=answer.headers)
        return httpx.Response(answer.status, json=answer.body, headers=answer.headers)

    @property
    def writes(self) -> list[str]:
        """The requests that could have changed something, as method and path."""
        return [f"{r.method} {r.path}" for r in self.requests if r.method != "GET"]

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.advance(seconds)
