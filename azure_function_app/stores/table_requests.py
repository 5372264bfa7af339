"""Requests to Table Storage: each within its deadline, repeated where that may help.

The SDK's own retries are off, because they know no deadline and leave out POST, which is every
transaction. To repeat is safe here: what is written is conditional on an ETag or on its absence,
and what was written by an attempt whose answer got lost is known again by an ID.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from azure.core.exceptions import (
    AzureError,
    DecodeError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.data.tables import TableErrorCode

from azure_function_app.deadline import Deadline
from azure_function_app.errors import StoreUnavailable
from azure_function_app.stores.store_threads import timed_out

_ATTEMPTS: Final = 4
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 10.0
"""How long an attempt waits for a sign of life."""
_FIRST_PAUSE_SECONDS: Final = 0.1
# An answer that ends in the middle of a transaction's parts comes as the HTTP library's own error,
# an OSError; and one that ends in the middle of anything else the SDK trips over: it looks for the
# status of an answer that it has not got.
_SLIPS: Final = (OSError, AttributeError)
# https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes
_BUSY: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class TableRequests:
    """Sends requests, blocking, for one call to the store."""

    deadline: Deadline | None
    """For all of them together; None for as long as their attempts take."""
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random

    def send[T](self, call: Callable[..., T], *args: object, **options: object) -> T:
        """Return what the SDK's call returns, after as many attempts as it takes.

        Raises:
            StoreTimedOut: the deadline has passed.
            AzureError: as the SDK raised it at the last attempt, or would have.

        """
        pause_seconds = _FIRST_PAUSE_SECONDS
        for attempt in range(1, _ATTEMPTS + 1):
            left = _READ_SECONDS if self.deadline is None else self.deadline.remaining_seconds()
            if left <= 0.0:
                raise timed_out()
            try:
                return call(
                    *args,
                    **options,
                    connection_timeout=min(_CONNECT_SECONDS, left),
                    read_timeout=min(_READ_SECONDS, left),
                )
            except AzureError as error:
                if attempt == _ATTEMPTS or not _may_fare_better(error):
                    raise
                failure: Exception = error
            except _SLIPS as error:
                if attempt == _ATTEMPTS:
                    raise ServiceResponseError(error) from error
                failure = error
            pause = pause_seconds * (0.5 + self.random())
            if self.deadline is not None and pause >= self.deadline.remaining_seconds():
                raise timed_out() from failure
            self.sleep(pause)
            pause_seconds *= 2
        raise AssertionError("the last attempt either returns or raises")


def _may_fare_better(error: AzureError) -> bool:
    if isinstance(error, (ServiceRequestError, ServiceResponseError)):
        return True
    if isinstance(error, (DecodeError, IncompleteReadError)):
        # Cut off in the middle.
        return True
    return isinstance(error, HttpResponseError) and error.status_code in _BUSY


def is_table_missing(error: AzureError) -> bool:
    """Return whether the error says that somebody has deleted the table."""
    return getattr(error, "error_code", None) == TableErrorCode.TABLE_NOT_FOUND


def unavailable(error: AzureError) -> StoreUnavailable:
    """Return the error that says what to change, in words that quote nothing of the SDK's."""
    status = error.status_code if isinstance(error, HttpResponseError) else None
    match status:
        case 401 | 403:
            advice = (
                f"Table Storage refused this app ({status}): give its identity the role"
                " Storage Table Data Contributor on the account that TABLE_ENDPOINT names."
            )
        case None:
            advice = "Table Storage could not be reached: check TABLE_ENDPOINT."
        case _:
            advice = f"Table Storage answered {status}."
    return StoreUnavailable(advice)
