from collections.abc import Mapping

import pytest

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.storage_queue import QueueConnections

ACCOUNT = "AccountName=account;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:9/account"


async def url_of(settings: Mapping[str, str], connection: str | None = None) -> str:
    """Where the queue `work` of that connection is."""
    async with QueueConnections(settings) as connections:
        queue = connections.queue(connection, "work")
        return str(queue._client.url)


@pytest.mark.parametrize(
    ("settings", "connection", "url"),
    [
        ({"AzureWebJobsStorage": ACCOUNT}, None, "http://127.0.0.1:9/account/work"),
        ({"AzureWebJobsStorage": ACCOUNT}, "", "http://127.0.0.1:9/account/work"),
        ({"AzureWebJobsStorage": ACCOUNT}, "Storage", "http://127.0.0.1:9/account/work"),
        ({"Orders": ACCOUNT}, "Orders", "http://127.0.0.1:9/account/work"),
        (
            {"AzureWebJobsStorage": "UseDevelopmentStorage=true;"},
            None,
            "http://127.0.0.1:10001/devstoreaccount1/work",
        ),
        (
            {"AzureWebJobsStorage__queueServiceUri": "https://a.queue.core.windows.net"},
            None,
            "https://a.queue.core.windows.net/work",
        ),
        (
            {"Orders__accountName": "a", "Orders__credential": "managedidentity"},
            "Orders",
            "https://a.queue.core.windows.net/work",
        ),
        (
            {
                "Orders__accountName": "a",
                "Orders__tenantId": "11111111-2222-4333-8444-555555555555",
                "Orders__clientId": "aaaaaaaa-0000-4000-8000-000000000001",
                "Orders__clientSecret": "made up",
            },
            "Orders",
            "https://a.queue.core.windows.net/work",
        ),
    ],
)
async def test_when_a_connection_is_named_then_its_settings_say_where_the_queue_is(
    settings: Mapping[str, str], connection: str | None, url: str
) -> None:
    """By a connection string, or by an identity."""
    assert url == await url_of(settings, connection)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "AzureWebJobsStorage is not set.*UseDevelopmentStorage=true.*__queueServiceUri"),
        ({"AzureWebJobsStorage": ""}, "AzureWebJobsStorage is not set"),
        ({"AzureWebJobsStorage": "AccountKey=secret"}, "AzureWebJobsStorage is no storage"),
        ({"AzureWebJobsStorage": "secret"}, "AzureWebJobsStorage is no storage connection string"),
    ],
)
async def test_when_a_connection_is_wrong_then_the_message_names_the_setting(
    settings: Mapping[str, str], message: str
) -> None:
    """And not what it holds."""
    with pytest.raises(FunctionsHostError, match=message) as refusal:
        await url_of(settings)

    assert "secret" not in str(refusal.value)


async def test_when_two_bindings_name_a_queue_then_one_wakes_the_other() -> None:
    """A message that this host sends is fetched at once."""
    async with QueueConnections({"AzureWebJobsStorage": ACCOUNT}) as connections:
        sender = connections.queue(None, "work")
        connections.queue(None, "other")._wake()
        was_woken = connections.sent(None, "work").is_set()
        sender._wake()

        assert not was_woken
        assert connections.sent(None, "work").is_set()
