"""The whole bridge on loopback: Entra ID, AWS with the deployed API and its records, and the app.

Everything that it writes stays in one folder; everything that it starts ends with it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

from aws_backend.record_import import import_records
from emulator.airports import load_airports
from emulator.aws.deployment import Deployment, LocalAws, deploy
from emulator.aws.local_bundles import build_local_bundles
from emulator.azurite import Azurite
from emulator.entra.local_entra import LocalEntra
from emulator.functions_host.process import (
    FunctionsHostProcess,
    start_functions_host,
)
from emulator.loopback import LOOPBACK, find_free_port
from emulator.preconditions import claim_ready_folder, find_problems
from emulator.stack_options import RecordStore, StackOptions, function_app_python
from emulator.stack_parts import Reporter, start_azurite, start_ministack
from emulator.tenant import LocalTenant, build_local_tenant
from shared.clock import Clock, SystemClock

_STAGE: Final = "local"


@dataclass(frozen=True, slots=True)
class LocalStack:
    """The running stack, and everything that its user may want to reach."""

    folder: Path
    lock: int
    """The descriptor whose lock keeps the folder; what writes there must hold it open."""
    tenant: LocalTenant
    entra: LocalEntra
    aws_endpoint_url: str
    deployment: Deployment
    functions: FunctionsHostProcess
    record_store: RecordStore
    function_settings: Mapping[str, str]
    """The Function App's own settings, secrets included: not for printing."""
    records_imported: int
    azurite: Azurite | None = None
    """The local Azure Storage, where the stack has one."""

    @property
    def api_url(self) -> str:
        """The API behind the local API Gateway, stage included, without a trailing slash."""
        return self.deployment.api_url

    @property
    def store_place(self) -> str:
        """Where the Function App keeps records and checkpoint, for a person."""
        match self.record_store:
            case "sqlite":
                return str(self.sqlite_path)
            case "table":
                return self.function_settings["TABLE_ENDPOINT"]
            case _:
                assert_never(self.record_store)

    @property
    def sqlite_path(self) -> Path:
        """The Function App's database file, where it uses one."""
        return Path(self.function_settings["SQLITE_PATH"])

    @property
    def log_folder(self) -> Path:
        """The folder of the log files, one for each part."""
        return self.folder / "logs"


