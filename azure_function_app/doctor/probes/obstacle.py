"""What stands between us and a peer, told from the errors that the libraries raise."""

import socket
import ssl
from enum import Enum
from http.client import HTTPException
from typing import Final

import httpx

from azure_function_app.http1.errors import TunnelRefused
from azure_function_app.identity.token_transport import ProxyRefused

_CERTIFICATE_ALERTS: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSL/TLS_ALERT_CERTIFICATE_REQUIRED",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""What a server says that does not take our certificate, or wants one (RFC 8446 section 6)."""


_MOST_NESTED: Final = 32
_BROKEN_OFF: Final = (
    httpx.ReadError,
    httpx.RemoteProtocolError,
    ConnectionResetError,
    BrokenPipeError,
    HTTPException,
)


class Obstacle(Enum):
    """Why there is no answer."""

    NAME_UNKNOWN = "name_unknown"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_NAME = "tls_name"
    TLS_DATES = "tls_dates"
    TLS_FAILED = "tls_failed"
    CLIENT_CERTIFICATE = "client_certificate"
    PROXY = "proxy"
    BROKEN = "broken"


_BROAD: Final = (
    ((TimeoutError, httpx.TimeoutException), Obstacle.TIMED_OUT, "no answer in time"),
    (_BROKEN_OFF, Obstacle.BROKEN, "the answer broke off"),
    ((httpx.ConnectError, OSError), Obstacle.UNREACHABLE, "no connection could be made"),
)
"""What errors mean of which the chain holds no exact one; the first that fits."""


def obstacle_of(error: BaseException) -> tuple[Obstacle, str, int | None]:
    """Return what stood in the way, in words, and a proxy's status, if that is what it was.

    The words are the machine's own, and quote nothing that the far end sent.
    """
    chain = chain_of(error)
    exact = next(filter(None, map(_exact, chain)), None)
    if exact is not None:
        return exact
    for kinds, obstacle, words in _BROAD:
        if any(isinstance(each, kinds) for each in chain):
            return obstacle, words, None
    return Obstacle.BROKEN, f"the answer broke off ({type(error).__name__})", None


def _exact(error: BaseException) -> tuple[Obstacle, str, int | None] | None:
    """Return what this error of the chain says all by itself; None if that is nothing exact."""
    match error:
        case ProxyRefused():
            found = (Obstacle.PROXY, f"the proxy answered {error.status}", error.status)
        case TunnelRefused():
            # The sentence is ours, and all that it quotes is a status.
            found = (Obstacle.PROXY, str(error)[:1].lower() + str(error)[1:].rstrip("."), None)
        case ssl.SSLCertVerificationError():
            found = _untrusted(error)
        case ssl.SSLError() if error.reason in _CERTIFICATE_ALERTS:
            found = (Obstacle.CLIENT_CERTIFICATE, "the server refused our certificate", None)
        case ssl.SSLError():
            found = (Obstacle.TLS_FAILED, f"TLS failed ({error.reason or 'no reason'})", None)
        case socket.gaierror() | UnicodeError():
            found = (Obstacle.NAME_UNKNOWN, "the name has no address", None)
        case ConnectionRefusedError():
            found = (Obstacle.UNREACHABLE, "the connection was refused", None)
        case _:
            return None
    return found


def chain_of(error: BaseException) -> list[BaseException]:
    """Return the error and what it came of, however the libraries keep that."""
    found: list[BaseException] = [error]
    for each in found:
        following = [
            each.__cause__,
            each.__context__,
            getattr(each, "inner_exception", None),
            getattr(each, "reason", None),
            *each.args[:4],
        ]
        if isinstance(each, BaseExceptionGroup):
            following += each.exceptions
        for new in following:
            if isinstance(new, BaseException) and all(new is not known for known in found):
                found.append(new)
        if len(found) > _MOST_NESTED:
            break
    return found


def _untrusted(error: ssl.SSLCertVerificationError) -> tuple[Obstacle, str, int | None]:
    message = (error.verify_message or "").lower()
    if "hostname" in message or "ip address" in message:
        # OpenSSL's words repeat the host's name, which is known.
        return Obstacle.TLS_NAME, "the certificate is for another name", None
    if "expired" in message or "not yet valid" in message:
        return Obstacle.TLS_DATES, f"the {message}", None
    return Obstacle.TLS_UNTRUSTED, message or "the certificate is not trusted", None
