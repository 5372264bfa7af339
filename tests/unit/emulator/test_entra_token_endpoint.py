"""Who gets a token, and how the others are refused."""

from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from emulator.entra.directory import TOKEN_EXCHANGE, Directory, FederatedCredential
from emulator.entra.errors import EntraRefusal, IdentityRefusal
from emulator.entra.issuer import Issuer
from emulator.entra.key_store import KeyStore, SigningKey
from emulator.entra.token_endpoint import grant_client_credentials, grant_managed_identity
from shared.clock import SystemClock
from shared.entra import TokenVersion, parse_local_authority
from shared.formats.base64url import encode_base64url
from tests.support.local_entra import (
    API,
    CLIENT,
    CLIENT_SECRET,
    DIRECTORY,
    SYSTEM_ASSIGNED,
    USER_ASSIGNED,
    make_certificate,
    trust,
    with_api,
    with_client,
)

# PyJWT reads the machine's clock for itself, so the assertions live in real time.
CLOCK = SystemClock()
TOKEN_URL = "https://localhost:9/tenant/oauth2/v2.0/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SECRET_FORM = {
    "grant_type": "client_credentials",
    "client_id": CLIENT.client_id,
    "client_secret": CLIENT_SECRET,
    "scope": f"{API.app_id_uri}/.default",
}
_KEYS = KeyStore(CLOCK)
_CLUSTER_KEY = SigningKey.generate(CLOCK)
_CERTIFICATE, _CERTIFICATE_AND_KEY = make_certificate()
THUMBPRINT = encode_base64url(
    x509.load_pem_x509_certificate(_CERTIFICATE).fingerprint(hashes.SHA256())
)


def issuer(directory: Directory = DIRECTORY) -> Issuer:
    """The tenant's issuer; all share one key, because making keys is slow."""
    return Issuer(directory, _KEYS, parse_local_authority("http://127.0.0.1:9"), CLOCK)


def grant(form: dict[str, str], directory: Directory = DIRECTORY) -> dict[str, Any]:
    """The token endpoint's answer."""
    return grant_client_credentials(form, directory, issuer(directory), {TOKEN_URL})


def claims_in(answer: dict[str, Any]) -> dict[str, Any]:
    """What the token says; that it verifies is tested over the wire."""
    claims: dict[str, Any] = jwt.decode(answer["access_token"], options={"verify_signature": False})
    return claims


def without(form: dict[str, str], name: str) -> dict[str, str]:
    """The form with one parameter missing."""
    return {key: value for key, value in form.items() if key != name}


def test_when_everything_is_right_then_the_answer_has_entras_members() -> None:
    """`expires_in` is a number, one second under the token's lifetime."""
    answer = grant(SECRET_FORM)

    assert {"token_type", "expires_in", "ext_expires_in", "access_token"} == set(answer)
    assert ("Bearer", 3599) == (answer["token_type"], answer["expires_in"])
    assert "1" == claims_in(answer)["azpacr"]


@pytest.mark.parametrize(
    "scope",
    [f"{API.app_id_uri}/.default", f"{API.app_id_uri}//.default", f"{API.client_id}/.default"],
)
def test_when_the_api_is_named_in_any_known_way_then_it_is_found(scope: str) -> None:
    """By App ID URI, with a slash more, and by client ID."""
    assert API.client_id == claims_in(grant(SECRET_FORM | {"scope": scope}))["aud"]


@pytest.mark.parametrize(
    ("form", "code", "error", "status"),
    [
        (without(SECRET_FORM, "grant_type"), 900144, "invalid_request", 400),
        (SECRET_FORM | {"grant_type": "password"}, 70003, "unsupported_grant_type", 400),
        (without(SECRET_FORM, "client_id"), 900144, "invalid_request", 400),
        (
            SECRET_FORM | {"client_id": "99999999-0000-4000-8000-000000000001"},
            700016,
            "unauthorized_client",
            400,
        ),
        (without(SECRET_FORM, "client_secret"), 7000218, "invalid_client", 401),
        (SECRET_FORM | {"client_secret": "wrong"}, 7000215, "invalid_client", 401),
        (
            SECRET_FORM | {"client_secret": CLIENT.expired_secrets[0]},
            7000222,
            "invalid_client",
            401,
        ),
        (without(SECRET_FORM, "scope"), 900144, "invalid_request", 400),
        (SECRET_FORM | {"scope": API.app_id_uri}, 1002012, "invalid_scope", 400),
        (SECRET_FORM | {"scope": "/.default"}, 1002012, "invalid_scope", 400),
        (SECRET_FORM | {"scope": "a/.default b/.default"}, 70011, "invalid_scope", 400),
        (SECRET_FORM | {"scope": "api://other/.default"}, 500011, "invalid_resource", 400),
    ],
)
def test_when_one_thing_is_wrong_then_the_refusal_has_its_code(
    form: dict[str, str], code: int, error: str, status: int
) -> None:
    """One lie each; the code is what a client's error message is looked up by."""
    with pytest.raises(EntraRefusal, match=f"^AADSTS{code}: ") as refused:
        grant(form)

    assert (code, error, status) == (
        refused.value.code,
        refused.value.error,
        refused.value.status,
    )


