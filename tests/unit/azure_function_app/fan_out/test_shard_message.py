"""Messages, as they stand in the queue."""

import json

import pytest

from azure_function_app.errors import ShardMessageInvalid
from azure_function_app.fan_out.shard_message import MessageKind, ShardMessage, parse_message

READ = ShardMessage(MessageKind.READ, "feed", 3, 2, "from", "to")
MEMBERS = json.loads(READ.encode())


@pytest.mark.parametrize("message", [READ, ShardMessage(MessageKind.SWEEP, "feed", 3)])
def test_when_a_message_is_encoded_then_it_comes_back_the_same(message: ShardMessage) -> None:
    """Every member of it."""
    assert message == parse_message(message.encode().encode())


def test_when_a_message_is_encoded_then_its_members_are_these() -> None:
    """Messages of one version are read by the next one."""
    assert {
        "format": 1,
        "kind": "read",
        "feed": "feed",
        "generation": 3,
        "shard": 2,
        "from": "from",
        "to": "to",
    } == MEMBERS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"format": 1, "format": 1}',
        *(
            json.dumps(MEMBERS | changes).encode()
            for changes in (
                {"format": 2},
                {"format": True},
                {"kind": "write"},
                {"kind": ["read"]},
                {"feed": ""},
                {"feed": 1},
                {"generation": -1},
                {"generation": "3"},
                {"shard": 64},
                {"shard": -1},
                {"shard": 1.0},
                {"from": ""},
                {"from": "c" * 5_000},
                {"to": None},
                {"kind": "sweep"},
                {"more": 1},
            )
        ),
        json.dumps({name: MEMBERS[name] for name in MEMBERS if name != "to"}).encode(),
    ],
)
def test_when_a_message_is_none_of_ours_then_the_error_names_the_queue(body: bytes) -> None:
    """Nothing is guessed: the host sets it aside after its attempts."""
    with pytest.raises(ShardMessageInvalid, match="sync-shards") as raised:
        parse_message(body)

    assert "shard_message_invalid" == raised.value.code
