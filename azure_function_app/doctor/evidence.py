"""Everything that the probes saw, for the checks to judge."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from azure_function_app.doctor.probes.exchange import Answered, Outcome
from azure_function_app.doctor.probes.queue_connection import ConnectionProblem
from azure_function_app.doctor.probes.queue_trial import QueueOutcome
from azure_function_app.doctor.probes.store_trial import StoreOutcome
from azure_function_app.doctor.probes.token_request import (
    TokenFailed,
    TokenObtained,
    TokenOutcome,
)
from azure_function_app.doctor.report import CallMark
from shared.contract import ApiIdentity
from shared.entra import TokenVersion
from shared.guid import parse_guid

_PLAIN: Final = re.compile(r"(?!.*eyJ)[!-?A-~]{1,255}")
"""Neither a token nor an e-mail address: what an API publishes of itself has none."""


@dataclass(frozen=True, slots=True)
class Broke:
    """A probe of ours failed, which is a fault of it."""

    kind: str


@dataclass(slots=True)
class Evidence:
    """What was seen. None stands for what was not looked at."""

    now: float
    """Seconds since 1970 by this machine's clock."""
    token: TokenOutcome | Broke | None = None
    discovery: Outcome | Broke | None = None
    key_set: Outcome | Broke | None = None
    health: Outcome | Broke | None = None
    answers_at: str | None = None
    """Where the API answers, if it is not where the settings say."""
    metadata: Outcome | Broke | None = None
    call: Outcome | Broke | None = None
    mark: CallMark | None = None
    store: StoreOutcome | Broke | None = None
    queue: QueueOutcome | ConnectionProblem | Broke | None = None
    milliseconds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def obtained(self) -> TokenObtained | None:
        """Return the token, if one came."""
        return self.token if isinstance(self.token, TokenObtained) else None

    @property
    def token_failure(self) -> TokenFailed | None:
        """Return why no token came."""
        return self.token if isinstance(self.token, TokenFailed) else None

    @property
    def claims(self) -> Mapping[str, object]:
        """Return the token's claims, unverified; none if there is no token, or it is no JWT."""
        obtained = self.obtained
        return {} if obtained is None or obtained.claims is None else obtained.claims

    @property
    def metadata_document(self) -> Mapping[str, object]:
        """Return the members of the API's metadata; none if it was not read."""
        found = self.metadata
        return found.members if isinstance(found, Answered) and found.status == 200 else {}  # noqa: PLR2004 - OK


def is_our_health(outcome: Outcome | Broke | None) -> bool:
    """Return whether the answer to `GET /health` is the API's: exactly what its description says.

    The Function App's own has more members.
    """
    return (
        isinstance(outcome, Answered)
        and outcome.status == 200  # noqa: PLR2004 - OK
        and dict(outcome.members) == {"status": "ok"}
    )


@dataclass(frozen=True, slots=True)
class PublishedContract:
    """What the API's metadata says of the contract; None for what it does not say."""

    authority: str | None
    """Scheme and host of the authorization server."""
    tenant_id: str | None
    app_id_uri: str | None
    client_id: str | None
    token_versions: frozenset[str] | None
    resource: str | None


def published_contract(document: Mapping[str, object]) -> PublishedContract:
    """Return what the metadata document says (RFC 9728 section 2, and our two members)."""
    servers, scopes = document.get("authorization_servers"), document.get("scopes_supported")
    server = _first_text(servers)
    authority, tenant_id = None, None
    if server is not None and server.endswith("/v2.0"):
        authority, _, tenant_id = server.removesuffix("/v2.0").rpartition("/")
    scope = _first_text(scopes)
    uri = None if scope is None else scope.removesuffix("/.default")
    versions = document.get("azure_aws_bridge_token_versions")
    return PublishedContract(
        authority=authority if authority and _PLAIN.fullmatch(authority) else None,
        tenant_id=guid_or_none(tenant_id),
        app_id_uri=uri if uri and _PLAIN.fullmatch(uri) else None,
        client_id=guid_or_none(document.get("azure_aws_bridge_api_client_id")),
        token_versions=(
            frozenset(version.value for version in TokenVersion if version.value in versions)
            if isinstance(versions, list)
            else None
        ),
        resource=_text(document.get("resource")),
    )


def guid_or_none(value: object) -> str | None:
    """Return the GUID in its usual spelling; None if the value is none."""
    try:
        return parse_guid(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _first_text(values: object) -> str | None:
    return _text(values[0]) if isinstance(values, list) and values else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def own_scope_is_derived(identity: ApiIdentity) -> bool:
    """Return whether the App ID URI is the one that follows from the client ID."""
    return identity.app_id_uri == f"api://{identity.client_id}"