def test_when_assignment_is_required_then_a_client_without_a_role_gets_no_token() -> None:
    """And one with a role does."""
    demanding = with_api(is_assignment_required=True)
    role_less = with_client(roles=frozenset())

    assert claims_in(grant(SECRET_FORM, demanding))["roles"]
    assert "roles" not in claims_in(grant(SECRET_FORM, role_less))
    both = Directory(demanding.tenant_id, demanding.api, role_less.applications)
    with pytest.raises(EntraRefusal, match="AADSTS501051"):
        grant(SECRET_FORM, both)


def assertion_form(assertion: str) -> dict[str, str]:
    """A request with an assertion in place of the secret."""
    return without(SECRET_FORM, "client_secret") | {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }


def certificate_assertion(**changes: Any) -> str:
    """An assertion by certificate, as azure-identity makes it, changed in these claims."""
    now = int(CLOCK.now())
    claims = {
        "iss": CLIENT.client_id,
        "sub": CLIENT.client_id,
        "aud": TOKEN_URL,
        "iat": now,
        "exp": now + 600,
    } | changes
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        _CERTIFICATE_AND_KEY.decode(),
        algorithm="PS256",
        headers={"x5t#S256": THUMBPRINT},
    )


def test_when_a_certificate_signed_the_assertion_then_there_is_a_token() -> None:
    """The token says that it was no secret."""
    answer = grant(
        assertion_form(certificate_assertion()), with_client(certificates=(_CERTIFICATE,))
    )

    assert "2" == claims_in(answer)["azpacr"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sub": "another"}, 700021),
        ({"aud": "https://login.example/token"}, 700023),
        ({"exp": 1}, 700024),
        ({"exp": None}, 50027),
        ({"nbf": 4_000_000_000}, 700024),
    ],
)
def test_when_the_assertion_tells_one_lie_then_there_is_no_token(
    changes: dict[str, Any], code: int
) -> None:
    """RFC 7523 section 3: issuer, subject, audience and times."""
    form = assertion_form(certificate_assertion(**changes))

    with pytest.raises(EntraRefusal, match=f"^AADSTS{code}: "):
        grant(form, with_client(certificates=(_CERTIFICATE,)))


@pytest.mark.parametrize(
    ("assertion", "code"),
    [
        ("no.jwt", 50027),
        (f"{certificate_assertion().rpartition('.')[0]}.{'A' * 342}", 700027),
        (
            jwt.encode(
                {"iss": CLIENT.client_id},
                "k" * 32,
                algorithm="HS256",
                headers={"x5t#S256": THUMBPRINT},
            ),
            700027,
        ),
        (jwt.encode({"iss": CLIENT.client_id}, "k" * 32, algorithm="HS256"), 700027),
    ],
    ids=["malformed", "signature", "symmetric", "no thumbprint"],
)
def test_when_the_assertion_is_not_signed_by_the_certificate_then_there_is_no_token(
    assertion: str, code: int
) -> None:
    """A shape that is wrong, a signature that is, and an algorithm that is."""
    with pytest.raises(EntraRefusal, match=f"^AADSTS{code}: "):
        grant(assertion_form(assertion), with_client(certificates=(_CERTIFICATE,)))


def test_when_the_assertion_type_is_missing_then_there_is_no_token() -> None:
    """RFC 7521 section 4.2 wants it."""
    form = without(assertion_form(certificate_assertion()), "client_assertion_type")

    with pytest.raises(EntraRefusal, match="client_assertion_type"):
        grant(form, with_client(certificates=(_CERTIFICATE,)))


CLUSTER = "https://cluster.example"
FEDERATION = trust(CLUSTER, "subject", key_set={"keys": [_CLUSTER_KEY.as_jwk()]})


def federated_assertion(key: SigningKey = _CLUSTER_KEY, **changes: Any) -> str:
    """Another issuer's token, changed in these claims."""
    claims = {
        "iss": CLUSTER,
        "sub": "subject",
        "aud": FEDERATION.audience,
        "exp": int(CLOCK.now()) + 600,
    }
    return issuer().sign(claims | changes, key=key, header={"kid": _CLUSTER_KEY.key_id})


