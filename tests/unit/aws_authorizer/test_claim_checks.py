"""The claim contract."""

import itertools
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_authorizer.claim_checks import (
    EARLIEST_TIME,
    LATEST_TIME,
    MAX_LIFETIME_SECONDS,
    RULES,
    Rule,
    SignedClaims,
    build_claim_contract,
    check_access,
    check_identity,
    check_key_issuer,
    check_order,
    check_validity,
    parse_validity,
)
from aws_authorizer.errors import AccessDenied, TokenRejected
from shared.entra import CLOUDS, TokenVersion
from shared.principal import Principal
from shared.reasons import Reason
from tests.support.keys import ISSUER, TENANT_ID
from tests.support.tokens import (
    API,
    API_CLIENT_ID,
    APP_ID_URI,
    CLIENT_ID,
    LEEWAY,
    NOW,
    OBJECT_ID,
    OTHER_ID,
    claim_contract,
    valid_claims,
    valid_v1_claims,
)

CONTRACT = claim_contract()
REQUIRED = ("ver", "iss", "tid", "aud", "oid", "azp")
"""The claims that must be exactly what they are in a good token."""
TOKEN = check_identity(valid_claims(), CONTRACT)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


def identity_rejection(claims: dict[str, object]) -> Reason:
    """Why the identity is rejected."""
    with pytest.raises(TokenRejected) as caught:
        check_identity(claims, CONTRACT)
    return caught.value.reason


def access(claims: dict[str, object], **scopes: Collection[str]) -> Principal | Reason:
    """The caller, or why there is none; each scope lends these roles."""
    contract = claim_contract(delegated_scopes=scopes)
    token = check_identity(claims, contract)
    try:
        return check_access(SignedClaims(claims), token, contract)
    except (TokenRejected, AccessDenied) as refused:
        return refused.reason


def test_when_a_v2_token_is_good_then_it_is_what_v2_accepts() -> None:
    """`ver` and `iss` choose what the rest is compared with."""
    assert TokenVersion.V2 is check_identity(valid_claims(), CONTRACT).version


