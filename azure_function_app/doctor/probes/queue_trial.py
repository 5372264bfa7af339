"""Asks the storage account for the queue of the sync by shards, and changes nothing there."""

from copy import replace
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import AzureError

from azure_function_app.deadline import Deadline
from azure_function_app.doctor.probes.background import in_background
from azure_function_app.doctor.probes.exchange import Outcome, exchange
from azure_function_app.doctor.probes.queue_connection import (
    API_VERSION,
    AccountKey,
    Identity,
    QueueConnection,
    SharedAccess,
)
from azure_function_app.fan_out.work_queue import QUEUE
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.credential_kinds import ManagedIdentity
from azure_function_app.identity.credentials import MISREADINGS, build_credential
from azure_function_app.settings import Settings
from shared.clock import Clock

STORAGE_SCOPE: Final = "https://storage.azure.com/.default"
"""Of every account, in every cloud
(learn.microsoft.com/azure/storage/blobs/authorize-access-azure-active-directory)."""
_METADATA: Final = ("comp", "metadata")


@dataclass(frozen=True, slots=True)
class NoQueueToken:
    """No token for the storage account came."""


@dataclass(frozen=True, slots=True)
class QueueOutcome:
    """What came of asking for the queue."""

    connection: QueueConnection
    answer: Outcome | NoQueueToken


async def try_queue(
    connection: QueueConnection,
    settings: Settings,
    transport: httpx.AsyncBaseTransport,
    deadline: Deadline,
    clock: Clock,
) -> QueueOutcome:
    """Return what came of it. Never raises for what the far end does."""
    query, headers = f"{_METADATA[0]}={_METADATA[1]}", {"x-ms-version": API_VERSION}
    url = f"{connection.url}/{QUEUE}"
    headers["x-ms-date"] = formatdate(clock.now(), usegmt=True)
    match connection.by:
        case AccountKey() as key:
            path = urlsplit(url).path
            headers["authorization"] = key.authorization(path, _METADATA, headers["x-ms-date"])
        case SharedAccess(query=signature):
            query = f"{query}&{signature}"
        case Identity() as identity:
            try:
                token = await in_background(lambda: _token(identity, settings, deadline))
            except (AzureError, ValueError, OSError, *MISREADINGS):
                return QueueOutcome(connection, NoQueueToken())
            if not token.is_well_formed:
                return QueueOutcome(connection, NoQueueToken())
            headers["authorization"] = token.authorization
    request = httpx.Request("GET", f"{url}?{query}", headers=headers)
    found = await exchange(transport, request, clock=clock, deadline=deadline)
    return QueueOutcome(connection, found)


def _token(identity: Identity, settings: Settings, deadline: Deadline) -> AccessToken:
    source = settings.token_source
    if identity.is_managed:
        source = replace(source, credential=ManagedIdentity(identity.client_id))
    credential = build_credential(
        source, **settings.token_leg, deadline=deadline, clock=deadline.clock
    )
    with credential:
        token = credential.get_token(STORAGE_SCOPE)
    if not isinstance(token.token, str):
        raise TypeError("the token is no string")
    return AccessToken(token.token, float(token.expires_on))
