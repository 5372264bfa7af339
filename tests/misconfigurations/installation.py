"""The two sides as those who run them have them in hand: settings, parameters, Entra ID, files."""

import asyncio
import copy
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import asyncpg
import httpx

from emulator.aws.deployment import LocalAws, deploy
from emulator.aws.local_bundles import Bundles, build_local_bundles
from emulator.azurite import Azurite, AzuritePrograms
from emulator.functions_host.process import FunctionsHostProcess, start_functions_host
from emulator.functions_host.settings import inherited_environment
from emulator.postgres import Postgres, PostgresPrograms
from emulator.stack import LocalStack, start_stack
from emulator.stack_options import StackOptions, function_app_python
from shared.clock import SystemClock
from tests.misconfigurations.devices import StorageAccount
from tests.support.local_stack import CHECKOUT, SilentReporter

_BRIDGE: Final = Path(sys.executable).with_name("bridge")
_CALL: Final = "/api/aws/v1/records?limit=1"
_CALL_SECONDS: Final = "4"
"""For a whole call of the app: none of these faults is over sooner for waiting."""
_COMMAND_SECONDS: Final = 60.0
_SHIFTED_START: Final = """\
import time
_now, _now_ns = time.time, time.time_ns
time.time = lambda: _now() + {offset}
time.time_ns = lambda: _now_ns() + {offset} * 1_000_000_000
"""
"""What Python runs first in a process whose machine's clock is to be off."""


