"""What aiohttp's errors become. Real connections are in the integration tests."""

import ssl
from unittest.mock import sentinel

import aiohttp
import httpx
import pytest
from aiohttp.client_reqrep import ConnectionKey

from azure_function_app.aws_api.aiohttp_transport import CertificateError, mapped_error

KEY = ConnectionKey(
    "api.example", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (aiohttp.ConnectionTimeoutError(), httpx.ConnectTimeout),
        (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), httpx.ConnectError),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), httpx.ConnectError),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "x")), httpx.ConnectError),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "x")),
            CertificateError,
        ),
        (aiohttp.SocketTimeoutError(), httpx.ReadTimeout),
        (aiohttp.ServerTimeoutError(), httpx.ReadTimeout),
        (TimeoutError(), httpx.ReadTimeout),
        (aiohttp.ServerDisconnectedError(), httpx.RemoteProtocolError),
        (aiohttp.ClientOSError(104, "reset"), httpx.ReadError),
        (aiohttp.ClientConnectionResetError(104, "reset"), httpx.ReadError),
        (ConnectionResetError(104, "reset"), httpx.ReadError),
        (aiohttp.ClientPayloadError("cut"), httpx.RemoteProtocolError),
        (aiohttp.ClientConnectionError("closed"), httpx.RemoteProtocolError),
        (
            aiohttp.ClientResponseError(sentinel.request_info, (), status=400),
            httpx.RemoteProtocolError,
        ),
        (aiohttp.ClientError("new in some version"), httpx.RemoteProtocolError),
        (aiohttp.InvalidURL("x"), httpx.LocalProtocolError),
        (ValueError("a line break in a header"), httpx.LocalProtocolError),
    ],
)
def test_when_aiohttp_fails_then_the_httpx_error_says_whether_it_may_have_been_read(
    error: Exception, expected: type[Exception]
) -> None:
    """Exactly that class: a subclass of a connect error would be repeated for a POST."""
    assert expected is type(mapped_error(error))


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(aiohttp.client_exceptions).values()
        if isinstance(kind, type)
        and issubclass(kind, aiohttp.ClientError)
        and not issubclass(kind, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
    ],
)
def test_when_an_error_is_not_about_connecting_then_it_becomes_no_connect_error(
    kind: type[Exception],
) -> None:
    """Every other error that aiohttp has, or gets in a later version."""
    error = kind.__new__(kind)

    assert not isinstance(mapped_error(error), (httpx.ConnectError, httpx.ConnectTimeout))


def test_when_an_error_is_shown_then_it_quotes_nothing_of_the_servers() -> None:
    """What the server sent stays in the cause."""
    error = aiohttp.ClientPayloadError("made-up~secret")

    assert "made-up~secret" not in str(mapped_error(error))
