"""The app's settings: the environment, and local.settings.json where the environment is silent."""

import json
import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

from emulator.functions_host.errors import FunctionsHostError

LOCAL_SETTINGS: Final = "local.settings.json"
_INDIRECTION = re.compile(r"%([^%]*)%")
_INHERITED: Final = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TEMP", "SYSTEMROOT")


def process_environment() -> MutableMapping[str, str]:
    """Return this process's own environment, from which the worker and the app read settings."""
    return os.environ


def inherited_environment() -> dict[str, str]:
    """Return what a new host gets of our environment: where programs and the home folder are.

    It gets no more, so that a variable forgotten in a shell cannot become a setting of the app.
    """
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def load_local_settings(path: Path) -> dict[str, str]:
    """Return the `Values` of a local.settings.json, as Core Tools read them; nulls are left out.

    Raises:
        FunctionsHostError: the file is missing, encrypted, or not what Core Tools would take.

    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise FunctionsHostError(
            f"{path} is missing; copy local.settings.json.example and fill it in."
        ) from None
    except ValueError as error:
        raise FunctionsHostError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise FunctionsHostError(f"{path} must hold a JSON object.")
    # Core Tools take a file that does not say so for an encrypted one.
    if document.get("IsEncrypted", True) is not False:
        raise FunctionsHostError(
            f'{path} is marked as encrypted, or not marked at all; set "IsEncrypted": false, after '
            "`func settings decrypt` where it is encrypted."
        )
    values = document.get("Values", {})
    if not isinstance(values, dict):
        raise FunctionsHostError(f"{path}: Values must be an object.")
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            raise FunctionsHostError(f"{path}: Values.{name} must be a string.")
    return {name: value for name, value in values.items() if value is not None}


def apply_settings(
    values: Mapping[str, str], port: int, app_root: Path, environment: MutableMapping[str, str]
) -> list[str]:
    """Put the settings into the environment; a value that is there already wins.

    Returns:
        The names that were skipped because the environment has a value of its own.

    Raises:
        FunctionsHostError: the worker runtime is not Python.

    """
    skipped = [name for name in values if environment.get(name)]
    environment.update({name: value for name, value in values.items() if name not in skipped})
    runtime = environment.get("FUNCTIONS_WORKER_RUNTIME", "")
    if runtime != "python":
        raise FunctionsHostError(
            f"FUNCTIONS_WORKER_RUNTIME is {runtime or 'not set'}; set it to python in the Values "
            f"of {LOCAL_SETTINGS} or in the environment."
        )
    environment["AZURE_FUNCTIONS_ENVIRONMENT"] = "Development"
    environment["AzureWebJobsScriptRoot"] = str(app_root)
    environment["WEBSITE_HOSTNAME"] = f"localhost:{port}"
    return skipped


def resolve_indirection(text: str, environment: Mapping[str, str]) -> str:
    """Return the text with every `%NAME%` replaced by the app setting of that name.

    Raises:
        ValueError: a setting is missing or empty; the message names it.

    """

    def value_of(match: re.Match[str]) -> str:
        value = environment.get(match[1], "")
        if not value:
            raise ValueError(f"the app setting {match[1]} is not set")
        return value

    return _INDIRECTION.sub(value_of, text)
