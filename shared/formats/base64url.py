"""Base64url without padding, in its one canonical spelling (RFC 7515 section 2 and appendix C)."""

from binascii import a2b_base64, b2a_base64
from typing import Final

# `+`, `/` and `=` are no base64url: they become a byte that the strict decoder refuses.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/\xff\xff\xff")
_PADDING: Final = (b"", b"", b"==", b"=")
# Which last characters leave the unused bits zero. With any others, several spellings would decode
# to the same bytes, and a token could be changed without its signature noticing.
_CANONICAL_LAST: Final = (
    frozenset(range(256)),
    frozenset[int](),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)


_TO_URL: Final = bytes.maketrans(b"+/", b"-_")


def encode_base64url(raw: bytes) -> str:
    """Return the canonical spelling of the bytes."""
    return b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def decode_base64url(segment: bytes) -> bytes:
    """Return the bytes that `segment` spells.

    Raises:
        ValueError: it is empty, padded, not canonical, or holds a character outside the alphabet.

    """
    if not segment:
        raise ValueError("empty")
    remainder = len(segment) & 3
    if segment[-1] not in _CANONICAL_LAST[remainder]:
        raise ValueError("not canonical")
    return a2b_base64(segment.translate(_TO_STANDARD) + _PADDING[remainder], strict_mode=True)
