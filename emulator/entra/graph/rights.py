"""What a bearer of a token may ask Graph for, and the administrator's token."""

from collections.abc import Collection
from typing import Any, Final

import jwt
from jwt.exceptions import InvalidTokenError, PyJWKSetError

from emulator.entra.directory import MICROSOFT_GRAPH
from emulator.entra.errors import GraphRefusal
from emulator.entra.issuer import Issuer
from shared.clock import Clock
from shared.entra import TokenVersion

AZURE_CLI: Final = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The client ID of the Azure CLI, through which an administrator signs in."""

WRITE_APPLICATIONS: Final = "Application.ReadWrite.All"
ASSIGN_ROLES: Final = "AppRoleAssignment.ReadWrite.All"
ADMINISTRATOR_RIGHTS: Final = (WRITE_APPLICATIONS, ASSIGN_ROLES, "Directory.Read.All")
"""What the token of an administrator who is signed in by the Azure CLI lends."""

READERS: Final = frozenset(
    {"Application.Read.All", WRITE_APPLICATIONS, "Directory.Read.All", "Directory.ReadWrite.All"}
)
DIRECTORY_READERS: Final = frozenset({"Directory.Read.All", "Directory.ReadWrite.All"})
USER_READERS: Final = DIRECTORY_READERS | {"User.Read.All"}
WRITERS: Final = frozenset({WRITE_APPLICATIONS})


def make_administrator_token(
    issuer: Issuer, clock: Clock, tenant_id: str, rights: Collection[str], lifetime: int
) -> str:
    """Return a token for Graph as a person with these rights gets it by the Azure CLI."""
    now = int(clock.now())
    return issuer.sign(
        {
            "aud": MICROSOFT_GRAPH.app_id_uri,
            "iss": issuer.name(TokenVersion.V1),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "appid": AZURE_CLI,
            "appidacr": "0",
            "oid": "ad000000-0000-4000-8000-000000000001",
            "sub": "administrator",
            "scp": " ".join(rights),
            "tid": tenant_id,
            "ver": TokenVersion.V1.value,
        }
    )


def read_rights(authorization: str, issuer: Issuer, clock: Clock, tenant_id: str) -> frozenset[str]:
    """Return the rights that the bearer's token lends.

    Raises:
        GraphRefusal: there is no good token for Graph.

    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise GraphRefusal(401, "InvalidAuthenticationToken", "Access token is empty.")
    try:
        claims = _verify(token, issuer, tenant_id)
    except (InvalidTokenError, PyJWKSetError, KeyError):
        raise GraphRefusal(
            401, "InvalidAuthenticationToken", "Access token validation failure."
        ) from None
    if clock.now() >= claims["exp"]:
        raise GraphRefusal(
            401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."
        )
    return frozenset(str(claims.get("scp", "")).split()) | frozenset(claims.get("roles", ()))


def _verify(token: str, issuer: Issuer, tenant_id: str) -> dict[str, Any]:
    key_set = issuer.key_set(tenant=tenant_id, version=TokenVersion.V1)
    key = jwt.PyJWKSet.from_dict(key_set)[jwt.get_unverified_header(token)["kid"]]
    # The clock is ours, so it is asked and not the machine's.
    return jwt.decode(
        token,
        key.key,
        algorithms=["RS256"],
        audience=[MICROSOFT_GRAPH.app_id_uri, MICROSOFT_GRAPH.client_id],
        issuer=issuer.name(TokenVersion.V1),
        options={"require": ["exp"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )


def require(rights: Collection[str], *one_of_each: Collection[str]) -> None:
    """Raise unless the rights have one of each collection.

    Raises:
        GraphRefusal: one is missing.

    """
    if not all(set(rights) & set(sufficient) for sufficient in one_of_each):
        raise GraphRefusal(
            403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
        )