@pytest.mark.parametrize("audience", [APP_ID_URI, API_CLIENT_ID])
def test_when_a_v1_token_is_good_then_it_is_what_v1_accepts(audience: str) -> None:
    """A v1.0 token names the App ID URI or the client ID."""
    assert TokenVersion.V1 is check_identity(valid_v1_claims(aud=audience), CONTRACT).version


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ver": None}, Reason.UNACCEPTED_VERSION),
        ({"ver": "3.0"}, Reason.UNACCEPTED_VERSION),
        ({"ver": 2.0}, Reason.UNACCEPTED_VERSION),
        ({"ver": ["2.0"]}, Reason.UNACCEPTED_VERSION),
        ({"ver": "1.0"}, Reason.WRONG_ISSUER),
        ({"iss": None}, Reason.WRONG_ISSUER),
        ({"iss": ISSUER + "/"}, Reason.WRONG_ISSUER),
        ({"iss": ISSUER[:-1]}, Reason.WRONG_ISSUER),
        ({"iss": ISSUER.upper()}, Reason.WRONG_ISSUER),
        ({"iss": ISSUER.replace(TENANT_ID, OTHER_ID)}, Reason.WRONG_ISSUER),
        ({"iss": [ISSUER]}, Reason.WRONG_ISSUER),
        ({"iss": {"a": 1}}, Reason.WRONG_ISSUER),
        ({"iss": CLOUDS["usgov"].issuer(TENANT_ID, TokenVersion.V2)}, Reason.WRONG_ISSUER),
        ({"aud": None}, Reason.WRONG_AUDIENCE),
        ({"aud": ""}, Reason.WRONG_AUDIENCE),
        ({"aud": OTHER_ID}, Reason.WRONG_AUDIENCE),
        ({"aud": APP_ID_URI}, Reason.WRONG_AUDIENCE),
        ({"aud": API_CLIENT_ID.upper()}, Reason.WRONG_AUDIENCE),
        ({"aud": API_CLIENT_ID[:-1]}, Reason.WRONG_AUDIENCE),
        ({"aud": API_CLIENT_ID + " "}, Reason.WRONG_AUDIENCE),
        ({"aud": [API_CLIENT_ID]}, Reason.WRONG_AUDIENCE),
        ({"aud": [API_CLIENT_ID, OTHER_ID]}, Reason.WRONG_AUDIENCE),
        ({"aud": {API_CLIENT_ID: 1}}, Reason.WRONG_AUDIENCE),
        ({"tid": None}, Reason.WRONG_TENANT),
        ({"tid": OTHER_ID}, Reason.WRONG_TENANT),
        ({"tid": TENANT_ID.upper() + "x"}, Reason.WRONG_TENANT),
        ({"tid": [TENANT_ID]}, Reason.WRONG_TENANT),
        ({"Tid": TENANT_ID}, Reason.WRONG_TENANT),
        ({"TID": OTHER_ID}, Reason.WRONG_TENANT),
        ({"oid": None}, Reason.MISSING_SUBJECT),
        ({"oid": "not a guid"}, Reason.MISSING_SUBJECT),
        ({"oid": OBJECT_ID.upper()}, Reason.MISSING_SUBJECT),
        ({"oid": OBJECT_ID + "\n"}, Reason.MISSING_SUBJECT),
        ({"oid": [OBJECT_ID]}, Reason.MISSING_SUBJECT),
        ({"oid": 5}, Reason.MISSING_SUBJECT),
        ({"azp": None}, Reason.MISSING_CLIENT),
        ({"azp": None, "appid": CLIENT_ID}, Reason.MISSING_CLIENT),
        ({"azp": [CLIENT_ID]}, Reason.MISSING_CLIENT),
        ({"azp": "*"}, Reason.MISSING_CLIENT),
        ({"roles": "Records.Read"}, Reason.MALFORMED_ROLES),
        ({"roles": {"Records.Read": True}}, Reason.MALFORMED_ROLES),
        ({"roles": ["Records.Read", 1]}, Reason.MALFORMED_ROLES),
        ({"roles": [["Records.Read"]]}, Reason.MALFORMED_ROLES),
        ({"roles": [None]}, Reason.MALFORMED_ROLES),
    ],
)
def test_when_one_claim_lies_then_it_is_the_reason(
    changes: dict[str, object], reason: Reason
) -> None:
    """Every row of the table, with each way of missing it."""
    assert reason == identity_rejection(valid_claims(**changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": ISSUER}, Reason.WRONG_ISSUER),
        ({"iss": f"https://sts.windows.net/{TENANT_ID}"}, Reason.WRONG_ISSUER),
        ({"aud": APP_ID_URI + "/"}, Reason.WRONG_AUDIENCE),
        ({"appid": None}, Reason.MISSING_CLIENT),
        ({"appid": None, "azp": CLIENT_ID}, Reason.MISSING_CLIENT),
        ({"tid": OTHER_ID}, Reason.WRONG_TENANT),
    ],
)
def test_when_one_v1_claim_lies_then_it_is_the_reason(
    changes: dict[str, object], reason: Reason
) -> None:
    """The v1.0 column of the table."""
    assert reason == identity_rejection(valid_v1_claims(**changes))


def test_when_roles_are_null_then_they_are_malformed() -> None:
    """A null is no array, and no absence either."""
    assert Reason.MALFORMED_ROLES == identity_rejection(valid_claims() | {"roles": None})


@pytest.mark.parametrize(
    "claim", sorted({"".join(letters) for letters in itertools.product("tT", "iI", "dD")} - {"tid"})
)
def test_when_the_tenant_is_spelled_twice_then_it_is_the_wrong_one(claim: str) -> None:
    """In any other case, even where both say the same."""
    assert Reason.WRONG_TENANT == identity_rejection(valid_claims(**{claim: TENANT_ID}))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.claim}-{rule.versions[0]}")
def test_when_a_row_of_the_table_is_violated_then_its_reason_is_given(
    rule: Rule,
) -> None:
    """Every declared row bites: what its claim may not be makes its reason come out."""
    claims = valid_claims() if TokenVersion.V2 in rule.versions else valid_v1_claims()
    refused = "0" if rule.reason is Reason.UNAUTHENTICATED_CLIENT else 17

    assert rule.reason == identity_rejection(claims | {rule.claim: refused})


