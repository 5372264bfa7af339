"""Sends each request only from a place in the bulkhead, and holds it until the response is read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, cast

import httpx

from azure_function_app.aws_api.answer_times import AnswerTimes
from azure_function_app.aws_api.bulkhead import Bulkhead
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import DeadlineExceeded
from shared.clock import Clock

BEFORE_SENDING_EXTENSION: Final = "bridge_before_sending"
"""Under which key of its extensions a request carries what is called right before it is sent.

It takes and returns nothing. What it raises, the caller gets, and nothing is sent.
"""


class BulkheadTransport(httpx.AsyncBaseTransport):
    """Sends through another transport no more requests at once than there are places.

    Belongs to one event loop.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport, *, limit: int, waiting: int, clock: Clock
    ) -> None:
        """Let `limit` requests be under way on `inner`, and `waiting` more wait for a place."""
        self._inner = inner
        self._answer_times = AnswerTimes()
        self._bulkhead = Bulkhead(limit=limit, waiting=waiting, answer_times=self._answer_times)
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the inner transport's response; the caller reads and must close its body.

        Raises:
            Overloaded: there is no place, or none while the API has time enough to answer.
            Exception: what the inner transport raises, or what is called before sending.

        """
        extensions = request.extensions
        if not self._bulkhead.enter_at_once():
            await self._bulkhead.wait(cast("Deadline | None", extensions.get(DEADLINE_EXTENSION)))
        place = _Place(self._bulkhead, self._answer_times, self._clock)
        try:
            before_sending: Callable[[], None] | None = extensions.get(BEFORE_SENDING_EXTENSION)
            if before_sending is not None:
                before_sending()
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            place.leave_after(error)
            raise
        if response.is_closed:
            # Its body came with its head, so nobody will close it.
            place.leave()
        else:
            response.stream = _HeldBody(response.stream, place)
        return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class _Place:
    """A place that was taken, to be left once, and what its time says about the API."""

    __slots__ = ("_answer_times", "_began", "_bulkhead", "_clock", "_is_held", "_is_timed")

    def __init__(self, bulkhead: Bulkhead, answer_times: AnswerTimes, clock: Clock) -> None:
        self._bulkhead = bulkhead
        self._answer_times = answer_times
        self._clock = clock
        self._is_held = True
        self._is_timed = False
        self._began = clock.monotonic()

    def answered(self) -> None:
        """Note that all of the answer is there; leaving may take its reader longer."""
        if not self._is_timed:
            self._is_timed = True
            self._answer_times.answered(self._clock.monotonic() - self._began)

    def leave(self) -> None:
        if self._is_held:
            self._is_held = False
            # One that its reader closes early was an answer too.
            self.answered()
            self._bulkhead.leave()

    def leave_after(self, error: BaseException) -> None:
        if not self._is_held:
            return
        self._is_held = False
        # How long it took to fail otherwise says nothing about how long an answer takes.
        if isinstance(error, (DeadlineExceeded, httpx.ReadTimeout, asyncio.CancelledError)):
            self._answer_times.unanswered(self._clock.monotonic() - self._began)
        self._bulkhead.leave()


class _HeldBody(httpx.AsyncByteStream):
    """A response's body, which holds its place until it is closed or fails."""

    __slots__ = ("_body", "_place")

    def __init__(self, body: httpx.SyncByteStream | httpx.AsyncByteStream, place: _Place) -> None:
        # Like httpx's own client, which wraps it too: an async transport's body is async.
        self._body = cast("httpx.AsyncByteStream", body)
        self._place = place

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._body:
                yield piece
        # Nothing more will come, so the place is not left to the caller.
        except (Exception, asyncio.CancelledError) as error:
            self._place.leave_after(error)
            raise
        self._place.answered()

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            self._place.leave()
