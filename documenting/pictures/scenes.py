"""Every command whose terminal the docs show."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from documenting.pictures.scene import Scene
from documenting.pictures.stage import FOLDER, Stage
from emulator.functions_host.settings import LOCAL_SETTINGS

_STAGE_THAT_IS_NOT_THERE: Final = "/prod"
_TOKEN_FILE: Final = "token.txt"  # noqa: S105 - a file's name


async def _version_1_token(stage: Stage, folder: Path) -> tuple[str, ...]:
    """Write the token that Entra ID issues where nobody has asked for version 2: the first 401."""
    stack = stage.stack
    api = replace(stack.tenant.directory.api, requested_access_token_version=1)
    claims = stack.entra.issuer.claims_for(stack.tenant.service_principal, api=api)
    file = folder / _TOKEN_FILE
    file.touch(mode=0o600)
    file.write_text(stack.entra.issuer.sign(claims), encoding="utf-8")
    return (_TOKEN_FILE, "--local")


async def _settings_with_another_stage(_stage: Stage, folder: Path) -> tuple[str, ...]:
    """Write the Function App's settings where the command looks, with a stage that is not there."""
    document = json.loads((folder / FOLDER / LOCAL_SETTINGS).read_text(encoding="utf-8"))
    values = document["Values"]
    api, _, _ = values["AWS_API_BASE_URL"].rpartition("/")
    values["AWS_API_BASE_URL"] = api + _STAGE_THAT_IS_NOT_THERE
    file = folder / LOCAL_SETTINGS
    file.touch(mode=0o600)
    file.write_text(json.dumps(document), encoding="utf-8")
    return ()


async def _proxied_call(stage: Stage, _folder: Path) -> tuple[str, ...]:
    """Call the API through the proxy, and return the ID that the answer names."""
    response = await stage.client.call_function("GET", "/aws/v1/records?limit=1")
    return (response.headers["x-request-id"],)


SCENES: Final = (
    Scene(
        name="demo",
        title="azure-aws-bridge: the whole bridge, once",
        command=("bridge", "demo"),
        headings=("The bridge at work", "Who did not get in"),
        columns=84,
    ),
    Scene(
        name="explain",
        title="azure-aws-bridge: why a token is refused",
        command=("bridge", "explain"),
        headings=("The authorizer rejects this token, 401", "expected", "found", "Fix first, ver"),
        columns=110,
        exit_status=1,
        prepare=_version_1_token,
    ),
    Scene(
        name="doctor",
        title="azure-aws-bridge: what is wrong, and what to change",
        command=("bridge", "doctor"),
        headings=("api_reachable", "api_unknown", "AWS_API_BASE_URL"),
        columns=110,
        exit_status=1,
        prepare=_settings_with_another_stage,
    ),
    Scene(
        name="trace",
        title="azure-aws-bridge: one call, through both clouds",
        command=("bridge", "trace"),
        headings=("authorizer", "backend"),
        columns=84,
        prepare=_proxied_call,
    ),
)
