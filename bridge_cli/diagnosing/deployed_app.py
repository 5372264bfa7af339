"""Asks a deployed Function App for its own report."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from shared.clock import Clock, SystemClock
from shared.loopback import is_loopback_address

SECONDS: Final = 30.0
"""For all of it: the app may have to start first, and its examination takes five seconds."""
_MOST_BYTES: Final = 1 << 20
_PATH: Final = "/api/doctor"


class DeployedAppError(Exception):
    """The app gave no report; the message says why, and what to change."""


def check_url(url: str) -> str:
    """Return the URL without a slash at its end.

    Raises:
        ValueError: it is neither https nor on a loopback address: the key would go in the clear.

    """
    parts = urlsplit(url)
    is_local = parts.scheme == "http" and is_loopback_address(parts.hostname or "")
    if not parts.hostname or (parts.scheme != "https" and not is_local):
        raise ValueError("expected https://<app>.azurewebsites.net")
    return url.rstrip("/")


def fetch_report(
    url: str, master_key: str, *, seconds: float = SECONDS, clock: Clock | None = None
) -> Mapping[str, Any]:
    """Return the members of the report that the app makes of itself, within these seconds.

    Raises:
        DeployedAppError: the app gives none.

    """
    is_local = urlsplit(url).scheme == "http"
    clock = clock or SystemClock()
    end = clock.monotonic() + seconds
    headers = {"x-functions-key": master_key, "accept-encoding": "identity"}
    try:
        with (
            httpx.Client(timeout=seconds, follow_redirects=False, trust_env=not is_local) as http,
            http.stream("GET", url + _PATH, headers=headers) as response,
        ):
            content = bytearray()
            for piece in response.iter_raw():
                content += piece
                # The client bounds the wait for each piece only.
                if clock.monotonic() > end:
                    raise DeployedAppError("The Function App takes too long to answer: try again.")
                if len(content) > _MOST_BYTES:
                    raise DeployedAppError("What answers there is not the Function App: too much.")
    except (httpx.InvalidURL, UnicodeError):
        # What they say quotes the URL or the key.
        raise DeployedAppError(
            "The Function App cannot be asked: --url or the master key has characters that none of"
            " them has."
        ) from None
    except httpx.HTTPError as error:
        raise DeployedAppError(
            f"The Function App gives no answer ({type(error).__name__}): check --url, and whether"
            " the app runs."
        ) from error
    if response.status_code != httpx.codes.OK:
        raise DeployedAppError(
            _ADVICE.get(response.status_code, _OTHER).format(response.status_code)
        )
    try:
        report = json.loads(content)
    except (ValueError, RecursionError):
        report = None
    if not isinstance(report, dict) or not {"verdict", "checks"} <= report.keys():
        raise DeployedAppError("What answers there gives no report: check --url.")
    return report


_ADVICE: Final = {
    401: "The Function App wants its master key (HTTP {}): give --keys the output of"
    " `az functionapp keys list`; where App Service signs callers in, ask from the portal instead.",
    404: "The Function App has no doctor (HTTP {}): deploy this version of it.",
    429: "The Function App is too busy to answer (HTTP {}): try again.",
}
_OTHER: Final = "The Function App gives no report (HTTP {}): look at its log."
