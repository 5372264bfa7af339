"""Azure's queue service as the host uses it, by the connection that a binding names.

A connection is an app setting with a connection string, or a group of settings for an identity, as
in the real host.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity.aio import (
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
)
from azure.storage.queue import QueueMessage as SdkMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from emulator.development_storage import (
    DEVELOPMENT_ACCOUNT,
    DEVELOPMENT_ACCOUNT_KEY,
    DEVELOPMENT_QUEUE_URL,
)
from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.queue_message import QueueMessage

_DEFAULT_CONNECTION: Final = "AzureWebJobsStorage"
_SDK_LOG: Final = logging.getLogger("host.storage")
"""Gets a line for each request from the library, and hands on what is worse than that."""
_ANSWER_WITHIN: Final = 10
_ATTEMPTS_AGAIN: Final = 2
_PAUSE: Final = 1


class QueueUnavailable(Exception):
    """The queue service could not be asked, or did not do it; the message says why, in a line."""


class QueueMissing(QueueUnavailable):
    """There is no such queue."""


class MessageLost(Exception):
    """The message is no longer ours: deleted, or taken by somebody else."""


class StorageQueue:
    """One queue."""

    def __init__(self, client: QueueClient, wake: Callable[[], None]) -> None:
        """Take the client and what to call when a message was sent from here."""
        self._client = client
        self._wake = wake

    @property
    def name(self) -> str:
        """The queue's name."""
        return str(self._client.queue_name)

    async def receive(self, count: int, lease: int) -> list[QueueMessage]:
        """Return up to that many messages, which nobody else sees for `lease` seconds.

        Raises:
            QueueUnavailable: it did not answer, once: a second attempt might lose what the first
                one took.

        """
        try:
            pages = self._client.receive_messages(
                messages_per_page=count, max_messages=count, visibility_timeout=lease, retry_total=0
            ).by_page()
            page = await anext(pages, None)
            return [] if page is None else [_read_message(message) async for message in page]
        except AzureError as error:
            raise _unavailable(error) from error

    async def hide(self, message: QueueMessage, seconds: int) -> QueueMessage:
        """Keep the message from everybody for that long from now, and return it as it is then.

        Raises:
            MessageLost: it is no longer ours.
            QueueUnavailable: it could not be done.

        """
        try:
            changed = await self._client.update_message(
                message.id, message.pop_receipt, visibility_timeout=seconds
            )
        except AzureError as error:
            raise _message_error(error) from error
        return message.with_receipt(_given(changed.pop_receipt), _given(changed.next_visible_on))

    async def delete(self, message: QueueMessage) -> None:
        """Delete the message.

        Raises:
            MessageLost: it is no longer ours.
            QueueUnavailable: it could not be done, or it is not known whether it was.

        """
        try:
            await self._client.delete_message(message.id, message.pop_receipt)
        except AzureError as error:
            raise _message_error(error) from error

    async def send(self, text: str) -> None:
        """Put a message into the queue, which is made if there is none.

        Raises:
            QueueUnavailable: it could not be done, or it is not known whether it was.

        """
        try:
            try:
                await self._client.send_message(text)
            except ResourceNotFoundError:
                await self._create()
                await self._client.send_message(text)
        except AzureError as error:
            raise _unavailable(error) from error
        self._wake()

    async def _create(self) -> None:
        try:
            await self._client.create_queue()
        except ResourceExistsError:
            return  # by another host, in between


