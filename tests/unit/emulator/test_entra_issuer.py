"""The claims and the form of a token."""

from dataclasses import replace
from typing import Any

import jwt
import pytest

from emulator.entra.directory import Directory
from emulator.entra.issuer import Issuer
from emulator.entra.key_store import KeyStore, SigningKey
from shared.entra import TokenVersion, parse_local_authority
from shared.routes import Role
from tests.support.fake_clock import FakeClock
from tests.support.local_entra import (
    API,
    CLIENT,
    DIRECTORY,
    SYSTEM_ASSIGNED,
    TENANT_ID,
    with_api,
)

AUTHORITY = "http://127.0.0.1:9"
NOW = 1_700_000_000
_KEYS = KeyStore(FakeClock())


def issuer(directory: Directory = DIRECTORY) -> Issuer:
    """The tenant's issuer; all share one key, because making keys is slow."""
    return Issuer(directory, _KEYS, parse_local_authority(AUTHORITY), FakeClock(float(NOW)))


def test_when_the_api_asks_for_v2_then_the_claims_are_those_of_v2() -> None:
    """Issuer without a slash, the API's client ID as audience, azp and azpacr."""
    claims = issuer().claims_for(CLIENT, is_by_secret=True)

    assert {
        "aud", "iss", "iat", "nbf", "exp", "aio", "azp", "azpacr", "idtyp", "oid", "rh", "roles",
        "sub", "tid", "uti", "ver",
    } == set(claims)  # fmt: skip
    assert f"{AUTHORITY}/{TENANT_ID}/v2.0" == claims["iss"]
    assert API.client_id == claims["aud"]
    assert (CLIENT.client_id, "1") == (claims["azp"], claims["azpacr"])
    assert CLIENT.object_id == claims["oid"] == claims["sub"]
    assert ("2.0", TENANT_ID, "app") == (claims["ver"], claims["tid"], claims["idtyp"])


def test_when_the_api_asks_for_v1_then_the_claims_are_those_of_v1() -> None:
    """Issuer with a slash, the resource as it was asked for, appid and appidacr."""
    api = with_api(requested_access_token_version=1)

    claims = issuer(api).claims_for(CLIENT, resource=f"{API.app_id_uri}/")

    assert {
        "aud", "iss", "iat", "nbf", "exp", "aio", "appid", "appidacr", "idp", "idtyp", "oid", "rh",
        "roles", "sub", "tid", "uti", "ver",
    } == set(claims)  # fmt: skip
    assert f"{AUTHORITY}/{TENANT_ID}/" == claims["iss"] == claims["idp"]
    assert f"{API.app_id_uri}/" == claims["aud"]
    assert (CLIENT.client_id, "2", "1.0") == (claims["appid"], claims["appidacr"], claims["ver"])


def test_when_a_token_is_made_then_it_is_backdated_and_lasts_as_long_as_the_tenant_says() -> None:
    """An hour for an application, a day for a managed identity."""
    application = issuer().claims_for(CLIENT)
    identity = issuer().claims_for(SYSTEM_ASSIGNED)

    assert NOW - 300 == application["iat"] == application["nbf"] == identity["nbf"]
    assert NOW + 3600 == application["exp"]
    assert NOW + 86_400 == identity["exp"]


def test_when_no_role_is_assigned_then_the_claim_is_absent() -> None:
    """Entra ID sends no empty array."""
    assert "roles" not in issuer().claims_for(replace(CLIENT, roles=frozenset()))


def test_when_a_role_is_not_the_apis_then_it_is_left_out() -> None:
    """A role that the API does not declare cannot be assigned."""
    caller = replace(CLIENT, roles=frozenset({"Other.Role", Role.WRITE, Role.READ}))

    assert sorted(Role) == issuer().claims_for(caller)["roles"]


def test_when_the_api_does_not_ask_for_idtyp_then_it_is_absent() -> None:
    """It is an optional claim."""
    assert "idtyp" not in issuer(with_api(has_identity_type_claim=False)).claims_for(CLIENT)


def test_when_two_tokens_are_made_then_each_has_an_id_of_its_own() -> None:
    """`uti` finds one token in a log."""
    first, second = issuer().claims_for(CLIENT), issuer().claims_for(CLIENT)

    assert first["uti"] != second["uti"]


@pytest.mark.parametrize(("version", "members"), [("2.0", set()), ("1.0", {"x5t"})])
def test_when_a_token_is_signed_then_only_a_v1_header_has_x5t(
    version: str, members: set[str]
) -> None:
    """typ, alg and kid are in both."""
    header = jwt.get_unverified_header(issuer().sign({"ver": version}))

    assert {"typ", "alg", "kid"} | members == set(header)
    assert _KEYS.current.key_id == header["kid"]


def verify(token: str, key: SigningKey) -> Any:
    """The claims, if that key signed the token."""
    public_key = key.private_key.public_key()
    return jwt.decode(token, public_key, algorithms=["RS256"], options={"verify_exp": False})


def test_when_claims_are_signed_then_the_current_key_verifies_them() -> None:
    """Any claims at all, as they were handed over."""
    claims = {"a": [1, None, {"b": "ü"}]}

    assert claims == verify(issuer().sign(claims), _KEYS.current)


def test_when_a_foreign_key_signs_under_a_known_key_id_then_the_signature_is_bad() -> None:
    """The lie that a forger would tell."""
    foreign = SigningKey.generate(FakeClock())
    token = issuer().sign({}, key=foreign, header={"kid": _KEYS.current.key_id})

    assert _KEYS.current.key_id == jwt.get_unverified_header(token)["kid"]
    with pytest.raises(jwt.InvalidSignatureError):
        verify(token, _KEYS.current)


def test_when_header_members_are_bent_then_the_header_says_so() -> None:
    """None takes a member out."""
    token = issuer().sign({}, header={"alg": "none", "typ": None, "cty": "x"})

    assert {"alg", "kid", "cty"} == set(jwt.get_unverified_header(token))
    assert "none" == jwt.get_unverified_header(token)["alg"]


def test_when_the_key_set_is_published_then_only_v2_names_the_issuer() -> None:
    """The tenant's own document names it whole, the common one leaves the tenant open."""
    own, common, v1 = (
        issuer().key_set(tenant=tenant, version=version)["keys"]
        for tenant, version in (
            (TENANT_ID, TokenVersion.V2),
            ("common", TokenVersion.V2),
            (TENANT_ID, TokenVersion.V1),
        )
    )

    assert f"{AUTHORITY}/{TENANT_ID}/v2.0" == own[0]["issuer"]  # type: ignore[index]  # JSON
    assert f"{AUTHORITY}/{{tenantid}}/v2.0" == common[0]["issuer"]  # type: ignore[index]  # JSON
    assert "issuer" not in v1[0]  # type: ignore[index]  # JSON
