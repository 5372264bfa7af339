"""Signing keys."""

import base64
import hashlib

import pytest
from cryptography import x509
from jwt import PyJWK

from emulator.entra.key_store import KeyStore, SigningKey
from tests.support.fake_clock import FakeClock


def test_when_a_key_is_published_then_its_certificate_names_it() -> None:
    """`kid` and `x5t` are the thumbprint of the certificate in `x5c`, which holds the same key."""
    jwk = SigningKey.generate(FakeClock()).as_jwk()

    assert isinstance(jwk["x5c"], list)
    der = base64.b64decode(jwk["x5c"][0])
    thumbprint = base64.urlsafe_b64encode(hashlib.sha1(der).digest())  # noqa: S324 - as x5t is defined
    assert thumbprint.rstrip(b"=").decode() == jwk["kid"] == jwk["x5t"]
    certified = x509.load_der_x509_certificate(der).public_key()
    assert certified == PyJWK(jwk, algorithm="RS256").key


def test_when_a_key_is_published_then_no_private_part_is() -> None:
    """The key set is public, and `alg` stands in none of Entra ID's keys."""
    members = set(SigningKey.generate(FakeClock()).as_jwk())

    assert {"kty", "use", "kid", "x5t", "n", "e", "x5c"} == members


def test_when_keys_are_rotated_then_the_new_one_signs_and_all_are_published() -> None:
    """Old keys stay until they are dropped."""
    keys = KeyStore(FakeClock())
    first = keys.current
    second = keys.rotate()

    assert second is keys.current
    assert (second, first) == keys.published


def test_when_a_retired_key_is_dropped_then_it_is_published_no_longer() -> None:
    """The rest stays."""
    keys = KeyStore(FakeClock())
    first = keys.current
    second = keys.rotate()

    keys.drop(first.key_id)

    assert (second,) == keys.published


def test_when_a_key_that_signs_is_dropped_then_it_is_refused() -> None:
    """A tenant without a published signing key would be of no use."""
    keys = KeyStore(FakeClock())

    for key_id in (keys.current.key_id, "unknown"):
        with pytest.raises(ValueError, match="not a retired key"):
            keys.drop(key_id)


def test_when_a_key_is_shown_then_its_private_part_is_not() -> None:
    """What ends in a log or a failed test must hold no key."""
    assert "private" not in repr(SigningKey.generate(FakeClock()))
