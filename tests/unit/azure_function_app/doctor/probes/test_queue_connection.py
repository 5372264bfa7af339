"""The connection that AzureWebJobsStorage describes, and the signature of a request by its key."""

import base64
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.transport import HttpRequest
from azure.storage.queue._shared.authentication import SharedKeyCredentialPolicy

from azure_function_app.doctor.probes.queue_connection import (
    API_VERSION,
    AccountKey,
    ConnectionProblem,
    Identity,
    QueueConnection,
    SharedAccess,
    read_connection,
)
from emulator.development_storage import (
    DEVELOPMENT_ACCOUNT,
    DEVELOPMENT_ACCOUNT_KEY,
    DEVELOPMENT_QUEUE_URL,
)

KEY = base64.b64encode(b"made-up-key").decode()
NAME = "AzureWebJobsStorage"


def read(text: str = "", **settings: str) -> QueueConnection:
    """The connection of these settings; each name is below AzureWebJobsStorage's."""
    named = {f"{NAME}__{name}": value for name, value in settings.items()}
    return read_connection({NAME: text} | named)


def test_when_a_string_names_an_account_then_its_queues_are_in_the_public_cloud() -> None:
    """As Azure writes it, whatever the order; a key may end in equals signs."""
    connection = read(f"AccountKey={KEY};AccountName=account;")

    assert "https://account.queue.core.windows.net" == connection.url
    assert AccountKey("account", b"made-up-key") == connection.by
    assert KEY not in repr(connection)
    assert "made-up" not in repr(connection)


def test_when_a_string_names_a_cloud_or_an_endpoint_then_that_counts() -> None:
    """The endpoint before the suffix."""
    of_cloud = f"AccountName=account;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn"

    assert "https://account.queue.core.chinacloudapi.cn" == read(of_cloud).url
    assert "https://q.example" == read(f"{of_cloud};QueueEndpoint=https://q.example/").url


def test_when_the_string_is_for_development_then_it_is_the_emulators_account() -> None:
    """The same one that the local host takes."""
    connection = read("UseDevelopmentStorage=true;")

    key = base64.b64decode(DEVELOPMENT_ACCOUNT_KEY)
    assert DEVELOPMENT_QUEUE_URL == connection.url
    assert AccountKey(DEVELOPMENT_ACCOUNT, key) == connection.by


def test_when_a_string_has_a_signature_then_that_is_used() -> None:
    """Which is no more to be seen than a key."""
    text = "QueueEndpoint=https://account.queue.core.windows.net;SharedAccessSignature=?sv=1&sig=x="
    connection = read(text)

    assert SharedAccess("sv=1&sig=x=") == connection.by
    assert "sig" not in repr(connection)


def test_when_an_identity_signs_in_then_the_place_is_named_by_its_own_settings() -> None:
    """The address before the account's name, as the template sets it."""
    by_name = read(accountName="account")
    by_address = read(
        queueServiceUri="https://account.queue.core.windows.net/",
        accountName="other",
        credential="managedidentity",
        clientId="bbbbbbbb-0000-4000-8000-000000000002",
    )

    assert by_name.url == by_address.url == "https://account.queue.core.windows.net"
    assert Identity(is_managed=False, client_id=None) == by_name.by
    assert (
        Identity(is_managed=True, client_id="bbbbbbbb-0000-4000-8000-000000000002") == by_address.by
    )
    assert f"{NAME}__queueServiceUri" == by_address.setting


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        ("secret-value", {}),
        ("AccountName=secret-value!;AccountKey=eA==", {}),
        ("AccountName=account;AccountKey=secret-value", {}),
        ("AccountName=account", {}),
        (f"AccountKey={KEY}", {}),
        (f"AccountName=account;AccountKey={KEY};QueueEndpoint=ftp://secret-value", {}),
        (f"AccountName=account;AccountKey={KEY};QueueEndpoint=http://secret-value", {}),
        (f"AccountName=account;AccountKey={KEY};QueueEndpoint=https://[secret-value", {}),
        (f"AccountName=account;AccountKey={KEY};QueueEndpoint=https://a:secret-value@b", {}),
        (f"AccountName=account;AccountKey={KEY};QueueEndpoint=https://h:secret-value", {}),
        ("SharedAccessSignature=sig=secret-value", {}),
        ("SharedAccessSignature=sig=x;QueueEndpoint=http://127.0.0.1/secret-value", {}),
        ("", {"queueServiceUri": "http://127.0.0.1/secret-value"}),
        ("", {"queueServiceUri": "https://host/?secret-value"}),
        ("", {"accountName": "secret value"}),
        ("", {"accountName": "x\r\nsecret-value"}),
    ],
)
def test_when_the_connection_is_unusable_then_its_setting_is_named_and_no_value(
    text: str, settings: dict[str, str]
) -> None:
    """A token or a signature goes only where TLS tells who answers."""
    with pytest.raises(ConnectionProblem) as caught:
        read(text, **settings)

    assert caught.value.setting.startswith(NAME)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://account.queue.core.windows.net", DEVELOPMENT_QUEUE_URL])
def test_when_a_request_is_signed_then_as_microsofts_library_signs_it(url: str) -> None:
    """For an account that is a host name, and for one that is a path."""
    date = "Tue, 14 Nov 2023 22:13:20 GMT"
    connection = read(f"AccountName=account;AccountKey={KEY};QueueEndpoint={url}")
    assert isinstance(connection.by, AccountKey)
    path = urlsplit(f"{url}/sync-shards").path
    headers = {"x-ms-date": date, "x-ms-version": API_VERSION}
    request = HttpRequest("GET", f"{url}/sync-shards?comp=metadata", headers=headers)
    policy: Any = SharedKeyCredentialPolicy("account", KEY)  # type: ignore[no-untyped-call]  # Microsoft's
    policy.on_request(PipelineRequest(request, PipelineContext(None)))

    signed = connection.by.authorization(path, ("comp", "metadata"), date)

    assert request.headers["Authorization"] == signed
