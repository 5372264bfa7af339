"""Advice about a token that the API will refuse."""

import base64
import json
import logging
from copy import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.token_diagnosis import diagnose, report_token, unverified_claims
from shared.contract import ApiIdentity
from shared.entra import CLOUDS, TokenVersion

TENANT = "11111111-2222-4333-8444-555555555555"
API = "aaaaaaaa-0000-4000-8000-000000000001"
IDENTITY = ApiIdentity(
    cloud=CLOUDS["public"],
    tenant_id=TENANT,
    client_id=API,
    app_id_uri="api://bridge",
    token_versions=frozenset({TokenVersion.V2}),
)
V1_TOO = replace(IDENTITY, token_versions=frozenset(TokenVersion))
V2 = {
    "ver": "2.0",
    "tid": TENANT,
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "aud": API,
    "oid": "bbbbbbbb-0000-4000-8000-000000000002",
    "roles": ["Records.Read"],
}
V1 = V2 | {"ver": "1.0", "iss": f"https://sts.windows.net/{TENANT}/", "aud": "api://bridge"}


def token(claims: object) -> str:
    """A token with these claims; nobody looks at its signature."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln"


def codes(claims: dict[str, object], identity: ApiIdentity = IDENTITY) -> list[str]:
    """What is found."""
    return [finding.code for finding in diagnose(token(claims), identity)]


@pytest.mark.parametrize(("claims", "identity"), [(V2, IDENTITY), (V2, V1_TOO), (V1, V1_TOO)])
def test_when_the_token_fits_then_there_is_nothing_to_say(
    claims: dict[str, object], identity: ApiIdentity
) -> None:
    """Both versions, where both are accepted."""
    assert [] == codes(claims, identity)


@pytest.mark.parametrize(
    ("lie", "code", "fix"),
    [
        ({"tid": API}, "wrong_tenant", "ENTRA_TENANT_ID"),
        ({"iss": "https://login.microsoftonline.us/x/v2.0"}, "wrong_issuer", "ENTRA_CLOUD"),
        ({"aud": "https://graph.microsoft.com"}, "wrong_audience", "API_APP_ID_URI"),
        ({"aud": [API]}, "wrong_audience", "API_APP_ID_URI"),
        ({"roles": []}, "missing_role", "Records.Read"),
        ({"roles": ["Other.Role"]}, "missing_role", "service principal"),
        ({"roles": "Records.Read"}, "missing_role", "Records.Read"),
        ({"roles": [["Records.Read"]]}, "missing_role", "Records.Read"),
        ({"scp": "user_impersonation"}, "delegated_token", "managed identity"),
        ({"ver": "3.0"}, "unaccepted_version", "version"),
    ],
)
def test_when_one_thing_is_wrong_then_the_advice_names_what_to_change(
    lie: dict[str, object], code: str, fix: str
) -> None:
    """One lie, one finding, one fix."""
    (finding,) = diagnose(token(V2 | lie), IDENTITY)

    assert code == finding.code
    assert fix in finding.advice


def test_when_the_version_is_not_accepted_then_the_manifest_setting_is_named() -> None:
    """The most common mistake of all: the API's registration still issues v1.0."""
    (finding,) = diagnose(token(V1), IDENTITY)

    assert "unaccepted_version" == finding.code
    assert "requestedAccessTokenVersion to 2" in finding.advice
    assert API in finding.advice


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opaque",
        "a.b",
        "a.b.c.d.e",
        "a.!.c",
        "\ud800",
        token([1]),
        token("x"),
        f"bm9uZQ.{token(V2).partition('.')[2]}",
    ],
)
def test_when_a_token_cannot_be_read_then_that_is_the_finding(text: str) -> None:
    """An encrypted or an opaque token is of no use to the API."""
    assert ["malformed_token"] == [finding.code for finding in diagnose(text, IDENTITY)]


@given(st.text())
def test_when_any_text_is_read_then_nothing_is_raised(text: str) -> None:
    """Diagnosis must never be what fails."""
    unverified_claims(text)
    unverified_claims(f"a.{text}.b")


@given(
    st.dictionaries(
        st.sampled_from([*V2, "scp", "exp", "iat", "nbf", "sub", "jti"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda children: st.lists(children) | st.dictionaries(st.text(), children),
        ),
    )
)
def test_when_claims_are_of_any_type_then_nothing_is_raised(claims: dict[str, object]) -> None:
    """Members of the wrong type are findings like others."""
    assert diagnose(token(V2 | claims), IDENTITY) is not None


def test_when_a_token_will_be_refused_then_each_reason_is_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With its code, with its advice, without the token."""
    bad = AccessToken(token(V2 | {"roles": [], "tid": API}), 0.0)
    with caplog.at_level(logging.WARNING):
        report_token(bad, IDENTITY)

    assert ["token_will_be_refused"] * 2 == [record.getMessage() for record in caplog.records]
    assert bad.value not in str([vars(record) for record in caplog.records])
