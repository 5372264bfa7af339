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
"""What a server says that does not like our certificate, or the lack of one (RFC 8446 section 6)."""


_STATUS_DIGITS: Final = 3
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


def obstacle_of(error: BaseException) -> tuple[Obstacle, str, int | None]:
    """Return what stood in the way, in words, and a proxy's status, if that is what it was.

    The words are the machine's own, and quote nothing that the far end sent.
    """
    chain = chain_of(error)
    for each in chain:
        match each:
            case ProxyRefused():
                return Obstacle.PROXY, f"the proxy answered {each.status}", each.status
            case TunnelRefused():
                # Ours, and all that it quotes is a status.
                digits = "".join(filter(str.isdecimal, str(each)))
                status = int(digits) if len(digits) == _STATUS_DIGITS else None
                return Obstacle.PROXY, _clause(str(each)), status
            case ssl.SSLCertVerificationError():
                return _untrusted(each)
            case socket.gaierror():
                return Obstacle.NAME_UNKNOWN, "the name has no address", None
            case ssl.SSLError() if each.reason in _CERTIFICATE_ALERTS:
                return Obstacle.CLIENT_CERTIFICATE, "the server refused our certificate", None
            case ssl.SSLError():
                return Obstacle.TLS_FAILED, f"TLS failed ({each.reason or 'no reason'})", None
            case ConnectionRefusedError():
                return Obstacle.UNREACHABLE, "the connection was refused", None
            case UnicodeError():
                return Obstacle.NAME_UNKNOWN, "the name is none", None
            case _:
                pass
    if any(isinstance(each, (TimeoutError, httpx.TimeoutException)) for each in chain):
        return Obstacle.TIMED_OUT, "no answer in time", None
    if any(isinstance(each, _BROKEN_OFF) for each in chain):
        return Obstacle.BROKEN, "the answer broke off", None
    if any(isinstance(each, (httpx.ConnectError, OSError)) for each in chain):
        return Obstacle.UNREACHABLE, "no connection could be made", None
    return Obstacle.BROKEN, f"the answer broke off ({type(error).__name__})", None


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


def _untrusted(error: ssl.SSLCertVerificationError) -> tuple[Obstacle, str, None]:
    message = (error.verify_message or "").lower()
    if "hostname" in message or "ip address" in message:
        # OpenSSL's words repeat the host's name, which is known.
        return Obstacle.TLS_NAME, "the certificate is for another name", None
    if "expired" in message or "not yet valid" in message:
        return Obstacle.TLS_DATES, f"the {message}", None
    return Obstacle.TLS_UNTRUSTED, message or "the certificate is not trusted", None


def _clause(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
