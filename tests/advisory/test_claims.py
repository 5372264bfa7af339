"""Attacks with a good signature: a token that is genuine, for somebody or something else."""

import pytest

from tests.advisory.gate import outcome
from tests.support.keys import ISSUER, TENANT_ID, private_key
from tests.support.tokens import (
    API_CLIENT_ID,
    APP_ID_URI,
    CLIENT_ID,
    NOW,
    OTHER_ID,
    signed_token,
    valid_claims,
    valid_v1_claims,
)

BOTH = "1.0,2.0"


def outcome_with(**changes: object) -> str:
    """The outcome for a good token with one lie in it."""
    return outcome(signed_token(valid_claims(**changes)))


@pytest.mark.parametrize("claim", ["exp", "aud", "iss", "tid", "oid", "azp", "ver"])
def test_required_claim_is_missing(claim: str) -> None:
    """Many libraries take a missing `exp` for one that never comes, a missing `aud` for ours."""
    assert "unauthorized" == outcome_with(**{claim: None})


def test_no_beginning() -> None:
    """Neither `nbf` nor `iat`."""
    assert "unauthorized" == outcome_with(nbf=None, iat=None)


@pytest.mark.parametrize(
    "audience",
    [
        "",
        API_CLIENT_ID[:8],
        API_CLIENT_ID + "0",
        API_CLIENT_ID.upper(),
        f"api://{API_CLIENT_ID}",
        f"{API_CLIENT_ID} {OTHER_ID}",
        f"{API_CLIENT_ID},{OTHER_ID}",
        f"*{API_CLIENT_ID}*",
        "*",
        "https://graph.microsoft.com",
        "00000003-0000-0000-c000-000000000000",
        [API_CLIENT_ID],
        [API_CLIENT_ID, OTHER_ID],
        [[API_CLIENT_ID]],
        {"0": API_CLIENT_ID},
        True,
        0,
    ],
)
def test_audience_that_is_not_exactly_ours(audience: object) -> None:
    """Substrings, lists, other cases, other APIs (RFC 8725 section 3.9)."""
    assert "unauthorized" == outcome_with(aud=audience)


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "https://",
        ISSUER[:-1],
        ISSUER + "/",
        ISSUER + "#",
        ISSUER.replace("https", "http"),
        ISSUER.replace("login", "LOGIN"),
        ISSUER.replace(TENANT_ID, "common"),
        ISSUER.replace(TENANT_ID, "{tenantid}"),
        ISSUER.replace(TENANT_ID, OTHER_ID),
        ISSUER.replace(".com", ".com.attacker.example"),
        f"https://attacker.example/?{ISSUER}",
        f"https://sts.windows.net/{TENANT_ID}/",
        [ISSUER],
        ["https://attacker.example", ISSUER],
        {ISSUER: 1},
        True,
    ],
)
def test_issuer_that_is_not_exactly_ours(issuer: object) -> None:
    """CVE-2024-53861 (part of the string), CVE-2025-30144 (one of a list)."""
    assert "unauthorized" == outcome_with(iss=issuer)


def test_genuine_token_of_another_tenant() -> None:
    """Entra ID signs for every tenant with the same keys."""
    claims = valid_claims(iss=ISSUER.replace(TENANT_ID, OTHER_ID), tid=OTHER_ID)

    assert "unauthorized" == outcome(signed_token(claims))


@pytest.mark.parametrize("name", ["Tid", "TID", "tID"])
def test_second_tenant_in_another_case(name: str) -> None:
    """Whoever reads without regard to case could take the other one."""
    assert "unauthorized" == outcome_with(**{name: OTHER_ID})


def test_version_that_chooses_the_weaker_rules() -> None:
    """A v2.0 token that says 1.0, and the reverse, is held to what it says, and fails."""
    assert "unauthorized" == outcome(
        signed_token(valid_claims(ver="1.0")), ACCEPTED_TOKEN_VERSIONS=BOTH
    )
    assert "unauthorized" == outcome(
        signed_token(valid_v1_claims(ver="2.0")), ACCEPTED_TOKEN_VERSIONS=BOTH
    )
    assert "allowed" == outcome(signed_token(valid_v1_claims()), ACCEPTED_TOKEN_VERSIONS=BOTH)


def test_v1_audience_in_a_v2_token() -> None:
    """Each version has audiences of its own."""
    assert "unauthorized" == outcome(
        signed_token(valid_claims(aud=APP_ID_URI)), ACCEPTED_TOKEN_VERSIONS=BOTH
    )


