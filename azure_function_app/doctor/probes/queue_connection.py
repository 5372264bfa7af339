"""Where the host's storage account has its queues, and who may use them, as the host reads it.

A connection is an app setting with a connection string, or a group of settings for an identity
(learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue, Connections).
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from azure_function_app.fan_out.work_queue import CONNECTION
from azure_function_app.stores.table_store import AZURITE_ACCOUNT, AZURITE_KEY
from shared.loopback import is_loopback_address

DEVELOPMENT: Final = (
    f"AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};"
    f"QueueEndpoint=http://127.0.0.1:10001/{AZURITE_ACCOUNT}"
)
"""What `UseDevelopmentStorage=true` means
(learn.microsoft.com/azure/storage/common/storage-use-azurite)."""
API_VERSION: Final = "2021-12-02"
_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
_SUFFIX: Final = "core.windows.net"
_UNSIGNED_LINES: Final = 12
"""Of a request without a body: the standard headers that a signature covers, each left empty."""


class ConnectionProblem(Exception):
    """The connection cannot be used; its text says why, and quotes no value."""

    def __init__(self, setting: str, message: str) -> None:
        """Take the setting and what is wrong with it."""
        super().__init__(message)
        self.setting = setting


@dataclass(frozen=True, slots=True)
class AccountKey:
    """Signs with a key of the account's."""

    account: str
    key: bytes = field(repr=False)

    def authorization(self, path: str, query: tuple[str, str], date: str) -> str:
        """Return the Authorization header of a GET without a body.

        By the rules of Shared Key for queues
        (learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key).
        """
        signed = "\n".join(
            [
                "GET" + "\n" * _UNSIGNED_LINES + f"x-ms-date:{date}",
                f"x-ms-version:{API_VERSION}",
                f"/{self.account}{path}",
                f"{query[0]}:{query[1]}",
            ]
        )
        digest = hmac.new(self.key, signed.encode(), hashlib.sha256).digest()
        return f"SharedKey {self.account}:{base64.b64encode(digest).decode()}"


@dataclass(frozen=True, slots=True)
class SharedAccess:
    """Holds a shared access signature, which goes with the URL."""

    query: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Signs in to Entra ID."""

    is_managed: bool
    """Whether the settings say that it is a managed identity; else the app's own credential."""
    client_id: str | None


@dataclass(frozen=True, slots=True)
class QueueConnection:
    """Where the queues are, and how a request for them is authorized."""

    setting: str
    """What names the place."""
    url: str
    """Of the queue service, without a trailing slash."""
    by: AccountKey | SharedAccess | Identity


def read_connection(environment: Mapping[str, str]) -> QueueConnection:
    """Return the connection that the app settings describe.

    Raises:
        ConnectionProblem: they are not complete, or not as Azure writes them.

    """
    if text := environment.get(CONNECTION, "").strip():
        is_development = text.rstrip(";").lower() == "usedevelopmentstorage=true"
        return _of_string(DEVELOPMENT if is_development else text)
    for name, template in (("queueServiceUri", "{}"), ("accountName", "https://{}.queue.")):
        setting = f"{CONNECTION}__{name}"
        value = environment.get(setting, "").strip()
        if not value:
            continue
        url = template.format(value) + (_SUFFIX if name == "accountName" else "")
        kind = environment.get(f"{CONNECTION}__credential", "").strip().lower()
        by = Identity(kind == "managedidentity", environment.get(f"{CONNECTION}__clientId") or None)
        return QueueConnection(setting, _checked(setting, url, by), by)
    raise ConnectionProblem(CONNECTION, "is not set, and the sync by shards needs the queue")


def _of_string(text: str) -> QueueConnection:
    # A key ends in "=", so that only the first one of a part divides it.
    pairs = (part.strip().partition("=") for part in text.split(";") if part.strip())
    parts = {name.strip().lower(): value.strip() for name, _, value in pairs}
    account = parts.get("accountname", "")
    if account and not _ACCOUNT.fullmatch(account):
        raise ConnectionProblem(CONNECTION, "has an AccountName that no account can have")
    by: AccountKey | SharedAccess
    if "accountkey" in parts and account:
        try:
            by = AccountKey(account, base64.b64decode(parts["accountkey"], validate=True))
        except (binascii.Error, ValueError):
            raise ConnectionProblem(CONNECTION, "has an AccountKey that is no key") from None
    elif "sharedaccesssignature" in parts:
        by = SharedAccess(parts["sharedaccesssignature"].removeprefix("?"))
    else:
        raise ConnectionProblem(
            CONNECTION, "is no storage connection string, such as AccountName=...;AccountKey=..."
        )
    protocol = parts.get("defaultendpointsprotocol", "https").lower()
    suffix = parts.get("endpointsuffix", _SUFFIX)
    derived = f"{protocol}://{account}.queue.{suffix}" if account else ""
    url = parts.get("queueendpoint") or derived
    return QueueConnection(CONNECTION, _checked(CONNECTION, url, by), by)


def _checked(setting: str, url: str, by: AccountKey | SharedAccess | Identity) -> str:
    """Return the URL without a trailing slash. A token goes only where TLS tells who answers."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConnectionProblem(setting, "names no address of a queue service") from None
    if not host or not url.isascii() or re.search(r"[\x00-\x20\x7f]", url):
        raise ConnectionProblem(setting, "names no address of a queue service")
    if parts.query or parts.fragment or parts.username is not None:
        raise ConnectionProblem(setting, "names an address with more than a host and a path")
    is_local = isinstance(by, AccountKey) and is_loopback_address(host)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
        raise ConnectionProblem(setting, "names an address that is not https")
    return url.rstrip("/")
