"""Reads a compact JWS, and nothing looser, without believing a word of it.

What comes out is *unverified*: it may be used to refuse the token, or to choose the key that its
signature is checked with, and for nothing else until that signature has passed.
"""

from functools import lru_cache
from typing import Final, NamedTuple

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


# One tenant signs with a handful of keys, so the same few header strings come again and again. A
# refused header raises, and so is not kept.
@lru_cache(maxsize=64)
def _parse_header(segment: bytes) -> str:
    if len(segment) > MAX_HEADER_CHARACTERS:
        raise TokenRejected(Reason.MALFORMED_HEADER)
    try:
        header = parse_json_object(decode_base64url(segment), HEADER_BOUNDS)
    except ValueError:
        raise TokenRejected(Reason.MALFORMED_HEADER) from None
    # RFC 7516 section 4.1.2: with `enc` it is a JWE's header, whatever number of parts follows.
    if "enc" in header:
        raise TokenRejected(Reason.ENCRYPTED_TOKEN)
    if header.get("alg") != ALGORITHM:
        raise TokenRejected(Reason.WRONG_ALGORITHM)
    # RFC 7515 section 4.1.11: an extension that is not understood makes the token invalid, and we
    # understand none. `b64` (RFC 7797) changes what is signed, whether or not `crit` lists it.
    if "crit" in header or "b64" in header:
        raise TokenRejected(Reason.CRITICAL_HEADER)
    if "typ" in header:
        typ = header["typ"]
        if not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise TokenRejected(Reason.WRONG_TYPE)
    # `jwk`, `jku`, `x5u` and `x5c` are never looked at: a token does not choose who vouches for it.
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID_CHARACTERS:
        raise TokenRejected(Reason.MISSING_KEY_ID)
    return key_id


def parse_token(encoded: bytes) -> UnverifiedToken:
    """Return the token taken apart. Neither its signature nor any claim is checked.

    Raises:
        TokenRejected: it is no compact JWS signed with RS256 that can be read in one way only.

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
    key_id = _parse_header(header_segment)
    try:
        claims = parse_json_object(claims_bytes)
    except JsonTooLarge:
        raise TokenRejected(Reason.TOKEN_TOO_LONG) from None
    except ValueError:
        raise TokenRejected(Reason.MALFORMED_CLAIMS) from None
    return UnverifiedToken(key_id, claims, signing_input, signature)
