"""What to change, by the mistake that was made."""

from typing import Any

import pytest

from aws_authorizer.explanation.explained_checks import Explanation
from aws_authorizer.explanation.explained_token import explain_token
from aws_authorizer.explanation.fixes import _ADVICE
from aws_authorizer.explanation.shown_values import show_duration
from aws_authorizer.key_set import StaticKeySet
from shared.contract import ApiIdentity
from shared.entra import CLOUDS, TokenVersion
from shared.reasons import Reason
from tests.support.fake_clock import FakeClock
from tests.support.keys import ISSUER, KEY_ID, TENANT_ID, private_key, signing_key
from tests.support.tokens import (
    API,
    API_CLIENT_ID,
    APP_ID_URI,
    CLIENT_ID,
    NOW,
    OBJECT_ID,
    OTHER_ID,
    claim_contract,
    signed_token,
    valid_claims,
    valid_v1_claims,
)

V2 = API._replace(token_versions=frozenset({TokenVersion.V2}))
V1 = API._replace(token_versions=frozenset({TokenVersion.V1}))
GRAPH = "00000003-0000-0000-c000-000000000000"
SCOPE = f"{APP_ID_URI}/.default"
USER = {"idtyp": "user", "scp": "Records.View"}
PERSONAL_ACCOUNTS = "9188040d-6c67-4c5b-b112-36a304b66dad"


def explain(
    token: str, *, api: ApiIdentity = V2, lends: dict[str, list[str]] | None = None
) -> Explanation:
    """The explanation against an API that takes v2.0 tokens only, unless said otherwise."""
    contract = claim_contract(api=api, delegated_scopes=lends)
    keys = dict.fromkeys(contract.tenant_ids, StaticKeySet({KEY_ID: signing_key()}))
    return explain_token(token, contract, keys, FakeClock(now=NOW), api=api)


def fix_of(token: str, reason: Reason, **against: Any) -> str:
    """The fix of the first check that fails, which must have failed for this reason."""
    failure = explain(token, **against).first_failure
    assert failure is not None
    assert reason is failure.reason
    assert failure.fix is not None
    return failure.fix


def v2_token(**changes: Any) -> str:
    """A v2.0 token with these changes."""
    return signed_token(valid_claims(**changes))


def v1_token(**changes: Any) -> str:
    """A v1.0 token with these changes."""
    return signed_token(valid_v1_claims(**changes))


