"""Reads a compact JWS, and nothing looser, without believing a word of it.

What comes out is *unverified*: it may be used to refuse the token, or to choose the key that its
signature is checked with, and for nothing else until that signature has passed.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, cast

from aws_authorizer.errors import TokenRejected
from aws_authorizer.strict_json import JsonBounds, JsonTooLarge, parse_json_object
from shared.formats.base64url import decode_base64url
from shared.reasons import Reason

ALGORITHM: Final = "RS256"
"""The only algorithm: what Entra ID signs with. `none`, HMAC and all others are refused."""
MAX_TOKEN_CHARACTERS: Final = 10_240
"""API Gateway's limit for all headers together, so no token can be longer."""
MAX_HEADER_CHARACTERS: Final = 2_048
MAX_KEY_ID_CHARACTERS: Final = 256
HEADER_BOUNDS: Final = JsonBounds(brackets=16, colons=32, commas=32)
"""Entra ID writes four members into a header."""

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_JWE_DOTS: Final = 4


# A named tuple, not a data class: one is made for every token, at a third of the cost.
class UnverifiedToken(NamedTuple):
    """A token taken apart. Nothing here is proven."""

    unverified_key_id: str
    unverified_claims: dict[str, object]
    signing_input: bytes
    """The bytes that the signature is over, exactly as received (RFC 7515 section 5.2)."""
    signature: bytes


def encode_token(unverified_token: str) -> bytes:
    """Return the token's bytes. Nothing else is checked than that they are few, and ASCII.

    Raises:
        TokenRejected: they are not.

    """
    if len(unverified_token) > MAX_TOKEN_CHARACTERS:
        raise TokenRejected(Reason.TOKEN_TOO_LONG)
    try:
        return unverified_token.encode("ascii")
    except UnicodeEncodeError:
        raise TokenRejected(Reason.MALFORMED_TOKEN) from None


def read_header(segment: bytes) -> dict[str, object]:
    """Return the members of a token's header. What they say is not checked.

    Raises:
        TokenRejected: it is no JSON object, or cannot be read in one way only.

    """
    if len(segment) > MAX_HEADER_CHARACTERS:
        raise TokenRejected(Reason.MALFORMED_HEADER)
    try:
        return parse_json_object(decode_base64url(segment), HEADER_BOUNDS)
    except ValueError:
        raise TokenRejected(Reason.MALFORMED_HEADER) from None


type Header = Mapping[str, object]


# --- what a header must say: each raises TokenRejected unless it does


def _check_encryption(header: Header) -> None:
    # RFC 7516 section 4.1.2: with `enc` it is a JWE's header, whatever number of parts follows.
    if "enc" in header:
        raise TokenRejected(Reason.ENCRYPTED_TOKEN)


def _check_algorithm(header: Header) -> None:
    if header.get("alg") != ALGORITHM:
        raise TokenRejected(Reason.WRONG_ALGORITHM)


def _check_extensions(header: Header) -> None:
    # RFC 7515 section 4.1.11: an extension that is not understood makes the token invalid, and we
    # understand none. `b64` (RFC 7797) changes what is signed, whether or not `crit` lists it.
    if "crit" in header or "b64" in header:
        raise TokenRejected(Reason.CRITICAL_HEADER)


def _check_type(header: Header) -> None:
    if "typ" in header:
        typ = header["typ"]
        if not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise TokenRejected(Reason.WRONG_TYPE)


def _check_key_id(header: Header) -> None:
    # `jwk`, `jku`, `x5u` and `x5c` are never looked at: a token does not choose who vouches for it.
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID_CHARACTERS:
        raise TokenRejected(Reason.MISSING_KEY_ID)


HEADER_CHECKS: Final[Mapping[str, Callable[[Header], None]]] = {
    "enc": _check_encryption,
    "alg": _check_algorithm,
    "crit": _check_extensions,
    "typ": _check_type,
    "kid": _check_key_id,
}
"""What the header must satisfy, in order, by the member that each is about."""


# One tenant signs with a handful of keys, so the same few header strings come again and again. A
# refused header raises, and so is not kept.
@lru_cache(maxsize=64)
def _parse_header(segment: bytes) -> str:
    header = read_header(segment)
    for check in HEADER_CHECKS.values():
        check(header)
    return cast("str", header["kid"])  # by the last check


def split_token(encoded: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the parts of a compact JWS (RFC 7515 section 7.1). What they say is not checked.

    They are the header as received, the claims decoded, the bytes that the signature is over, and
    the signature.

    Raises:
        TokenRejected: it has other parts, or more characters than any token.

    """
    if len(encoded) > MAX_TOKEN_CHARACTERS:
        raise TokenRejected(Reason.TOKEN_TOO_LONG)
    # Further dots would be in the claims' segment, and they are no base64url.
    signing_input, _, signature_segment = encoded.rpartition(b".")
    header_segment, _, claims_segment = signing_input.partition(b".")
    try:
        signature = decode_base64url(signature_segment)
        claims_bytes = decode_base64url(claims_segment)
    except ValueError:
        is_jwe = encoded.count(b".") == _JWE_DOTS
        raise TokenRejected(Reason.ENCRYPTED_TOKEN if is_jwe else Reason.MALFORMED_TOKEN) from None
    return header_segment, claims_bytes, signing_input, signature


def read_claims(encoded: bytes) -> dict[str, object]:
    """Return the claims of a token. What they say is not checked.

    Raises:
        TokenRejected: they are no JSON object, too large, or cannot be read in one way only.

    """
    try:
        return parse_json_object(encoded)
    except JsonTooLarge:
        raise TokenRejected(Reason.TOKEN_TOO_LONG) from None
    except ValueError:
        raise TokenRejected(Reason.MALFORMED_CLAIMS) from None


def parse_token(encoded: bytes) -> UnverifiedToken:
    """Return the token taken apart. Neither its signature nor any claim is checked.

    Raises:
        TokenRejected: it is no compact JWS signed with RS256 that can be read in one way only.

    """
    header_segment, claims_bytes, signing_input, signature = split_token(encoded)
    key_id = _parse_header(header_segment)
    return UnverifiedToken(key_id, read_claims(claims_bytes), signing_input, signature)
