"""The keys that Azure's host asks callers for, where an app has them.

A caller shows a key in the header `x-functions-key` or in the query's `code`. The master key opens
everything, also `/admin`; the host's function key opens what has the level `function`.
"""

import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from aiohttp import web

from emulator.functions_host.errors import FunctionsHostError

KEY_HEADER: Final = "x-functions-key"
ANONYMOUS_LEVEL: Final = "anonymous"
FUNCTION_LEVEL: Final = "function"


@dataclass(frozen=True, slots=True)
class HostKeys:
    """One app's keys; secrets."""

    master: str = field(repr=False)
    function: str = field(repr=False)
    """The host key named `default`."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the keys of a JSON file with the members `master` and `function`.

        Raises:
            FunctionsHostError: it is missing, or does not hold both.

        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            keys = (document["master"], document["function"])
        except (OSError, ValueError, KeyError, TypeError):
            raise FunctionsHostError(
                f'{path} must be a JSON object with the keys, as "master" and "function".'
            ) from None
        if not all(isinstance(key, str) and key for key in keys):
            raise FunctionsHostError(f"{path}: both keys must be texts, and not empty.")
        return cls(*keys)

    def open_admin(self, shown: str) -> bool:
        """Return whether what a caller showed opens the host's own addresses."""
        return _is_equal(self.master, shown)

    def open_function(self, level: str, shown: str) -> bool:
        """Return whether it opens a function of that level; an unknown level needs the master."""
        if level == ANONYMOUS_LEVEL:
            return True
        is_master = self.open_admin(shown)
        if level == FUNCTION_LEVEL:
            return _is_equal(self.function, shown) or is_master
        return is_master


def read_shown_key(request: web.Request) -> str:
    """Return the key that a request shows, or an empty text."""
    return request.headers.get(KEY_HEADER) or request.query.get("code", "")


def _is_equal(key: str, shown: str) -> bool:
    return hmac.compare_digest(key.encode(), shown.encode())
