"""Sends each request only from a place in the bulkhead, and holds it until the response is read."""

import asyncio
from collections.abc import Callable
from typing import Final, Self, cast

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

type BeforeSending = Callable[[], None]


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
        began = self._clock.monotonic()
        try:
            before_sending: BeforeSending | None = extensions.get(BEFORE_SENDING_EXTENSION)
            if before_sending is not None:
                before_sending()
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            self.leave_after(error, began)
            raise
        if response.is_closed:
            # Its body came with its head, so nobody will close it.
            self.note_answer(began)
            self.leave()
        else:
            response.stream = _HeldBody(response.stream, self, began)
        return response

    def note_answer(self, began: float) -> None:
        """Note that all of an answer is there, to a call whose place was taken then."""
        self._answer_times.answered(self._clock.monotonic() - began)

    def leave(self) -> None:
        """Give a place back."""
        self._bulkhead.leave()

    def leave_after(self, error: BaseException, began: float) -> None:
        """Give back a place that was taken then by a call that failed."""
        # How long it took to fail otherwise says nothing about how long an answer takes.
        if isinstance(error, (DeadlineExceeded, httpx.ReadTimeout, asyncio.CancelledError)):
            self._answer_times.unanswered(self._clock.monotonic() - began)
        self._bulkhead.leave()

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class _HeldBody(httpx.AsyncByteStream):
    """A response's body, which holds its place until it is closed or fails."""

    __slots__ = ("_began", "_body", "_is_held", "_is_noted", "_pieces", "_transport")

    def __init__(
        self,
        body: httpx.SyncByteStream | httpx.AsyncByteStream,
        transport: BulkheadTransport,
        began: float,
    ) -> None:
        # An async transport's body is async, which httpx's types do not say.
        self._body = cast("httpx.AsyncByteStream", body)
        self._transport = transport
        self._began = began
        self._is_held = True
        self._is_noted = False

    # No generator: an event loop keeps track of each, which costs a call more than all of this.
    def __aiter__(self) -> Self:
        self._pieces = aiter(self._body)
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._pieces.__anext__()
        except StopAsyncIteration:
            # Now, as its reader may take longer to close it.
            self._note_answer()
            raise
        # Nothing more will come, so the place is not left to the caller.
        except BaseException as error:
            if self._is_held:
                self._is_held = False
                self._transport.leave_after(error, self._began)
            raise

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            if self._is_held:
                self._is_held = False
                # One that its reader closes early was an answer, too.
                self._note_answer()
                self._transport.leave()

    def _note_answer(self) -> None:
        if not self._is_noted:
            self._is_noted = True
            self._transport.note_answer(self._began)
