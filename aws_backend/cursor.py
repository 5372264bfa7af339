"""The cursor of the change feed: opaque to callers, and either exactly ours or refused."""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from aws_backend.errors import CursorExpired, InvalidRequest
from shared.formats.base64url import decode_base64url, encode_base64url

FEED_ID_BYTES: Final = 16
_SEQUENCE_BYTES: Final = 8
_FORMAT: Final = b"\x02"
_OTHER_FORMATS: Final = frozenset(bytes([number]) for number in range(1, 16)) - {_FORMAT}
"""Format 1 held the feed's ID without its table; the others are what a newer deployment may have
written before it was rolled back."""
_LENGTH: Final = len(_FORMAT) + FEED_ID_BYTES + _SEQUENCE_BYTES


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in one feed: everything up to `sequence` has been handed out."""

    feed: bytes
    """Which feed, as `identify_feed` says."""
    sequence: int

    @classmethod
    def at_start(cls) -> Self:
        """Return the place before the first change, the same in every feed."""
        return cls(bytes(FEED_ID_BYTES), 0)

    def to_text(self) -> str:
        """Return the cursor as callers get it: base64url without padding (RFC 4648 section 5)."""
        packed = _FORMAT + self.feed + self.sequence.to_bytes(_SEQUENCE_BYTES)
        return encode_base64url(packed)


def identify_feed(feed_id: bytes, table: str) -> bytes:
    """Return what stands for a feed in its cursors: a digest of its ID and its table's name.

    A point-in-time restore copies the ID, and always goes to a table with another name.
    """
    # The ID has a fixed length, so no two pairs are spelled alike.
    return hashlib.sha256(feed_id + table.encode()).digest()[:FEED_ID_BYTES]


def parse_cursor(unverified_text: str) -> Cursor:
    """Return the cursor in a text that `Cursor.to_text` can have written.

    It is not signed: a made-up cursor shows nothing that its caller may not read anyway.

    Raises:
        CursorExpired: it is of another format of ours; its reader starts over by itself.
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
    head, feed, sequence = packed[:1], packed[1:-_SEQUENCE_BYTES], packed[-_SEQUENCE_BYTES:]
    # No format is shorter than this one; a newer one may be longer.
    if head in _OTHER_FORMATS and len(packed) >= _LENGTH:
        raise CursorExpired("This cursor's format is no longer read; start again without a cursor.")
    if head != _FORMAT or len(packed) != _LENGTH:
        raise invalid
    return Cursor(feed, int.from_bytes(sequence))
