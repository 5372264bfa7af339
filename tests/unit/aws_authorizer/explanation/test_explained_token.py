"""Explaining a token: the verifier's own checks, continued past the first that fails."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aws_authorizer.claim_checks import RULES, ClaimContract
from aws_authorizer.errors import AccessDenied, KeySetUnavailable, TokenRejected
from aws_authorizer.explanation.expectations import EXPECTED, HEADER_EXPECTED
from aws_authorizer.explanation.explained_checks import Check, CheckStatus, Explanation, Outcome
from aws_authorizer.explanation.explained_token import explain_token
from aws_authorizer.key_set import KeySource, StaticKeySet
from aws_authorizer.token import HEADER_CHECKS
from shared.contract import ApiIdentity
from shared.entra import TokenVersion
from shared.principal import Principal
from shared.reasons import Reason
from tests.support.explained_alike import RememberedKeys, assert_explained_alike
from tests.support.fake_clock import FakeClock
from tests.support.keys import ISSUER, KEY_ID, TENANT_ID, base64url, private_key, signing_key
from tests.support.tokens import (
    API,
    API_CLIENT_ID,
    APP_ID_URI,
    CLIENT_ID,
    NOW,
    OBJECT_ID,
    OTHER_ID,
    claim_contract,
    signed_bytes,
    signed_token,
    to_json,
    valid_claims,
    valid_v1_claims,
    verifier,
)

V2_ONLY = API._replace(token_versions=frozenset({TokenVersion.V2}))
V1_ONLY = API._replace(token_versions=frozenset({TokenVersion.V1}))
KEYS = StaticKeySet({KEY_ID: signing_key()})
NO_KEYS = RememberedKeys(KeySetUnavailable("unreachable"))


def explain(
    token: str,
    *,
    api: ApiIdentity = API,
    contract: ClaimContract | None = None,
    keys: KeySource = KEYS,
    now: float = NOW,
) -> Explanation:
    """The explanation, at the moment at which the good tokens are issued."""
    contract = contract or claim_contract(api=api)
    sources = dict.fromkeys(contract.tenant_ids, keys)
    return explain_token(token, contract, sources, FakeClock(now=now), api=api)


def failed(explanation: Explanation) -> list[str]:
    """The names of the checks that failed."""
    return [check.check for check in explanation.checks if check.status is CheckStatus.FAILED]


def check_of(explanation: Explanation, name: str) -> Check:
    """One check."""
    (check,) = (check for check in explanation.checks if check.check == name)
    return check


def said_by_verifier(token: str, contract: ClaimContract, keys: KeySource) -> Principal | Reason:
    """The caller, or why there is none."""
    try:
        return verifier(contract=contract, key_source=keys).verify(token)
    except (TokenRejected, AccessDenied, KeySetUnavailable) as refused:
        return refused.reason


# --- as the verifier ----------------------------------------------------------------------------

LIES: dict[str, list[Any]] = {
    "ver": [None, "1.0", "3.0", 2.0],
    "iss": [None, ISSUER + "/", ISSUER.replace(TENANT_ID, OTHER_ID), [ISSUER]],
    "tid": [None, OTHER_ID, [TENANT_ID]],
    "Tid": [TENANT_ID],
    "aud": [None, OTHER_ID, APP_ID_URI, [API_CLIENT_ID], "https://graph.microsoft.com"],
    "oid": [None, "x", 5, [OBJECT_ID]],
    "azp": [None, OTHER_ID, OBJECT_ID, [CLIENT_ID]],
    "appid": [CLIENT_ID, OTHER_ID, 5],
    "azpacr": [None, "0", 0],
    "appidacr": ["0", "1"],
    "sub": [None, 5, "pairwise"],
    "jti": ["x", {}],
    "roles": [None, [], ["Records.Write"], ["Other"], "Records.Read", [1], [["Records.Read"]]],
    "exp": [None, "soon", NOW - 61, NOW + 10**6, True, NOW - 3700],
    "nbf": [None, NOW + 61, NOW - 7200, "x"],
    "iat": [None, NOW + 61, 0],
    "idtyp": [None, "user", "app", "device", 5],
    "scp": ["Records.View", "other", "", 5],
    "_claim_names": [{}, {"roles": "src1"}, {"groups": "src1"}, "x"],
}
HEADER_LIES: dict[str, list[Any]] = {
    "alg": [None, "none", "HS256", 5],
    "typ": [None, "JWE", "at+jwt", 5],
    "kid": [None, "", "key-9", 5, "k" * 257],
    "crit": [["b64"]],
    "b64": [False],
    "enc": ["A256GCM"],
    "nonce": ["x"],
}


def lies(table: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """None of the lies, one, or several at once."""
    one = st.sampled_from([(name, value) for name, values in table.items() for value in values])
    return st.lists(one, max_size=3).map(dict)


@settings(max_examples=400, deadline=None)
@given(
    changes=lies(LIES),
    header_changes=lies(HEADER_LIES),
    is_v1=st.booleans(),
    api=st.sampled_from([API, V1_ONLY, V2_ONLY]),
    has_two_tenants=st.booleans(),
    lends=st.booleans(),
    signer=st.sampled_from([KEY_ID, "key-2"]),
    keys=st.sampled_from([KEYS, StaticKeySet({}), NO_KEYS]),
)
def test_when_a_token_lies_then_it_is_explained_as_it_is_verified(
    *,
    changes: dict[str, Any],
    header_changes: dict[str, Any],
    is_v1: bool,
    api: ApiIdentity,
    has_two_tenants: bool,
    lends: bool,
    signer: str,
    keys: KeySource,
) -> None:
    """The first check that fails has the verifier's reason; none fails where it returns."""
    contract = claim_contract(
        api=api,
        tenant_ids=(TENANT_ID, OTHER_ID) if has_two_tenants else (TENANT_ID,),
        delegated_scopes={"Records.View": ["Records.Read"]} if lends else None,
    )
    claims = (valid_v1_claims if is_v1 else valid_claims)(**changes)
    token = signed_token(claims, key=private_key(signer), **header_changes)

    explanation = explain(token, api=api, contract=contract, keys=keys)

    assert_explained_alike(explanation, said_by_verifier(token, contract, keys))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.lists(st.text("AQgw-_=. ", max_size=12)).map(".".join))
