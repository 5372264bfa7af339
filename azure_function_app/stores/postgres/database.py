"""Transactions in PostgreSQL: each within its deadline, begun again where that may help.

To begin again is safe until COMMIT has been sent: what was not committed leaves no trace. After
that it is not, because a page that was committed looks like one that another run has moved past.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from azure_function_app.deadline import Deadline
from azure_function_app.errors import BridgeError, StoreUnavailable
from azure_function_app.stores.postgres.connections import Connection, PostgresConnections
from azure_function_app.stores.postgres.failures import (
    LOST_IN_COMMIT,
    is_canceled,
    is_failure,
    is_lost,
    is_missing,
    may_fare_better,
    refusal_of,
    state_of,
    unavailable,
)
from azure_function_app.stores.postgres.schema import Tables, find_tables, make_schema
from azure_function_app.stores.store_threads import timed_out

_CALL_SECONDS: Final = 30.0
"""How long a call may take that has no deadline."""
_ATTEMPTS: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.1
_MOST_MILLISECONDS: Final = 2**31 - 1
_REFUSED_LOGIN: Final = "28"

type Work[T] = Callable[[Connection], Awaitable[T]]


class _Failed(Exception):
    """An attempt failed; its cause says why."""

    def __init__(self, error: BridgeError, *, may_fare_better: bool) -> None:
        """Take the error to raise at last, and whether another attempt may do without it."""
        super().__init__()
        self.error = error
        self.may_fare_better = may_fare_better


@dataclass(slots=True)
class PostgresDatabase:
    """One schema of a database, made on first use, for any number of stores and views of it."""

    connections: PostgresConnections
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
    _has_schema: bool = field(default=False, init=False)

    async def write[T](self, deadline: Deadline | None, work: Work[T]) -> T:
        """Return what the work returns, done in one transaction.

        Raises:
            ContentRefused: PostgreSQL will never take what the work would write.
            StoreTimedOut: the deadline has passed; unknown whether it was done.
            StoreUnavailable: it was not done, or where the message says so, unknown.

        """
        return await self._run(deadline, work)

    async def read[T](self, deadline: Deadline | None, work: Work[T], nothing: T) -> T:
        """Return what the work returns; `nothing` where there is no table, and none is made.

        Raises:
            StoreUnavailable: it could not be read.

        """

        async def unless_missing(connection: Connection) -> T:
            if not await self._find(connection):
                return nothing
            return await work(connection)

        return await self._run(deadline, unless_missing, makes_schema=False)

    async def aclose(self) -> None:
        """End every connection. Twice is harmless."""
        await self.connections.aclose()

    async def _find(self, connection: Connection) -> bool:
        """Return whether there is anything to read; of tables of which some are gone, all are."""
        if not self._has_schema:
            found = await find_tables(connection, self.connections.schema)
            if found is Tables.SOME:
                await make_schema(connection, self.connections.schema)
            self._has_schema = found is Tables.ALL
            return found is not Tables.NONE
        return True

    async def _run[T](
        self, deadline: Deadline | None, work: Work[T], *, makes_schema: bool = True
    ) -> T:
        limit = deadline or Deadline.after(_CALL_SECONDS, self.connections.clock)
        if limit.has_passed:
            raise timed_out()
        try:
            async with asyncio.timeout(limit.remaining_seconds()):
                if makes_schema and not self._has_schema:
                    await self._attempts(limit, self._make_schema)
                    self._has_schema = True
                return await self._attempts(limit, work)
        except TimeoutError as error:
            raise timed_out() from error

    async def _make_schema(self, connection: Connection) -> None:
        schema = self.connections.schema
        if await find_tables(connection, schema) is not Tables.ALL:
            await make_schema(connection, schema)

    async def _attempts[T](self, limit: Deadline, work: Work[T]) -> T:
        pause_seconds = _FIRST_PAUSE_SECONDS
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._attempt(limit, work)
            except _Failed as failed:
                if attempt == _ATTEMPTS or not failed.may_fare_better:
                    raise failed.error from failed.__cause__
                pause = pause_seconds * (0.5 + self.random())
                if pause >= limit.remaining_seconds():
                    raise timed_out() from failed.__cause__
            await self.sleep(pause)
            pause_seconds *= 2
        raise AssertionError("the last attempt either returns or raises")

    async def _attempt[T](self, limit: Deadline, work: Work[T]) -> T:
        try:
            connection = await self.connections.take(limit)
        except Exception as error:
            if not is_failure(error):
                raise
            raise self._failed(error, limit) from error
        is_committing = False
        try:
            await connection.execute(_begin(limit))
            result = await work(connection)
            _raise_if_late(limit)
            is_committing = True
            await connection.execute("COMMIT")
        except Exception as error:
            if isinstance(error, BridgeError):
                await self._undo(connection)
                raise
            if not is_failure(error):
                self.connections.discard(connection)
                raise
            if is_lost(error):
                self.connections.discard(connection)
                if is_committing:
                    raise StoreUnavailable(LOST_IN_COMMIT) from error
            else:
                await self._undo(connection)
            raise self._failed(error, limit) from error
        except BaseException:
            # The time is up, or the run is ended: the server may not answer any more.
            self.connections.discard(connection)
            raise
        self.connections.give_back(connection)
        return result

    async def _undo(self, connection: Connection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except BaseException as error:
            self.connections.discard(connection)
            if not is_failure(error):
                raise
        else:
            self.connections.give_back(connection)

    def _failed(self, error: Exception, limit: Deadline) -> _Failed:
        if is_missing(error):
            # Somebody dropped it; the next call makes it again.
            self._has_schema = False
        if (refused := refusal_of(error)) is not None:
            return _Failed(refused, may_fare_better=False)
        if is_canceled(error):
            is_late = limit.remaining_seconds() < _FIRST_PAUSE_SECONDS
            return _Failed(timed_out() if is_late else _canceled(), may_fare_better=False)
        # It may have been taken back since it was obtained, or the role was made only now.
        is_refused = state_of(error).startswith(_REFUSED_LOGIN)
        may_help = is_refused and self.connections.forget_token()
        return _Failed(unavailable(error), may_fare_better=may_help or may_fare_better(error))


def _raise_if_late(limit: Deadline) -> None:
    # Whoever waits has been told that it timed out: what is not committed yet is undone.
    if limit.has_passed:
        raise timed_out()


def _begin(limit: Deadline) -> str:
    # Also for a process that is frozen in the middle: its locks must not outlive its time. READ
    # COMMITTED, because waiting for a row must end with what is in it then.
    milliseconds = min(max(int(limit.remaining_seconds() * 1_000), 1), _MOST_MILLISECONDS)
    return (
        "BEGIN ISOLATION LEVEL READ COMMITTED;"
        f" SET LOCAL statement_timeout = {milliseconds};"
        f" SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
    )


def _canceled() -> StoreUnavailable:
    return StoreUnavailable(
        "PostgreSQL gave up a statement of this app before its time: an administrator ended it, or"
        " the server has a time-out of its own."
    )
