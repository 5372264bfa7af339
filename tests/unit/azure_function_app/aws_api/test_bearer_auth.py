"""The token goes to the API and to nobody else."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import httpx
import pytest
from pytest_httpx import HTTPXMock

from azure_function_app.aws_api.bearer_auth import BearerAuth
from azure_function_app.aws_api.destination import Destination
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import RequestRefused, TokenAcquisitionError
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.token_provider import TokenProvider
from tests.support.calling import TOKEN, build_token_provider, token_source
from tests.support.fake_clock import FakeClock

CLOCK = FakeClock()
API = Destination.parse("https://api.example/prod")


def provider(*tokens: str) -> TokenProvider:
    """A provider of these tokens, one after the other."""
    return build_token_provider(token_source(CLOCK, *tokens), CLOCK)


type Send = Callable[..., Awaitable[tuple[httpx.Response, list[str | None]]]]


@pytest.fixture
def sent(httpx_mock: HTTPXMock) -> Send:
    """Sends a request; gives its response, and the Authorization header of each that went out."""

    async def send(
        auth: httpx.Auth, request: httpx.Request, *statuses: int
    ) -> tuple[httpx.Response, list[str | None]]:
        seen: list[str | None] = []
        answers = iter(statuses or (200,))

        def handle(received: httpx.Request) -> httpx.Response:
            # Read now: it is the same request that is sent again with another token.
            seen.append(received.headers.get("Authorization"))
            return httpx.Response(next(answers))

        httpx_mock.add_callback(handle, is_reusable=True, is_optional=True)
        async with httpx.AsyncClient() as client:
            return await client.send(request, auth=auth), seen

    return send


async def test_when_a_request_goes_to_the_api_then_it_carries_the_token(sent: Send) -> None:
    """In the Authorization header, by the Bearer scheme."""
    request = httpx.Request("GET", API.url("/v1"))

    _, seen = await sent(BearerAuth(API, provider()), request)

    assert [f"Bearer {TOKEN}"] == seen


KEY = "made-up-key-0123456789"


async def test_when_there_is_an_api_key_then_every_attempt_carries_it_once(
    httpx_mock: HTTPXMock,
) -> None:
    """In place of any that the request brings, and after a 401 too."""
    seen: list[list[str]] = []

    def handle(received: httpx.Request) -> httpx.Response:
        seen.append(received.headers.get_list("x-api-key"))
        return httpx.Response(401)

    httpx_mock.add_callback(handle, is_reusable=True)
    theirs = [("x-api-key", "theirs"), ("X-API-Key", "theirs, too")]
    request = httpx.Request("GET", API.url("/v1"), headers=theirs)
    async with httpx.AsyncClient() as client:
        await client.send(request, auth=BearerAuth(API, provider("old", "new"), api_key=KEY))

    assert [[KEY], [KEY]] == seen


async def test_when_there_is_no_api_key_then_none_is_sent(httpx_mock: HTTPXMock) -> None:
    """Most APIs have no usage plan."""
    httpx_mock.add_response()
    async with httpx.AsyncClient() as client:
        request = httpx.Request("GET", API.url("/v1"))
        await client.send(request, auth=BearerAuth(API, provider()))

    assert "x-api-key" not in request.headers


async def test_when_a_request_goes_elsewhere_then_it_gets_no_api_key(sent: Send) -> None:
    """It is refused as it came."""
    request = httpx.Request("GET", "https://evil.example/prod/v1")

    with pytest.raises(RequestRefused):
        await sent(BearerAuth(API, provider(), api_key=KEY), request)
    assert "x-api-key" not in request.headers


async def test_when_the_caller_brings_a_token_then_ours_replaces_it(sent: Send) -> None:
    """Nobody else's credential goes to the API in our name."""
    request = httpx.Request("GET", API.url("/v1"), headers={"authorization": "Bearer theirs"})

    _, seen = await sent(BearerAuth(API, provider()), request)

    assert [f"Bearer {TOKEN}"] == seen