def test_when_text_is_arbitrary_then_it_is_explained_as_it_is_verified(text: str) -> None:
    """No text makes an explanation fail."""
    contract = claim_contract()

    assert_explained_alike(explain(text), said_by_verifier(text, contract, KEYS))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(LIES)), JSON_VALUES, max_size=4))
def test_when_claims_are_arbitrary_then_they_are_explained_as_they_are_verified(
    changes: dict[str, Any],
) -> None:
    """Nor does any value of any claim that is looked at."""
    token = signed_bytes(
        to_json({"alg": "RS256", "kid": KEY_ID}), json.dumps(valid_claims() | changes).encode()
    )

    assert_explained_alike(explain(token), said_by_verifier(token, claim_contract(), KEYS))


def test_when_a_row_or_a_header_check_is_added_then_it_must_say_what_it_expects() -> None:
    """Without words for it, the explanation would break at the first token."""
    assert {rule.claim for rule in RULES} == set(EXPECTED)
    assert set(HEADER_CHECKS) == set(HEADER_EXPECTED)


@pytest.mark.parametrize("claims", [valid_claims(), valid_v1_claims()], ids=["v2", "v1"])
def test_when_a_token_is_good_then_every_check_has_passed(claims: dict[str, object]) -> None:
    """All of them, each under a name of its own, and the token's own kind is named."""
    explanation = explain(signed_token(claims))
    names = [check.check for check in explanation.checks]

    assert {CheckStatus.PASSED} == {check.status for check in explanation.checks}
    assert len(set(names)) == len(names) >= 32
    assert claims["ver"] == explanation.closest.version
    assert Outcome.ALLOWED is explanation.outcome
    assert None is explanation.first_failure