@asynccontextmanager
async def start_stack(
    options: StackOptions, reporter: Reporter, clock: Clock | None = None
) -> AsyncIterator[LocalStack]:
    """Start the whole stack, and keep it running until the block ends.

    Raises:
        StackNotReadyError: something that it needs is not there; nothing was started or touched.
        AzuriteError, BundleError, DeploymentError, EntraStartError, FolderError,
            FunctionsHostError, MinistackError: a part did not start; the message says what to
            change.

    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as running:
        claimed = running.enter_context(
            claim_ready_folder(options.folder, options.checkout, find_problems(options))
        )
        claimed.empty()
        folder, logs = claimed.path, claimed.logs
        # Held by every part too, so that a killed stack has its folder until the last has ended.
        held_open = (claimed.lock,)

        reporter.step("Building the Lambda bundles")
        bundles = await asyncio.to_thread(build_local_bundles, options.checkout)

        reporter.step("Starting Entra ID")
        entra_port = options.entra_port or find_free_port()
        authority = f"http://{LOOPBACK}:{entra_port}"
        tenant = build_local_tenant(
            folder / "entra", authority, clock, token_version=options.token_version
        )
        entra = await running.enter_async_context(
            LocalEntra.start(
                tenant.directory, folder=folder / "entra", http_port=entra_port, clock=clock
            )
        )

        reporter.step("Starting AWS, deploying the template")
        ministack = await start_ministack(
            running,
            options.checkout,
            logs,
            port=options.aws_port,
            clock=clock,
            held_open=held_open,
        )
        deployment = await asyncio.to_thread(
            deploy,
            ministack.endpoint_url,
            options.checkout / "infra" / "aws" / "template.yaml",
            bundles,
            _template_parameters(tenant, options),
            authority,
            clock=clock,
            sleep=time.sleep,
        )

        imported = 0
        if options.imports_records:
            reporter.step("Importing the airports into DynamoDB")
            imported = await asyncio.to_thread(
                _import_airports,
                LocalAws(ministack.endpoint_url),
                deployment.table_name,
                options,
                reporter.advance,
            )

        settings = _function_settings(options, folder, tenant, entra, deployment)
        azurite = None
        if options.needs_azurite:
            reporter.step("Starting Azurite")
            azurite = await start_azurite(
                running, options.checkout, logs, clock=clock, held_open=held_open
            )
            settings |= {
                "TABLE_ENDPOINT": azurite.table_url,
                "AzureWebJobsStorage": azurite.connection_string,
            }

        reporter.step("Starting the Function App")
        functions = await start_functions_host(
            options.checkout,
            python=function_app_python(options.checkout),
            port=options.functions_port,
            environment=settings,
            log_file=logs / "function-app.log",
            kind=options.functions_host,
            held_open=held_open,
        )
        running.push_async_callback(asyncio.to_thread, functions.stop)
        yield LocalStack(
            folder=folder,
            lock=claimed.lock,
            tenant=tenant,
            entra=entra,
            aws_endpoint_url=ministack.endpoint_url,
            deployment=deployment,
            functions=functions,
            record_store=options.record_store,
            function_settings=settings,
            records_imported=imported,
            azurite=azurite,
        )


def _template_parameters(tenant: LocalTenant, options: StackOptions) -> dict[str, str]:
    directory = tenant.directory
    return {
        "EntraTenantId": directory.tenant_id,
        "ApiClientId": directory.api.client_id,
        "ApiAppIdUri": directory.api.app_id_uri,
        "AllowedClientIds": ",".join(tenant.allowed_client_ids),
        "AcceptedTokenVersions": directory.api.token_version.value,
        "AuthorizerResultTtlInSeconds": str(options.authorizer_cache_seconds),
        "StageName": _STAGE,
        "FeedShards": str(options.feed_shards),
    }


def _function_settings(
    options: StackOptions,
    folder: Path,
    tenant: LocalTenant,
    entra: LocalEntra,
    deployment: Deployment,
) -> dict[str, str]:
    directory = tenant.directory
    settings = {
        "AWS_API_BASE_URL": deployment.api_url,
        "ENTRA_TENANT_ID": directory.tenant_id,
        "ENTRA_AUTHORITY": entra.authority,
        "API_CLIENT_ID": directory.api.client_id,
        "API_APP_ID_URI": directory.api.app_id_uri,
        "ACCEPTED_TOKEN_VERSIONS": directory.api.token_version.value,
        "CREDENTIAL": options.credential.value,
        "AZURE_AUTHORITY_HOST": entra.https_authority_host,
        "REQUESTS_CA_BUNDLE": str(entra.ca_file),
        "IDENTITY_ENDPOINT": entra.identity_endpoint,
        "IDENTITY_HEADER": entra.identity_header,
        "RECORD_STORE": options.record_store,
        "SQLITE_PATH": str(folder / "records.sqlite3"),
        "SYNC_SCHEDULE": options.schedule,
        # What the app may do is then decided in AWS, as the stack is there to show.
        "PROXY_FORWARDS": "read_and_write",
        # MiniStack takes as long for a short page as for a long one.
        "SYNC_PAGE_SIZE": "1000",
    }
    if options.sync_fan_out:
        settings["SYNC_FAN_OUT"] = "true"
    settings |= tenant.settings_by_credential[options.credential]
    return settings


def _import_airports(
    aws: LocalAws, table_name: str, options: StackOptions, advance: Callable[[int, int], None]
) -> int:
    airports = list(load_airports())[: options.record_limit]
    client = aws.session().client("dynamodb", endpoint_url=aws.endpoint_url, config=aws.config)
    import_records(
        client,
        table_name,
        airports,
        shards=options.feed_shards,
        progress=lambda done: advance(done, len(airports)),
    )
    return len(airports)
