"""The client for one API: what it leaves out of httpx."""

from collections.abc import AsyncGenerator, AsyncIterator

import httpx
import pytest

from azure_function_app.aws_api.direct_client import DirectClient

URL = "https://api.example/prod/v1"


class Body(httpx.AsyncByteStream):
    """A body that notes whether it was closed, and can fail."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"some"
        if self.fails:
            raise httpx.ReadError("cut")

    async def aclose(self) -> None:
        self.is_closed = True


class Server(httpx.AsyncBaseTransport):
    """Answers one after the other with these."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answers.pop(0)

    async def aclose(self) -> None:
        self.is_closed = True


def client_of(server: Server) -> DirectClient:
    """A client of that server."""
    return DirectClient(server, httpx.Timeout(7.0))


class TwiceAuth(httpx.Auth):
    """Sends the request a second time after a 401, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        response = yield request
        if self.fails:
            raise LookupError
        if response.status_code == 401:
            yield request


@pytest.mark.parametrize("location", ["https://evil.example/", "https://[", "\x00", ""])
async def test_when_the_answer_is_a_redirect_then_it_is_the_answer(location: str) -> None:
    """However malformed its Location is: it is for the caller to read."""
    server = Server(httpx.Response(302, headers={"location": location}))
    async with client_of(server) as client:
        response = await client.get(URL)

    assert 302 == response.status_code
    assert 1 == len(server.requests)


async def test_when_redirects_are_asked_for_then_the_client_says_that_it_follows_none() -> None:
    """Better than to follow none in silence."""
    async with client_of(Server()) as client:
        with pytest.raises(TypeError, match="redirects"):
            await client.get(URL, follow_redirects=True)


async def test_when_credentials_are_of_another_kind_then_they_are_refused() -> None:
    """A name and a password would be sent in place of the token."""
    async with client_of(Server()) as client:
        with pytest.raises(TypeError, match="Auth"):
            await client.get(URL, auth=("name", "password"))


async def test_when_the_client_is_closed_then_it_sends_nothing() -> None:
    """And so is its transport."""
    server = Server()
    client = client_of(server)
    await client.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await client.get(URL)
    assert server.is_closed


async def test_when_an_answer_is_read_then_it_is_closed() -> None:
    """Its connection is free for the next."""
    body = Body()
    async with client_of(Server(httpx.Response(200, stream=body))) as client:
        response = await client.get(URL)

    assert b"some" == response.content
    assert body.is_closed


async def test_when_reading_fails_then_the_answer_is_closed_all_the_same() -> None:
    """The caller never gets it, so nobody else could."""
    body = Body(fails=True)
    async with client_of(Server(httpx.Response(200, stream=body))) as client:
        with pytest.raises(httpx.ReadError):
            await client.get(URL)

    assert body.is_closed


async def test_when_an_answer_is_streamed_then_it_is_the_callers_to_close() -> None:
    """Nothing of it is read before the caller does."""
    body = Body()
    async with client_of(Server(httpx.Response(200, stream=body))) as client:
        response = await client.send(httpx.Request("GET", URL), stream=True)

        assert not body.is_closed
        await response.aclose()

    assert body.is_closed


async def test_when_the_auth_sends_again_then_the_first_answer_is_closed() -> None:
    """And the second one is the caller's."""
    first = Body()
    server = Server(httpx.Response(401, stream=first), httpx.Response(200, stream=Body()))
    async with client_of(server) as client:
        response = await client.get(URL, auth=TwiceAuth())

    assert 200 == response.status_code
    assert 2 == len(server.requests)
    assert first.is_closed


async def test_when_the_auth_fails_after_the_answer_then_the_answer_is_closed() -> None:
    """The caller gets the error."""
    body = Body()
    async with client_of(Server(httpx.Response(200, stream=body))) as client:
        with pytest.raises(LookupError):
            await client.get(URL, auth=TwiceAuth(fails=True))

    assert body.is_closed


@pytest.mark.parametrize(("given", "expected"), [({}, 7.0), ({"timeout": 1.0}, 1.0)])
async def test_when_a_request_brings_no_timeout_then_it_has_the_clients(
    given: dict[str, float], expected: float
) -> None:
    """As with httpx itself."""
    server = Server(httpx.Response(200))
    async with client_of(server) as client:
        await client.get(URL, **given)  # type: ignore[arg-type] # one keyword or none

    assert expected == server.requests[0].extensions["timeout"]["read"]


async def test_when_an_answer_sets_a_cookie_then_nobody_keeps_it() -> None:
    """The next request has none, and none can be set."""
    server = Server(httpx.Response(200, headers={"set-cookie": "a=1; Path=/"}), httpx.Response(200))
    async with client_of(server) as client:
        first = await client.get(URL)
        await client.get(URL)

        with pytest.raises(AttributeError):
            setattr(client, "cookies", {"a": "1"})  # noqa: B010 - mypy knows already that it cannot

    assert "a=1; Path=/" == first.headers["set-cookie"]
    assert "cookie" not in server.requests[1].headers