# --- past the first failure ---------------------------------------------------------------------


def test_when_several_things_are_wrong_then_each_is_told() -> None:
    """An expired token of an unlisted caller without a role has three failures, in order."""
    claims = valid_claims(azp=OTHER_ID, roles=None, exp=NOW - 100, iat=NOW - 3700, nbf=NOW - 3700)

    explanation = explain(signed_token(claims, key=private_key("key-2")))

    assert ["validity", "signature", "client", "role"] == failed(explanation)
    assert (Outcome.REJECTED, Reason.EXPIRED) == (explanation.outcome, explanation.reason)
    assert not explanation.is_verified
    assert None is explanation.principal


def test_when_a_caller_is_only_denied_then_the_outcome_says_so() -> None:
    """403, and whom the token proves stays verified."""
    explanation = explain(signed_token(valid_claims(roles=None)))

    assert (Outcome.DENIED, Reason.MISSING_ROLE) == (explanation.outcome, explanation.reason)
    assert explanation.is_verified


def test_when_the_form_is_wrong_then_nothing_behind_it_is_reached() -> None:
    """What there is nothing to look at for is neither passed nor failed."""
    explanation = explain("a.b")

    assert ["form"] == failed(explanation)
    assert {CheckStatus.NOT_REACHED} == {check.status for check in explanation.checks[2:]}
    assert "needs form" == explanation.checks[2].found


def test_when_a_token_is_too_long_then_nothing_of_it_is_read() -> None:
    """Work is bounded as the verifier's is."""
    explanation = explain("." * 1_000_000)

    assert ["characters"] == failed(explanation)
    assert "1,000,000" == explanation.checks[0].found


def test_when_keys_cannot_be_had_then_the_signature_is_not_reached_and_the_rest_is() -> None:
    """It is undecided, and says so; what the claims say is explained all the same."""
    explanation = explain(signed_token(valid_claims(roles=None)), keys=NO_KEYS)

    assert (Outcome.UNDECIDED, Reason.KEY_SET_UNAVAILABLE) == (
        explanation.outcome,
        explanation.reason,
    )
    assert CheckStatus.NOT_REACHED is check_of(explanation, "signature").status
    assert not explanation.is_verified
    assert ["role"] == failed(explanation)
    assert "unreachable" in check_of(explanation, "key").found


def test_when_the_key_is_unknown_then_no_signature_was_checked() -> None:
    """Nothing says of it that it is bad."""
    explanation = explain(signed_token(kid="key-9"))

    assert ["key"] == failed(explanation)
    assert CheckStatus.NOT_REACHED is check_of(explanation, "signature").status


def test_when_another_tenant_issued_the_token_then_its_key_is_not_looked_for_in_ours() -> None:
    """That would say of a good token that its key is unknown."""
    claims = valid_claims(iss=ISSUER.replace(TENANT_ID, OTHER_ID), tid=OTHER_ID)

    explanation = explain(signed_token(claims, kid="key-9"))

    assert ["iss", "tid"] == failed(explanation)
    assert "needs tid" == check_of(explanation, "key").found


def test_when_several_kinds_are_accepted_then_the_closest_one_is_explained() -> None:
    """Both versions from two tenants: the one that the token gets furthest with."""
    contract = claim_contract(tenant_ids=(TENANT_ID, OTHER_ID))
    claims = valid_v1_claims(iss=f"https://sts.windows.net/{OTHER_ID}/", tid=OTHER_ID, aud="x")

    explanation = explain(signed_token(claims), contract=contract)

    assert ["aud", "key_issuer"] == failed(explanation)
    assert (TokenVersion.V1, OTHER_ID) == (
        explanation.closest.version,
        explanation.closest.tenant_id,
    )


