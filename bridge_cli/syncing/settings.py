"""The Function App's settings, as its host would hand them over."""

import os
from pathlib import Path
from typing import Final

from azure_function_app.settings import Settings, load_settings
from emulator.functions_host.settings import LOCAL_SETTINGS, load_local_settings

DEFAULT_FILE: Final = Path(LOCAL_SETTINGS)


def load_app_settings(file: Path | None) -> tuple[Settings, list[str]]:
    """Return the settings, and the names of those that the environment has set otherwise.

    They are the environment's and, where that is silent, a local.settings.json's: the given one, or
    the working folder's, if it has one. What stands in the file is put into this process's
    environment, as the Functions host does, because the Azure SDK looks for some of it there.

    Raises:
        FunctionsHostError: the file is missing or not what Core Tools would take.
        SettingsError: with every problem that there is.

    """
    chosen = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    values = {} if chosen is None else load_local_settings(chosen)
    silent = {name: value for name, value in values.items() if not os.environ.get(name)}
    os.environ.update(silent)
    overridden = sorted(name for name in values if os.environ[name] != values[name])
    return load_settings(os.environ), overridden
