"""Attaches the bearer token and the API key to requests that go to the API, and to no others."""

from collections.abc import AsyncGenerator
from typing import Final

import httpx

from azure_function_app.aws_api.destination import Destination
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.identity.token_provider import TokenProvider

_UNAUTHORIZED: Final = 401


class BearerAuth(httpx.Auth):
    """Checks the final URL, then attaches a token (RFC 6750 section 2.1) and the API key.

    After a 401 the request is sent once more if the provider has a newer token. That repeats no
    write: a server that answers 401 has not applied the request (RFC 9110 section 15.5.2). The
    request's body must be one that can be sent twice, which bytes are.
    """

    def __init__(
        self,
        destination: Destination,
        token_provider: TokenProvider,
        *,
        api_key: str | None = None,
    ) -> None:
        """Attach the provider's tokens, and an API key if there is one, to what goes there."""
        self._destination = destination
        self._token_provider = token_provider
        self._api_key = api_key

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request with its token, and again with a newer one after a 401.

        Raises:
            RequestRefused: the request does not go to the API; no token was asked for.
            TokenAcquisitionError: there is no token.

        """
        self._destination.check(request)
        deadline: Deadline | None = request.extensions.get(DEADLINE_EXTENSION)
        wait_seconds = None if deadline is None else deadline.remaining_seconds()
        token = await self._token_provider.get_token(wait_seconds=wait_seconds)
        request.headers["Authorization"] = token.authorization
        if self._api_key is not None:
            request.headers["X-Api-Key"] = self._api_key
        response = yield request
        if response.status_code != _UNAUTHORIZED:
            return
        wait_seconds = None if deadline is None else deadline.remaining_seconds()
        newer = await self._token_provider.refresh_after_rejection(token, wait_seconds=wait_seconds)
        if newer.value != token.value:
            request.headers["Authorization"] = newer.authorization
            yield request