@pytest.mark.parametrize(
    ("token", "reason", "named"),
    [
        (
            v1_token(),
            Reason.UNACCEPTED_VERSION,
            ["requestedAccessTokenVersion to 2", API_CLIENT_ID, "ACCEPTED_TOKEN_VERSIONS"],
        ),
        (v2_token(ver=3), Reason.UNACCEPTED_VERSION, ["1.0 or 2.0"]),
        (v1_token(aud=GRAPH), Reason.UNACCEPTED_VERSION, ["Microsoft Graph", SCOPE]),
        (v1_token(aud="https://graph.microsoft.com/"), Reason.UNACCEPTED_VERSION, ["Graph", SCOPE]),
        (
            v1_token(aud="https://management.azure.com"),
            Reason.UNACCEPTED_VERSION,
            ["Azure Resource Manager", SCOPE],
        ),
        (v2_token(aud=GRAPH), Reason.WRONG_AUDIENCE, ["Microsoft Graph", SCOPE]),
        (
            v2_token(iss=ISSUER.replace(TENANT_ID, OTHER_ID), tid=OTHER_ID),
            Reason.WRONG_ISSUER,
            [OTHER_ID, TENANT_ID, "az login --tenant", "ADDITIONAL_TENANT_IDS"],
        ),
        (
            v2_token(iss=CLOUDS["usgov"].issuer(TENANT_ID, TokenVersion.V2)),
            Reason.WRONG_ISSUER,
            ["another cloud", "ENTRA_CLOUD=usgov", "public"],
        ),
        (
            v2_token(iss=ISSUER.replace(TENANT_ID, PERSONAL_ACCOUNTS), tid=PERSONAL_ACCOUNTS),
            Reason.WRONG_ISSUER,
            ["personal Microsoft account"],
        ),
        (v2_token(iss="https://x.b2clogin.com/v2.0"), Reason.WRONG_ISSUER, ["no tenant of Entra"]),
        (v2_token(iss=ISSUER + "/"), Reason.WRONG_ISSUER, ["to the letter"]),
        (v2_token(tid=OTHER_ID), Reason.WRONG_TENANT, [OTHER_ID, TENANT_ID]),
        (v2_token(TID=TENANT_ID), Reason.WRONG_TENANT, ["ENTRA_TENANT_ID"]),
        (
            v2_token(aud=APP_ID_URI),
            Reason.WRONG_AUDIENCE,
            ["App ID URI", "v1.0 tokens do", API_CLIENT_ID],
        ),
        (v2_token(aud=OTHER_ID), Reason.WRONG_AUDIENCE, [OTHER_ID, SCOPE, "ADDITIONAL_AUDIENCES"]),
        (v2_token(aud=[API_CLIENT_ID]), Reason.WRONG_AUDIENCE, ["one text"]),
        (v2_token(aud=API_CLIENT_ID.upper()), Reason.WRONG_AUDIENCE, ["differ in case"]),
        (v2_token(aud=CLIENT_ID), Reason.WRONG_AUDIENCE, ["a token for itself", SCOPE]),
        (
            v2_token(aud=CLIENT_ID, azp=None, nonce="n", name="x"),
            Reason.WRONG_AUDIENCE,
            ["ID token", SCOPE],
        ),
        (v2_token(azp=None, preferred_username="x"), Reason.MISSING_CLIENT, ["ID token", SCOPE]),
        (v2_token(oid=None), Reason.MISSING_SUBJECT, ["service principal", CLIENT_ID, "az ad sp"]),
        (v2_token(azpacr="0"), Reason.UNAUTHENTICATED_CLIENT, [CLIENT_ID, "certificate"]),
        (v2_token(idtyp=None, sub="x"), Reason.UNCLEAR_IDENTITY, ["idtyp", API_CLIENT_ID]),
        (v2_token(exp=NOW * 1000), Reason.MALFORMED_TIMES, ["exp", "milliseconds"]),
        (
            v2_token(exp=NOW - 7_260, iat=NOW - 9_000, nbf=NOW - 9_000),
            Reason.EXPIRED,
            ["ended 2 h 1 min ago"],
        ),
        (
            v2_token(exp=NOW - 90, iat=NOW - 3_690, nbf=NOW - 3_690),
            Reason.EXPIRED,
            ["1 min 30 s ago", "clock is ahead"],
        ),
        (v2_token(nbf=NOW + 600), Reason.NOT_YET_VALID, ["begins in 10 min", "differ by 1 min"]),
        (signed_token(kid="key-9"), Reason.UNKNOWN_KEY, ["key-9", "/discovery/v2.0/keys"]),
        (signed_token(key=private_key("key-2")), Reason.BAD_SIGNATURE, ["changed after"]),
        (
            signed_token(key=private_key("key-2"), nonce="n"),
            Reason.BAD_SIGNATURE,
            ["only Graph can", SCOPE],
        ),
        (
            v2_token(_claim_names={"roles": "src1"}),
            Reason.ROLES_ELSEWHERE,
            ["too many roles", API_CLIENT_ID],
        ),
        (v2_token(azp=OTHER_ID), Reason.UNKNOWN_CLIENT, [OTHER_ID, "ALLOWED_CLIENT_IDS"]),
        (
            v2_token(azp=OTHER_ID, oid=CLIENT_ID, sub=CLIENT_ID),
            Reason.UNKNOWN_CLIENT,
            [f"object ID {CLIENT_ID}", f"client ID {OTHER_ID} in its place"],
        ),
        (v2_token(**USER), Reason.DELEGATED_TOKEN, ["signed-in user", "DELEGATED_SCOPES", SCOPE]),
        (
            v2_token(roles=None),
            Reason.MISSING_ROLE,
            ["Records.Read or Records.Write", OBJECT_ID, CLIENT_ID, "cached for up to 24 hours"],
        ),
        (v2_token(roles=["records.read"]), Reason.MISSING_ROLE, ["records.read", "Records.Read"]),
        (v2_token(roles=["Other.Role"]), Reason.MISSING_ROLE, ["Other.Role", "mean nothing here"]),
        ("a.b", Reason.MALFORMED_TOKEN, ["2 parts"]),
        (signed_token() + "…", Reason.MALFORMED_TOKEN, ["cut"]),
        (signed_token().replace(".", ". "), Reason.MALFORMED_TOKEN, ["spaces or line breaks"]),
        (signed_token()[:-1] + "=", Reason.MALFORMED_TOKEN, ["no base64url"]),
        ("x" * 10_241, Reason.TOKEN_TOO_LONG, ["10,241", "groupMembershipClaims"]),
        (v2_token(groups=["g"] * 300), Reason.TOKEN_TOO_LONG, ["groupMembershipClaims"]),
        (signed_token(alg="HS256"), Reason.WRONG_ALGORITHM, ["HS256", "RS256"]),
        (signed_token(alg=None), Reason.WRONG_ALGORITHM, ["absent"]),
    ],
)
def test_when_a_mistake_was_made_then_the_fix_names_it(
    token: str, reason: Reason, named: list[str]
) -> None:
    """With the values that it is about."""
    fix = fix_of(token, reason)

    assert [] == [words for words in named if words not in fix]


