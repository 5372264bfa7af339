"""Tells what Table Storage will never take from what it may take another time."""

from collections.abc import Sequence
from typing import Final

from azure.core.exceptions import HttpResponseError

from azure_function_app.errors import ContentRefused

# https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes
_CONTENT_CODES: Final = frozenset(
    {
        "DuplicatePropertiesSpecified",
        "EntityTooLarge",
        "InvalidInput",
        "InvalidValueType",
        "KeyValueTooLarge",
        "OutOfRangeInput",
        "PropertiesNeedValue",
        "PropertyNameInvalid",
        "PropertyNameTooLong",
        "PropertyValueTooLarge",
        "TooManyProperties",
    }
)
"""Those of status 400 that are about an entity, not about the request or who makes it."""
_BAD_REQUEST: Final = 400
_TOO_LARGE: Final = 413


def refusal_of(error: HttpResponseError) -> ContentRefused | None:
    """Return the error that a permanent refusal of content means; None if it is something else."""
    code = getattr(error, "error_code", None)
    # The SDK has the codes that it knows as members of an enumeration.
    name = str(getattr(code, "value", code or "RequestBodyTooLarge"))
    if error.status_code == _TOO_LARGE or (
        error.status_code == _BAD_REQUEST and name in _CONTENT_CODES
    ):
        return ContentRefused(f"Table Storage does not take it: {name}")
    return None


def count_changed(outcomes: Sequence[int | ContentRefused]) -> int:
    """Return how many records the transactions of one batch changed.

    Raises:
        ContentRefused: one of them was refused; it says how many records the others changed.

    """
    changed = sum(outcome for outcome in outcomes if isinstance(outcome, int))
    for outcome in outcomes:
        if isinstance(outcome, ContentRefused):
            raise ContentRefused(str(outcome), changed=changed) from outcome
    return changed