@given(
    st.sampled_from(
        [
            rule.claim
            for rule in RULES
            if TokenVersion.V2 in rule.versions and rule.claim in REQUIRED
        ]
    ),
    JSON_VALUES,
)
def test_when_a_claim_is_arbitrary_then_it_passes_only_unchanged(claim: str, value: object) -> None:
    """No value of any claim raises anything but TokenRejected, and no other value is accepted."""
    claims = valid_claims() | {claim: value}
    try:
        check_identity(claims, CONTRACT)
    except TokenRejected:
        return

    assert valid_claims()[claim] == value


def test_when_one_version_is_accepted_then_the_other_is_not() -> None:
    """A version that is not configured is refused, whatever else is right."""
    contract = build_claim_contract([TOKEN], client_ids={CLIENT_ID}, roles={"Records.Read"})

    with pytest.raises(TokenRejected) as caught:
        check_identity(valid_v1_claims(), contract)

    assert Reason.UNACCEPTED_VERSION == caught.value.reason


def test_when_a_further_tenant_is_configured_then_issuer_and_tenant_must_agree() -> None:
    """Two accepted tenants do not vouch for each other."""
    contract = claim_contract(tenant_ids=(TENANT_ID, OTHER_ID))
    other_issuer = ISSUER.replace(TENANT_ID, OTHER_ID)

    assert (
        OTHER_ID == check_identity(valid_claims(iss=other_issuer, tid=OTHER_ID), contract).tenant_id
    )
    with pytest.raises(TokenRejected):
        check_identity(valid_claims(iss=other_issuer), contract)


@pytest.mark.parametrize(
    "part",
    [
        {"client_ids": {""}},
        {"client_ids": {CLIENT_ID, " "}},
        {"roles": {""}},
        {"roles": {"Records.Read", ""}},
        {"roles": {"Records.Read", "\t"}},
        {"tokens": [TOKEN._replace(audiences=("",))]},
        {"delegated_scopes": {"": ["Records.Read"]}},
        {"delegated_scopes": {"view": []}},
        {"delegated_scopes": {"view": [""]}},
    ],
)
def test_when_a_name_in_the_contract_is_empty_then_it_is_no_contract(
    part: dict[str, Any],
) -> None:
    """An empty name is one that a token could say as well."""
    whole = {"tokens": [TOKEN], "client_ids": {CLIENT_ID}, "roles": {"Records.Read"}}
    with pytest.raises(ValueError, match="empty"):
        build_claim_contract(**(whole | part))


def test_when_a_scope_lends_an_unknown_role_then_it_is_no_contract() -> None:
    """A mistyped role would lend nothing, and nobody would notice."""
    with pytest.raises(ValueError, match="unknown role"):
        claim_contract(delegated_scopes={"view": ["Records.Reed"]})


@pytest.mark.parametrize("empty", ["tokens", "client_ids", "roles", "audiences"])
def test_when_a_part_of_the_contract_is_empty_then_it_is_no_contract(empty: str) -> None:
    """An empty list admits nobody, or is read as admitting everybody."""
    token = TOKEN
    if empty == "audiences":
        token = TOKEN._replace(audiences=())
    client_ids = () if empty == "client_ids" else (CLIENT_ID,)
    roles = () if empty == "roles" else ("Records.Read",)

    with pytest.raises(ValueError, match="empty"):
        build_claim_contract(
            [] if empty == "tokens" else [token], client_ids=client_ids, roles=roles
        )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sub": 5}, Reason.MALFORMED_CLAIMS),
        ({"sub": [OBJECT_ID]}, Reason.MALFORMED_CLAIMS),
        ({"sub": False}, Reason.MALFORMED_CLAIMS),
        ({"jti": 5}, Reason.MALFORMED_CLAIMS),
        ({"jti": {}}, Reason.MALFORMED_CLAIMS),
        ({"appid": OTHER_ID}, Reason.CONFLICTING_CLIENT),
        ({"azp": OTHER_ID, "appid": CLIENT_ID}, Reason.CONFLICTING_CLIENT),
        ({"appid": CLIENT_ID.upper()}, Reason.CONFLICTING_CLIENT),
        ({"appid": [CLIENT_ID]}, Reason.CONFLICTING_CLIENT),
        ({"appid": ""}, Reason.CONFLICTING_CLIENT),
        ({"azpacr": "0"}, Reason.UNAUTHENTICATED_CLIENT),
        ({"azpacr": 0}, Reason.UNAUTHENTICATED_CLIENT),
        ({"azpacr": ""}, Reason.UNAUTHENTICATED_CLIENT),
        ({"azpacr": "0", "idtyp": None}, Reason.UNAUTHENTICATED_CLIENT),
        ({"azpacr": 0.0}, Reason.UNAUTHENTICATED_CLIENT),
        ({"azpacr": False}, Reason.UNAUTHENTICATED_CLIENT),
        ({"azpacr": ["0"]}, Reason.UNAUTHENTICATED_CLIENT),
        ({"azpacr": {}}, Reason.UNAUTHENTICATED_CLIENT),
        ({"appidacr": "0"}, Reason.UNAUTHENTICATED_CLIENT),
        ({"azpacr": None, "appidacr": "0"}, Reason.UNAUTHENTICATED_CLIENT),
    ],
)
def test_when_a_claim_is_not_what_it_must_be_then_the_reason_says_which(
    changes: dict[str, object], reason: Reason
) -> None:
    """Types that Entra ID never writes, and a second caller."""
    assert reason == identity_rejection(valid_claims(**changes))