def test_when_only_v1_is_accepted_then_a_v2_token_gets_the_reverse_advice() -> None:
    """The registration decides, whichever way round."""
    fix = fix_of(v2_token(), Reason.UNACCEPTED_VERSION, api=V1)

    assert "requestedAccessTokenVersion to 1 (or null)" in fix
    assert "add 2.0 to ACCEPTED_TOKEN_VERSIONS" in fix


def test_when_the_version_is_wrong_then_what_follows_from_it_says_so() -> None:
    """One cause, and one thing to change."""
    checks = {check.check: check for check in explain(v1_token()).checks}

    for name in ("iss", "aud", "azp"):
        assert (checks[name].fix or "").startswith("Follows from ver:")


def test_when_issuer_and_tenant_are_wrong_then_the_tenant_follows() -> None:
    """The same, for a token of another tenant."""
    token = v2_token(iss=ISSUER.replace(TENANT_ID, OTHER_ID), tid=OTHER_ID)
    checks = {check.check: check for check in explain(token).checks}

    assert (checks["tid"].fix or "").startswith("Follows from iss:")


@pytest.mark.parametrize(
    ("changes", "reason", "named"),
    [
        ({"scp": "other"}, Reason.MISSING_SCOPE, "Records.View"),
        ({"roles": ["Records.Write"]}, Reason.MISSING_ROLE, "do not lend"),
        ({"roles": None}, Reason.MISSING_ROLE, "to the user"),
    ],
)
def test_when_scopes_lend_roles_then_the_fix_is_about_the_user(
    changes: dict[str, Any], reason: Reason, named: str
) -> None:
    """And says nothing of managed identities."""
    token = v2_token(**(USER | changes))
    fix = fix_of(token, reason, lends={"Records.View": ["Records.Read"]})

    assert named in fix
    assert "managed identity's token" not in fix


def test_when_a_key_is_another_issuers_then_the_fix_names_ours() -> None:
    """A key set that serves several issuers binds each key to one."""
    foreign = signing_key(issuer=ISSUER.replace(TENANT_ID, OTHER_ID))
    keys = {TENANT_ID: StaticKeySet({KEY_ID: foreign})}
    explanation = explain_token(signed_token(), claim_contract(), keys, FakeClock(now=NOW), api=API)
    failure = explanation.first_failure

    assert failure is not None
    assert Reason.FOREIGN_KEY is failure.reason
    assert ISSUER in (failure.fix or "")
    assert not explanation.is_verified


def test_when_fixes_are_counted_then_there_are_these_many() -> None:
    """The table above is of no use if nothing is looked up in it."""
    assert 23 <= len(_ADVICE)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (90_061, "1 d 1 h"), (-5, "5 s")],
)
def test_when_a_duration_is_shown_then_in_its_two_largest_units(seconds: float, shown: str) -> None:
    """Nobody wants the seconds of a day."""
    assert shown == show_duration(seconds)
