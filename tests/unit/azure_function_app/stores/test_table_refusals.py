"""What Table Storage refuses for good."""

import pytest
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableErrorCode

from azure_function_app.errors import ContentRefused
from azure_function_app.stores.table_refusals import count_changed, refusal_of


def answered(status: int, code: object) -> HttpResponseError:
    """The SDK's error of that status and code."""
    error = HttpResponseError("made up; RequestId: 1")
    error.status_code = status
    error.error_code = code  # type: ignore[attr-defined]  # as the SDK sets it
    return error


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, TableErrorCode.PROPERTY_VALUE_TOO_LARGE, "PropertyValueTooLarge"),
        (400, TableErrorCode.ENTITY_TOO_LARGE, "EntityTooLarge"),
        (400, "KeyValueTooLarge", "KeyValueTooLarge"),
        (413, None, "RequestBodyTooLarge"),
        (413, TableErrorCode.REQUEST_BODY_TOO_LARGE, "RequestBodyTooLarge"),
    ],
)
def test_when_content_is_refused_then_the_reason_is_the_code(
    status: int, code: object, reason: str
) -> None:
    """The same for the same kind, without what differs from one request to the next."""
    refused = refusal_of(answered(status, code))

    assert f"Table Storage does not take it: {reason}" == str(refused)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, TableErrorCode.INVALID_AUTHENTICATION_INFO),
        (400, TableErrorCode.INVALID_HEADER_VALUE),
        (400, None),
        (401, None),
        (403, TableErrorCode.AUTHENTICATION_FAILED),
        (404, TableErrorCode.TABLE_NOT_FOUND),
        (408, None),
        (409, TableErrorCode.ENTITY_ALREADY_EXISTS),
        (412, TableErrorCode.CONDITION_NOT_MET),
        (429, None),
        (500, TableErrorCode.INTERNAL_ERROR),
        (503, TableErrorCode.SERVER_BUSY),
    ],
)
def test_when_something_else_is_the_matter_then_it_is_no_refusal(status: int, code: object) -> None:
    """Who may write, how the request is made, an outage: none of it is the records' fault."""
    assert refusal_of(answered(status, code)) is None


def test_when_one_transaction_is_refused_then_the_others_still_count() -> None:
    """Their records are written, and will not change again."""
    assert 3 == count_changed([1, 2])
    with pytest.raises(ContentRefused, match="no") as caught:
        count_changed([1, ContentRefused("no"), 2])
    assert 3 == caught.value.changed
