"""What can go wrong on the Azure side.

    BridgeError                     code
    |-- TokenAcquisitionError       token_*
    |-- BackendError
    |   |-- BackendUnavailable      backend_*
    |   |-- CircuitOpen             circuit_open
    |   |-- BackendRejected         backend_rejected
    |   |   `-- TokenRefused        backend_refused_*
    |   |-- ShardsUnsupported       shards_unsupported
    |   |-- FeedMissing             feed_missing
    |   `-- BackendContractError    backend_contract
    |-- Overloaded                  overloaded
    |-- DeadlineExceeded            deadline_exceeded
    |-- RequestRefused              request_*
    |-- CheckpointConflict          checkpoint_conflict
    |-- ContentRefused              content_refused
    |-- RecordsUnfit                records_unfit
    |-- ShardMessageInvalid         shard_message_invalid
    `-- StoreUnavailable            store_unavailable
        |-- StoreTimedOut           store_timed_out
        |-- StoreReplaced           store_replaced
        |-- StoreNewer              store_newer
        `-- CheckpointUnreadable    checkpoint_damaged, checkpoint_foreign, checkpoint_newer

`code` is stable: it labels metrics, log lines and problem documents. The message is safe to show to
a caller; what only our log may hold travels in the fields and in `__cause__`. Which attempts are
repeated is said in `aws_api.retry`, not by these classes.
"""

from collections.abc import Mapping
from types import MappingProxyType


class BridgeError(Exception):
    """Anything that the Azure side raises on purpose."""

    code = "client_error"

    def __init__(
        self, message: str, *, code: str | None = None, retry_after_seconds: float | None = None
    ) -> None:
        """Take a message that is safe to show, and a code more exact than the class's own.

        `retry_after_seconds` says when another call may fare better, where that is known.
        """
        super().__init__(message)
        if code is not None:
            self.code = code
        self.retry_after_seconds = retry_after_seconds


class TokenAcquisitionError(BridgeError):
    """No access token could be had; where a setting is to blame, the message names it."""

    code = "token_unavailable"


class BackendError(BridgeError):
    """The API in AWS did not give a usable response."""

    code = "backend_error"


class BackendUnavailable(BackendError):
    """The API could not be reached or said that it is busy or broken; trying again may help."""

    code = "backend_unavailable"


class CircuitOpen(BackendError):
    """The API failed so often in a row that it is left alone for a while; nothing was sent."""

    code = "circuit_open"


class BackendRejected(BackendError):
    """The API answered that it will not serve the request; asking again changes nothing."""

    code = "backend_rejected"

    def __init__(self, message: str, *, status: int, code: str | None = None) -> None:
        """Take the HTTP status of the response."""
        super().__init__(message, code=code)
        self.status = status


class TokenRefused(BackendRejected):
    """The API answered 401 or 403: it, or what stands before it, turned our own app away."""

    code = "backend_refused_token"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        evidence: Mapping[str, object] = MappingProxyType({}),
        code: str | None = None,
    ) -> None:
        """Take the HTTP status, and fields that only our log may hold."""
        super().__init__(message, status=status, code=code)
        self.evidence = evidence


class BackendContractError(BackendError):
    """The API answered with something that is not what its description promises."""

    code = "backend_contract"


class ShardsUnsupported(BackendError):
    """The API is of a version whose feed cannot be read by shards."""

    code = "shards_unsupported"


class FeedMissing(BackendError):
    """The API has no feed, and the sink was read from one: nothing of it may count as deleted."""

    code = "feed_missing"


class Overloaded(BridgeError):
    """This process has as many calls to the API under way as it may; nothing was sent."""

    code = "overloaded"


class DeadlineExceeded(BridgeError):
    """The time for the whole call is used up, attempts and pauses included."""

    code = "deadline_exceeded"


class RequestRefused(BridgeError):
    """The request was refused before anything was sent, or any token asked for."""

    code = "request_refused"


class CheckpointConflict(BridgeError):
    """Another run has moved the checkpoint; this one must stop and leave it alone."""

    code = "checkpoint_conflict"


class ContentRefused(BridgeError):
    """The store will never take what it was given, however often it is asked.

    The message is the reason, the same for the same kind of refusal; it quotes none of the content.
    """

    code = "content_refused"

    def __init__(self, message: str, *, changed: int = 0) -> None:
        """Take how many records of the batch were changed all the same."""
        super().__init__(message)
        self.changed = changed


class RecordsUnfit(BridgeError):
    """So much of a page cannot be stored that it is not single records that are wrong."""

    code = "records_unfit"


class ShardMessageInvalid(BridgeError):
    """A message in the queue is none of this app's, so it is left to be set aside."""

    code = "shard_message_invalid"


class StoreUnavailable(BridgeError):
    """The store of records and checkpoints could not be read or written."""

    code = "store_unavailable"


class StoreTimedOut(StoreUnavailable):
    """The store had not answered when the time for it was up; unknown what it did."""

    code = "store_timed_out"


class StoreReplaced(StoreUnavailable):
    """The file that was open is no longer the one at its path; nothing of this counts as stored."""

    code = "store_replaced"


class StoreNewer(StoreUnavailable):
    """A later version of the app made what is there, in a way that this one does not know."""

    code = "store_newer"


class CheckpointUnreadable(StoreUnavailable):
    """What is stored as the checkpoint is none that this version of the app can go on from."""

    code = "checkpoint_damaged"
