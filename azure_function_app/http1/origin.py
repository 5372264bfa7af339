"""Which server a request goes to."""

from typing import Final, NamedTuple

import httpx

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A server (RFC 9110 section 4.3.1)."""

    scheme: str
    host: str
    """A name or an address; an IPv6 address without brackets."""
    port: int

    @property
    def authority(self) -> str:
        """Return host and port as CONNECT names them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def origin_of(url: httpx.URL) -> Origin:
    """Return the server that the URL names.

    Raises:
        httpx.UnsupportedProtocol: it is no URL of http or https, or names no host.

    """
    scheme, host = url.scheme, url.raw_host
    default_port = _DEFAULT_PORTS.get(scheme)
    if default_port is None or not host:
        raise httpx.UnsupportedProtocol("The URL is not one of http.")
    return Origin(scheme, host.decode("ascii"), url.port or default_port)
