"""Calls to the running local stack, as its users would make them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import httpx

from emulator.entra.directory import Application
from emulator.stack import LocalStack

_TIMEOUT_SECONDS = 60.0


class LocalCallError(Exception):
    """A part of the local stack did not respond as it must; the message says which."""

    code = "local_call_failed"


@dataclass(frozen=True, slots=True)
class LocalClient:
    """An HTTP client that knows where the parts of the stack are."""

    stack: LocalStack
    function_url: str
    """The Function App's origin."""
    _http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def to(cls, stack: LocalStack, function_url: str | None = None) -> AsyncIterator[Self]:
        """Give the block a client; the machine's proxy settings are ignored.

        It calls the stack's own Function App, unless another one's URL is given.
        """
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as http:
            yield cls(stack, function_url or stack.functions.url, http)

    async def token_for(self, application: Application) -> str:
        """Return a fresh token for the API, by client secret from the token endpoint.

        Raises:
            LocalCallError: the token endpoint refused.

        """
        directory = self.stack.tenant.directory
        response = await self._http.post(
            f"{self.stack.entra.authority}/{directory.tenant_id}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": application.client_id,
                "client_secret": application.secrets[0],
                "scope": f"{directory.api.app_id_uri}/.default",
            },
        )
        if response.status_code != httpx.codes.OK:
            raise LocalCallError(f"Entra ID gave {application.name} no token: {response.text}")
        token: str = response.json()["access_token"]
        return token

    async def call_api(
        self,
        method: str,
        path: str,
        *,
        token: str | None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Call the API through API Gateway and its authorizer, and return the response."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return await self._http.request(
            method, f"{self.stack.api_url}{path}", json=json, headers=sent
        )

    async def call_function(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Call the Function App, at a path below its route prefix, and return the response."""
        return await self._http.request(
            method, f"{self.function_url}/api{path}", content=content, headers=headers
        )

    async def start_sync(self) -> None:
        """Start the sync timer's function now, as `POST /admin/functions/...` does on any host.

        Raises:
            LocalCallError: the host refused.

        """
        response = await self._http.post(
            f"{self.function_url}/admin/functions/sync_timer", json={"input": ""}
        )
        if response.status_code != httpx.codes.ACCEPTED:
            raise LocalCallError(
                f"the Functions host would not start sync_timer: HTTP {response.status_code}"
            )
