"""What the token is explained against: the authorizer's settings, from wherever they are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aws_authorizer.settings import SETTINGS, Settings, load_settings
from bridge_cli.authorizer_settings import AUTHORIZER_SETTINGS
from bridge_cli.deploying.real_clouds import real_clouds
from bridge_cli.explaining.errors import ExplainError
from deployment.bridge_file import load_bridge_file
from deployment.contradictions import check_bridge_file
from deployment.errors import BridgeFileError, DeploymentError
from deployment.names import names_of
from deployment.parameters.template_parameters import load_template_parameters, setting_parameters
from shared.settings_reader import SettingsError

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_MOST_SETTINGS_BYTES: Final = 1_048_576
_HINT: Final = (
    "The authorizer's settings are taken from --settings FILE, from the deployed stack of --env"
    " NAME, from the running stack of --local, or else from the environment."
)


@dataclass(frozen=True, slots=True)
class ContractSource:
    """The authorizer's settings, and where they come from."""

    settings: Settings
    origin: str
    """For a person."""


def from_environment() -> ContractSource:
    """Return the settings of this process's environment.

    Raises:
        ExplainError: they are not usable.

    """
    return _load(None, "the environment")


def from_file(file: Path) -> ContractSource:
    """Return the settings of a JSON file: flat, or as a local.settings.json has them.

    Raises:
        ExplainError: it cannot be read, or they are not usable.

    """
    return _load(_read_values(file), str(file))


def from_local_stack(folder: Path) -> ContractSource:
    """Return the settings of the authorizer that `bridge up` has deployed.

    Raises:
        ExplainError: no stack was started in that folder.

    """
    file = folder / AUTHORIZER_SETTINGS
    if not file.is_file():
        raise ExplainError(
            "local_stack_missing",
            f"There is no {file}: run `bridge up` and leave it running, or name its --folder.",
        )
    return from_file(file)


def from_deployed_stack(bridge_toml: Path, name: str | None) -> ContractSource:
    """Return the settings that the environment's deployed stack gives the authorizer.

    Raises:
        ExplainError: bridge.toml is not usable, nobody is signed in to AWS, or nothing is deployed.

    """
    try:
        declared = load_template_parameters(_CHECKOUT)
        bridge_file = load_bridge_file(bridge_toml)
        check_bridge_file(bridge_file, declared)
        environment = bridge_file.environment(name)
        stack_name = names_of(environment).stack
        stack = real_clouds(environment, declared, _CHECKOUT).aws.find_stack(stack_name)
    except BridgeFileError as error:
        raise ExplainError(error.code, *map(str, error.problems)) from None
    except DeploymentError as error:
        raise ExplainError(
            error.code, str(error), "Or give the authorizer's settings by --settings FILE."
        ) from None
    if stack is None:
        raise ExplainError(
            "not_deployed",
            f"There is no stack {stack_name}: run `bridge deploy --env {environment.name}` first,"
            " or give the authorizer's settings by --settings FILE.",
        )
    names = {setting.name for setting in SETTINGS if not setting.is_secret}
    values = {
        setting: stack.parameters[parameter]
        for parameter, setting in setting_parameters().items()
        if setting in names and parameter in stack.parameters
    }
    return _load(values, f"the deployed stack {stack_name}")


def _load(values: Mapping[str, str] | None, origin: str) -> ContractSource:
    try:
        return ContractSource(load_settings(values), origin)
    except SettingsError as error:
        problems = (f"{problem}." for problem in error.problems)
        raise ExplainError(
            error.code, *problems, f"They were read from {origin}. {_HINT}"
        ) from None


def _read_values(file: Path) -> dict[str, str]:
    try:
        with file.open("rb") as opened:
            encoded = opened.read(_MOST_SETTINGS_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ExplainError(
            "settings_file_invalid", f"{file} cannot be read ({type(error).__name__}).", _HINT
        ) from None
    if len(encoded) > _MOST_SETTINGS_BYTES:
        raise ExplainError("settings_file_invalid", f"{file} is too large for settings.")
    try:
        document = json.loads(encoded.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ExplainError("settings_file_invalid", f"{file} is not valid JSON.") from None
    values = document.get("Values", document) if isinstance(document, dict) else None
    if not isinstance(values, dict):
        raise ExplainError(
            "settings_file_invalid",
            f"{file} must hold a JSON object with the settings, or one with Values.",
        )
    # A local.settings.json may hold other things that are no texts.
    return {name: value for name, value in values.items() if isinstance(value, str)}