def test_expired_token() -> None:
    """By more than the leeway."""
    assert "unauthorized" == outcome_with(exp=NOW - 61, iat=NOW - 3600, nbf=NOW - 3600)


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [True, False, None, "", "9999999999", "never", [9_999_999_999], {}, -1, 0, 1e308, 10**30,
     NOW * 1000, "0x7fffffff", "\uff19" * 10],
)  # fmt: skip
def test_time_that_is_no_time(claim: str, value: object) -> None:
    """Booleans, strings, milliseconds and the end of days (RFC 7519 section 2)."""
    assert "unauthorized" == outcome(signed_token(valid_claims() | {claim: value}))


def test_token_that_lives_for_years() -> None:
    """Entra ID issues none; whoever has stolen a signing key might."""
    assert "unauthorized" == outcome_with(exp=NOW + 365 * 86_400)


def test_token_from_the_future() -> None:
    """By more than the leeway."""
    assert "unauthorized" == outcome_with(nbf=NOW + 61)
    assert "unauthorized" == outcome_with(iat=NOW + 61)


def test_user_token_where_applications_are_expected() -> None:
    """Scopes are permissions of another kind; a user's token is not an application's."""
    assert "denied" == outcome_with(idtyp="user", scp="Records.Read")
    assert "denied" == outcome_with(idtyp=None, scp="Records.Read", sub="pairwise")


def test_token_that_is_a_users_and_an_applications() -> None:
    """Whoever reads only one of the two claims is deceived."""
    assert "unauthorized" == outcome_with(idtyp="app", scp="Records.Read")


def test_id_token_in_place_of_an_access_token() -> None:
    """It names no calling application (`azp`), and its audience is the client."""
    claims = valid_claims(aud=CLIENT_ID, azp=None, roles=None, nonce="n", name="somebody")

    assert "unauthorized" == outcome(signed_token(claims))
    assert "unauthorized" == outcome(signed_token(claims | {"aud": API_CLIENT_ID}))


def test_third_application_of_the_same_tenant() -> None:
    """Any application of the tenant can get a token for the API; only the listed ones get in."""
    assert "denied" == outcome_with(azp=OTHER_ID)
    assert "denied" == outcome_with(azp=OTHER_ID, client_id=CLIENT_ID)


def test_second_name_for_the_application() -> None:
    """With `appid` beside `azp`, who calls would depend on which of the two is read."""
    assert "unauthorized" == outcome_with(azp=OTHER_ID, appid=CLIENT_ID)
    assert "unauthorized" == outcome_with(azp=CLIENT_ID, appid=OTHER_ID)


def test_application_that_proved_nothing() -> None:
    """A public client's token for itself: whoever knows its ID could have got it."""
    assert "unauthorized" == outcome_with(azpacr="0")


@pytest.mark.parametrize("roles", [None, [], [""], ["*"], ["records.read"], ["Records.Read "],
                                   ["Records"], ["Records.Read,Records.Write"]])  # fmt: skip
def test_token_without_a_role(roles: object) -> None:
    """Any confidential client can get one unless assignment is required."""
    assert "denied" == outcome_with(roles=roles)


@pytest.mark.parametrize(
    "roles",
    ["Records.Read", "Records.Read Records.Write", {"Records.Read": True}, [["Records.Read"]],
     ["Records.Read", None], True, 1],
)  # fmt: skip
def test_roles_of_another_shape(roles: object) -> None:
    """`in` finds a substring in a string and a key in an object."""
    assert "unauthorized" == outcome_with(roles=roles)


@pytest.mark.parametrize(
    "claim", ["scp", "scope", "permissions", "groups", "wids", "role", "Roles"]
)
def test_permissions_in_another_claim(claim: str) -> None:
    """Only `roles` grants."""
    assert outcome_with(roles=None, **{claim: ["Records.Read"]}) in {"denied", "unauthorized"}


def test_forged_token_learns_nothing() -> None:
    """With a bad signature, the outcome is the same whatever the token says."""
    attacker = private_key("attacker")
    outcomes = {
        outcome(signed_token(valid_claims(**changes), key=attacker))
        for changes in ({}, {"roles": None}, {"azp": OTHER_ID}, {"exp": 1}, {"idtyp": "user"})
    }

    assert {"unauthorized"} == outcomes