@pytest.mark.parametrize("claim", ["sub", "jti", "appid"])
def test_when_such_a_claim_is_null_then_it_is_not_absent(claim: str) -> None:
    """Null is neither a string nor the calling application."""
    assert identity_rejection(valid_claims() | {claim: None})


def test_when_a_v1_token_names_another_client_too_then_it_is_refused() -> None:
    """The same the other way round: `azp` beside `appid`."""
    assert Reason.CONFLICTING_CLIENT == identity_rejection(valid_v1_claims(azp=OTHER_ID))


@pytest.mark.parametrize("changes", [{"appid": CLIENT_ID}, {"jti": "x"}, {"sub": None}])
def test_when_such_a_claim_is_harmless_then_the_token_is_accepted(
    changes: dict[str, object],
) -> None:
    """The same client twice, a string, and no claim at all."""
    assert TOKEN == check_identity(valid_claims(**changes), CONTRACT)


# --- times --------------------------------------------------------------------------------------


def test_when_bounds_are_declared_then_they_are_these() -> None:
    """The other tests take them from the code, so one says what they are."""
    assert datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC).timestamp() == EARLIEST_TIME
    assert datetime(3000, 1, 1, tzinfo=UTC).timestamp() == LATEST_TIME
    assert 2 * 24 * 60 * 60 == MAX_LIFETIME_SECONDS
    contract = build_claim_contract([TOKEN], client_ids={CLIENT_ID}, roles={"Records.Read"})
    assert 60 == contract.leeway


@pytest.mark.parametrize("moment", [EARLIEST_TIME, LATEST_TIME - 1])
def test_when_a_time_is_at_a_bound_then_it_is_sane(moment: int) -> None:
    """The first moment is in, and the last before the other bound."""
    claims = valid_claims(iat=moment, nbf=moment, exp=moment)

    assert (moment - LEEWAY, moment + LEEWAY) == parse_validity(claims, LEEWAY)


@pytest.mark.parametrize(
    ("changes", "validity"),
    [
        ({}, (NOW - LEEWAY, NOW + 3600 + LEEWAY)),
        ({"nbf": NOW - 300}, (NOW - LEEWAY, NOW + 3600 + LEEWAY)),
        ({"iat": NOW - 300}, (NOW - LEEWAY, NOW + 3600 + LEEWAY)),
        ({"nbf": None}, (NOW - LEEWAY, NOW + 3600 + LEEWAY)),
        ({"iat": None}, (NOW - LEEWAY, NOW + 3600 + LEEWAY)),
        ({"exp": NOW + 0.5}, (NOW - LEEWAY, NOW + 0.5 + LEEWAY)),
        ({"exp": NOW + MAX_LIFETIME_SECONDS}, (NOW - LEEWAY, NOW + MAX_LIFETIME_SECONDS + LEEWAY)),
    ],
)
def test_when_times_are_sane_then_the_token_is_good_between_them(
    changes: dict[str, object], validity: tuple[float, float]
) -> None:
    """From the later of `nbf` and `iat` to `exp`, with the leeway on both sides."""
    assert validity == parse_validity(valid_claims(**changes), LEEWAY)


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [True, False, "1700000000", "\uff11" * 10, None, [NOW], {}, 0, -1, -NOW, NOW * 1000,
     EARLIEST_TIME - 1, LATEST_TIME, 10**400, float("inf"), float("nan")],
)  # fmt: skip
def test_when_a_time_is_no_sane_number_then_it_is_malformed(claim: str, value: object) -> None:
    """Only a JSON number of a date in our time is one (RFC 7519 section 2)."""
    with pytest.raises(TokenRejected) as caught:
        parse_validity(valid_claims() | {claim: value}, LEEWAY)

    assert Reason.MALFORMED_TIMES == caught.value.reason


