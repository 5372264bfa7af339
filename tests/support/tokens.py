"""Access tokens as Entra ID issues them, and a way to tell one lie in each."""

import json
from collections.abc import Collection, Mapping

from cryptography.hazmat.primitives.asymmetric import rsa

from aws_authorizer.bootstrap import build_accepted_tokens
from aws_authorizer.claim_checks import ClaimContract, build_claim_contract
from aws_authorizer.key_set import KeySource, StaticKeySet
from aws_authorizer.verifier import Verifier
from shared.clock import Clock
from shared.contract import ApiIdentity
from shared.entra import CLOUDS, TokenVersion
from tests.support.fake_clock import FakeClock
from tests.support.keys import ISSUER, KEY_ID, TENANT_ID, base64url, sign, signing_key

NOW = 1_700_000_000
API_CLIENT_ID = "aaaaaaaa-0000-4000-8000-000000000001"
APP_ID_URI = "api://orders"
CLIENT_ID = "bbbbbbbb-0000-4000-8000-000000000001"
OBJECT_ID = "bbbbbbbb-0000-4000-8000-000000000002"
OTHER_ID = "eeeeeeee-0000-4000-8000-000000000009"
LEEWAY = 60.0

API = ApiIdentity(
    cloud=CLOUDS["public"],
    tenant_id=TENANT_ID,
    client_id=API_CLIENT_ID,
    app_id_uri=APP_ID_URI,
    token_versions=frozenset(TokenVersion),
)


def valid_claims(**changes: object) -> dict[str, object]:
    """The claims of a good v2.0 token; a change to None leaves the claim out."""
    members: dict[str, object] = {
        "aud": API_CLIENT_ID,
        "iss": ISSUER,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 3600,
        "aio": "k2RgYGhY",
        "azp": CLIENT_ID,
        "azpacr": "2",
        "idtyp": "app",
        "oid": OBJECT_ID,
        "rh": "0.AAAA",
        "roles": ["Records.Read"],
        "sub": OBJECT_ID,
        "tid": TENANT_ID,
        "uti": "Zx9-_token-id",
        "ver": "2.0",
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def valid_v1_claims(**changes: object) -> dict[str, object]:
    """The claims of a good v1.0 token."""
    members: dict[str, object] = {
        "ver": "1.0",
        "iss": f"https://sts.windows.net/{TENANT_ID}/",
        "aud": APP_ID_URI,
        "azp": None,
        "azpacr": None,
        "appid": CLIENT_ID,
        "appidacr": "2",
    }
    return valid_claims(**(members | changes))


def header(**changes: object) -> dict[str, object]:
    """The header of a good token; a change to None leaves the member out."""
    members: dict[str, object] = {"typ": "JWT", "alg": "RS256", "kid": KEY_ID}
    return {name: value for name, value in (members | changes).items() if value is not None}


def to_json(members: Mapping[str, object]) -> bytes:
    """JSON without whitespace, as Entra ID writes it."""
    return json.dumps(members, separators=(",", ":")).encode()


def signed_bytes(
    header_bytes: bytes, claims_bytes: bytes, key: rsa.RSAPrivateKey | None = None
) -> str:
    """A compact JWS over any encoded, well formed or not, with a good signature."""
    signing_input = f"{base64url(header_bytes)}.{base64url(claims_bytes)}"
    return f"{signing_input}.{base64url(sign(signing_input.encode(), key))}"


def signed_token(
    claims: Mapping[str, object] | None = None,
    *,
    key: rsa.RSAPrivateKey | None = None,
    **header_changes: object,
) -> str:
    """A token with a good signature, whatever else it says."""
    claims_bytes = to_json(valid_claims() if claims is None else claims)
    return signed_bytes(to_json(header(**header_changes)), claims_bytes, key)


def claim_contract(
    *,
    api: ApiIdentity = API,
    tenant_ids: tuple[str, ...] = (TENANT_ID,),
    audiences: frozenset[str] = frozenset(),
    delegated_scopes: Mapping[str, Collection[str]] | None = None,
    leeway: float = LEEWAY,
) -> ClaimContract:
    """The contract that the good tokens satisfy."""
    return build_claim_contract(
        build_accepted_tokens(api, tenant_ids, audiences),
        client_ids={CLIENT_ID},
        roles={"Records.Read", "Records.Write"},
        delegated_scopes=delegated_scopes,
        leeway=leeway,
    )


def verifier(
    *,
    contract: ClaimContract | None = None,
    key_source: KeySource | None = None,
    clock: Clock | None = None,
    cache_size: int = 16,
) -> Verifier:
    """A verifier with one key, at the moment at which the good tokens are issued."""
    contract = contract or claim_contract()
    source = key_source or StaticKeySet({KEY_ID: signing_key()})
    return Verifier(
        contract,
        dict.fromkeys(contract.tenant_ids, source),
        clock or FakeClock(now=NOW),
        cache_size=cache_size,
    )
