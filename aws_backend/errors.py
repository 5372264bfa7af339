"""The errors with which the backend refuses a request.

    ApiError                            status  code
    |-- InvalidRequest                  400     *_invalid, parameter_*
    |-- RoleMissing                     403     missing_role
    |-- RouteUnknown                    404     route_unknown
    |-- RecordNotFound                  404     record_not_found
    |-- CursorExpired                   410     cursor_expired
    |-- PreconditionFailed              412     precondition_failed
    |-- BodyTooLarge                    413     body_too_large
    |-- MediaTypeUnsupported            415     media_type_unsupported
    |-- InternalError                   500     internal_error
    |   |-- AuthorizerContextMissing    500     authorizer_context_missing
    |   `-- PublicUrlUnknown            500     public_url_unknown
    `-- ServiceUnavailable              503
        |-- FeedContended               503     feed_contended
        |-- FeedImporting               503     feed_importing
        |-- FeedImportFailed            503     feed_import_failed
        |-- FeedRenewing                503     feed_renewing
        `-- StorageUnavailable          503     storage_unavailable

The message goes to the caller as the problem's `detail`, so it holds nothing private. `code` is
stable: callers and dashboards may depend on it.
"""

from typing import ClassVar

from shared.reasons import Reason


class ApiError(Exception):
    """A request is refused; the class says with which status."""

    status: ClassVar[int]
    code: str
    retry_after_seconds: ClassVar[int | None] = None


class InvalidRequest(ApiError):
    """The request itself is wrong, and stays wrong however often it is sent."""

    status = 400

    def __init__(self, code: str, message: str) -> None:
        """Take the code of what is wrong, and the sentence that says what to change."""
        super().__init__(message)
        self.code = code


class RoleMissing(ApiError):
    """The caller is known and may not do this."""

    status = 403
    code = Reason.MISSING_ROLE.value


class RouteUnknown(ApiError):
    """The gateway sent a request that no operation serves."""

    status = 404
    code = "route_unknown"


class RecordNotFound(ApiError):
    """There is no record with this ID, or it has been deleted."""

    status = 404
    code = "record_not_found"


class CursorExpired(ApiError):
    """The cursor is well formed, but the feed that it points into is gone."""

    status = 410
    code = "cursor_expired"


class PreconditionFailed(ApiError):
    """The record is not in a state that If-Match and If-None-Match allow."""

    status = 412
    code = "precondition_failed"


class BodyTooLarge(ApiError):
    """The body is larger than a record may be."""

    status = 413
    code = "body_too_large"


class MediaTypeUnsupported(ApiError):
    """The body is not declared as JSON in UTF-8."""

    status = 415
    code = "media_type_unsupported"


class InternalError(ApiError):
    """Something is wrong on our side; our log has the reason, the caller does not."""

    status = 500
    code = "internal_error"


class AuthorizerContextMissing(InternalError):
    """A protected route was reached without the authorizer: a fault of the deployment."""

    code = "authorizer_context_missing"


class PublicUrlUnknown(InternalError):
    """The URL under which callers reach the API is not known."""

    code = "public_url_unknown"


class ServiceUnavailable(ApiError):
    """The same request may succeed a moment later."""

    status = 503
    retry_after_seconds = 1


class FeedContended(ServiceUnavailable):
    """Other writers were quicker in every attempt."""

    code = "feed_contended"


class FeedImporting(ServiceUnavailable):
    """The table is being filled; the feed is neither read nor written until that is over."""

    code = "feed_importing"
    retry_after_seconds = 10


class FeedImportFailed(ServiceUnavailable):
    """The table holds part of an import that has failed; importing once more heals it."""

    code = "feed_import_failed"
    retry_after_seconds = 60


class FeedRenewing(ServiceUnavailable):
    """The feed is getting a new ID; it is neither read nor written until that is over."""

    code = "feed_renewing"
    retry_after_seconds = 10


class StorageUnavailable(ServiceUnavailable):
    """DynamoDB cannot be reached, throttles or is broken."""

    code = "storage_unavailable"
