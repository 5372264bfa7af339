"""Tokens as Entra ID makes them: the claims of either version, signed with the current key."""

import json
import secrets
from collections.abc import Mapping
from typing import assert_never

from emulator.entra.directory import (
    ApiRegistration,
    Application,
    Caller,
    Directory,
    ManagedIdentity,
)
from emulator.entra.key_store import KeyStore, SigningKey
from shared.clock import Clock
from shared.entra import Cloud, TokenVersion
from shared.formats.base64url import encode_base64url

_BACKDATED = 300
"""Entra ID dates a token five minutes back, so that a resource with a slow clock takes it."""
_STRENGTH_OF_SECRET = "1"  # noqa: S105 - a claim value, not a secret
_STRENGTH_OF_OTHERS = "2"
"""`azpacr`: how the client proved itself. Entra ID says 2 for every credential but a secret."""


class Issuer:
    """Makes access tokens of one tenant."""

    def __init__(self, directory: Directory, keys: KeyStore, cloud: Cloud, clock: Clock) -> None:
        """Take the tenant, its keys, where it lives, and the clock that dates the tokens."""
        self._directory = directory
        self._clock = clock
        self.keys = keys
        self.cloud = cloud

    def name(self, version: TokenVersion) -> str:
        """Return the `iss` of tokens of that version."""
        return self.cloud.issuer(self._directory.tenant_id, version)

    def lifetime(self, caller: Caller) -> int:
        """Return how many seconds a token that the caller gets now is valid."""
        match caller:
            case ManagedIdentity():
                return self._directory.managed_identity_token_lifetime
            case Application():
                return self._directory.token_lifetime
            case _:
                assert_never(caller)

    def claims_for(
        self,
        caller: Caller,
        *,
        api: ApiRegistration | None = None,
        resource: str | None = None,
        is_by_secret: bool = False,
    ) -> dict[str, object]:
        """Return the claims of a valid app-only token, in a new dict that a test may change.

        Args:
            caller: whom the token is for.
            api: what the token is for; the tenant's own API by default.
            resource: the API as the caller named it, which a v1.0 token repeats as its audience.
            is_by_secret: whether the caller proved itself by a client secret.

        """
        api = api or self._directory.api
        now = int(self._clock.now())
        strength = _STRENGTH_OF_SECRET if is_by_secret else _STRENGTH_OF_OTHERS
        tenant_id = self._directory.tenant_id
        version = api.token_version
        claims: dict[str, object] = {
            "iss": self.name(version),
            "iat": now - _BACKDATED,
            "nbf": now - _BACKDATED,
            "exp": now + self.lifetime(caller),
            "aio": encode_base64url(secrets.token_bytes(36)),
            "oid": caller.object_id,
            "rh": f"1.{encode_base64url(secrets.token_bytes(48))}.",
            "sub": caller.object_id,
            "tid": tenant_id,
            "uti": encode_base64url(secrets.token_bytes(16)),
            "ver": version.value,
        }
        match version:
            case TokenVersion.V1:
                claims |= {
                    "aud": resource or api.app_id_uri,
                    "appid": caller.client_id,
                    "appidacr": strength,
                    "idp": self.name(TokenVersion.V1),
                }
            case TokenVersion.V2:
                claims |= {"aud": api.client_id, "azp": caller.client_id, "azpacr": strength}
            case _:
                assert_never(version)
        if api.has_identity_type_claim:
            claims["idtyp"] = "app"
        # Entra ID leaves `roles` out where none is assigned, and never sends an empty array.
        if roles := sorted(api.roles_of(caller)):
            claims["roles"] = roles
        return claims

    def sign(
        self,
        claims: Mapping[str, object],
        *,
        header: Mapping[str, object | None] | None = None,
        key: SigningKey | None = None,
    ) -> str:
        """Return a compact JWS over any claims, good or bad.

        Args:
            claims: the payload, taken as it is.
            header: members to put in place of the usual ones; None takes one out. The signature
                is RS256 whatever `alg` says, so a lie about it stays a lie.
            key: the key to sign with; the current one by default.

        """
        key = key or self.keys.current
        members: dict[str, object | None] = {"typ": "JWT", "alg": "RS256", "kid": key.key_id}
        if claims.get("ver") == TokenVersion.V1:
            members["x5t"] = key.key_id
        members |= header or {}
        header_bytes = json.dumps({k: v for k, v in members.items() if v is not None}).encode()
        signing_input = (
            f"{encode_base64url(header_bytes)}.{encode_base64url(json.dumps(claims).encode())}"
        )
        return f"{signing_input}.{encode_base64url(key.sign(signing_input.encode()))}"

    def key_set(self, *, tenant: str, version: TokenVersion) -> dict[str, object]:
        """Return the key set as the tenant's own address or a tenant-independent one publishes it.

        Only the v2.0 document says which issuer a key belongs to; under `common` that is a
        template.
        """
        keys = [key.as_jwk() for key in self.keys.published]
        match version:
            case TokenVersion.V1:
                pass
            case TokenVersion.V2:
                owner = tenant if tenant == self._directory.tenant_id else "{tenantid}"
                for key in keys:
                    key["issuer"] = self.cloud.issuer(owner, TokenVersion.V2)
            case _:
                assert_never(version)
        return {"keys": keys}
