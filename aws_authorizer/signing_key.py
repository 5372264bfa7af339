"""The keys that a tenant publishes (RFC 7517), each checked before it may vouch for anything."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from aws_authorizer.strict_json import JsonBounds, parse_json_object
from aws_authorizer.token import ALGORITHM, MAX_KEY_ID_CHARACTERS
from shared.formats.base64url import decode_base64url

MIN_MODULUS_BITS: Final = 2_048
"""RFC 7518 section 3.3."""
MAX_MODULUS_BITS: Final = 8_192
"""A larger key would make every check slow; no one signs tokens with one."""
MIN_EXPONENT: Final = 65_537
MAX_EXPONENT: Final = 2**32 - 1
MAX_KEYS: Final = 100
KEY_SET_BOUNDS: Final = JsonBounds(brackets=512, colons=2_048, commas=2_048)
"""An entry takes ten members and two arrays; an object that says more is not a key set."""
_MAX_UNSIGNED_CHARACTERS: Final = 2_048

_PADDING: Final = PKCS1v15()
_HASH: Final = SHA256()
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


class KeySetMalformed(Exception):
    """The answer is no key set that could be used; `args[0]` is a stable code."""


class SigningKey:
    """One RSA public key, prepared, so that checking a signature does nothing but check it."""

    __slots__ = ("_key", "issuer", "key_id", "material", "signature_bytes")

    def __init__(self, key_id: str, modulus: int, exponent: int, issuer: str | None) -> None:
        """Take the numbers that `parse_signing_key` has checked.

        Raises:
            ValueError: no RSA key can be made of them.

        """
        self._key = RSAPublicNumbers(exponent, modulus).public_key()
        self.key_id = key_id
        self.issuer = issuer
        """The issuer that the key belongs to, perhaps with `{tenantid}` in it; None if unsaid."""
        self.material = (modulus, exponent, issuer)
        """What makes it this key: two that agree in it are the same."""
        self.signature_bytes = (modulus.bit_length() + 7) // 8
        """How long its signatures are."""

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """Return whether `signature` is this key's RS256 signature over `signing_input`.

        RS256 is RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3), whatever a token says.
        """
        # RFC 8017 section 8.2.2: exactly as long as the modulus.
        if len(signature) != self.signature_bytes:
            return False
        try:
            self._key.verify(signature, signing_input, _PADDING, _HASH)
        except InvalidSignature:
            return False
        return True


def _parse_unsigned(value: object) -> int:
    if not isinstance(value, str) or len(value) > _MAX_UNSIGNED_CHARACTERS:
        raise ValueError("no string, or too long")
    encoded = decode_base64url(value.encode("ascii"))
    if encoded[0] == 0:
        raise ValueError("not the shortest form")  # RFC 7518 section 2, Base64urlUInt
    return int.from_bytes(encoded)


def _is_for_signatures(jwk: Mapping[str, object]) -> bool:
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", ALGORITHM) != ALGORITHM:
        return False
    operations = jwk.get("key_ops", ["verify"])
    return isinstance(operations, list) and "verify" in operations


def parse_signing_key(jwk: Mapping[str, object]) -> SigningKey | None:
    """Return the key, or None for an entry that is no RS256 key for us (RFC 7517 section 5).

    Skipped are other key types and uses, keys without an ID, weak or oversized or malformed ones,
    and private keys: who publishes one has lost it.
    """
    key_id, issuer = jwk.get("kid"), jwk.get("issuer")
    if jwk.get("kty") != "RSA" or not _is_for_signatures(jwk) or _PRIVATE_MEMBERS & jwk.keys():
        return None
    if not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID_CHARACTERS:
        return None
    if issuer is not None and not isinstance(issuer, str):
        return None
    try:
        modulus, exponent = _parse_unsigned(jwk.get("n")), _parse_unsigned(jwk.get("e"))
        if not (
            MIN_MODULUS_BITS <= modulus.bit_length() <= MAX_MODULUS_BITS
            and MIN_EXPONENT <= exponent <= MAX_EXPONENT
            and modulus & exponent & 1
        ):
            return None
        return SigningKey(key_id, modulus, exponent, issuer)
    except ValueError:
        return None


class KeySet(NamedTuple):
    """The usable keys of a JWK Set."""

    keys: Mapping[str, SigningKey]
    """By their `kid`; at least one."""
    contradicted_key_ids: frozenset[str] = frozenset()
    """What several different keys call themselves, or a key whose private half is published too.
    None of them is used: no one could say which one a token means, or who has signed it."""


def _find_lost(entries: list[object]) -> set[str]:
    """Return the IDs and moduli of the private keys in a set: everyone can sign with those."""
    return {
        member
        for entry in entries
        if isinstance(entry, dict) and _PRIVATE_MEMBERS & entry.keys()
        for member in (entry.get("kid"), entry.get("n"))
        if isinstance(member, str)
    }


def parse_key_set(encoded: bytes) -> KeySet:
    """Return the usable keys of a JWK Set. An entry that stands in it twice is one key.

    Raises:
        KeySetMalformed: it is no key set, or has no usable key.

    """
    try:
        entries = parse_json_object(encoded.strip(b" \t\r\n"), KEY_SET_BOUNDS).get("keys")
    except ValueError:
        raise KeySetMalformed("not_json") from None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise KeySetMalformed("not_a_key_set")
    keys: dict[str, SigningKey] = {}
    contradicted: set[str] = set()
    lost = _find_lost(entries)
    for entry in entries:
        key = parse_signing_key(entry) if isinstance(entry, dict) else None
        if key is None:
            continue
        is_another = keys.setdefault(key.key_id, key).material != key.material
        if is_another or not lost.isdisjoint((key.key_id, entry["n"])):
            contradicted.add(key.key_id)
    for key_id in contradicted:
        del keys[key_id]
    if not keys:
        raise KeySetMalformed("contradicted_keys" if contradicted else "no_usable_key")
    return KeySet(keys, frozenset(contradicted))
