"""Whom App Service has signed in, and headers that say so in no way that can be trusted."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.errors import RequestRefused
from azure_function_app.proxy.signed_in_caller import (
    MAX_PRINCIPAL_BYTES,
    SignedInCaller,
    parse_signed_in_caller,
)
from tests.support.easy_auth import (
    IDENTITY,
    ISSUER,
    OBJECT_ID,
    ROLE_TYPE,
    SCHEMA,
    TENANT_ID,
    encode,
    principal,
    roles,
    signed_in,
    without,
)
from tests.support.work import growth_of

STS = f"https://sts.windows.net/{TENANT_ID}/"
OTHER_TENANT = "99999999-2222-4333-8444-555555555555"


def parse(headers: dict[str, str]) -> SignedInCaller:
    """The caller."""
    return parse_signed_in_caller(headers, {ISSUER, STS})


def refused(headers: dict[str, str]) -> str:
    """The message of a refusal with 401."""
    with pytest.raises(RequestRefused) as caught:
        parse(headers)
    assert "request_caller_unknown" == caught.value.code
    return str(caught.value)


def test_when_a_member_is_signed_in_then_it_is_known_who() -> None:
    """Tenant, object ID and roles, under the long names of App Service's mapping."""
    caller = parse(signed_in("Records.Read", "Other"))

    assert (
        SignedInCaller(OBJECT_ID, TENANT_ID, frozenset({"Records.Read", "Other"}), is_guest=False)
        == caller
    )


def test_when_claims_have_their_short_names_then_they_mean_the_same() -> None:
    """Not every token goes through the mapping."""
    claims = [("oid", OBJECT_ID), ("tid", TENANT_ID), (ROLE_TYPE, "A"), ("roles", "B")]

    assert SignedInCaller(OBJECT_ID, TENANT_ID, frozenset({"A", "B"}), is_guest=False) == parse(
        {"x-ms-client-principal": encode(principal(claims))}
    )


@pytest.mark.parametrize("headers", [{}, {"x-ms-client-principal": ""}])
def test_when_nobody_is_signed_in_then_the_caller_is_told_to(headers: dict[str, str]) -> None:
    """The other headers say nothing without that one."""
    assert "Sign in first." == refused({"x-ms-client-principal-id": OBJECT_ID} | headers)


@pytest.mark.parametrize("provider", ["google", "AAD", "", "aad,aad", "facebook"])
def test_when_the_identity_provider_is_another_then_the_caller_is_unknown(provider: str) -> None:
    """Roles and tenants are Entra ID's; another provider's claims could say anything."""
    refused(signed_in("Records.Read") | {"x-ms-client-principal-idp": provider})
    refused({"x-ms-client-principal": encode(principal(IDENTITY, auth_typ=provider))})


GOOD = principal([*IDENTITY, *roles("Records.Read")])


def _doubled(name: str, value: str) -> dict[str, object]:
    return principal([*IDENTITY, (name, value)])


@pytest.mark.parametrize(
    "document",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"[" * 40_000,
        b'{"a":' * 8_000,
        b"1" * 40_000,
        {},
        {**GOOD, "claims": None},
        {**GOOD, "claims": {}},
        {**GOOD, "claims": "roles"},
        {**GOOD, "claims": []},
        {**GOOD, "claims": ["roles"]},
        {**GOOD, "claims": [{"typ": "roles"}]},
        {**GOOD, "claims": [{"typ": "roles", "val": ["Records.Read"]}]},
        {**GOOD, "claims": [{"typ": None, "val": "x"}]},
        {**GOOD, "auth_typ": None},
        {**GOOD, "auth_typ": ["aad"]},
        {name: value for name, value in GOOD.items() if name != "auth_typ"},
        json.dumps(GOOD).encode()[:-1],
        json.dumps(GOOD).encode() + b" {}",
        json.dumps(GOOD)[:-1].encode() + b',"claims":[]}',
        json.dumps(GOOD)[:-1].encode() + b',"auth_typ":"aad"}',
        json.dumps(GOOD)[:-1].encode() + b',"x":NaN}',
        principal(without(IDENTITY, f"{SCHEMA}tenantid")),
        principal(without(IDENTITY, f"{SCHEMA}objectidentifier")),
        principal([*without(IDENTITY, f"{SCHEMA}tenantid"), ("tid", "common")]),
        principal([*without(IDENTITY, f"{SCHEMA}tenantid"), ("TID", TENANT_ID)]),
        principal([*without(IDENTITY, f"{SCHEMA}objectidentifier"), ("oid", "ann@example.org")]),
        _doubled("tid", TENANT_ID),
        _doubled("tid", OTHER_TENANT),
        _doubled(f"{SCHEMA}tenantid", TENANT_ID),
        _doubled("oid", OBJECT_ID),
        _doubled("iss", ISSUER),
        principal([*IDENTITY, ("acct", "0"), ("acct", "1")]),
        principal([*IDENTITY, ("idp", ISSUER), (f"{SCHEMA}identityprovider", "live.com")]),
    ],
)
def test_when_the_header_is_not_as_it_should_be_then_the_caller_is_unknown(
    document: object,
) -> None:
    """One lie each; what is wrong with it is told to nobody."""
    message = refused({"x-ms-client-principal": encode(document)})

    assert "What App Service says of the caller cannot be read." == message


