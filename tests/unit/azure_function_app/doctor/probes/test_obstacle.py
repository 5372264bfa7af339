"""What stands in the way, told from the libraries' errors."""

import socket
import ssl
from http.client import BadStatusLine

import httpx
import pytest
import requests
from azure.core.exceptions import ServiceRequestError

from azure_function_app.doctor.probes.obstacle import Obstacle, chain_of, obstacle_of
from azure_function_app.http1.errors import TunnelForbidden
from azure_function_app.identity.token_transport import ProxyRefused


def untrusted(message: str) -> ssl.SSLCertVerificationError:
    """An error of a certificate's, with OpenSSL's words."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = message
    return error


def tls(reason: str) -> ssl.SSLError:
    """An error of TLS's."""
    error = ssl.SSLError(1, "x")
    error.reason = reason
    return error


def caused(outer: Exception, inner: Exception) -> Exception:
    """An error that another one led to."""
    outer.__cause__ = inner
    return outer


def buried(error: Exception) -> ServiceRequestError:
    """An error as it comes out of the Azure SDK."""
    wrapped = requests.ConnectionError(error)
    return ServiceRequestError(wrapped, error=wrapped)


ERRORS = [
    (caused(httpx.ConnectError("x"), socket.gaierror(-2, "x")), Obstacle.NAME_UNKNOWN),
    (caused(httpx.ConnectError("x"), UnicodeError("x")), Obstacle.NAME_UNKNOWN),
    (caused(httpx.ConnectError("x"), ConnectionRefusedError()), Obstacle.UNREACHABLE),
    (caused(httpx.ConnectError("x"), OSError(113, "no route")), Obstacle.UNREACHABLE),
    (httpx.ConnectTimeout("x"), Obstacle.TIMED_OUT),
    (httpx.ReadTimeout("x"), Obstacle.TIMED_OUT),
    (httpx.ReadError("x"), Obstacle.BROKEN),
    (httpx.RemoteProtocolError("x"), Obstacle.BROKEN),
    (ValueError("x"), Obstacle.BROKEN),
    (TunnelForbidden("The proxy answered 407: check its user."), Obstacle.PROXY),
    (untrusted("self-signed certificate in certificate chain"), Obstacle.TLS_UNTRUSTED),
    (untrusted(""), Obstacle.TLS_UNTRUSTED),
    (untrusted("Hostname mismatch, certificate is not valid for 'x'"), Obstacle.TLS_NAME),
    (untrusted("IP address mismatch"), Obstacle.TLS_NAME),
    (untrusted("certificate has expired"), Obstacle.TLS_DATES),
    (untrusted("certificate is not yet valid"), Obstacle.TLS_DATES),
    (tls("WRONG_VERSION_NUMBER"), Obstacle.TLS_FAILED),
    (
        caused(httpx.ReadError("x"), tls("TLSV13_ALERT_CERTIFICATE_REQUIRED")),
        Obstacle.CLIENT_CERTIFICATE,
    ),
    (
        buried(socket.gaierror(-2, "x")),
        Obstacle.NAME_UNKNOWN,
    ),
    (buried(ProxyRefused(403)), Obstacle.PROXY),
    (buried(TimeoutError()), Obstacle.TIMED_OUT),
    (buried(BadStatusLine("x")), Obstacle.BROKEN),
    (OSError("Multiple exceptions"), Obstacle.UNREACHABLE),
    (ExceptionGroup("x", [ConnectionRefusedError()]), Obstacle.UNREACHABLE),
]


@pytest.mark.parametrize(("error", "obstacle"), ERRORS)
def test_when_an_error_is_raised_then_what_was_in_the_way_is_told(
    error: Exception, obstacle: Obstacle
) -> None:
    """However deep the libraries bury it; in words that quote nobody."""
    found, words, _ = obstacle_of(error)

    assert obstacle is found
    assert words
    assert "'x'" not in words


def test_when_a_proxy_refuses_then_its_status_is_told() -> None:
    """407 wants a password, 403 a rule."""
    assert 407 == obstacle_of(ProxyRefused(407))[2]


def test_when_errors_lead_in_a_circle_then_the_walk_ends() -> None:
    """Nobody promises that there is none, nor how many there are."""
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    deep = ValueError()
    for _ in range(5_000):
        deep = caused(ValueError(deep), deep)  # type: ignore[assignment]  # it is one

    assert [first, second] == chain_of(first)
    assert len(chain_of(deep)) < 100
