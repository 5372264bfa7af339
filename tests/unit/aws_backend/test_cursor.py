"""Cursors of the change feed."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_backend.cursor import FEED_ID_BYTES, Cursor, identify_feed, parse_cursor
from aws_backend.errors import ApiError, CursorExpired, InvalidRequest
from shared.formats.base64url import encode_base64url

FEED = bytes(range(FEED_ID_BYTES))
TEXT = Cursor(FEED, 7).to_text()


def spell(packed: bytes) -> str:
    """The text of these bytes."""
    return encode_base64url(packed)


@given(
    feed=st.binary(min_size=FEED_ID_BYTES, max_size=FEED_ID_BYTES),
    sequence=st.integers(0, 2**64 - 1),
)
def test_when_a_cursor_is_written_then_it_reads_as_itself(feed: bytes, sequence: int) -> None:
    """A cursor survives its way to the caller and back."""
    cursor = Cursor(feed, sequence)

    assert cursor == parse_cursor(cursor.to_text())


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
    ],
    ids=["format 1", "start in format 1", "a longer, newer one", "a newer one"],
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