@pytest.mark.parametrize("missing", [("exp",), ("iat", "nbf")])
def test_when_required_times_are_missing_then_they_are_malformed(missing: tuple[str, ...]) -> None:
    """Without an end, or without any beginning."""
    with pytest.raises(TokenRejected) as caught:
        parse_validity(valid_claims(**dict.fromkeys(missing)), LEEWAY)

    assert Reason.MALFORMED_TIMES == caught.value.reason


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_when_a_token_ends_before_it_begins_then_its_times_are_malformed(claim: str) -> None:
    """Even where the leeway would let it live; on the same second it is merely useless."""
    claims = valid_claims(exp=NOW + 10) | {claim: NOW + 10}
    check_order(claims)

    with pytest.raises(TokenRejected) as caught:
        check_order(claims | {claim: NOW + 11})
    assert Reason.MALFORMED_TIMES == caught.value.reason


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_when_a_token_lives_too_long_then_it_is_refused(claim: str) -> None:
    """Counted from the earlier beginning; one second over the bound."""
    claims = valid_claims() | {claim: NOW - 1, "exp": NOW + MAX_LIFETIME_SECONDS}

    with pytest.raises(TokenRejected) as caught:
        parse_validity(claims, LEEWAY)

    assert Reason.LIFETIME_TOO_LONG == caught.value.reason


def test_when_now_is_at_the_edges_then_the_beginning_is_in_and_the_end_is_out() -> None:
    """RFC 7519: on or after `exp` is too late; on `nbf` is not too early."""
    check_validity(100.0, 200.0, 100.0)
    check_validity(100.0, 200.0, 199.999)
    for now, reason in ((99.999, Reason.NOT_YET_VALID), (200.0, Reason.EXPIRED)):
        with pytest.raises(TokenRejected) as caught:
            check_validity(100.0, 200.0, now)

        assert reason == caught.value.reason


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key_issuer",
    [
        None,
        ISSUER,
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        "https://login.microsoftonline.com/{TenantId}/v2.0",
    ],
)
@pytest.mark.parametrize("claims", [valid_claims(), valid_v1_claims()], ids=["v2", "v1"])
def test_when_a_key_belongs_to_the_issuer_then_it_may_sign(
    key_issuer: str | None, claims: dict[str, object]
) -> None:
    """By name, by template, or where the key set does not say. v1.0 tokens count as their v2.0."""
    check_key_issuer(key_issuer, check_identity(claims, CONTRACT))


@pytest.mark.parametrize(
    "key_issuer",
    [
        "",
        ISSUER.replace(TENANT_ID, OTHER_ID),
        ISSUER.replace(TENANT_ID, "9188040d-6c67-4c5b-b112-36a304b66dad"),
        "https://login.microsoftonline.us/{tenantid}/v2.0",
        "https://sts.windows.net/{tenantid}/",
        "{tenantid}",
        ISSUER + "{tenantid}",
    ],
)
@pytest.mark.parametrize("claims", [valid_claims(), valid_v1_claims()], ids=["v2", "v1"])
def test_when_a_key_belongs_elsewhere_then_it_may_not_sign(
    key_issuer: str, claims: dict[str, object]
) -> None:
    """A key of another tenant or cloud vouches for nothing here."""
    with pytest.raises(TokenRejected) as caught:
        check_key_issuer(key_issuer, check_identity(claims, CONTRACT))

    assert Reason.FOREIGN_KEY == caught.value.reason


def test_when_a_key_issuer_has_no_placeholder_then_no_tenant_is_put_in() -> None:
    """Or an issuer's beginning would vouch for whatever tenant ends it."""
    token = TOKEN._replace(key_issuer=f"https://issuer.example/{TENANT_ID}")

    check_key_issuer("https://issuer.example/{tenantid}", token)
    with pytest.raises(TokenRejected):
        check_key_issuer("https://issuer.example/", token)


