"""The Function App's settings, as its host would hand them over."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from azure_function_app.settings import Settings, load_settings
from emulator.functions_host.settings import LOCAL_SETTINGS, load_local_settings

DEFAULT_FILE: Final = Path(LOCAL_SETTINGS)


def load_app_settings(file: Path | None) -> Settings:
    """Return the settings that the file holds and, where it is silent, the environment.

    Raises:
        FunctionsHostError: the file is missing or not what Core Tools would take.
        SettingsError: with every problem that there is.

    """
    return load_settings(load_app_environment(file))


def load_app_environment(file: Path | None) -> Mapping[str, str]:
    """Return the environment that a Functions host would give the app, unchecked.

    Without a file the environment counts first, and below it the working folder's
    local.settings.json, if there is one, as for Core Tools. What stands in a file is put into this
    process's environment, as a Functions host does, because the Azure SDK looks for some of it
    there.

    Raises:
        FunctionsHostError: the file is missing or not what Core Tools would take.

    """
    if file is not None:
        os.environ.update(load_local_settings(file))
    elif DEFAULT_FILE.exists():
        values = load_local_settings(DEFAULT_FILE)
        silent = {name: value for name, value in values.items() if not os.environ.get(name)}
        os.environ.update(silent)
    return os.environ
