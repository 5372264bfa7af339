"""Gives a currently valid access token, whatever the endpoint that issues them does.

One request is in flight at most, however many ask. A token is renewed in the background from half
of its life on, so an outage shorter than the other half is never felt, and the old token is served
while it is valid. Without a valid token callers wait for seconds, not minutes, and a failure is
remembered for a moment so that it does not become a storm. A token that cannot be sent, or has
expired when it comes, is such a failure too.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from azure_function_app.errors import TokenAcquisitionError
from azure_function_app.identity.access_token import LONGEST_TOKEN, AccessToken
from azure_function_app.telemetry.spans import NO_SPANS, SpanRecorder
from shared.clock import Clock
from shared.log import log_event

_logger = logging.getLogger(__name__)

EXPIRY_MARGIN_SECONDS: Final = 10.0
"""Seconds before its end from which a token may not reach the API in time: one is asked for, and
waited for, and the old one serves only if that fails."""
REFRESH_SHARE: Final = 0.5
"""The share of a token's life after which it is renewed."""
REFRESH_JITTER: Final = 0.1
"""The share by which that moment is spread, so that instances do not ask all at once."""
SHORTEST_PAUSE_SECONDS: Final = 15.0
"""Seconds between two background requests after one that failed, or brought nothing newer."""
LONGEST_PAUSE_SECONDS: Final = 300.0
NEGATIVE_CACHE_SECONDS: Final = 5.0
"""Seconds for which callers without a token are told of the last failure, and nobody asks."""
REJECTION_COOL_DOWN_SECONDS: Final = 60.0
"""Seconds between two tokens asked for because the API rejected the one at hand."""
REQUEST_LIMIT_SECONDS: Final = 40.0
"""Seconds after which a request that hangs is given up and its thread left to end by itself."""
MOST_THREADS: Final = 2
"""Requests that may be alive at once, those included that were given up and have not ended."""


