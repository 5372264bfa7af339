"""Table Storage's errors; what needs a server is in the integration tests."""

import pytest
from azure.core.exceptions import AzureError, HttpResponseError

from azure_function_app.stores import table_requests
from azure_function_app.stores.table_store import build_table_store


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "Storage Table Data Contributor"),
        (403, "Storage Table Data Contributor"),
        (500, "Table Storage answered 500."),
        (None, "check TABLE_ENDPOINT"),
    ],
)
def test_when_table_storage_fails_then_the_error_says_what_to_change(
    status: int | None, sentence: str
) -> None:
    """A missing role, a wrong endpoint and an outage are told apart."""
    error: AzureError = AzureError("private")
    if status is not None:
        error = HttpResponseError("private")
        error.status_code = status

    message = str(table_requests.unavailable(error))

    assert sentence in message
    assert "private" not in message


@pytest.mark.parametrize(
    ("endpoint", "asks"),
    [
        ("http://127.0.0.1:10002/devstoreaccount1", False),
        ("https://account.table.core.windows.net", True),
        ("https://127.0.0.1:10002/devstoreaccount1", True),
    ],
)
async def test_when_the_endpoint_is_azurites_then_no_credential_is_needed(
    endpoint: str, *, asks: bool
) -> None:
    """Anything but plain http on loopback is asked with the app's own credential."""
    asked = []

    class Credential:
        def get_token(self, *_: str, **__: object) -> object:
            raise AssertionError

        def __enter__(self) -> object:
            asked.append("opened")
            return self

        def __exit__(self, *_: object) -> None:
            asked.append("closed")

    store = build_table_store(endpoint, Credential)
    await store.aclose()
    await store.aclose()

    assert (["opened", "closed"] if asks else []) == asked
