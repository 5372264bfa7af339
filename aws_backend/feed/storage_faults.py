"""Tells DynamoDB's errors apart: what may pass, a race that was lost, and everything else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import botocore.exceptions

from aws_backend.errors import InternalError, StorageUnavailable

_TRANSIENT_CODES: Final = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
_LOST_RACE: Final = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
_THROTTLED: Final = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise StorageUnavailable for a fault that may pass; botocore has retried it already."""
    try:
        yield
    except (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError) as error:
        raise StorageUnavailable("The storage did not answer; try again.") from error
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code in _TRANSIENT_CODES or status >= 500:  # noqa: PLR2004 - RFC 9110 section 15.6
            raise StorageUnavailable("The storage is busy; try again.") from error
        raise


def check_lost_race(error: botocore.exceptions.ClientError) -> None:
    """Return if the transaction lost a race; raise if it failed for any other reason."""
    reasons = {
        str(reason.get("Code", "None")) for reason in error.response.get("CancellationReasons", ())
    } - {"None"}
    if reasons & _THROTTLED:
        raise StorageUnavailable("The storage is busy; try again.") from error
    if not reasons or reasons - _LOST_RACE:
        raise InternalError("The record could not be stored.") from error
