"""Runs the local Azure in the caller's event loop, only on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

from aiohttp import web

from emulator.azure.bicep import ResourceGroup
from emulator.azure.errors import LocalAzureError
from emulator.azure.http_app import AzureService, build_http_app
from emulator.azure.resource_group import Identity, LocalResourceGroup, Storage
from emulator.azure.site import SitePlace
from emulator.loopback import LOOPBACK, bind_listener

SUBSCRIPTION_ID: Final = "50b50000-0000-4000-8000-000000000001"
"""The local subscription's ID: the same on every machine, so that a bridge.toml can name it."""
_SHUTDOWN_SECONDS: Final = 1.0


class LocalAzure:
    """A running local Azure, with nothing deployed; made by `start`."""

    def __init__(self, group: LocalResourceGroup, port: int) -> None:
        """Take the resource group, and where it listens."""
        self.group = group
        self.url = f"http://{LOOPBACK}:{port}"
        self.subscription_id = SUBSCRIPTION_ID

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        modules: Path,
        place: SitePlace,
        storage: Storage,
        add_identity: Callable[[str, str], Identity],
        tenant_id: str,
        port: int = 0,
    ) -> AsyncIterator[Self]:
        """Serve an empty resource group until the block ends; its sites end with it.

        Args:
            modules: the folder of the Bicep modules.
            place: where its sites run.
            storage: what stands for every storage account.
            add_identity: return the tenant's managed identity of a name and resource ID.
            tenant_id: the tenant.
            port: where it listens; 0 takes a free one.

        Raises:
            LocalAzureError: the port is taken.

        """
        try:
            listener = bind_listener(port)
        except OSError:
            raise LocalAzureError(
                f"port {port} on {LOOPBACK} is taken; stop what uses it, or choose another"
            ) from None
        with listener:
            group = LocalResourceGroup(
                ResourceGroup(SUBSCRIPTION_ID, tenant_id), modules, add_identity, storage, place
            )
            service = AzureService(group, place.folder / "uploads")
            runner = web.AppRunner(
                build_http_app(service), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
            )
            await runner.setup()
            await web.SockSite(runner, listener).start()
            try:
                yield cls(group, listener.getsockname()[1])
            finally:
                await runner.cleanup()
                await asyncio.gather(*(site.stop() for site in group.sites.values()))
