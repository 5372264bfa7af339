"""An HTTP proxy through which https goes (CONNECT), as a setting spells it."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote, unquote, urlsplit

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FIELD_VALUE: Final = re.compile(r"[!-~]+(?: [!-~]+)*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """Where an HTTP proxy is, and what it is told to let us through. Its repr shows no password."""

    host: str
    """A name, or an address without brackets."""
    port: int
    authorization: str | None = field(default=None, repr=False)
    """The value of Proxy-Authorization (RFC 9110 section 11.7.2), by the scheme Basic."""

    def __post_init__(self) -> None:
        """Raise `ValueError` where the authorization would not be one line of a head."""
        if self.authorization is not None and not _FIELD_VALUE.fullmatch(self.authorization):
            raise ValueError("the proxy's authorization cannot be sent as a header field")

    @property
    def url(self) -> str:
        """Return `http://[user:password@]host:port`, for libraries that want a URL. A secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        credentials = ""
        if self.authorization is not None:
            decoded = b64decode(self.authorization.removeprefix("Basic ")).decode()
            user, _, password = decoded.partition(":")
            credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@"
        return f"http://{credentials}{host}:{self.port}"


def parse_proxy_address(text: str) -> ProxyAddress:
    """Return the proxy that `http://[user:password@]host:port` names.

    User and password are percent-encoded there where they hold what a URL cannot.

    Raises:
        ValueError: the text is no such URL; the error does not repeat it.

    """
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("characters that a URL cannot hold")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # Its own words can hold the password.
        raise ValueError("no URL") from None
    if parts.scheme != "http" or not port or parts.path not in {"", "/"}:
        raise ValueError("not http with a port and nothing behind it")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("a query or a fragment")
    host = parts.hostname or ""
    _check_host(host, is_bracketed="[" in parts.netloc.rpartition("@")[2])
    return ProxyAddress(host, port, _authorization(parts.username, parts.password))


def _check_host(host: str, *, is_bracketed: bool) -> None:
    try:
        if is_bracketed:
            IPv6Address(host)
        elif host.rpartition(".")[2].isdecimal():
            IPv4Address(host)
        elif not _HOST_NAME.fullmatch(host):
            raise ValueError("no host name")
    except AddressValueError:
        raise ValueError("no address") from None


def _authorization(user: str | None, password: str | None) -> str | None:
    if user is None:
        return None
    if _STRAY_PERCENT.search(user) or _STRAY_PERCENT.search(password or ""):
        raise ValueError("a percent sign that encodes nothing")
    user = unquote(user, errors="strict")
    password = unquote(password or "", errors="strict")
    # RFC 7617 section 2: a colon ends the user's name, and neither holds a control character.
    if not user or ":" in user or _CONTROL.search(user + password):
        raise ValueError("no user, or one that cannot be told from the password")
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode('ascii')}"
