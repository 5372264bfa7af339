"""Runs the local Entra ID in the caller's event loop, only on loopback."""

import asyncio
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self, cast

import trustme
from aiohttp import web

from emulator.entra.developer_sign_in import make_developer_token
from emulator.entra.directory import Application, Directory, ManagedIdentity
from emulator.entra.errors import EntraStartError
from emulator.entra.graph.rights import ADMINISTRATOR_RIGHTS, make_administrator_token
from emulator.entra.graph.service import Graph
from emulator.entra.http_app import (
    DEVELOPER_TOKEN_PATH,
    MANAGED_IDENTITY_PATH,
    EntraService,
    build_http_app,
)
from emulator.entra.identity_token_cache import IdentityTokenCache
from emulator.entra.issuer import Issuer
from emulator.entra.issuer_faults import IssuerFaults
from emulator.entra.key_store import KeyStore, SigningKey
from emulator.entra.tenant_store import TenantStore
from emulator.loopback import LOOPBACK, bind_listener
from shared.clock import Clock, SystemClock
from shared.entra import parse_local_authority

_SHUTDOWN_SECONDS = 1.0


class LocalEntra:
    """A running local Entra ID; made by `start`."""

    def __init__(self, service: EntraService, *, http_port: int, https_port: int, ca: Path) -> None:
        """Take the service and where it listens."""
        self._service = service
        self.authority = f"http://{LOOPBACK}:{http_port}"
        """The plain http origin: what `ENTRA_AUTHORITY` is set to, and every token's issuer."""
        self.https_authority_host = f"https://localhost:{https_port}"
        """What `AZURE_AUTHORITYLOOPBACK` is set to: azure-identity takes nothing but https."""
        self.ca_file = ca
        """The CA behind the https listener's certificate, in PEM; a new one at every start."""

    @classmethod
    @asynccontextmanager
    async def start(  # noqa: PLR0913 - a keyword for each thing that a caller may bend
        cls,
        directory: Directory,
        *,
        folder: Path,
        http_port: int = 0,
        https_port: int = 0,
        clock: Clock | None = None,
        caches_identity_tokens: bool = False,
        replication_delay: float = 0.0,
    ) -> AsyncIterator[Self]:
        """Serve the tenant until the block ends.

        Args:
            directory: the tenant at the start; `Directory.empty` is one on its first day. What
                Graph changes in it is kept in memory.
            folder: where the CA's certificate is written; made if it is not there.
            http_port: the plain http port; 0 takes a free one.
            https_port: the https port; 0 takes a free one.
            clock: dates the tokens; the machine's own by default.
            caches_identity_tokens: whether a managed identity gets the same token for up to a day,
                as in Azure, so that a role assigned after its first one is not seen.
            replication_delay: the seconds until what Graph has changed is seen.

        Raises:
            EntraStartError: a port is taken.

        """
        clock = clock or SystemClock()
        # The issuer names the port, so the sockets come first.
        with _bound_socket(http_port) as http_socket, _bound_socket(https_port) as https_socket:
            http_port = http_socket.getsockname()[1]
            https_port = https_socket.getsockname()[1]
            cloud = parse_local_authority(f"http://{LOOPBACK}:{http_port}")
            store = TenantStore(directory, clock, replication_delay)
            issuer = Issuer(directory, KeyStore(clock), cloud, clock)
            service = EntraService(
                store,
                issuer,
                clock,
                Graph(store, issuer, clock),
                identity_header=secrets.token_urlsafe(24),
                identity_tokens=IdentityTokenCache(clock) if caches_identity_tokens else None,
                origins=[cloud.authority, f"https://localhost:{https_port}"],
            )
            ca_file, tls = _make_certificate(folder)
            runner = web.AppRunner(
                build_http_app(service), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
            )
            await runner.setup()
            async with (
                _serving(runner, http_socket, None),
                _serving(runner, https_socket, tls),
            ):
                try:
                    yield cls(service, http_port=http_port, https_port=https_port, ca=ca_file)
                finally:
                    await runner.cleanup()

    @property
    def identity_endpoint(self) -> str:
        """What `IDENTITY_ENDPOINT` is set to."""
        return f"{self.authority}{MANAGED_IDENTITY_PATH}"

    @property
    def identity_header(self) -> str:
        """What `IDENTITY_HEADER` is set to; a secret, new at every start."""
        return self._service.identity_header

    @property
    def developer_token_url(self) -> str:
        """Where `developer_token` is asked for from another process, with the identity header."""
        return f"{self.authority}{DEVELOPER_TOKEN_PATH}"

    @property
    def issuer(self) -> Issuer:
        """The issuer, which makes tokens directly: good ones, and ones with a lie in them."""
        return self._service.issuer

    @property
    def directory(self) -> Directory:
        """The tenant as tokens show it now."""
        return self._service.directory

    @property
    def graph_url(self) -> str:
        """Where Microsoft Graph is, without its version."""
        return self.authority

    @property
    def graph(self) -> Graph:
        """Microsoft Graph, which can be told to throttle and to fail."""
        return self._service.graph

    def administrator_token(
        self, rights: Collection[str] = ADMINISTRATOR_RIGHTS, lifetime: int = 86_400
    ) -> str:
        """Return a token for Graph as an administrator with these rights gets it; a secret.

        Args:
            rights: the permissions that it lends; all that `bridge entra` needs by default.
            lifetime: the seconds for which it is good.

        """
        service = self._service
        return make_administrator_token(
            service.issuer, service.clock, service.store.base.tenant_id, rights, lifetime
        )

    def developer_token(self, user_id: str, resource: str) -> str:
        """Return the user's token for the API, as their Azure CLI gets it; a secret.

        Raises:
            EntraRefusal: they get none; the message has the AADSTS code that they would see.

        """
        return make_developer_token(self._service.store, self.issuer, user_id, resource)

    def add_managed_identity(self, name: str, resource_id: str = "") -> ManagedIdentity:
        """Return a user-assigned identity; the same one for the same name and resource ID."""
        return self._service.store.add_managed_identity(name, resource_id)

    def replace_application(self, application: Application) -> None:
        """Give the application of the same client ID these secrets, certificates and federations.

        Raises:
            LookupError: the tenant has no such application.

        """
        self._service.store.replace_application(application)

    def lose(self, is_lost: Callable[[web.Request], bool] | None) -> None:
        """Cut the connection of each request that `is_lost` says, from now on; None ends it."""
        self._service.loses = is_lost

    def add_user(self, name: str) -> str:
        """Return the object ID of a new person in the tenant."""
        return self._service.store.add_user(name)

    @property
    def requests(self) -> Mapping[str, int]:
        """How often `token`, `managed_identity`, `graph`, `key_set` and `discovery` were asked.

        What found the issuer broken counts as `unavailable` only.
        """
        return dict(self._service.requests)

    @property
    def faults(self) -> IssuerFaults:
        """The switches that break and slow discovery, key set and token endpoint."""
        return self._service.faults

    def rotate_signing_key(self) -> str:
        """Sign with a new key from now on, and return its ID; the old key stays published."""
        return self.issuer.keys.rotate().key_id

    def remove_old_keys(self) -> tuple[SigningKey, ...]:
        """Publish only the key that signs from now on, and return what was published beside it."""
        keys = self.issuer.keys
        old = tuple(key for key in keys.published if key is not keys.current)
        for key in old:
            keys.drop(key.key_id)
        return old


def _bound_socket(port: int) -> socket.socket:
    try:
        return bind_listener(port)
    except OSError:
        raise EntraStartError(
            f"The local Entra ID cannot listen on {LOOPBACK}:{port}, because the port is taken; "
            "stop what uses it, or choose another port."
        ) from None


@asynccontextmanager
async def _serving(
    runner: web.AppRunner, bound: socket.socket, tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    server = await asyncio.get_running_loop().create_server(
        cast("Callable[[], asyncio.Protocol]", runner.server), sock=bound, ssl=tls
    )
    try:
        yield
    finally:
        server.close()
        # A TLS client that never says goodbye would hold its connection beyond the event loop.
        server.abort_clients()
        await server.wait_closed()


def _make_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    ca = trustme.CA(organization_name="azure-aws-bridge local Entra")
    folder.mkdir(parents=True, exist_ok=True)
    ca_file = folder / "entra-ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost", LOOPBACK).configure_cert(tls)
    return ca_file, tls
