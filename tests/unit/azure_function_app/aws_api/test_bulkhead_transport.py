"""The transport that holds a place for each request: when it takes it, when it gives it back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from azure_function_app.aws_api.bulkhead_transport import (
    BEFORE_SENDING_EXTENSION,
    BulkheadTransport,
)
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import CircuitOpen, DeadlineExceeded, Overloaded
from tests.support.fake_clock import FakeClock

URL = "https://api.example/prod/v1"


class Body(httpx.AsyncByteStream):
    """A body in two pieces, which waits or fails between them as a test wants it."""

    def __init__(self, between: Callable[[], Awaitable[None]] | None = None) -> None:
        self.between = between
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"some"
        if self.between is not None:
            await self.between()
        yield b"thing"

    async def aclose(self) -> None:
        self.is_closed = True


class Inner(httpx.AsyncBaseTransport):
    """Hands out what a test wants, after what it wants."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.takes = 0.0
        self.head: Callable[[], Awaitable[None]] | None = None
        self.body: httpx.AsyncByteStream = Body()
        self.sent = 0
        self.is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        self.clock.advance(self.takes)
        if self.head is not None:
            await self.head()
        return httpx.Response(200, stream=self.body, request=request)

    async def aclose(self) -> None:
        self.is_closed = True


class Guarded:
    """One place, and an inner transport to play with."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        # A duration is no point in time.
        self.clock.advance(100.0)
        self.inner = Inner(self.clock)
        self.transport = BulkheadTransport(self.inner, limit=1, waiting=1, clock=self.clock)

    async def send(
        self, seconds: float | None = None, before: Callable[[], None] | None = None
    ) -> httpx.Response:
        """The response's head, to one request that has so many seconds."""
        extensions: dict[str, object] = {}
        if seconds is not None:
            extensions[DEADLINE_EXTENSION] = Deadline.after(seconds, self.clock)
        if before is not None:
            extensions[BEFORE_SENDING_EXTENSION] = before
        return await self.transport.handle_async_request(
            httpx.Request("GET", URL, extensions=extensions)
        )

    async def is_free(self) -> bool:
        """Whether one request, and only one, gets a place at once."""
        self.inner.head = None
        self.inner.body = Body()
        try:
            response = await self.send(0.0)
        except Overloaded:
            return False
        with pytest.raises(Overloaded):
            await self.send(0.0)
        await response.aclose()
        return True

    async def takes_too_long_for(self, seconds: float) -> bool:
        """Whether who has so much time is refused without waiting, while the place is taken."""
        self.inner.head = None
        self.inner.body = Body()
        busy = await self.send()
        waiting = asyncio.create_task(self.send(seconds))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        is_refused = waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})
        # Closing is an answer, too, but one of no duration.
        await busy.aclose()
        return is_refused


@pytest.fixture
def guarded() -> Guarded:
    """A transport with one place."""
    return Guarded()


def failing(error: BaseException) -> Callable[[], Awaitable[None]]:
    """Fails like that."""

    async def fail() -> None:
        raise error

    return fail


async def never() -> None:
    """Waits until it is cancelled."""
    await asyncio.get_running_loop().create_future()


async def test_when_a_response_is_not_read_then_it_holds_its_place_until_it_is_closed(
    guarded: Guarded,
) -> None:
    """The head is there, and the body still comes."""
    body = Body()
    guarded.inner.body = body
    response = await guarded.send()

    assert not await guarded.is_free()
    assert b"something" == await response.aread()
    await response.aclose()
    assert body.is_closed
    assert await guarded.is_free()


async def test_when_a_response_is_closed_twice_then_its_place_is_given_back_once(
    guarded: Guarded,
) -> None:
    """Else two would be under way in its stead."""
    guarded.inner.body = Body()
    response = await guarded.send()
    for _ in range(2):
        await response.stream.aclose()  # type: ignore[union-attr] # async, as the request is

    assert await guarded.is_free()


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("x"),
        httpx.ReadTimeout("x"),
        DeadlineExceeded("x"),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
)
async def test_when_no_head_comes_then_the_place_is_given_back(
    guarded: Guarded, error: BaseException
) -> None:
    """Whatever went wrong."""
    guarded.inner.head = failing(error)
    with pytest.raises(type(error)):
        await guarded.send()

    assert await guarded.is_free()


@pytest.mark.parametrize(
    "error", [httpx.ReadError("x"), DeadlineExceeded("x"), asyncio.CancelledError()]
)
async def test_when_a_body_fails_then_the_place_is_given_back_at_once_and_once(
    guarded: Guarded, error: BaseException
) -> None:
    """Before its reader closes it, and not again when it does."""
    guarded.inner.body = Body(failing(error))
    response = await guarded.send()
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    pieces = aiter(stream)
    assert b"some" == await anext(pieces)
    with pytest.raises(type(error)):
        await anext(pieces)

    assert await guarded.is_free()
    second = await guarded.send()
    await response.aclose()
    assert not await guarded.is_free()
    await second.aclose()


