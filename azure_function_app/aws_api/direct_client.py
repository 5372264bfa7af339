"""The HTTP client for one API: httpx's interface, and nothing of it that a token must not meet."""

import ssl
from typing import Final

import httpx

from azure_function_app.aws_api.bulkhead_transport import BulkheadTransport
from azure_function_app.http1.transport import HttpTransport
from azure_function_app.proxy_address import ProxyAddress
from shared.clock import Clock, SystemClock


class DirectClient(httpx.AsyncClient):
    """An httpx client whose every request goes to its transport, and every response to the caller.

    It keeps no cookies: httpx has one jar a client, and would replay one caller's cookies to the
    next. It does not look at redirects: httpx makes the next request of each, which fails with the
    response itself where the Location is malformed. It takes nothing from the environment, calls no
    hooks and logs no URL. Belongs to one event loop.
    """

    _no_cookies: Final = httpx.Cookies()

    def __init__(self, transport: httpx.AsyncBaseTransport, timeout: httpx.Timeout) -> None:
        """Send through the transport; the time-outs are for requests that bring none."""
        super().__init__(transport=transport, timeout=timeout, trust_env=False)
        self._only_transport = transport

    @property  # type: ignore[misc] # read-only, unlike httpx's: nobody may set one
    def cookies(self) -> httpx.Cookies:
        """Always empty."""
        return self._no_cookies

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: object = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: object = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """Return the response. With `stream`, the caller reads and must close its body.

        Raises:
            httpx.TransportError: as the transport has it.
            TypeError: another kind of authentication than `httpx.Auth`, or redirects asked for.
            RuntimeError: the client is closed.

        """
        if self.is_closed:
            raise RuntimeError("the client is closed")
        if follow_redirects is True:
            raise TypeError("this client follows no redirects")
        if "timeout" not in request.extensions:
            request.extensions["timeout"] = self.timeout.as_dict()
        if isinstance(auth, httpx.Auth):
            response = await self._send_with_auth(request, auth)
        elif auth is httpx.USE_CLIENT_DEFAULT or auth is None:
            response = await self._exchange(request)
        else:
            raise TypeError("this client takes an httpx.Auth or none")
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response

    async def _send_with_auth(self, request: httpx.Request, auth: httpx.Auth) -> httpx.Response:
        flow = auth.async_auth_flow(request)
        try:
            request = await anext(flow)
            while True:
                response = await self._exchange(request)
                try:
                    request = await flow.asend(response)
                except StopAsyncIteration:
                    return response
                except BaseException:
                    await response.aclose()
                    raise
                await response.aclose()
        finally:
            await flow.aclose()

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        response = await self._only_transport.handle_async_request(request)
        response.request = request
        return response


def build_client(
    *,
    connections: int,
    waiting: int,
    connect_seconds: float,
    ssl_context: ssl.SSLContext | None = None,
    proxy: ProxyAddress | None = None,
    clock: Clock | None = None,
) -> DirectClient:
    """Return an HTTP client over our own connections, with a bulkhead before it.

    Args:
        connections: how many calls may be under way, each on a connection of its own.
        waiting: how many more may wait for one of those.
        connect_seconds: how long opening a connection may take, name look-up and TLS included.
        ssl_context: whom to trust; by default the public authorities that certifi lists.
        proxy: through which to go (CONNECT); by default none, whatever the environment says.
        clock: measures how long the API takes; by default the system's.

    """
    transport = build_transport(
        connect_seconds=connect_seconds, ssl_context=ssl_context, proxy=proxy
    )
    return build_client_over(transport, connections=connections, waiting=waiting, clock=clock)


def build_transport(
    *,
    connect_seconds: float,
    ssl_context: ssl.SSLContext | None = None,
    proxy: ProxyAddress | None = None,
) -> HttpTransport:
    """Return our own connections, for one client or several, which bound how many there are.

    Args:
        connect_seconds: how long opening a connection may take, name look-up and TLS included.
        ssl_context: whom to trust; by default the public authorities that certifi lists.
        proxy: through which to go (CONNECT); by default none, whatever the environment says.

    """
    return HttpTransport(
        connect_seconds=connect_seconds,
        ssl_context=ssl_context or httpx.create_ssl_context(trust_env=False),
        proxy=proxy,
    )


def build_client_over(
    transport: httpx.AsyncBaseTransport,
    *,
    connections: int,
    waiting: int,
    clock: Clock | None = None,
) -> DirectClient:
    """Return an HTTP client over connections that it may share, with a bulkhead of its own.

    Who closes one of several clients closes the connections of all.

    Args:
        transport: sends what gets a place.
        connections: how many calls of this client may be under way.
        waiting: how many more may wait for one of those.
        clock: measures how long the API takes; by default the system's.

    """
    guarded = BulkheadTransport(
        transport, limit=connections, waiting=waiting, clock=clock or SystemClock()
    )
    return DirectClient(guarded, httpx.Timeout(None))
