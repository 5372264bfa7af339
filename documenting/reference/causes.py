"""The causes that `bridge doctor` finds, in a checkout that has the command."""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Final

from documenting.reference.tables import code, table, text

_PACKAGE: Final = "azure_function_app.doctor"


def found_causes() -> Mapping[str, str]:
    """Return what each cause means, by its code; nothing where there is no such command."""
    if importlib.util.find_spec(_PACKAGE) is None:
        return {}
    causes = importlib.import_module(f"{_PACKAGE}.cause").Cause
    return {cause.value: cause.meaning for cause in causes}


def to_markdown() -> str:
    """Return the causes as a table of the troubleshooting page; nothing where there are none."""
    rows = [
        [code(cause), text(meaning.removesuffix(".")), "what its `fix` says"]
        for cause, meaning in found_causes().items()
    ]
    return table(("Code", "Means", "Do"), rows) if rows else ""