async def test_when_closing_the_body_fails_then_the_place_is_given_back(guarded: Guarded) -> None:
    """The connection may be lost, the place is not."""

    class Unclosable(Body):
        async def aclose(self) -> None:
            raise OSError

    guarded.inner.body = Unclosable()
    response = await guarded.send()
    with pytest.raises(OSError):  # noqa: PT011 - it is what the body raises
        await response.aclose()

    assert await guarded.is_free()


@pytest.mark.parametrize("moment", ["head", "body", "queue"])
async def test_when_a_caller_is_cancelled_then_its_place_is_given_back(
    guarded: Guarded, moment: str
) -> None:
    """While it waits for a place, for the head, or for the rest of the body."""
    busy = await guarded.send() if moment == "queue" else None
    guarded.inner.head = never if moment == "head" else None
    guarded.inner.body = Body(never)

    async def call() -> None:
        await (await guarded.send()).aread()

    caller = asyncio.create_task(call())
    for _ in range(5):
        await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait({caller})
    if busy is not None:
        await busy.aclose()

    assert caller.cancelled()
    assert await guarded.is_free()


async def test_when_the_body_came_with_the_head_then_nobody_has_to_close_it() -> None:
    """As with httpx's own mock transport, whose responses are complete."""
    clock = FakeClock()

    def respond(_: httpx.Request) -> httpx.Response:
        clock.advance(5.0)
        return httpx.Response(200, content=b"x")

    transport = BulkheadTransport(httpx.MockTransport(respond), limit=1, waiting=0, clock=clock)
    for _ in range(3):
        response = await transport.handle_async_request(httpx.Request("GET", URL))
        assert b"x" == await response.aread()

    assert 5.0 == transport._answer_times.enough()


async def test_when_a_request_may_be_sent_then_what_it_carries_is_called_first(
    guarded: Guarded,
) -> None:
    """After the waiting, and before anything is sent."""
    first = await guarded.send()
    sent_at_call: list[int] = []
    waiting = asyncio.create_task(
        guarded.send(9.0, before=lambda: sent_at_call.append(guarded.inner.sent))
    )
    await asyncio.sleep(0)
    assert [] == sent_at_call
    await first.aclose()
    await (await waiting).aclose()

    assert [1] == sent_at_call


async def test_when_what_is_called_before_sending_raises_then_nothing_is_sent(
    guarded: Guarded,
) -> None:
    """And the place is free for the next."""

    def refuse() -> None:
        raise CircuitOpen("x")

    with pytest.raises(CircuitOpen):
        await guarded.send(before=refuse)

    assert 0 == guarded.inner.sent
    assert await guarded.is_free()


async def test_when_answers_take_long_then_who_has_less_time_does_not_wait(
    guarded: Guarded,
) -> None:
    """The body counts, as its reader needs all of it."""

    async def drag() -> None:
        guarded.clock.advance(2.0)

    guarded.inner.takes = 1.0
    guarded.inner.body = Body(drag)
    await (await guarded.send()).aread()

    guarded.inner.takes = 0.0
    assert await guarded.takes_too_long_for(3.0)
    assert not await guarded.takes_too_long_for(3.1)


async def test_when_a_reader_closes_early_then_that_was_an_answer_too(guarded: Guarded) -> None:
    """Its head came, after so long."""
    guarded.inner.takes = 5.0
    await (await guarded.send()).aclose()

    guarded.inner.takes = 0.0
    assert await guarded.takes_too_long_for(5.0)


async def test_when_a_reader_takes_its_time_then_the_api_is_not_held_slow(
    guarded: Guarded,
) -> None:
    """What counts is when the last piece was there."""
    guarded.inner.takes = 1.0
    response = await guarded.send()
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    assert [b"some", b"thing"] == [piece async for piece in stream]
    guarded.clock.advance(60.0)
    await response.aclose()

    guarded.inner.takes = 0.0
    assert not await guarded.takes_too_long_for(1.1)


@pytest.mark.parametrize(
    ("error", "says_something"),
    [
        (DeadlineExceeded("x"), True),
        (httpx.ReadTimeout("x"), True),
        (asyncio.CancelledError(), True),
        (httpx.ConnectTimeout("x"), False),
        (httpx.RemoteProtocolError("x"), False),
    ],
)
async def test_when_a_call_is_given_up_then_the_api_takes_at_least_that_long(
    guarded: Guarded, error: BaseException, *, says_something: bool
) -> None:
    """How long another failure took says nothing about how long an answer takes."""
    guarded.inner.takes = 5.0
    guarded.inner.head = failing(error)
    with pytest.raises(type(error)):
        await guarded.send()

    guarded.inner.takes = 0.0
    assert says_something is await guarded.takes_too_long_for(5.0)


async def test_when_the_transport_is_closed_then_so_is_the_inner_one(guarded: Guarded) -> None:
    """Its connections are its own."""
    await guarded.transport.aclose()

    assert guarded.inner.is_closed
