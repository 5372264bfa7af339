"""Both clouds on loopback, empty: what `bridge deploy --local` deploys to, like anybody else's.

Entra ID with Graph, AWS, Azure, and Azure Storage behind it. Everything that they write stays in
one folder; everything that is started, a deployed Function App too, ends with them.
"""

import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emulator.aws.ministack import Ministack
from emulator.azure.local_azure import LocalAzure
from emulator.azure.settings_overlay import Surroundings
from emulator.azure.site import SitePlace
from emulator.entra.directory import Directory
from emulator.entra.local_entra import LocalEntra
from emulator.preconditions import (
    Port,
    claim_ready_folder,
    find_port_problems,
    find_program_problems,
)
from emulator.stack_options import function_app_python
from emulator.stack_parts import Reporter, start_azurite, start_ministack
from emulator.tenant import TENANT_ID
from shared.clock import Clock, SystemClock

CLOUDS_FILE: Final = "clouds.json"
"""What tells `bridge deploy --local` where the clouds are; it holds secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudsOptions:
    """What can be chosen about local clouds. A port of 0 takes a free one."""

    checkout: Path
    folder: Path
    """Where logs, keys and packages go; emptied at the start."""
    entra_port: int = 0
    aws_port: int = 0
    azure_port: int = 0


@dataclass(frozen=True, slots=True)
class LocalClouds:
    """The running clouds."""

    folder: Path
    entra: LocalEntra
    aws: Ministack
    azure: LocalAzure

    @property
    def clouds_file(self) -> Path:
        """The file that tells where they are."""
        return self.folder / CLOUDS_FILE


@asynccontextmanager
async def start_clouds(
    options: CloudsOptions, reporter: Reporter, clock: Clock | None = None
) -> AsyncIterator[LocalClouds]:
    """Start the clouds, and keep them running until the block ends.

    Raises:
        StackNotReadyError: something that they need is not there; nothing was started or touched.
        AzuriteError, EntraStartError, FolderError, LocalAzureError, MinistackError: a part did not
            start; the message says what to change.

    """
    clock = clock or SystemClock()
    ports = [
        Port("--entra-port", "Entra ID", options.entra_port),
        Port("--aws-port", "AWS", options.aws_port),
        Port("--azure-port", "Azure", options.azure_port),
    ]
    problems = [
        *find_port_problems(ports),
        *find_program_problems(options.checkout, needs_azurite=True),
    ]
    async with AsyncExitStack() as running:
        claimed = running.enter_context(
            claim_ready_folder(options.folder, options.checkout, problems)
        )
        claimed.empty()
        folder, logs, held_open = claimed.path, claimed.logs, (claimed.lock,)

        reporter.step("Starting Entra ID")
        entra = await running.enter_async_context(
            LocalEntra.start(
                Directory.empty(TENANT_ID),
                folder=folder / "entra",
                http_port=options.entra_port,
                clock=clock,
                caches_identity_tokens=True,
            )
        )
        reporter.step("Starting AWS")
        aws = await start_ministack(
            running,
            options.checkout,
            logs,
            port=options.aws_port,
            clock=clock,
            held_open=held_open,
        )
        reporter.step("Starting Azure")
        azurite = await start_azurite(
            running, options.checkout, logs, clock=clock, held_open=held_open
        )
        azure = await running.enter_async_context(
            LocalAzure.start(
                modules=options.checkout / "infra" / "azure",
                place=SitePlace(
                    folder,
                    function_app_python(options.checkout),
                    _surroundings(entra, azurite.connection_string),
                    claimed.lock,
                ),
                storage=azurite,
                add_identity=entra.add_managed_identity,
                tenant_id=TENANT_ID,
                port=options.azure_port,
            )
        )
        clouds = LocalClouds(folder, entra, aws, azure)
        _write_clouds_file(clouds)
        running.callback(_remove, clouds.clouds_file)
        yield clouds


def _surroundings(entra: LocalEntra, connection_string: str) -> Surroundings:
    return Surroundings(
        entra_authority=entra.authority,
        https_authority_host=entra.https_authority_host,
        ca_file=str(entra.ca_file),
        identity_endpoint=entra.identity_endpoint,
        identity_header=entra.identity_header,
        storage_connection_string=connection_string,
    )


def _write_clouds_file(clouds: LocalClouds) -> None:
    entra, azure = clouds.entra, clouds.azure
    document = {
        "entra": {
            "authority": entra.authority,
            "https_authority_host": entra.https_authority_host,
            "ca_file": str(entra.ca_file),
            "graph_url": entra.graph_url,
            "administrator_token": entra.administrator_token(),
            "tenant_id": TENANT_ID,
            "identity_endpoint": entra.identity_endpoint,
            "identity_header": entra.identity_header,
            "developer_id": entra.add_user("The developer at this machine"),
            "developer_token_url": entra.developer_token_url,
        },
        "aws": {
            "endpoint_url": clouds.aws.endpoint_url,
            "lambda_log": str(clouds.aws.lambda_log_file),
        },
        "azure": {"url": azure.url, "subscription_id": azure.subscription_id},
    }
    # Whole or not at all, and never open to others, not even for a moment.
    unfinished = clouds.clouds_file.with_suffix(".unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
    unfinished.replace(clouds.clouds_file)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