def test_when_a_federated_token_is_trusted_then_there_is_a_token() -> None:
    """Workload identity federation."""
    directory = with_client(federated_credentials=(FEDERATION,))

    assert "2" == claims_in(grant(assertion_form(federated_assertion()), directory))["azpacr"]


@pytest.mark.parametrize(
    ("assertion", "code"),
    [
        (federated_assertion(iss="https://cluster.example/"), 700211),
        (federated_assertion(sub="Subject"), 700213),
        (federated_assertion(aud="api://other"), 700212),
        (federated_assertion(exp=1), 700024),
        (federated_assertion(key=_KEYS.current), 700027),
    ],
    ids=["issuer", "subject", "audience", "expired", "forged"],
)
def test_when_the_federated_token_differs_in_one_thing_then_there_is_no_token(
    assertion: str, code: int
) -> None:
    """The trust compares exactly, slash and case included."""
    with pytest.raises(EntraRefusal, match=f"^AADSTS{code}: "):
        grant(assertion_form(assertion), with_client(federated_credentials=(FEDERATION,)))


def test_when_the_trusts_key_set_lacks_the_key_then_there_is_no_token() -> None:
    """A trust without keys trusts nobody."""
    federation = FederatedCredential(CLUSTER, "subject")

    with pytest.raises(EntraRefusal, match="AADSTS700027"):
        grant(
            assertion_form(federated_assertion()), with_client(federated_credentials=(federation,))
        )


def test_when_a_managed_identitys_token_is_the_assertion_then_there_is_a_token() -> None:
    """The tenant trusts its own issuer without a key set."""
    own = issuer().name(TokenVersion.V2)
    directory = with_client(federated_credentials=(trust(own, USER_ASSIGNED.object_id),))
    query = {
        "api-version": "2019-08-01",
        "resource": TOKEN_EXCHANGE.app_id_uri,
        "client_id": USER_ASSIGNED.client_id,
    }
    identity = grant_managed_identity(query, directory, issuer(), CLOCK)

    answer = grant(assertion_form(str(identity["access_token"])), directory)

    assert CLIENT.object_id == claims_in(answer)["oid"]


QUERY = {"api-version": "2019-08-01", "resource": API.app_id_uri}


def test_when_a_managed_identity_asks_then_the_answer_is_app_services() -> None:
    """`resource` comes back as it was sent, and `expires_on` is text."""
    answer = grant_managed_identity(QUERY, DIRECTORY, issuer(), CLOCK)

    assert {"access_token", "expires_on", "resource", "token_type", "client_id"} == set(answer)
    assert (API.app_id_uri, SYSTEM_ASSIGNED.client_id) == (answer["resource"], answer["client_id"])
    assert answer["expires_on"] == str(claims_in(answer)["exp"])


NO_SYSTEM_ASSIGNED = Directory(DIRECTORY.tenant_id, API)


@pytest.mark.parametrize(
    ("query", "directory", "status", "message"),
    [
        (without(QUERY, "api-version"), DIRECTORY, 400, "api-version"),
        (QUERY | {"api-version": "2017-09-01"}, DIRECTORY, 400, "api-version"),
        (without(QUERY, "resource"), DIRECTORY, 400, "'resource'"),
        (QUERY, NO_SYSTEM_ASSIGNED, 400, "Unable to load"),
        (QUERY | {"client_id": "x"}, DIRECTORY, 400, "No User Assigned"),
        (QUERY | {"client_id": SYSTEM_ASSIGNED.client_id}, DIRECTORY, 400, "No User Assigned"),
        (QUERY | {"client_id": "x", "object_id": "y"}, DIRECTORY, 400, "At most one"),
        (QUERY | {"resource": "api://other"}, DIRECTORY, 500, "AADSTS500011"),
        (
            QUERY | {"client_id": USER_ASSIGNED.client_id},
            Directory(
                DIRECTORY.tenant_id,
                with_api(app_roles=frozenset(), is_assignment_required=True).api,
                user_assigned=(USER_ASSIGNED,),
            ),
            500,
            "AADSTS501051",
        ),
    ],
)
def test_when_a_managed_identity_request_is_wrong_then_it_is_refused(
    query: dict[str, str], directory: Directory, status: int, message: str
) -> None:
    """Entra ID's own reasons come through as a 500, as from the real endpoint."""
    with pytest.raises(IdentityRefusal, match=message) as refused:
        grant_managed_identity(query, directory, issuer(directory), CLOCK)

    assert status == refused.value.status


def test_when_refused_then_no_message_holds_the_secret() -> None:
    """An error ends in logs."""
    with pytest.raises(EntraRefusal) as refused:
        grant(SECRET_FORM | {"client_secret": "marked-secret"})

    assert "marked-secret" not in str(refused.value)
    assert CLIENT_SECRET not in repr(DIRECTORY)
