"""Attaches the bearer token and the API key to requests that go to the API, and to no others."""

from collections.abc import AsyncGenerator
from typing import Final

import httpx

from azure_function_app.aws_api.destination import Destination
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.token_provider import TokenProvider

UNAUTHORIZED: Final = 401


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
        token = await self.authorize(request)
        response = yield request
        if response.status_code == UNAUTHORIZED and await self.authorize_anew(request, token):
            yield request

    async def authorize(self, request: httpx.Request) -> AccessToken:
        """Attach a token to a request that goes to the API, and return it.

        Raises:
            RequestRefused: the request does not go to the API; no token was asked for.
            TokenAcquisitionError: there is no token.

        """
        self._destination.check(request)
        token = await self._token_provider.get_token(wait_seconds=_remaining_seconds(request))
        request.headers["Authorization"] = token.authorization
        if self._api_key is not None:
            request.headers["X-Api-Key"] = self._api_key
        return token

    async def authorize_anew(self, request: httpx.Request, rejected: AccessToken) -> bool:
        """Attach a newer token than the rejected one; False where there is none."""
        newer = await self._token_provider.refresh_after_rejection(
            rejected, wait_seconds=_remaining_seconds(request)
        )
        if newer.value == rejected.value:
            return False
        request.headers["Authorization"] = newer.authorization
        return True


def _remaining_seconds(request: httpx.Request) -> float | None:
    deadline: Deadline | None = request.extensions.get(DEADLINE_EXTENSION)
    return None if deadline is None else deadline.remaining_seconds()