class QueueConnections:
    """The queues of every connection that the app's bindings name; close it in the end."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take the app settings."""
        self._environment = environment
        self._services: dict[str, QueueServiceClient] = {}
        self._credentials: list[AsyncTokenCredential] = []
        self._awaited: dict[str, asyncio.Event] = {}

    def queue(self, connection: str | None, name: str) -> StorageQueue:
        """Return the queue of that name.

        Raises:
            FunctionsHostError: the connection's settings are missing or malformed; the message
                names them.

        """
        connection = connection or _DEFAULT_CONNECTION
        service = self._services.get(connection)
        if service is None:
            service = self._services[connection] = self._connect(connection)
        client = service.get_queue_client(name)
        return StorageQueue(client, self._event(client).set)

    def sent(self, connection: str | None, name: str) -> asyncio.Event:
        """Return what is set whenever this host has put a message into the queue."""
        service = self._services[connection or _DEFAULT_CONNECTION]
        return self._event(service.get_queue_client(name))

    async def __aenter__(self) -> Self:
        """Return the connections."""
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every connection."""
        for service in self._services.values():
            await service.close()
        for credential in self._credentials:
            await credential.close()

    def _event(self, client: QueueClient) -> asyncio.Event:
        return self._awaited.setdefault(client.url, asyncio.Event())

    def _connect(self, connection: str) -> QueueServiceClient:
        # In the real host the name may leave its prefix out, and the prefixed one goes first.
        for name in (f"AzureWebJobs{connection}", connection):
            if text := self._environment.get(name):
                return _connect_by_string(name, text)
            if url := self._service_url(name):
                credential = self._credential(name)
                self._credentials.append(credential)
                return QueueServiceClient(url, credential=credential, **_client_options())
        raise FunctionsHostError(
            f"the app setting {connection} is not set, and a queue trigger or output needs it: a"
            " storage connection string, UseDevelopmentStorage=true for Azurite on its usual"
            f" ports, or {connection}__queueServiceUri for an identity."
        )

    def _service_url(self, name: str) -> str | None:
        if url := self._environment.get(f"{name}__queueServiceUri"):
            return url
        account = self._environment.get(f"{name}__accountName")
        return f"https://{account}.queue.core.windows.net" if account else None

    def _credential(self, name: str) -> AsyncTokenCredential:
        setting = {
            key: self._environment.get(f"{name}__{key}")
            for key in ("credential", "tenantId", "clientId", "clientSecret")
        }
        if (setting["credential"] or "").lower() == "managedidentity":
            return ManagedIdentityCredential(client_id=setting["clientId"])
        if setting["tenantId"] and setting["clientId"] and setting["clientSecret"]:
            return ClientSecretCredential(
                setting["tenantId"], setting["clientId"], setting["clientSecret"]
            )
        return DefaultAzureCredential()


def _client_options() -> dict[str, Any]:
    return {
        "logger": _SDK_LOG,
        "connection_timeout": _ANSWER_WITHIN,
        "read_timeout": _ANSWER_WITHIN,
        "retry_total": _ATTEMPTS_AGAIN,
        "initial_backoff": _PAUSE,
        "increment_base": _PAUSE,
        "random_jitter_range": 0,
    }


def _connect_by_string(name: str, text: str) -> QueueServiceClient:
    if text.strip().rstrip(";").lower() == "usedevelopmentstorage=true":
        text = (
            f"AccountName={DEVELOPMENT_ACCOUNT};AccountKey={DEVELOPMENT_ACCOUNT_KEY};"
            f"QueueEndpoint={DEVELOPMENT_QUEUE_URL}"
        )
    try:
        return QueueServiceClient.from_connection_string(text, **_client_options())
    except ValueError:
        # The library's own words may hold the key.
        raise FunctionsHostError(
            f"the app setting {name} is no storage connection string;"
            " it looks like AccountName=...;AccountKey=...;QueueEndpoint=..."
        ) from None


def _read_message(message: SdkMessage) -> QueueMessage:
    return QueueMessage(
        id=message.id,
        pop_receipt=_given(message.pop_receipt),
        text=message.content or "",
        dequeue_count=_given(message.dequeue_count),
        inserted_on=_given(message.inserted_on),
        expires_on=_given(message.expires_on),
        visible_on=_given(message.next_visible_on),
    )


def _given[T](value: T | None) -> T:
    if value is None:
        raise QueueUnavailable("answered without what every message has")
    return value


def _unavailable(error: AzureError) -> QueueUnavailable:
    if isinstance(error, ResourceNotFoundError):
        return QueueMissing("the queue does not exist")
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        code = getattr(error, "error_code", None)
        return QueueUnavailable(f"answered {error.status_code} {getattr(code, 'value', code)}")
    return QueueUnavailable(str(error).partition("\n")[0])


def _message_error(error: AzureError) -> MessageLost | QueueUnavailable:
    if isinstance(error, ResourceNotFoundError):
        return MessageLost("it is not there any more")
    code = getattr(getattr(error, "error_code", None), "value", None)
    if code == "PopReceiptMismatch":
        return MessageLost("somebody else has it")
    return _unavailable(error)