@pytest.mark.parametrize(
    "url", ["https://evil.example/prod/v1", "http://api.example/prod/v1", "https://api.example/x"]
)
async def test_when_a_request_goes_elsewhere_then_no_token_is_even_asked_for(
    sent: Send, url: str
) -> None:
    """It is refused before the provider hears of it."""
    asked: list[None] = []
    tokens = build_token_provider(lambda: asked.append(None), CLOCK)  # type: ignore[arg-type, return-value] # must not be called

    with pytest.raises(RequestRefused):
        await sent(BearerAuth(API, tokens), httpx.Request("GET", url))

    assert [] == asked


async def test_when_there_is_no_token_then_nothing_is_sent(sent: Send) -> None:
    """The caller gets the provider's error."""

    def fail() -> None:
        raise TokenAcquisitionError("No access token.")

    tokens = build_token_provider(fail, CLOCK)  # type: ignore[arg-type] # returns nothing, raises
    with pytest.raises(TokenAcquisitionError):
        await sent(BearerAuth(API, tokens), httpx.Request("GET", API.url("/v1")), 500)


async def test_when_the_token_is_rejected_then_a_newer_one_is_tried(sent: Send) -> None:
    """Once, with the same request."""
    request = httpx.Request("POST", API.url("/v1"), content=b"body")

    response, seen = await sent(BearerAuth(API, provider("old", "new")), request, 401, 200)

    assert 200 == response.status_code
    assert ["Bearer old", "Bearer new"] == seen


async def test_when_the_newer_token_is_rejected_too_then_that_is_the_answer(sent: Send) -> None:
    """There is no third request."""
    request = httpx.Request("GET", API.url("/v1"))

    response, seen = await sent(BearerAuth(API, provider("old", "new")), request, 401, 401)

    assert 401 == response.status_code
    assert ["Bearer old", "Bearer new"] == seen


async def test_when_no_newer_token_exists_then_the_same_is_not_sent_again(sent: Send) -> None:
    """The API has seen these bytes."""
    response, seen = await sent(
        BearerAuth(API, provider("same")), httpx.Request("GET", API.url("/v1")), 401
    )

    assert 401 == response.status_code
    assert ["Bearer same"] == seen


@pytest.mark.parametrize("status", [200, 400, 403, 404, 500])
async def test_when_the_status_is_another_then_the_token_is_not_renewed(
    sent: Send, status: int
) -> None:
    """403 means that the token was understood."""
    response, seen = await sent(
        BearerAuth(API, provider("old", "new")), httpx.Request("GET", API.url("/v1")), status
    )

    assert status == response.status_code
    assert ["Bearer old"] == seen


async def test_when_the_deadline_has_passed_then_no_token_is_waited_for(sent: Send) -> None:
    """The request's own deadline bounds the wait."""
    request = httpx.Request(
        "GET", API.url("/v1"), extensions={DEADLINE_EXTENSION: Deadline.after(0, CLOCK)}
    )

    with pytest.raises(TokenAcquisitionError) as caught:
        await sent(BearerAuth(API, provider()), request)

    assert "token_timeout" == caught.value.code


@pytest.mark.parametrize("seconds", [None, 60.0])
async def test_when_a_rejection_meets_an_issuer_that_hangs_then_the_wait_is_the_providers(
    sent: Send, seconds: float | None
) -> None:
    """However much time the call has, the API's 401 comes back when the provider gives up."""
    go_on = threading.Event()
    tokens = token_source(CLOCK, "old", "new")

    def issue_once_then_hang() -> AccessToken:
        token = tokens()
        if token.value == "new":
            go_on.wait(10)
        return token

    hanging = build_token_provider(issue_once_then_hang, CLOCK, wait_seconds=0.05)
    extensions = {} if seconds is None else {DEADLINE_EXTENSION: Deadline.after(seconds, CLOCK)}
    request = httpx.Request("GET", API.url("/v1"), extensions=extensions)
    async with asyncio.timeout(2):
        response, seen = await sent(BearerAuth(API, hanging), request, 401)
    go_on.set()
    await hanging.aclose()

    assert 401 == response.status_code
    assert ["Bearer old"] == seen
