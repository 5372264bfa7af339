"""The transport errors that httpx has no class for, each a kind of one that it has.

An error is a `ConnectError` or a `ConnectTimeout` only where no byte of the request was sent: those
are the errors after which even a POST is sent again.
"""

import httpx


class CertificateError(httpx.ConnectError):
    """The server's certificate is not one to trust. Trying again would not change it."""


class TunnelRefused(httpx.ConnectError):
    """The HTTPS proxy opened no tunnel to the server."""


class TunnelForbidden(TunnelRefused):
    """The proxy does not let us through, or does not know us. Trying again would not change it."""


class KeptConnectionLost(httpx.ReadError):
    """A connection kept from an earlier request ended before any byte of the response.

    Most likely the server, or a load balancer before it, had given it up already, so this says
    nothing about how the server is. Whether the request was read is not known all the same.
    """
