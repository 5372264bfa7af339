"""Tokens and keys by the Azure CLI, with the caller's own sign-in. Nothing is stored."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from deployment.smoke.outcome import CheckBlockedError, SmokeCode
from deployment.smoke.sources import FunctionKeys

_PROGRAM: Final = "az"
_MOST_BYTES: Final = 1024 * 1024
_ENTRA_ERROR = re.compile(r"\bAADSTS\d{1,8}\b")
_AZURE_ERROR = re.compile(r"\((AuthorizationFailed|ResourceNotFound|ResourceGroupNotFound)\)")

_ENTRA_ADVICE: Final[Mapping[str, str]] = {
    "AADSTS65001": "Pre-authorize the Azure CLI on the API's registration.",
    "AADSTS650057": "Pre-authorize the Azure CLI on the API's registration.",
    "AADSTS500011": "The tenant knows no such API: make its registration, with this Application ID"
    " URI.",
    "AADSTS50105": "Assign this user the app role Records.Read on the API's registration.",
    "AADSTS501051": "Assign this principal the app role Records.Read on the API's registration.",
}


@dataclass(frozen=True, slots=True)
class AzureCli:
    """Runs the Azure CLI."""

    program: str = _PROGRAM

    async def run(self, arguments: Sequence[str]) -> tuple[int, bytes, str]:
        """Return exit code, output, and what it said of errors. Ends with whoever awaits it.

        Raises:
            CheckBlockedError: there is no such program.

        """
        program = shutil.which(self.program)
        if program is None:
            raise CheckBlockedError(
                SmokeCode.AZURE_CLI_MISSING,
                "no program named az",
                "Install the Azure CLI and sign in with it by `az login`.",
            )
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # On Linux az is a script that starts Python: both end together.
            start_new_session=True,
        )
        try:
            output, errors = await asyncio.gather(
                _read_some(process.stdout), _read_some(process.stderr)
            )
            return await process.wait(), output, errors.decode(errors="replace")
        finally:
            # No process is left: none after it has ended, the whole group otherwise.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def read_json(self, arguments: Sequence[str]) -> tuple[Mapping[str, object], str]:
        """Return the JSON object that it prints, empty if none, and what it said of errors.

        Raises:
            CheckBlockedError: there is no such program.

        """
        code, output, errors = await self.run([*arguments, "--output", "json"])
        try:
            document = json.loads(output) if code == 0 else None
        except (ValueError, RecursionError):
            document = None
        return (document if isinstance(document, dict) else {}), errors


@dataclass(frozen=True, slots=True)
class AzureCliTokens:
    """Tokens of whoever is signed in."""

    tenant_id: str
    cli: AzureCli = AzureCli()

    async def token(self, scope: str) -> str:
        """Return an access token for the scope.

        Raises:
            CheckBlockedError: there is no Azure CLI, nobody is signed in, or Entra ID gives this
                user no token; its own words are not shown, only their code.

        """
        document, errors = await self.cli.read_json(
            ["account", "get-access-token", "--scope", scope, "--tenant", self.tenant_id]
        )
        token = document.get("accessToken")
        if isinstance(token, str) and re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):
            return token
        found = _ENTRA_ERROR.search(errors)
        if found is None:
            raise CheckBlockedError(
                SmokeCode.SIGN_IN_MISSING,
                "the Azure CLI gave no token",
                f"Sign in: `az login --tenant {self.tenant_id} --scope {scope}`.",
            )
        advice = _ENTRA_ADVICE.get(
            found[0], f"Sign in again: `az login --tenant {self.tenant_id} --scope {scope}`."
        )
        raise CheckBlockedError(SmokeCode.SIGN_IN_REFUSED, f"Entra ID refused ({found[0]})", advice)


@dataclass(frozen=True, slots=True)
class AzureCliKeys:
    """The Function App's keys, for whoever may list them."""

    app_name: str | None
    resource_group: str | None
    subscription_id: str | None = None
    cli: AzureCli = AzureCli()

    async def keys(self) -> FunctionKeys:
        """Return the keys.

        Raises:
            CheckBlockedError: the app is not named, there is no Azure CLI, or it gave no keys.

        """
        if self.app_name is None or self.resource_group is None:
            raise CheckBlockedError(
                SmokeCode.TARGET_INCOMPLETE,
                "nothing was asked",
                "Say whose keys to list by --function-app and --resource-group, or give them by"
                " --keys.",
            )
        arguments = ["functionapp", "keys", "list", "--name", self.app_name]
        arguments += ["--resource-group", self.resource_group]
        if self.subscription_id is not None:
            arguments += ["--subscription", self.subscription_id]
        document, errors = await self.cli.read_json(arguments)
        if document:
            return FunctionKeys.of_listing(document)
        found = _AZURE_ERROR.search(errors)
        raise CheckBlockedError(
            SmokeCode.KEYS_NOT_READABLE,
            f"the Azure CLI gave no keys ({found[1] if found else 'not said why'})",
            "Sign in by `az login` as somebody who may list the app's keys"
            " (Microsoft.Web/sites/host/listkeys/action), or give them by --keys.",
        )


@dataclass(frozen=True, slots=True)
class GivenKeys:
    """Keys that the caller has handed over."""

    given: FunctionKeys

    async def keys(self) -> FunctionKeys:
        """Return them."""
        return self.given


async def _read_some(stream: asyncio.StreamReader | None) -> bytes:
    """Return what the stream has, as far as it is no more than a program has to say."""
    assert stream is not None  # noqa: S101 - it was asked for
    kept = bytearray()
    while piece := await stream.read(65_536):
        if len(kept) + len(piece) <= _MOST_BYTES:
            kept += piece
    return bytes(kept)
