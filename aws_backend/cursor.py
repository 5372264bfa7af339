"""The cursor of the change feed: opaque to callers, and either exactly ours or refused."""

from dataclasses import dataclass
from typing import Final, Self

from aws_backend.errors import InvalidRequest
from shared.formats.base64url import decode_base64url, encode_base64url

FEED_ID_BYTES: Final = 16
_SEQUENCE_BYTES: Final = 8
_FORMAT: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in one feed: everything up to `sequence` has been handed out."""

    feed_id: bytes
    """Which feed; a table that is created again is another one."""
    sequence: int

    @classmethod
    def at_start(cls) -> Self:
        """Return the place before the first change, the same in every feed."""
        return cls(bytes(FEED_ID_BYTES), 0)

    def to_text(self) -> str:
        """Return the cursor as callers get it: base64url without padding (RFC 4648 section 5)."""
        packed = _FORMAT + self.feed_id + self.sequence.to_bytes(_SEQUENCE_BYTES)
        return encode_base64url(packed)


def parse_cursor(unverified_text: str) -> Cursor:
    """Return the cursor in a text that `Cursor.to_text` can have written.

    It is not signed: a made-up cursor shows nothing that its caller may not read anyway.

    Raises:
        InvalidRequest: `cursor_invalid`.

    """
    invalid = InvalidRequest(
        "cursor_invalid",
        "Send next_cursor of the previous page unchanged, or no cursor to start at the beginning.",
    )
    try:
        packed = decode_base64url(unverified_text.encode("ascii"))
    except ValueError:
        raise invalid from None
    if len(packed) != len(_FORMAT) + FEED_ID_BYTES + _SEQUENCE_BYTES:
        raise invalid
    head, feed_id, sequence = packed[:1], packed[1:-_SEQUENCE_BYTES], packed[-_SEQUENCE_BYTES:]
    if head != _FORMAT:
        raise invalid
    return Cursor(feed_id, int.from_bytes(sequence))
