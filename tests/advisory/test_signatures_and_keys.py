"""Attacks on the signature itself, and with keys that should not be trusted."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.advisory.gate import outcome
from tests.support.keys import base64url, jwk, key_set, private_key, sign, unsigned
from tests.support.tokens import signed_token

TOKEN = signed_token()
SIGNING_INPUT, _, SIGNATURE = TOKEN.rpartition(".")
MODULUS = private_key().public_key().public_numbers().n
GOOD = int.from_bytes(sign(SIGNING_INPUT.encode()))
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


def with_signature(encoded: bytes) -> str:
    """The good token with another signature."""
    return f"{SIGNING_INPUT}.{base64url(encoded)}"


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(0, id="zero"),
        pytest.param(1, id="one"),
        pytest.param(2, id="two"),
        pytest.param(MODULUS - 1, id="below the modulus"),
        pytest.param(MODULUS, id="the modulus"),
        pytest.param(MODULUS - GOOD, id="negated"),
        pytest.param(GOOD ^ 1, id="last bit flipped"),
        pytest.param(2**2048 - 1, id="all ones"),
    ],
)
def test_trivial_signature(number: int) -> None:
    """Fixed points of RSA, the modulus and its neighbors."""
    assert "unauthorized" == outcome(with_signature(number.to_bytes(256)))


def test_signature_plus_the_modulus() -> None:
    """RFC 8017 section 5.2.2: a representative out of range is a second spelling."""
    number = GOOD + MODULUS

    assert "unauthorized" == outcome(
        with_signature(number.to_bytes((number.bit_length() + 7) // 8))
    )


@pytest.mark.parametrize("length", [0, 1, 32, 64, 128, 255, 257, 512])
def test_signature_of_another_length(length: int) -> None:
    """RFC 8017 section 8.2.2 step 1; leading zeros are no padding."""
    good = sign(SIGNING_INPUT.encode())
    encoded = good[256 - length :] if length <= 256 else b"\x00" * (length - 256) + good

    assert "unauthorized" == outcome(f"{SIGNING_INPUT}.{base64url(encoded)}")


def test_bleichenbacher_signature_with_exponent_three() -> None:
    """A cube root with the right prefix passes a sloppy padding check; such keys are not used."""
    key = rsa.generate_private_key(public_exponent=3, key_size=2048)
    entry = jwk() | {"n": unsigned(key.public_key().public_numbers().n), "e": unsigned(3)}
    block = b"\x00\x01" + b"\xff" * 8 + b"\x00" + SHA256_PREFIX + b"\x00" * 32
    target = int.from_bytes(block.ljust(256, b"\x00"))
    root = _cube_root(target)

    assert "undecided" == outcome(with_signature(root.to_bytes(256)), key_set(entry))
    assert "unauthorized" == outcome(
        with_signature(root.to_bytes(256)), key_set(jwk(), entry | {"kid": "e3"})
    )


def _cube_root(number: int) -> int:
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**3 < number:
            low = middle + 1
        else:
            high = middle
    return low


@pytest.mark.parametrize("bits", [1024, 1536, 2047])
def test_weak_key(bits: int) -> None:
    """CVE-2025-45768, RFC 7518 section 3.3: a short key vouches for nothing, well as it signs."""
    short = jwk("short", bits=bits)
    token = signed_token(kid="short", key=private_key("short", bits))

    assert "unauthorized" == outcome(token, key_set(jwk(), short))
    assert "undecided" == outcome(token, key_set(short))


def test_modulus_of_one_prime_times_one() -> None:
    """An even modulus, or one with a known factor that shows, is no key."""
    for modulus in (MODULUS - 1, 2**2048 - 2, 2**2047):
        entry = jwk("even") | {"n": unsigned(modulus)}
        assert "unauthorized" == outcome(signed_token(kid="even"), key_set(jwk(), entry))


@pytest.mark.parametrize(
    "changes",
    [{"use": "enc"}, {"key_ops": ["sign"]}, {"key_ops": ["encrypt"]}, {"alg": "RSA-OAEP"},
     {"alg": "PS256"}, {"kty": "EC"}],
)  # fmt: skip
def test_key_for_another_purpose(changes: dict[str, object]) -> None:
    """RFC 7517 sections 4.2 to 4.4; CVE-2022-23539: a key is used for what it says it is for."""
    entry = jwk("other") | changes
    token = signed_token(kid="other", key=private_key("other"))

    assert "unauthorized" == outcome(token, key_set(jwk(), entry))


def test_two_keys_with_one_id() -> None:
    """Which one a token means would depend on the order in the set, so neither counts."""
    second = jwk("attacker") | {"kid": "key-1"}
    for entries in ([jwk(), second], [second, jwk()]):
        assert "undecided" == outcome(TOKEN, key_set(*entries))


def test_private_key_in_the_set() -> None:
    """Whoever publishes a private key has lost it: anybody can sign with it now."""
    numbers = private_key("lost").private_numbers()
    entry = jwk("lost") | {"d": unsigned(numbers.d)}
    token = signed_token(kid="lost", key=private_key("lost"))

    assert "unauthorized" == outcome(token, key_set(jwk(), entry))
    # Nor does the public half help that stands beside it, under the same ID or under another.
    for public in (jwk("lost"), jwk("lost") | {"kid": "another"}):
        for entries in ([public, entry], [entry, public]):
            stolen = signed_token(kid=str(public["kid"]), key=private_key("lost"))
            assert "unauthorized" == outcome(stolen, key_set(jwk(), *entries))


@pytest.mark.parametrize(
    "published", [b"", b"{}", b'{"keys":[]}', b'{"keys":null}', b"[]", b"null"]
)
def test_empty_key_set_lets_nobody_in(published: bytes) -> None:
    """No keys is no reason to check no signature, nor a verdict about the token."""
    assert "undecided" == outcome(TOKEN, published)


def test_key_set_with_the_attackers_wildcards() -> None:
    """An entry without an ID, or with one that looks like a pattern, matches no token."""
    for key_id in (None, "", "*", ".*", "key-?"):
        entry = {k: v for k, v in (jwk("attacker") | {"kid": key_id}).items() if v is not None}
        token = signed_token(key=private_key("attacker"))
        assert "unauthorized" == outcome(token, key_set(jwk(), entry))
