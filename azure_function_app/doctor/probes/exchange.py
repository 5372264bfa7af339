"""One request and what came of it: an answer, or what stood in the way.

It is sent by the app's own transport, once, within a deadline; no redirect is followed, and of the
body no more is read than a document of ours takes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.doctor.probes.obstacle import Obstacle, obstacle_of
from azure_function_app.errors import DeadlineExceeded
from shared.clock import Clock
from shared.problem import MEDIA_TYPE

_MOST_BYTES: Final = 262_144
"""A key set takes some twenty thousand."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer came."""

    obstacle: Obstacle
    detail: str
    """What the machine said, in words that quote nobody."""
    seconds: float
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer came."""

    status: int
    headers: httpx.Headers
    content: bytes
    seconds: float
    received_at: float
    """When its head was there, by this machine's clock."""

    @property
    def members(self) -> Mapping[str, object]:
        """Return the members of the JSON object in the body; none if it is none."""
        try:
            document = json.loads(self.content)
        except (ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def problem_code(self) -> str | None:
        """Return the code of a problem document (RFC 9457)."""
        if not self.headers.get("content-type", "").startswith(MEDIA_TYPE):
            return None
        code = self.members.get("code")
        return code if isinstance(code, str) else None

    @property
    def error_type(self) -> str:
        """Return the gateway's own name for an error; empty if there is none."""
        return str(self.headers.get("x-amzn-errortype", "")).partition(":")[0]

    @property
    def is_html(self) -> bool:
        """Return whether the body is a page for people."""
        return str(self.headers.get("content-type", "")).lower().startswith("text/html")

    @property
    def clock_ahead_seconds(self) -> float | None:
        """Return by how much the far end's clock is ahead of ours; None if it does not say.

        A `Date` is of whole seconds (RFC 9110 section 6.6.1) and a cache's is as old as its `Age`.
        """
        try:
            date = parsedate_to_datetime(self.headers.get("date", "")).timestamp()
            age = float(self.headers.get("age", "0"))
        except (ValueError, TypeError, OverflowError):
            return None
        return date + age + 0.5 - (self.received_at - self.seconds / 2)


type Outcome = Answered | Unanswered


async def exchange(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, *, clock: Clock, deadline: Deadline
) -> Outcome:
    """Return what came of the request. Never raises for what the far end does."""
    begun = clock.monotonic()

    def passed() -> float:
        return clock.monotonic() - begun

    request.extensions[DEADLINE_EXTENSION] = deadline
    try:
        response = await transport.handle_async_request(request)
        seconds, received_at = passed(), clock.now()
        try:
            content = bytearray()
            stream = response.stream
            if isinstance(stream, httpx.AsyncByteStream):
                async for piece in stream:
                    content += piece
                    if len(content) > _MOST_BYTES:
                        break
        finally:
            await response.aclose()
        return Answered(
            response.status_code,
            response.headers,
            bytes(content[:_MOST_BYTES]),
            seconds,
            received_at,
        )
    except DeadlineExceeded:
        return Unanswered(Obstacle.TIMED_OUT, "no answer in time", passed())
    except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
        obstacle, detail, status = obstacle_of(error)
        return Unanswered(obstacle, detail, passed(), status)
