"""A tenant to test against, and a way to run it beside synchronous code."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from emulator.client_certificate import ClientCertificate, make_client_certificate
from emulator.entra.directory import (
    ApiRegistration,
    Application,
    Directory,
    FederatedCredential,
    ManagedIdentity,
)
from emulator.entra.local_entra import LocalEntra
from shared.clock import Clock, SystemClock
from shared.routes import Role

TENANT_ID: Final = "11111111-2222-4333-8444-555555555555"
API: Final = ApiRegistration(
    client_id="aaaaaaaa-0000-4000-8000-000000000001",
    app_id_uri="api://aaaaaaaa-0000-4000-8000-000000000001",
    app_roles=frozenset(Role),
)
CLIENT_SECRET: Final = "made-up~secret"
CLIENT: Final = Application(
    name="sync-client",
    client_id="bbbbbbbb-0000-4000-8000-000000000001",
    object_id="bbbbbbbb-0000-4000-8000-000000000002",
    roles=frozenset({Role.READ}),
    secrets=(CLIENT_SECRET,),
    expired_secrets=("made-up~expired-secret",),
)
SYSTEM_ASSIGNED: Final = ManagedIdentity(
    name="function-app",
    client_id="cccccccc-0000-4000-8000-000000000001",
    object_id="cccccccc-0000-4000-8000-000000000002",
    roles=frozenset(Role),
)
USER_ASSIGNED: Final = ManagedIdentity(
    name="shared-identity",
    client_id="dddddddd-0000-4000-8000-000000000001",
    object_id="dddddddd-0000-4000-8000-000000000002",
    roles=frozenset({Role.READ}),
    resource_id="/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity"
    "/userAssignedIdentities/shared-identity",
)
DIRECTORY: Final = Directory(
    tenant_id=TENANT_ID,
    api=API,
    applications=(CLIENT,),
    system_assigned=SYSTEM_ASSIGNED,
    user_assigned=(USER_ASSIGNED,),
)


def with_client(**changes: object) -> Directory:
    """The tenant, its client changed in these members."""
    return replace(DIRECTORY, applications=(replace(CLIENT, **changes),))  # type: ignore[arg-type]  # dataclasses.replace checks the names at run time


def with_api(**changes: object) -> Directory:
    """The tenant, its API changed in these members."""
    return replace(DIRECTORY, api=replace(API, **changes))  # type: ignore[arg-type]  # the same


def trust(issuer: str, subject: str, **members: object) -> FederatedCredential:
    """A federated credential of the client."""
    return FederatedCredential(issuer, subject, **members)  # type: ignore[arg-type]  # the same


def make_certificate(valid_for: timedelta = timedelta(days=1)) -> ClientCertificate:
    """A client certificate, and with its private key as azure-identity wants it."""
    return make_client_certificate("client", valid_for, SystemClock())


@contextmanager
def running_local_entra(
    folder: Path,
    directory: Directory = DIRECTORY,
    *,
    clock: Clock | None = None,
    caches_identity_tokens: bool = False,
    replication_delay: float = 0.0,
) -> Iterator[LocalEntra]:
    """The local Entra ID in a thread of its own, for tests that are not async."""
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    running: list[LocalEntra] = []

    async def serve() -> None:
        async with LocalEntra.start(
            directory,
            folder=folder,
            clock=clock,
            caches_identity_tokens=caches_identity_tokens,
            replication_delay=replication_delay,
        ) as entra:
            running.append(entra)
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield running[0]
    finally:
        if running:
            loop.call_soon_threadsafe(stop.set)
        thread.join()
