"""What is deployed to the clouds of `bridge clouds`, as `bridge smoke` tries it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import botocore.exceptions
import httpx

from bridge_cli.deploying.clouds_file import CloudsFile
from bridge_cli.deploying.local_smoke import LocalAlarms
from deployment.errors import DeploymentError
from deployment.smoke.outcome import CheckBlockedError, SmokeCode
from deployment.smoke.sources import FunctionKeys, SmokeSources
from deployment.smoke.target import SmokeTarget
from emulator.aws.deployment import LocalAws
from shared.contract import read_api_identity
from shared.settings_reader import reading_settings

_OK: Final = 200
_CONTRACT: Final[Mapping[str, str]] = {
    "ENTRA_TENANT_ID": "EntraTenantId",
    "ENTRA_CLOUD": "EntraCloud",
    "API_CLIENT_ID": "ApiClientId",
    "API_APP_ID_URI": "ApiAppIdUri",
    "ACCEPTED_TOKEN_VERSIONS": "AcceptedTokenVersions",
}
"""The contract's settings, and the stack's outputs that say them."""


def read_rehearsed_pair(clouds: CloudsFile) -> tuple[SmokeTarget, SmokeSources]:
    """Return what was deployed there, and where its tokens, keys and alarm come from.

    Raises:
        DeploymentError: nothing was deployed, or not all of it, or the clouds are gone.

    """
    stack, outputs = _read_stack(clouds)
    with httpx.Client(trust_env=False, base_url=clouds.azure["url"]) as http:
        try:
            answer = http.get("/deployments/app")
        except httpx.HTTPError as error:
            raise _gone(error) from error
    if answer.status_code != _OK or not outputs:
        raise DeploymentError(
            "local_pair_missing",
            "Not everything is deployed to the local clouds: run `bridge deploy --local` first.",
        )
    app = answer.json()["outputs"]
    target = make_target(
        clouds,
        {name: outputs.get(output, "") for name, output in _CONTRACT.items()},
        api_url=api_url_of(clouds, outputs),
        proxy_url=f"http://{app['defaultHostName']}",
    )
    return target, make_sources(clouds, app["functionAppName"], stack)


def make_target(
    clouds: CloudsFile, contract: Mapping[str, str], *, api_url: str, proxy_url: str
) -> SmokeTarget:
    """Return the pair as it is to be tried, with the local Entra ID's tokens."""
    with reading_settings({**contract, "ENTRA_AUTHORITY": clouds.entra["authority"]}) as reader:
        identity = read_api_identity(reader)
    return SmokeTarget.checked(
        api_url=api_url, identity=identity, public_url=api_url, function_app_url=proxy_url
    )


def make_sources(clouds: CloudsFile, site: str, stack: str) -> SmokeSources:
    """Return where tokens, keys and the alarm come from: a developer's sign-in, as on Azure."""
    entra = clouds.entra
    lambda_log = clouds.aws.get("lambda_log") or clouds.folder / "logs" / "lambda.log"
    return SmokeSources(
        DeveloperTokens(
            entra["developer_token_url"], entra["identity_header"], entra["developer_id"]
        ),
        SiteKeys(clouds.azure["url"], site),
        LocalAlarms(clouds.aws["endpoint_url"], Path(lambda_log), stack),
    )


def api_url_of(clouds: CloudsFile, outputs: Mapping[str, str]) -> str:
    """Return where callers reach the stack's API, stage included.

    The address of AWS's own form needs a name that resolves, and a port.
    """
    path = f"{outputs['ApiId']}/{outputs['StageName']}"
    return f"{clouds.aws['endpoint_url']}/_aws/execute-api/{path}"


def _read_stack(clouds: CloudsFile) -> tuple[str, Mapping[str, str]]:
    """Return the stack that has an API, and its outputs; none without one."""
    endpoint_url = clouds.aws["endpoint_url"]
    aws = LocalAws(endpoint_url)
    client: Any = aws.session().client(
        "cloudformation", endpoint_url=endpoint_url, config=aws.config
    )
    try:
        stacks = client.describe_stacks()["Stacks"]
    except botocore.exceptions.BotoCoreError as error:
        raise _gone(error) from error
    for stack in stacks:
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
        if "ApiId" in outputs:
            return str(stack["StackName"]), outputs
    return "", {}


def _gone(error: Exception) -> DeploymentError:
    return DeploymentError(
        "local_clouds_gone",
        f"The local clouds do not answer ({type(error).__name__}): is `bridge clouds` still"
        " running?",
    )


@dataclass(frozen=True, slots=True)
class DeveloperTokens:
    """Tokens of the local tenant's developer, as their Azure CLI gets them."""

    url: str
    secret: str = field(repr=False)
    user_id: str

    async def token(self, scope: str) -> str:
        """Return the developer's token for the scope.

        Raises:
            CheckBlockedError: they get none; the message has Entra ID's reason.

        """
        asked = {"user_id": self.user_id, "resource": scope.removesuffix("/.default")}
        headers = {"X-IDENTITY-HEADER": self.secret}
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                response = await http.post(self.url, json=asked, headers=headers)
        except httpx.HTTPError as error:
            raise _no_token(type(error).__name__) from error
        if response.status_code != _OK:
            raise _no_token(str(response.json().get("error_description", response.status_code)))
        token: str = response.json()["access_token"]
        return token


def _no_token(came: str) -> CheckBlockedError:
    return CheckBlockedError(
        SmokeCode.SIGN_IN_MISSING,
        f"no token of the local Entra ID ({came})",
        "Look whether `bridge clouds` still runs, and whether bridge.toml names developers.",
    )


@dataclass(frozen=True, slots=True)
class SiteKeys:
    """The keys of a site of the local Azure."""

    url: str
    site: str

    async def keys(self) -> FunctionKeys:
        """Return the site's keys.

        Raises:
            CheckBlockedError: the local Azure gives none.

        """
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                answer = (await http.get(f"{self.url}/sites/{self.site}/keys")).json()
        except (httpx.HTTPError, ValueError) as error:
            raise CheckBlockedError(
                SmokeCode.KEYS_NOT_READABLE,
                f"the local Azure gave no keys ({type(error).__name__})",
                "Look whether `bridge clouds` still runs.",
            ) from error
        return FunctionKeys(answer.get("function"), answer.get("master"))