class SettableClock:
    """The machine's clock, moved by some seconds."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._machine = SystemClock()

    def now(self) -> float:
        """Wall-clock time."""
        return self._machine.now() + self.offset

    def monotonic(self) -> float:
        """Monotonic time, which nobody moves."""
        return self._machine.monotonic()


@dataclass(slots=True)
class Installation:
    """A running pair. Its settings are what a person would change, by name."""

    stack: LocalStack
    bundles: Bundles
    folder: Path
    """For the files of the present row."""
    entra_clock: SettableClock
    app_settings: dict[str, str]
    parameters: dict[str, str]
    """The stack's, as they are deployed."""
    facts: dict[str, str] = field(default_factory=dict)
    """What others know who are asked: the proxy of the network, the file of its authority, ..."""
    machine_clock_offset: int = 0
    exits: AsyncExitStack = field(default_factory=AsyncExitStack)
    app: FunctionsHostProcess | None = None
    storage: StorageAccount | None = None
    """The account whose role assignments count, where a row has one."""
    postgres: Postgres | None = None
    _deployed: dict[str, str] = field(default_factory=dict)

    # --- the Function App ---------------------------------------------------------------------

    async def start_app(self) -> FunctionsHostProcess:
        """Start the Function App with its settings as they are now."""
        await self.stop_app()
        self.app = await start_functions_host(
            CHECKOUT,
            self._python(),
            0,
            self.app_settings,
            self.folder / "function-app.log",
            kind="emulated",
            held_open=(self.stack.lock,),
        )
        return self.app

    async def stop_app(self) -> None:
        """End the Function App, if it runs."""
        if self.app is not None:
            await asyncio.to_thread(self.app.stop, 5.0)
            self.app = None

    def _python(self) -> Path:
        python = function_app_python(CHECKOUT)
        if not self.machine_clock_offset:
            return python
        shifted = self.folder / "python-on-another-clock"
        shifted.write_text(
            f'#!/bin/sh\nPYTHONPATH="{self._shifted_start()}:$PYTHONPATH" exec "{python}" "$@"\n'
        )
        shifted.chmod(0o755)
        return shifted

    def _shifted_start(self) -> Path:
        folder = self.folder / "clock"
        folder.mkdir(exist_ok=True)
        start = _SHIFTED_START.format(offset=self.machine_clock_offset)
        (folder / "sitecustomize.py").write_text(start)
        return folder

    async def call(self) -> httpx.Response:
        """Call the API through the running Function App, as its callers do."""
        assert self.app is not None
        async with httpx.AsyncClient(timeout=_COMMAND_SECONDS, trust_env=False) as client:
            return await client.get(f"{self.app.url}{_CALL}")

    async def sync_tick(self) -> None:
        """Fire the sync's timer once, as an administrator can."""
        assert self.app is not None
        async with httpx.AsyncClient(timeout=_COMMAND_SECONDS, trust_env=False) as client:
            (await client.post(f"{self.app.url}/admin/functions/sync_timer")).raise_for_status()

    async def doctor_route(self) -> dict[str, Any]:
        """What the running Function App's own doctor finds."""
        assert self.app is not None
        async with httpx.AsyncClient(timeout=_COMMAND_SECONDS, trust_env=False) as client:
            answer = await client.get(f"{self.app.url}/api/doctor")
            assert httpx.codes.OK == answer.status_code, f"{answer.status_code} {answer.text}"
            report: dict[str, Any] = answer.json()
            return report

    # --- commands -----------------------------------------------------------------------------

    async def run_bridge(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command of `bridge` with the app's settings; exit status, output, errors."""
        file = self.folder / "local.settings.json"
        file.write_text(json.dumps({"IsEncrypted": False, "Values": self.app_settings}))
        environment = inherited_environment()
        if self.machine_clock_offset:
            environment["PYTHONPATH"] = str(self._shifted_start())
        process = await asyncio.create_subprocess_exec(
            str(_BRIDGE),
            *arguments,
            *("--settings", str(file)),
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), _COMMAND_SECONDS)
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()

    # --- the stack in AWS ---------------------------------------------------------------------

    async def deploy(self) -> None:
        """Deploy the stack with its parameters as they are now, if they are not deployed yet."""
        if self.parameters == self._deployed:
            return
        await asyncio.to_thread(
            deploy,
            self.stack.aws_endpoint_url,
            CHECKOUT / "infra" / "aws" / "template.yaml",
            self.bundles,
            self.parameters,
            self.stack.entra.authority,
            clock=SystemClock(),
            sleep=time.sleep,
        )
        self._deployed = dict(self.parameters)

    def aws(self, service: str) -> Any:
        """A client of that service of AWS."""
        aws = LocalAws(self.stack.aws_endpoint_url)
        session: Any = aws.session()
        return session.client(service, endpoint_url=aws.endpoint_url, config=aws.config)

    def throttle(self, *, rate: int, burst: int) -> None:
        """Set the stage's limits, past the stack, as the console of API Gateway does."""
        limits = {"rateLimit": rate, "burstLimit": burst}
        self.aws("apigateway").update_stage(
            restApiId=self.stack.deployment.api_id,
            stageName=self.stack.deployment.stage,
            patchOperations=[
                {"op": "replace", "path": f"/*/*/throttling/{name}", "value": str(value)}
                for name, value in limits.items()
            ],
        )

    def stack_outputs(self) -> dict[str, str]:
        """The outputs of the deployed stack."""
        (stack,) = self.aws("cloudformation").describe_stacks(StackName="azure-aws-bridge")[
            "Stacks"
        ]
        return {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}

    # --- Entra ID -----------------------------------------------------------------------------

    async def graph(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask Microsoft Graph as an administrator."""
        entra = self.stack.entra
        headers = {"Authorization": f"Bearer {entra.administrator_token()}"}
        async with httpx.AsyncClient(timeout=10, trust_env=False, headers=headers) as client:
            answer = await client.request(method, f"{entra.graph_url}/v1.0{path}", json=body)
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json() if answer.content else {}
            return found

    async def service_principal(self, client_id: str) -> dict[str, Any]:
        """The service principal of that client ID."""
        return await self.graph("GET", f"/servicePrincipals(appId='{quote(client_id)}')")

    async def assignments(self) -> list[dict[str, Any]]:
        """Who has been assigned a role of the API."""
        api = await self.service_principal(self.stack.tenant.directory.api.client_id)
        found = await self.graph("GET", f"/servicePrincipals/{api['id']}/appRoleAssignedTo")
        listed: list[dict[str, Any]] = found["value"]
        return listed

    async def unassign(self, object_id: str) -> None:
        """Take every role of the API from a caller."""
        api = await self.service_principal(self.stack.tenant.directory.api.client_id)
        for entry in await self.assignments():
            if entry["principalId"] == object_id:
                path = f"/servicePrincipals/{api['id']}/appRoleAssignedTo/{entry['id']}"
                await self.graph("DELETE", path)

    async def assign(self, object_id: str, role: str) -> None:
        """Give the caller the role of the API."""
        api_id = self.stack.tenant.directory.api.client_id
        api = await self.service_principal(api_id)
        application = await self.graph("GET", f"/applications(appId='{api_id}')")
        (role_id,) = (entry["id"] for entry in application["appRoles"] if entry["value"] == role)
        body = {"principalId": object_id, "resourceId": api["id"], "appRoleId": role_id}
        await self.graph("POST", f"/servicePrincipals/{api['id']}/appRoleAssignedTo", body)

    async def set_requested_version(self, version: int | None) -> None:
        """Set the API's requestedAccessTokenVersion."""
        api_id = self.stack.tenant.directory.api.client_id
        body = {"api": {"requestedAccessTokenVersion": version}}
        await self.graph("PATCH", f"/applications(appId='{api_id}')", body)

    # --- storage ------------------------------------------------------------------------------

    async def start_azurite(self) -> Azurite:
        """An empty Azurite, for the present row."""
        azurite = await asyncio.to_thread(
            Azurite.start,
            AzuritePrograms.under(CHECKOUT / ".tools"),
            self.folder,
            clock=SystemClock(),
            sleep=time.sleep,
        )
        self.exits.push_async_callback(asyncio.to_thread, azurite.stop)
        return azurite

    async def start_postgres(self) -> Postgres:
        """An empty PostgreSQL, for the present row."""
        postgres = await asyncio.to_thread(
            Postgres.start,
            PostgresPrograms.under(CHECKOUT / ".tools"),
            self.folder / "postgres",
            clock=SystemClock(),
            sleep=time.sleep,
        )
        self.exits.push_async_callback(asyncio.to_thread, postgres.stop)
        self.postgres = postgres
        return postgres

    async def run_sql(self, command: str) -> None:
        """Have the present row's PostgreSQL do something, as its administrator."""
        assert self.postgres is not None
        server = self.postgres
        connection = await asyncpg.connect(
            host=server.host, port=server.port, database=server.database, user=server.user
        )
        try:
            await connection.execute(command)
        finally:
            await connection.close()

    # --- from row to row ----------------------------------------------------------------------

    @asynccontextmanager
    async def trial(self, name: str) -> AsyncIterator["Installation"]:
        """The installation for one row: set up right at first, and again in the end."""
        store = self.stack.entra._service.store
        directory = copy.deepcopy(
            (store.applications, store.service_principals, store.assignments, store._identities)
        )
        base, settings, parameters = store.base, dict(self.app_settings), dict(self.parameters)
        facts = dict(self.facts)
        self.folder = self.stack.folder / name
        self.folder.mkdir(exist_ok=True)
        self.app_settings["SQLITE_PATH"] = str(self.folder / "records.sqlite3")
        try:
            async with AsyncExitStack() as self.exits:
                yield self
                await self.stop_app()
        finally:
            await self.stop_app()
            self.machine_clock_offset, self.entra_clock.offset = 0, 0.0
            self.stack.entra.lose(None)
            (store.applications, store.service_principals, store.assignments, store._identities) = (
                directory
            )
            store.base, self.app_settings, self.parameters = base, settings, parameters
            self.facts, self.storage, self.postgres = facts, None, None
            await self.deploy()


def free_identifier(number: int) -> str:
    """A GUID that nothing here has."""
    return f"dead0000-0000-4000-8000-{number:012}"


@asynccontextmanager
async def running_installation(folder: Path) -> AsyncIterator[Installation]:
    """A pair that is set up right, while the block lasts."""
    clock = SettableClock()
    options = StackOptions(
        checkout=CHECKOUT,
        folder=folder,
        functions_host="emulated",
        record_limit=3,
        authorizer_cache_seconds=0,
    )
    async with start_stack(options, SilentReporter(), clock) as stack:
        await asyncio.to_thread(stack.functions.stop, 5.0)
        bundles = await asyncio.to_thread(build_local_bundles, CHECKOUT)
        installation = Installation(
            stack,
            bundles,
            folder,
            clock,
            app_settings={
                **stack.function_settings,
                "PROXY_CALL_SECONDS": _CALL_SECONDS,
                "SYNC_CALL_SECONDS": _CALL_SECONDS,
            },
            parameters=_parameters(stack),
        )
        # The address that callers use is then an output of the stack, as in AWS.
        await installation.deploy()
        try:
            yield installation
        finally:
            await installation.stop_app()


def _parameters(stack: LocalStack) -> dict[str, str]:
    directory = stack.tenant.directory
    parameters: Mapping[str, str] = {
        "EntraTenantId": directory.tenant_id,
        "ApiClientId": directory.api.client_id,
        "ApiAppIdUri": directory.api.app_id_uri,
        "AllowedClientIds": ",".join(stack.tenant.allowed_client_ids),
        "AcceptedTokenVersions": "2.0",
        "AuthorizerResultTtlInSeconds": "0",
        # A second after a fetch of the key set has failed, the next one may be made.
        "KeySetCoolDownSeconds": "1",
        "StageName": stack.deployment.stage,
        "PublicUrl": stack.api_url,
    }
    return dict(parameters)
