"""Cursors of the change feed."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_backend.cursor import (
    FEED_ID_BYTES,
    MAX_CURSOR_LENGTH,
    MAX_SHARDS,
    Cursor,
    FeedCursor,
    ShardCursor,
    WholeCursor,
    identify_feed,
    parse_cursor,
)
from aws_backend.errors import ApiError, CursorExpired, InvalidRequest
from shared.formats.base64url import encode_base64url

FEED = bytes(range(FEED_ID_BYTES))
TEXT = Cursor(FEED, 7).to_text()


def spell(packed: bytes) -> str:
    """The text of these bytes."""
    return encode_base64url(packed)


FEEDS = st.binary(min_size=FEED_ID_BYTES, max_size=FEED_ID_BYTES)
SEQUENCES = st.integers(0, 2**64 - 1)


@st.composite
def shard_cursors(draw: st.DrawFn) -> ShardCursor:
    """Cursors of one shard of a feed."""
    shards = draw(st.integers(1, MAX_SHARDS))
    shard = draw(st.integers(0, shards - 1))
    return ShardCursor(draw(FEEDS), shards, shard, draw(SEQUENCES))


@st.composite
def whole_cursors(draw: st.DrawFn) -> WholeCursor:
    """Cursors of feeds of several shards."""
    sequences = draw(st.lists(SEQUENCES, min_size=2, max_size=MAX_SHARDS))
    next_shard = draw(st.integers(0, len(sequences) - 1))
    return WholeCursor(draw(FEEDS), tuple(sequences), next_shard)


@given(st.one_of(st.builds(Cursor, FEEDS, SEQUENCES), shard_cursors(), whole_cursors()))
def test_when_a_cursor_is_written_then_it_reads_as_itself(cursor: FeedCursor) -> None:
    """A cursor survives its way to the caller and back."""
    assert cursor == parse_cursor(cursor.to_text())


def test_when_a_cursor_is_of_an_earlier_release_then_it_is_read_as_it_was_meant() -> None:
    """A feed of one shard hands out the same text as before there were shards."""
    earlier = "AgABAgMEBQYHCAkKCwwNDg8AAAAAAAAABw"

    assert Cursor(FEED, 7) == parse_cursor(earlier)
    assert earlier == Cursor(FEED, 7).to_text()


def test_when_a_feed_has_the_most_shards_then_its_cursor_is_short_enough_for_a_url() -> None:
    """A gateway takes headers of 10 KB together, the request line among them."""
    longest = WholeCursor(FEED, (2**64 - 1,) * MAX_SHARDS, MAX_SHARDS - 1).to_text()

    assert 708 == len(longest)
    assert len(longest) < MAX_CURSOR_LENGTH


@given(st.binary(min_size=FEED_ID_BYTES, max_size=600), st.sampled_from([2, 3, 4]))
def test_when_the_bytes_of_a_cursor_are_made_up_then_it_is_refused_or_means_them(
    made_up: bytes, number: int
) -> None:
    """Whatever is accepted is a cursor that we could have written, exactly so."""
    text = spell(bytes([number]) + made_up)
    try:
        spelling = parse_cursor(text).to_text()
    except InvalidRequest:
        return

    assert text == spelling


@given(st.text())
def test_when_a_text_is_accepted_then_it_is_the_cursors_only_spelling(text: str) -> None:
    """No other text than the one that we wrote stands for a cursor."""
    try:
        spelling = parse_cursor(text).to_text()
    except ApiError:
        spelling = None

    assert spelling in {None, text}


def test_when_one_character_is_changed_then_it_is_refused_or_another_cursor() -> None:
    """No two texts stand for the same cursor, stray bits in the last character included."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = []
    for place, present in enumerate(TEXT):
        for character in alphabet.replace(present, ""):
            try:
                accepted.append(parse_cursor(TEXT[:place] + character + TEXT[place + 1 :]))
            except ApiError:
                continue

    assert accepted
    assert len(accepted) == len(set(accepted))
    assert Cursor(FEED, 7) not in accepted


@pytest.mark.parametrize(
    "text",
    [
        TEXT + "=",
        TEXT + "==",
        TEXT + "A",
        TEXT[:-1],
        TEXT[:-4],
        TEXT + "AAAA",
        " " + TEXT,
        TEXT + "\n",
        TEXT[:-1] + chr(ord(TEXT[-1]) + 1),
        base64.b64encode(b"\x02" + b"\xff" * 24).decode(),
        spell(b"\x01" + b"\xff" * 23),
        spell(b"\x00" + b"\xff" * 24),
        spell(b"\x10" + b"\xff" * 24),
        spell(b"\x02" + b"\xff" * 25),
        spell(b"\x03" + FEED + bytes([0, 0]) + bytes(8)),
        spell(b"\x03" + FEED + bytes([2, 2]) + bytes(8)),
        spell(b"\x03" + FEED + bytes([65, 0]) + bytes(8)),
        spell(b"\x03" + FEED + bytes([2, 0]) + bytes(16)),
        spell(b"\x03" + FEED + bytes([2, 0]) + bytes(7)),
        spell(b"\x03" + FEED + bytes(8)),
        spell(b"\x04" + FEED + bytes([1, 0]) + bytes(8)),
        spell(b"\x04" + FEED + bytes([2, 2]) + bytes(16)),
        spell(b"\x04" + FEED + bytes([2, 0]) + bytes(15)),
        spell(b"\x04" + FEED + bytes([2, 0]) + bytes(24)),
        spell(b"\x04" + FEED + bytes([65, 0]) + bytes(65 * 8)),
        spell(b"\x05" + bytes(4000)),
        "7",
        "",
        "é" * len(TEXT),
    ],
)
def test_when_a_text_is_no_cursor_then_it_is_refused(text: str) -> None:
    """Padding, truncation, another alphabet, another format or stray bits are not passed over."""
    with pytest.raises(InvalidRequest, match="next_cursor") as caught:
        parse_cursor(text)

    assert "cursor_invalid" == caught.value.code


def test_when_a_feed_has_not_begun_then_its_cursor_is_before_the_first_change() -> None:
    """The start is a cursor like any other."""
    assert Cursor.at_start() == parse_cursor(Cursor.at_start().to_text())


@pytest.mark.parametrize(
    "packed",
    [
        b"\x01" + FEED + (7).to_bytes(8),
        b"\x01" + bytes(24),
        b"\x05" + FEED + bytes(12),
        b"\x0f" + FEED + (7).to_bytes(8),
        b"\x05" + bytes(MAX_CURSOR_LENGTH * 3 // 4 - 1),
    ],
    ids=["format 1", "start in format 1", "a longer, newer one", "a newer one", "the longest"],
)
def test_when_a_cursor_is_of_another_format_of_ours_then_it_has_expired(packed: bytes) -> None:
    """Its reader starts over by itself, after an upgrade and after its rollback."""
    with pytest.raises(CursorExpired, match="start again"):
        parse_cursor(spell(packed))


def test_when_feeds_are_identified_then_both_id_and_table_count() -> None:
    """A restored table has the same ID, and a table made again under one name has another."""
    feeds = [
        identify_feed(FEED, "records"),
        identify_feed(FEED, "records-restored"),
        identify_feed(bytes(reversed(FEED)), "records"),
    ]

    assert 3 == len(set(feeds))
    assert {FEED_ID_BYTES} == {len(feed) for feed in feeds}
    assert feeds[0] == identify_feed(FEED, "records")