def test_when_the_handler_is_imported_then_no_explanation_is() -> None:
    """A cold start pays nothing for it."""
    program = "import sys, aws_authorizer.handler; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "aws_authorizer.verifier" in loaded
    assert not [
        name
        for name in loaded
        if name.startswith("aws_authorizer.")
        and ("expla" in name or "fixes" in name or "shown" in name or "refused" in name)
    ]


# --- what is shown ------------------------------------------------------------------------------

HOSTILE = (
    "\x1b[31mred\x1b]0;title\x07",
    "[bold red]markup[/]",
    "two\nlines\r",
    "\u202eright to left",
    "\ud83d\ude00" * 500,
    "\x9bcsi",
    "x" * 5_000,
)


PERSONAL = (
    *("name", "preferred_username", "upn", "email", "unique_name", "family_name", "given_name"),
    *("ipaddr", "nonce", "uti", "rh", "aio", "jti"),
)


def texts_of(explanation: Explanation) -> list[str]:
    """Everything that a check says in words."""
    return [
        text
        for check in explanation.checks
        for text in (check.expected, check.found, check.fix or "")
    ]


@pytest.mark.parametrize("claim", ["ver", "iss", "tid", "aud", "azp", "roles", "scp", "idtyp"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_when_a_claim_is_hostile_then_what_is_shown_is_harmless(claim: str, hostile: str) -> None:
    """No control character, on one line, and short, in the table and in the fixes."""
    value: object = [hostile, "Records.Read"] if claim == "roles" else hostile

    texts = texts_of(explain(signed_token(valid_claims(**{claim: value}), kid="key-1")))

    assert all(text.isprintable() for text in texts)
    assert max(map(len, texts)) < 700


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"idtyp": "user", "scp": "View"},
        {"aud": OTHER_ID},
        {"exp": 1},
        {"sub": 5},
        {"azp": None},
    ],
)
def test_when_claims_are_personal_then_no_text_has_them(changes: dict[str, Any]) -> None:
    """Neither where all is well, nor where something is wrong; `oid` only of an application."""
    secret = "s3cret-person"
    claims = valid_claims(
        **dict.fromkeys(PERSONAL, secret)
        | {"sub": secret, "oid": "dddddddd-0000-4000-8000-00000000dead", "idtyp": None}
        | changes
    )
    token = signed_token(claims)

    shown = " ".join(texts_of(explain(token)))

    assert "s3cret" not in shown
    assert "dead" not in shown
    assert token.rpartition(".")[2] not in shown


def test_when_a_claim_holds_a_token_then_it_is_not_shown() -> None:
    """However it got there."""
    token = signed_token()

    shown = " ".join(texts_of(explain(signed_token(valid_claims(aud=token, azp=token)))))

    assert "eyJ" not in shown


@pytest.mark.parametrize(
    "claim", ["ver", "iss", "tid", "aud", "azp", "azpacr", "roles", "scp", "exp"]
)
@pytest.mark.parametrize(
    "value", ["alice@contoso.example", ["Records.Read", "x alice@contoso.example"]]
)
def test_when_a_claim_that_may_be_shown_holds_an_address_then_it_is_not_shown(
    claim: str, value: object
) -> None:
    """A person's name is one wherever the token has it."""
    explanation = explain(signed_token(valid_claims(**{claim: value})))

    assert not [text for text in texts_of(explanation) if "alice" in text]


def test_when_an_application_calls_then_its_object_id_is_shown() -> None:
    """It is what a role is assigned to."""
    assert OBJECT_ID == check_of(explain(signed_token()), "oid").found


def test_when_a_header_is_not_json_then_no_member_is_looked_at() -> None:
    """A token whose header is cut says so once."""
    explanation = explain(f"{base64url(b'{"alg":')}.{base64url(b'{}')}.AAAA")

    assert "header" == failed(explanation)[0]
    assert "needs header" == check_of(explanation, "kid").found
