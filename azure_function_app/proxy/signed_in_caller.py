"""Reads whom App Service has signed in, from the header that it puts on the request for that.

https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities: the header
is JSON in Base64, with the claims of the caller's token, some under longer names. App Service has
verified the token, and takes the header off what comes from outside; nothing here can check that.
When the token expires is not looked at either: App Service's sessions outlive it.
"""

import json
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from azure_function_app.errors import RequestRefused
from shared.formats.json_rules import refuse_constant, unique_members
from shared.guid import is_guid

_PRINCIPAL: Final = "x-ms-client-principal"
_PROVIDER: Final = "x-ms-client-principal-idp"
_ENTRA: Final = "aad"
MAX_PRINCIPAL_BYTES: Final = 65_536
"""More than twice of what the host takes of all headers together."""

_SCHEMA: Final = "http://schemas.microsoft.com/identity/claims/"
# Each claim under its name in the token, and under the one that App Service's mapping gives it.
_TENANT_ID: Final = frozenset({"tid", f"{_SCHEMA}tenantid"})
_OBJECT_ID: Final = frozenset({"oid", f"{_SCHEMA}objectidentifier"})
_HOME: Final = frozenset({"idp", f"{_SCHEMA}identityprovider"})
_ISSUER: Final = frozenset({"iss"})
_ACCOUNT_STATUS: Final = frozenset({"acct"})
# The header's role_typ is not asked: it could name any claim, and names the second of these.
_ROLES: Final = frozenset({"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"})

type _Claims = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SignedInCaller:
    """Somebody whom App Service has signed in: a user, or an application by a token of its own."""

    object_id: str
    tenant_id: str
    roles: frozenset[str]
    """The app roles that the caller holds on the registration that App Service signs in to."""
    is_guest: bool


def parse_signed_in_caller(
    headers: Mapping[str, str], home_issuers: Collection[str]
) -> SignedInCaller:
    """Return whom App Service has signed in, as the request's headers have it.

    Whether somebody is a guest is known from two claims. `acct`, which the registration has to ask
    for, decides where it is there. Else a guest is who signed in at an identity provider that is
    neither the token's issuer nor one of `home_issuers`; this does not find a guest whose account
    is in the tenant itself.

    Raises:
        RequestRefused: nobody is signed in, not by Entra ID, or the header is not as it should be.

    """
    header = headers.get(_PRINCIPAL, "")
    if not header:
        raise caller_unknown("Sign in first.")
    if headers.get(_PROVIDER, _ENTRA) != _ENTRA:
        raise caller_unknown("Sign in with Entra ID; the proxy knows no other identity provider.")
    try:
        return _parse_principal(header, home_issuers)
    except (ValueError, RecursionError):
        # Neither the header nor what is wrong with it is shown or logged.
        raise caller_unknown("What App Service says of the caller cannot be read.") from None


def caller_unknown(message: str) -> RequestRefused:
    """Return the refusal of a caller who is nobody that the proxy knows."""
    return RequestRefused(message, code="request_caller_unknown")


def _parse_principal(header: str, home_issuers: Collection[str]) -> SignedInCaller:
    principal = _decode(header)
    if not isinstance(principal, dict) or principal.get("auth_typ") != _ENTRA:
        raise ValueError("not from Entra ID")
    claims = _read_claims(principal.get("claims"))
    object_id, tenant_id = _one(claims, _OBJECT_ID), _one(claims, _TENANT_ID)
    if not is_guid(object_id) or not is_guid(tenant_id):
        raise ValueError("no object ID or no tenant")
    return SignedInCaller(
        object_id,
        tenant_id,
        frozenset(value for name, value in claims if name in _ROLES),
        _is_guest(claims, home_issuers),
    )


def _decode(header: str) -> object:
    if len(header) > MAX_PRINCIPAL_BYTES:
        raise ValueError("too long")
    encoded = header.encode("ascii")
    decoded = a2b_base64(encoded, strict_mode=True)
    # One spelling of each: repeated headers, which the host joins by a comma, have none at all.
    if b64encode(decoded) != encoded:
        raise ValueError("not canonical")
    return json.loads(
        decoded.decode(), object_pairs_hook=unique_members, parse_constant=refuse_constant
    )


def _read_claims(claims: object) -> _Claims:
    if not isinstance(claims, list):
        raise ValueError("no claims")  # noqa: TRY004 - the caller of this knows one error
    read = []
    for claim in claims:
        match claim:
            case {"typ": str(name), "val": str(value)}:
                read.append((name, value))
            case _:
                raise ValueError("not a claim")
    return read


def _one(claims: _Claims, names: frozenset[str]) -> str:
    """Return the claim that goes by one of these names, empty if there is none.

    Raises:
        ValueError: there are several, of which one reader takes the first and another the last.

    """
    values = [value for name, value in claims if name in names]
    if len(values) > 1:
        raise ValueError("a claim comes twice")
    return values[0] if values else ""


def _is_guest(claims: _Claims, home_issuers: Collection[str]) -> bool:
    status, home, issuer = (_one(claims, names) for names in (_ACCOUNT_STATUS, _HOME, _ISSUER))
    if status:
        # 0 is a member of the tenant, 1 a guest; whatever else there may be some day is no member.
        return status != "0"
    return bool(home) and home != issuer and home not in home_issuers