# --- access -------------------------------------------------------------------------------------


def test_when_everything_is_right_then_the_caller_is_proven() -> None:
    """The principal holds the roles that the API knows and nothing else of the token."""
    claims = valid_claims(roles=["Records.Read", "Other.Role", "Records.Read", "*"])

    assert Principal(
        OBJECT_ID, TENANT_ID, CLIENT_ID, frozenset({"Records.Read"}), "Zx9-_token-id"
    ) == access(claims)


def test_when_a_v1_token_is_right_then_its_appid_is_the_client() -> None:
    """Version 1.0 has no `azp`."""
    caller = access(valid_v1_claims())

    assert isinstance(caller, Principal)
    assert CLIENT_ID == caller.client_id


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"azp": OTHER_ID}, Reason.UNKNOWN_CLIENT),
        ({"roles": None}, Reason.MISSING_ROLE),
        ({"roles": []}, Reason.MISSING_ROLE),
        ({"roles": ["records.read"]}, Reason.MISSING_ROLE),
        ({"roles": ["Records.Read Records.Write"]}, Reason.MISSING_ROLE),
        ({"roles": None, "idtyp": None}, Reason.MISSING_ROLE),
        ({"idtyp": "app", "scp": "access"}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": "app", "scp": ""}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": "user"}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": "device"}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": "device", "scp": "access"}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": "users", "scp": "access"}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": ["user"], "scp": "access"}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": ["app"]}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": None, "sub": OTHER_ID}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": None, "sub": None}, Reason.UNCLEAR_IDENTITY),
        ({"idtyp": None, "scp": "access"}, Reason.DELEGATED_TOKEN),
        ({"idtyp": "user", "scp": "access"}, Reason.DELEGATED_TOKEN),
        ({"_claim_names": {"roles": "src1"}}, Reason.ROLES_ELSEWHERE),
        ({"_claim_names": ["roles"]}, Reason.ROLES_ELSEWHERE),
        ({"_claim_names": ["groups"]}, Reason.ROLES_ELSEWHERE),
        ({"_claim_names": 5}, Reason.ROLES_ELSEWHERE),
        ({"roles": None, "_claim_names": {"roles": "src1"}}, Reason.ROLES_ELSEWHERE),
    ],
)
def test_when_a_proven_caller_may_not_enter_then_the_reason_says_why(
    changes: dict[str, object], reason: Reason
) -> None:
    """Who calls, on whose behalf, with which application and which role."""
    assert reason == access(valid_claims(**changes))


@pytest.mark.parametrize("changes", [{}, {"scp": "access", "sub": "pairwise"}])
def test_when_idtyp_is_null_then_the_identity_is_unclear(changes: dict[str, object]) -> None:
    """Null is not absent: whoever wrote it meant something, and nobody knows what."""
    assert Reason.UNCLEAR_IDENTITY == access(valid_claims(**changes) | {"idtyp": None})


@pytest.mark.parametrize("claim", ["azpacr", "appidacr"])
def test_when_how_the_client_authenticated_is_null_then_nothing_proves_it(claim: str) -> None:
    """Null is not absent, and in v1.0 the other version's claim counts as well."""
    claims = valid_v1_claims() | {claim: None}

    assert Reason.UNAUTHENTICATED_CLIENT == identity_rejection(claims)


@pytest.mark.parametrize("value", ["1", "2", None])
def test_when_the_client_has_proved_itself_or_does_not_say_then_it_may_enter(value: object) -> None:
    """Of the strings, only `0` says that the client proved nothing."""
    assert isinstance(access(valid_claims(azpacr=value)), Principal)


def test_when_a_user_signs_in_with_a_public_client_then_that_is_no_reason_to_refuse() -> None:
    """A command line on a laptop has no credential of its own; the user has proved who they are."""
    claims = valid_claims(idtyp="user", scp="access", sub="pairwise", azpacr="0")

    assert isinstance(access(claims, access=["Records.Read"]), Principal)


def test_when_the_token_does_not_say_idtyp_then_its_subject_tells() -> None:
    """Without the optional claim, subject and object agree in an application's own token alone."""
    assert isinstance(access(valid_claims(idtyp=None)), Principal)


