"""What is to be tried: where the pair is, and what it was meant to be."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit

from shared.contract import ApiIdentity
from shared.loopback import is_loopback_address


class TargetError(ValueError):
    """The target is none that can be tried; the message says what to change."""

    code = "smoke_target_invalid"


class ProxyCallers(StrEnum):
    """How the Function App's host knows who calls the proxy."""

    FUNCTION_KEY = "function_key"
    EASY_AUTH = "easy_auth"
    UNCHECKED = "unchecked"
    """The host checks nobody: one on a laptop, as `func start`. Never a deployed one."""


@dataclass(frozen=True, slots=True)
class SmokeTarget:
    """A deployed pair, or the local one. Holds no secret."""

    api_url: str
    """Where callers reach the API, stage included, without a trailing slash."""
    identity: ApiIdentity
    """Tenant, audience and scope, as they were meant to be deployed."""
    public_url: str | None
    """The template's `PublicUrl`; None if it was not set, and the challenge names no metadata."""
    function_app_url: str | None
    """The Function App's origin, without a trailing slash; None if there is none to try."""
    proxy_callers: ProxyCallers = ProxyCallers.FUNCTION_KEY
    proxy_scope: str | None = None
    """What to ask a token for to call the proxy, where App Service signs its callers in."""

    @classmethod
    def checked(
        cls,
        *,
        api_url: str,
        identity: ApiIdentity,
        public_url: str | None = None,
        function_app_url: str | None = None,
        proxy_callers: ProxyCallers = ProxyCallers.FUNCTION_KEY,
        proxy_scope: str | None = None,
    ) -> Self:
        """Return the target with URLs that a token may be sent to.

        Raises:
            TargetError: a URL is none, or is plain http to anywhere but this machine; the proxy
                signs its callers in, and nobody says what to ask a token for; a deployed host is
                said to check nobody.

        """
        urls = [("the API", api_url), ("the Function App", function_app_url or "https://none")]
        for name, url in urls:
            _check_url(name, url)
        if proxy_callers is ProxyCallers.EASY_AUTH and not proxy_scope:
            raise TargetError(
                "The proxy signs its callers in: say what to ask a token for by --proxy-scope."
            )
        if (
            proxy_callers is ProxyCallers.UNCHECKED
            and function_app_url is not None
            and not is_loopback_url(function_app_url)
        ):
            raise TargetError("Only a host on this machine may let its callers be unchecked.")
        return cls(
            api_url=api_url.rstrip("/"),
            identity=identity,
            public_url=public_url.rstrip("/") if public_url else None,
            function_app_url=function_app_url.rstrip("/") if function_app_url else None,
            proxy_callers=proxy_callers,
            proxy_scope=proxy_scope,
        )


def is_loopback_url(url: str) -> bool:
    """Return whether the URL's host is a loopback address, which no proxy stands before."""
    return is_loopback_address(urlsplit(url).hostname or "")


def _check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        has_extras = bool(parts.query or parts.fragment or parts.username or parts.password)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url, has_extras = False, False
    if not is_url or has_extras:
        raise TargetError(f"The address of {name} is none: give https://<host>/<path>.")
    if urlsplit(url).scheme == "http" and not is_loopback_url(url):
        raise TargetError(
            f"The address of {name} is plain http, over which no token is sent: give https://."
        )
