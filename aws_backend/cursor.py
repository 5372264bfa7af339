"""The cursors of the change feed: opaque to callers, and either exactly ours or refused.

format 2   feed (16 bytes), sequence (8)                    the whole of a feed of one shard
format 3   feed, shards (1), shard (1), sequence            one shard of a feed
format 4   feed, shards, next shard (1), a sequence each    the whole of a feed of two and more
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from aws_backend.errors import CursorExpired, InvalidRequest
from shared.formats.base64url import decode_base64url, encode_base64url

FEED_ID_BYTES: Final = 16
MAX_SHARDS: Final = 64
"""Of one feed; `aws_backend.table_layout` says why no more."""
MAX_CURSOR_LENGTH: Final = 4096
"""No longer text is looked at; a feed with MAX_SHARDS has cursors of 708 characters."""

_SEQUENCE_BYTES: Final = 8
_ONE_SHARD_FEED: Final = b"\x02"
_SHARD: Final = b"\x03"
_WHOLE_FEED: Final = b"\x04"
_OTHER_FORMATS: Final = frozenset(bytes([number]) for number in range(1, 16)) - {
    _ONE_SHARD_FEED,
    _SHARD,
    _WHOLE_FEED,
}
"""Format 1 held the feed's ID without its table; the others are what a newer deployment may have
written before it was rolled back."""
_HEAD: Final = 1 + FEED_ID_BYTES
_SHORTEST: Final = _HEAD + _SEQUENCE_BYTES


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a feed of one shard: everything up to `sequence` has been handed out."""

    feed: bytes
    """Which feed, as `identify_feed` says."""
    sequence: int

    @classmethod
    def at_start(cls) -> Self:
        """Return the place before the first change, the same in every feed."""
        return cls(bytes(FEED_ID_BYTES), 0)

    @property
    def is_at_start(self) -> bool:
        """Whether nothing has been handed out, so that the cursor is good for any feed."""
        return self.sequence == 0

    def to_text(self) -> str:
        """Return the cursor as callers get it: base64url without padding (RFC 4648 section 5)."""
        return encode_base64url(_ONE_SHARD_FEED + self.feed + _pack(self.sequence))


@dataclass(frozen=True, slots=True)
class ShardCursor:
    """A place in one shard: everything of it up to `sequence` has been handed out."""

    feed: bytes
    shards: int
    """How many the feed has."""
    shard: int
    """Which of them, from 0."""
    sequence: int

    def to_text(self) -> str:
        """Return the cursor as callers get it."""
        place = bytes([self.shards, self.shard]) + _pack(self.sequence)
        return encode_base64url(_SHARD + self.feed + place)


@dataclass(frozen=True, slots=True)
class WholeCursor:
    """A place in a feed of two shards or more: one in each."""

    feed: bytes
    sequences: tuple[int, ...]
    """Of each shard everything up to its sequence has been handed out."""
    next_shard: int = 0
    """Which shard the next page begins with, so that a busy one does not keep the others back."""

    @property
    def is_at_start(self) -> bool:
        """Whether nothing has been handed out, so that the cursor is good for any feed."""
        return not any(self.sequences)

    def to_text(self) -> str:
        """Return the cursor as callers get it."""
        head = bytes([len(self.sequences), self.next_shard])
        return encode_base64url(
            _WHOLE_FEED + self.feed + head + b"".join(map(_pack, self.sequences))
        )


type FeedCursor = Cursor | ShardCursor | WholeCursor


def identify_feed(feed_id: bytes, table: str) -> bytes:
    """Return what stands for a feed in its cursors: a digest of its ID and its table's name.

    A point-in-time restore copies the ID, and always goes to a table with another name.
    """
    # The ID has a fixed length, so no two pairs are spelled alike.
    return hashlib.sha256(feed_id + table.encode()).digest()[:FEED_ID_BYTES]


def parse_cursor(unverified_text: str) -> FeedCursor:
    """Return the cursor in a text that a cursor's `to_text` can have written.

    It is not signed: a made-up cursor shows nothing that its caller may not read anyway.

    Raises:
        CursorExpired: it is of another format of ours; its reader starts over by itself.
        InvalidRequest: `cursor_invalid`.

    """
    if len(unverified_text) > MAX_CURSOR_LENGTH:
        raise _invalid()
    try:
        packed = decode_base64url(unverified_text.encode("ascii"))
    except ValueError:
        raise _invalid() from None
    kind, feed, place = packed[:1], packed[1:_HEAD], packed[_HEAD:]
    # No format is shorter than the oldest; a newer one may be longer.
    if kind in _OTHER_FORMATS and len(packed) >= _SHORTEST:
        raise CursorExpired("This cursor's format is no longer read; start again without a cursor.")
    if kind == _ONE_SHARD_FEED and len(place) == _SEQUENCE_BYTES:
        return Cursor(feed, int.from_bytes(place))
    if kind in {_SHARD, _WHOLE_FEED} and len(place) >= 2 + _SEQUENCE_BYTES:
        shards, shard, sequences = place[0], place[1], _unpack(place[2:])
        is_possible = 1 <= shards <= MAX_SHARDS and shard < shards
        if kind == _SHARD and is_possible and len(place) == 2 + _SEQUENCE_BYTES:
            return ShardCursor(feed, shards, shard, sequences[0])
        is_whole = shards > 1 and len(place) == 2 + shards * _SEQUENCE_BYTES
        if kind == _WHOLE_FEED and is_possible and is_whole:
            return WholeCursor(feed, sequences, shard)
    raise _invalid()


def _invalid() -> InvalidRequest:
    return InvalidRequest(
        "cursor_invalid",
        "Send next_cursor of the previous page unchanged, or no cursor to start at the beginning.",
    )


def _pack(sequence: int) -> bytes:
    return sequence.to_bytes(_SEQUENCE_BYTES)


def _unpack(sequences: bytes) -> tuple[int, ...]:
    return tuple(
        int.from_bytes(sequences[start : start + _SEQUENCE_BYTES])
        for start in range(0, len(sequences), _SEQUENCE_BYTES)
    )
