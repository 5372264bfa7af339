import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.functions_host.queue_message import (
    decode_body,
    encode_body,
    output_bodies,
    parse_queue_name,
    poison_queue_name,
)


@given(st.binary())
def test_when_bytes_are_encoded_then_decoding_gives_them_back(body: bytes) -> None:
    """In base64, whatever they are."""
    assert body == decode_body(encode_body(body, "base64"), "base64")


def test_when_base64_has_line_breaks_then_it_is_read() -> None:
    """As .NET's converter reads it."""
    assert b"message" == decode_body("bWVz\r\nc2Fn ZQ==\n", "base64")


@pytest.mark.parametrize("text", ["plain text", "bWVzc2FnZQ", "bWVz-2FnZQ==", "é"])
def test_when_a_text_is_no_base64_then_it_is_refused(text: str) -> None:
    """White space, padding and alphabet count."""
    with pytest.raises(ValueError, match=r".+"):
        decode_body(text, "base64")


def test_when_there_is_no_encoding_then_text_stays_as_it_is() -> None:
    """What is no text cannot be written."""
    assert "naïve".encode() == decode_body("naïve", "none")
    assert "naïve" == encode_body("naïve".encode(), "none")
    with pytest.raises(ValueError, match="utf-8"):
        encode_body(b"\xff", "none")


@pytest.mark.parametrize(
    ("name", "lowered"),
    [("abc", "abc"), ("Sync-Shards", "sync-shards"), ("x" * 63, "x" * 63)],
)
def test_when_a_name_is_one_of_a_queue_then_it_is_taken_in_lower_case(
    name: str, lowered: str
) -> None:
    """As the real host does."""
    assert lowered == parse_queue_name(name)


@pytest.mark.parametrize("name", ["ab", "x" * 64, "a_b", "-ab", "ab-", "a--b", "abc\n", ""])
def test_when_a_name_is_none_of_a_queue_then_it_is_refused(name: str) -> None:
    """By the rules of the queue service."""
    with pytest.raises(ValueError, match="no queue's name"):
        parse_queue_name(name)


@pytest.mark.parametrize(
    ("name", "poison"),
    [
        ("work", "work-poison"),
        ("work-poison", None),
        ("x" * 56, "x" * 56 + "-poison"),
        ("x" * 57, None),
    ],
)
def test_when_a_queue_is_a_poison_queue_or_its_name_too_long_then_it_has_none(
    name: str, poison: str | None
) -> None:
    """The ending has seven characters of the 63."""
    assert poison == poison_queue_name(name)


@pytest.mark.parametrize(
    ("kind", "value", "bodies"),
    [
        ("string", "text", [b"text"]),
        ("string", "", [b""]),
        ("string", "[half", [b"[half"]),
        ("bytes", b"\xff", [b"\xff"]),
        ("json", '["a", "b"]', [b"a", b"b"]),
        ("json", "[]", []),
        ("string", '["a", "b"]', [b"a", b"b"]),
    ],
)
def test_when_an_output_is_set_then_its_messages_are_those_of_the_real_host(
    kind: str, value: Any, bodies: list[bytes]
) -> None:
    """A text that is a JSON array is taken apart, too."""
    assert bodies == output_bodies(kind, value)


def test_when_a_text_is_a_json_object_then_its_white_space_changes() -> None:
    """The real host parses and writes it anew, so nobody may rely on the very bytes."""
    text = '{"shard":0}'

    (body,) = output_bodies("string", text)

    assert text.encode() != body
    assert json.loads(text) == json.loads(body)


@pytest.mark.parametrize(
    ("kind", "value"), [("json", '{"id": null, "body": "x"}'), ("json", "[1]"), ("string", "{x}")]
)
def test_when_an_output_is_something_else_then_it_is_refused(kind: str, value: str) -> None:
    """Rather than guess what the real host makes of it."""
    with pytest.raises(ValueError, match=r"must be str, bytes|looks like JSON"):
        output_bodies(kind, value)


def test_when_a_message_is_encoded_then_other_clients_read_it() -> None:
    """It is plain base64."""
    assert b"message" == base64.b64decode(encode_body(b"message", "base64"))