@pytest.mark.parametrize(
    "bend",
    [
        lambda header: header.rstrip("="),
        lambda header: header + "=",
        lambda header: header + "\n",
        lambda header: " " + header,
        lambda header: header[:40] + " " + header[40:],
        lambda header: f"{header},{header}",
        lambda header: header + header,
        lambda header: header[:-2] + chr(ord(header[-2]) + 1) + "=",
        lambda header: header.replace("e", "é", 1),
        lambda header: header + "A" * MAX_PRINCIPAL_BYTES,
    ],
)
def test_when_the_header_is_spelled_in_another_way_then_the_caller_is_unknown(
    bend: object,
) -> None:
    """Only the one spelling that App Service writes; a repeated header is none either."""
    # One that ends in one padding character, so that every bend changes it.
    header = next(
        text
        for blanks in range(3)
        if (text := encode(json.dumps(GOOD).encode() + b" " * blanks)).rstrip("=") + "=" == text
    )

    parse({"x-ms-client-principal": header})
    refused({"x-ms-client-principal": bend(header)})  # type: ignore[operator] # one of the above


def test_when_the_alphabet_is_the_urls_then_the_caller_is_unknown() -> None:
    """App Service writes the standard one."""
    document = json.dumps(principal([*IDENTITY, ("name", "??>>~~")])).encode()
    header = base64.urlsafe_b64encode(document).decode()

    assert "_" in header or "-" in header
    refused({"x-ms-client-principal": header})


@pytest.mark.parametrize(
    ("claims", "is_guest"),
    [
        ([], False),
        ([("idp", ISSUER)], False),
        ([("idp", STS)], False),
        ([(f"{SCHEMA}identityprovider", STS)], False),
        ([(f"{SCHEMA}identityprovider", f"https://sts.windows.net/{OTHER_TENANT}/")], True),
        ([("idp", "live.com")], True),
        ([("idp", f"https://evil.example/{TENANT_ID}/")], True),
        ([("acct", "0")], False),
        ([("acct", "1")], True),
        ([("acct", "2")], True),
        ([("acct", "1"), ("idp", ISSUER)], True),
        ([("acct", "0"), ("idp", "live.com")], False),
    ],
)
def test_when_claims_say_where_an_account_lives_then_a_guest_is_known(
    claims: list[tuple[str, str]], *, is_guest: bool
) -> None:
    """`acct` decides where it is there; else the identity provider does."""
    assert is_guest == parse(signed_in(claims=[*IDENTITY, *claims])).is_guest


def test_when_the_header_names_another_role_claim_then_that_gives_no_role() -> None:
    """Else somebody's chosen name could be a role."""
    document = principal([*IDENTITY, ("name", "Records.Write")], role_typ="name")

    assert frozenset() == parse({"x-ms-client-principal": encode(document)}).roles


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_when_the_header_is_anything_then_it_is_a_caller_or_a_refusal(header: str) -> None:
    """Nothing else is raised."""
    refused({"x-ms-client-principal": header})


@pytest.mark.parametrize(
    "document",
    [
        lambda size: b"[" * size,
        lambda size: b'{"claims":[' + b'{"typ":"a","val":"b"},' * (size // 22),
        lambda size: json.dumps(principal([("roles", "r")] * (size // 30))).encode(),
        lambda size: json.dumps(principal([("tid", TENANT_ID)] * (size // 60))).encode(),
        lambda size: b'{"a":"' + b"\\u0041" * (size // 6),
        lambda size: b"9" * size,
        lambda size: b"{" + b",".join(b'"%d":0' % n for n in range(size // 8)) + b"}",
    ],
)
def test_when_the_header_grows_then_the_work_grows_no_faster(document: object) -> None:
    """Nesting, claims, escapes, digits, members: up to the bound, beyond which nothing is read."""

    def read(header: str) -> None:
        parse({"x-ms-client-principal": header})

    growth = growth_of(
        read,
        lambda size: encode(document(size)),  # type: ignore[operator] # one of the above
        size=10_000,
        refusals=(RequestRefused,),
    )

    assert growth.factor < 8
