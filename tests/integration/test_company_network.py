"""What the settings for a company's network put on the wire, over real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from azure_function_app import bootstrap
from azure_function_app.aws_api.client import ApiClient, ApiRequest
from azure_function_app.deadline import Deadline
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.settings import load_settings
from shared.clock import SystemClock
from tests.support.faulty_server import answer, faulty_server
from tests.support.functions_app import NEEDED

TOKEN = "made-up.access.token"
KEY = "made-up-key-0123456789"


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token without a token endpoint: what is asked of that one is not the subject here."""
    clock = SystemClock()
    monkeypatch.setattr(
        bootstrap, "request_token", lambda _source: AccessToken(TOKEN, clock.now() + 3600)
    )


@asynccontextmanager
async def api_from_settings(**environment: str) -> AsyncIterator[ApiClient]:
    """The API client that these settings make, closed at the end of the block."""
    api = bootstrap.build_api_client(load_settings(NEEDED | environment), SystemClock())
    try:
        yield api
    finally:
        await api.aclose()


def soon() -> Deadline:
    """A deadline that only a fault reaches."""
    return Deadline.after(5.0, SystemClock())


async def test_when_an_api_key_is_set_then_it_goes_out_beside_the_token() -> None:
    """Once, whatever the request brings."""
    request = ApiRequest("GET", "/v1/records", headers=(("x-api-key", "theirs"),))
    async with (
        faulty_server(answer()) as server,
        api_from_settings(
            AWS_API_BASE_URL=f"http://127.0.0.1:{server.port}/prod", AWS_API_KEY=KEY
        ) as api,
    ):
        await api.fetch(request, deadline=soon())

    (received,) = server.requests
    assert [KEY] == received.values("x-api-key")
    assert [f"Bearer {TOKEN}"] == received.values("authorization")