def test_when_groups_are_elsewhere_then_roles_decide() -> None:
    """A group overage says nothing about groups, and groups decide nothing."""
    overage = {"groups": "src1"}

    assert isinstance(access(valid_claims(_claim_names=overage)), Principal)
    assert Reason.MISSING_ROLE == access(valid_claims(_claim_names=overage, roles=None))


def test_when_roles_are_elsewhere_then_they_are_unknown() -> None:
    """Unknown is not none: the token is not taken for one without roles."""
    assert Reason.ROLES_ELSEWHERE == access(valid_claims(_claim_names={"roles": "src1"}))


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("access", None),
        ("other access", None),
        ("other", Reason.MISSING_SCOPE),
        ("accessx", Reason.MISSING_SCOPE),
        ("ACCESS", Reason.MISSING_SCOPE),
        ("", Reason.MISSING_SCOPE),
        (["access"], Reason.MISSING_SCOPE),
        ("access\tx", Reason.MISSING_SCOPE),
    ],
)
def test_when_delegated_tokens_are_accepted_then_one_of_the_scopes_must_be_there(
    scopes: object, expected: Reason | None
) -> None:
    """By explicit choice alone, by a whole word, and with roles and client as ever."""
    claims = valid_claims(idtyp="user", scp=scopes, sub="pairwise")
    outcome = access(claims, access=["Records.Read"], another=["Records.Read"])

    assert expected == (None if isinstance(outcome, Principal) else outcome)


def test_when_delegated_tokens_are_accepted_then_application_tokens_still_are() -> None:
    """The choice adds; it takes nothing away."""
    assert isinstance(access(valid_claims(), access=["Records.Read"]), Principal)


@pytest.mark.parametrize(
    ("scopes", "roles", "granted"),
    [
        ("view", ["Records.Read", "Records.Write"], {"Records.Read"}),
        ("edit", ["Records.Read", "Records.Write"], {"Records.Write"}),
        ("view edit", ["Records.Read", "Records.Write"], {"Records.Read", "Records.Write"}),
        ("all", ["Records.Read"], {"Records.Read"}),
        ("view unknown", ["Records.Read", "Records.Write"], {"Records.Read"}),
        ("edit", ["Records.Read"], Reason.MISSING_ROLE),
        ("all", [], Reason.MISSING_ROLE),
        ("unknown", ["Records.Read"], Reason.MISSING_SCOPE),
    ],
)
def test_when_a_scope_lends_roles_then_the_application_gets_no_others(
    scopes: str, roles: list[str], granted: set[str] | Reason
) -> None:
    """Of what the user may do, only what the contract says that the scope lends."""
    claims = valid_claims(idtyp="user", scp=scopes, sub="pairwise", roles=roles)
    outcome = access(
        claims, view=["Records.Read"], edit=["Records.Write"], all=["Records.Read", "Records.Write"]
    )

    assert granted == (outcome.roles if isinstance(outcome, Principal) else outcome)


def test_when_the_token_id_is_as_long_as_may_be_then_it_is_kept() -> None:
    """Entra ID's have 22 characters; the bound itself is allowed."""
    caller = access(valid_claims(uti="a" * 64))

    assert isinstance(caller, Principal)
    assert "a" * 64 == caller.token_id


@pytest.mark.parametrize("token_id", [None, "", "a" * 65, "a b", "a\n", "ä", 5, ["a"]])
def test_when_the_token_id_is_odd_then_it_is_left_out(token_id: object) -> None:
    """It is for our log alone, so an odd one is no reason to refuse."""
    caller = access(valid_claims(uti=token_id))

    assert isinstance(caller, Principal)
    assert "" == caller.token_id


def test_when_the_api_is_in_another_cloud_then_its_issuers_count() -> None:
    """A cloud is chosen by name, and its tokens are good nowhere else."""
    china = CLOUDS["china"]
    api = API.__class__(china, TENANT_ID, API.client_id, API.app_id_uri, frozenset(TokenVersion))
    contract = claim_contract(api=api)
    claims = valid_claims(iss=f"https://login.partner.microsoftonline.cn/{TENANT_ID}/v2.0")

    assert china.issuer(TENANT_ID, TokenVersion.V2) == check_identity(claims, contract).issuer
    with pytest.raises(TokenRejected):
        check_identity(valid_claims(), contract)