class TokenProvider:
    """Keeps one access token fresh. Belongs to one event loop."""

    def __init__(
        self,
        request_token: Callable[[], AccessToken],
        *,
        clock: Clock,
        random: Callable[[], float],
        wait_seconds: float,
        on_first_token: Callable[[AccessToken], None] = lambda _: None,
        spans: SpanRecorder = NO_SPANS,
    ) -> None:
        """Obtain tokens with `request_token`, which may block: it runs in a thread.

        Args:
            request_token: asks the issuer; raises TokenAcquisitionError.
            clock: tells when a token is due.
            random: numbers from 0 to 1, to spread requests in time.
            wait_seconds: how long a caller waits at most when no token is at hand.
            on_first_token: is shown the first token, to compare it with the contract.
            spans: records each request for one, as part of the trace that it was made for first.

        """
        self._request_token = request_token
        self._clock = clock
        self._random = random
        self._wait_seconds = wait_seconds
        self._on_first_token = on_first_token
        self._spans = spans
        self._token: AccessToken | None = None
        self._serve_until = 0.0
        self._refresh_at = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        self._failure: TokenAcquisitionError | None = None
        self._failure_until = 0.0
        self._failures_in_a_row = 0
        self._rejection_pause_until = 0.0
        self._live_threads = 0

    async def get_token(self, *, wait_seconds: float | None = None) -> AccessToken:
        """Return a token that is valid now, from memory wherever there is one.

        Args:
            wait_seconds: how long to wait for one, if that is less than the provider's limit.

        Raises:
            TokenAcquisitionError: there is none, and none could be had in time.

        """
        token = self._token
        if token is not None:
            now = self._clock.now()
            if now < self._refresh_at:
                return token
            if now < self._serve_until:
                if self._refreshing is None:
                    self._start_refresh()
                return token
        return await self._wait_for_token(wait_seconds)

    async def refresh_after_rejection(
        self, rejected: AccessToken, *, wait_seconds: float | None = None
    ) -> AccessToken:
        """Return a newer token after the API rejected one, or the same where there is none.

        Asks at most once a minute, because a wrong setting makes the API reject every token.
        Never raises: the caller then has the API's own response to report.

        Args:
            rejected: the token that the API answered 401 to.
            wait_seconds: how long to wait, if that is less than the provider's limit.

        """
        if self._token is not None and self._token.value != rejected.value:
            return self._token
        refreshing = self._refreshing
        if refreshing is None:
            if self._clock.monotonic() < self._rejection_pause_until:
                return rejected
            self._rejection_pause_until = self._clock.monotonic() + REJECTION_COOL_DOWN_SECONDS
            refreshing = self._start_refresh()
        await self._has_ended(refreshing, wait_seconds)
        return self._token or rejected

    async def aclose(self) -> None:
        """Stop asking. The token at hand stays usable."""
        refreshing, self._refreshing = self._refreshing, None
        if refreshing is not None:
            refreshing.cancel()
            await asyncio.wait({refreshing})

    async def _wait_for_token(self, wait_seconds: float | None) -> AccessToken:
        failure, refreshing = self._failure, self._refreshing
        if refreshing is None:
            pause = self._failure_until - self._clock.monotonic()
            if failure is not None and pause > 0:
                return self._last_resort(failure, pause)
            refreshing = self._start_refresh()
        if not await self._has_ended(refreshing, wait_seconds):
            return self._last_resort(
                TokenAcquisitionError(
                    "No access token: the endpoint that issues it did not answer in time.",
                    code="token_timeout",
                ),
                NEGATIVE_CACHE_SECONDS,
            )
        return self._last_resort(self._failure or _expired_on_arrival(), NEGATIVE_CACHE_SECONDS)

    def _last_resort(self, failure: TokenAcquisitionError, pause: float) -> AccessToken:
        """Return the old token, if there is a moment left of it."""
        if self._token is not None and self._clock.now() < self._token.expires_at:
            return self._token
        # A new exception for each caller: a shared one would gather every caller's traceback.
        raise TokenAcquisitionError(
            str(failure), code=failure.code, retry_after_seconds=pause
        ) from failure.__cause__

    async def _has_ended(self, refreshing: asyncio.Task[None], wait_seconds: float | None) -> bool:
        """Return whether the request in flight ended in time. It goes on without the caller."""
        limit = (
            self._wait_seconds if wait_seconds is None else min(wait_seconds, self._wait_seconds)
        )
        done, _ = await asyncio.wait({refreshing}, timeout=limit)
        return bool(done)

    def _start_refresh(self) -> asyncio.Task[None]:
        # The pause begins with the attempt, so that a failing endpoint cannot be asked in a row.
        self._refresh_at = min(self._clock.now() + self._pause_after_failure(), self._serve_until)
        self._refreshing = asyncio.get_running_loop().create_task(self._refresh())
        return self._refreshing

    def _pause_after_failure(self) -> float:
        longest = min(
            LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS * (1 << self._failures_in_a_row)
        )
        return longest * (0.5 + 0.5 * self._random())

    async def _refresh(self) -> None:
        """Ask once, and keep the outcome. Never raises."""
        try:
            with self._spans.span("get_token"):
                token = await self._ask()
        except TokenAcquisitionError as error:
            self._note_failure(error)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, callers get a typed error
            failure = TokenAcquisitionError("No access token: asking for one failed unexpectedly.")
            failure.__cause__ = error
            self._note_failure(failure)
        else:
            self._keep(token)
        finally:
            self._refreshing = None

    async def _ask(self) -> AccessToken:
        """Return what a thread obtains; it goes on by itself where that takes too long."""
        if self._live_threads < MOST_THREADS:
            outcome = self._start_thread()
            done, _ = await asyncio.wait({outcome}, timeout=REQUEST_LIMIT_SECONDS)
            if done:
                return self._usable(outcome.result())
            outcome.add_done_callback(self._keep_late)
        raise TokenAcquisitionError(
            "No access token: the endpoint that issues it hangs.", code="token_timeout"
        )

    def _start_thread(self) -> asyncio.Future[AccessToken | Exception]:
        """Begin a request in a thread of its own, and return the future of its outcome.

        A daemon thread instead of the loop's executor: work that hangs then neither takes a place
        from others nor holds up the end of the process.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[AccessToken | Exception] = loop.create_future()

        def deliver(outcome: AccessToken | Exception) -> None:
            self._live_threads -= 1
            future.set_result(outcome)

        def run() -> None:
            try:
                outcome: AccessToken | Exception = self._request_token()
            except Exception as error:  # noqa: BLE001 - it is told to whoever asked
                outcome = error
            except BaseException as error:  # noqa: BLE001 - it ends this thread, and not the loop
                outcome = RuntimeError("the thread was ended")
                outcome.__cause__ = error
            # The loop may have been closed in the meantime; then nobody waits for the outcome.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(deliver, outcome)

        self._live_threads += 1
        threading.Thread(target=run, name="token-request", daemon=True).start()
        return future

    def _usable(self, outcome: AccessToken | Exception) -> AccessToken:
        """Return the token that a thread obtained.

        Raises:
            TokenAcquisitionError: it cannot be sent, or has expired.
            Exception: what the thread raised.

        """
        if isinstance(outcome, Exception):
            raise outcome
        if not outcome.is_well_formed:
            raise TokenAcquisitionError(
                "No access token: what came has characters that no bearer token has, so no header"
                " can carry it. Check what answers in the place of the endpoint that issues it.",
                code="token_malformed",
            )
        if len(outcome.value) > LONGEST_TOKEN:
            raise TokenAcquisitionError(
                f"No access token: the one that came has {len(outcome.value)} characters, and no"
                f" more than {LONGEST_TOKEN} reach the API. Assign fewer roles to this identity, or"
                " take optional claims out of the API's registration.",
                code="token_too_long",
            )
        if outcome.expires_at <= self._clock.now():
            raise _expired_on_arrival()
        return outcome

    def _keep_late(self, outcome: asyncio.Future[AccessToken | Exception]) -> None:
        """Keep a token whose request was given up, if it outlives the one at hand."""
        # What else came of it was reported when it was given up.
        with suppress(Exception):
            token = self._usable(outcome.result())
            if self._token is None or self._token.expires_at < token.expires_at:
                self._keep(token)

    def _note_failure(self, failure: TokenAcquisitionError) -> None:
        self._failure = failure
        self._failure_until = self._clock.monotonic() + NEGATIVE_CACHE_SECONDS
        self._failures_in_a_row = min(self._failures_in_a_row + 1, 16)
        has_token = self._token is not None and self._clock.now() < self._token.expires_at
        log_event(
            _logger,
            logging.WARNING if has_token else logging.ERROR,
            "token_request_failed",
            code=failure.code,
            message=str(failure),
            cause=type(failure.__cause__).__name__ if failure.__cause__ else None,
            old_token_serves=has_token,
        )

    def _keep(self, token: AccessToken) -> None:
        is_first = self._token is None
        is_same = self._token is not None and self._token.value == token.value
        now = self._clock.now()
        life = token.expires_at - now
        spread = REFRESH_JITTER * (self._random() - 0.5)
        self._token = token
        self._serve_until = token.expires_at - min(EXPIRY_MARGIN_SECONDS, life / 10)
        # The platform may answer from a cache of its own, so the same token can come again; the
        # shortest pause keeps the halves of what is left of it from becoming a storm of requests.
        pause = max(SHORTEST_PAUSE_SECONDS, life * (REFRESH_SHARE + spread))
        self._refresh_at = min(now + pause, self._serve_until)
        self._failure = None
        self._failures_in_a_row = 0
        if life <= NEGATIVE_CACHE_SECONDS:
            # It serves while it is valid; what comes after is not asked for in a storm.
            self._failure = _expired_on_arrival()
            self._failure_until = self._clock.monotonic() + NEGATIVE_CACHE_SECONDS
        log_event(
            _logger,
            logging.INFO,
            "token_obtained",
            lives_seconds=round(life),
            same_as_before=is_same,
        )
        if is_first:
            self._on_first_token(token)


def _expired_on_arrival() -> TokenAcquisitionError:
    return TokenAcquisitionError(
        "No access token: the one that came has expired already. Check this machine's clock.",
        code="token_expired_on_arrival",
    )
