"""A message of the queue: which shard to read, from where, in which generation of which feed."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from azure_function_app.errors import ShardMessageInvalid
from azure_function_app.sync.change_feed import LONGEST_CURSOR
from azure_function_app.sync.checkpoint_store import MAX_SHARDS
from azure_function_app.sync.item import UnfitItemError, parse_strictly

_FORMAT: Final = 1
_LONGEST: Final = 64 * 1024
"""What a queue's message may hold."""
_MEMBERS: Final = frozenset({"format", "kind", "feed", "generation", "shard", "from", "to"})


class MessageKind(StrEnum):
    """What a message asks for."""

    READ = "read"
    """To read a shard from where it stands."""
    SWEEP = "sweep"
    """To mark what a generation lacks as deleted, now that every shard of it was read."""


@dataclass(frozen=True, slots=True)
class ShardMessage:
    """A piece of work. It may come twice, late, or never: what is stored decides what it means."""

    kind: MessageKind
    feed: str
    """Names the feed, as the list of its shards does."""
    generation: int
    shard: int = 0
    """0 for a sweep, which is for all of them."""
    start: str = ""
    """The cursor where the shard must stand, or the message is late; empty for a sweep."""
    end: str = ""
    """Where the shard stood when the work was planned; a worker reads on to what is the end by
    then. Empty for a sweep."""

    def encode(self) -> str:
        """Return the message as JSON text."""
        return json.dumps(
            {
                "format": _FORMAT,
                "kind": self.kind,
                "feed": self.feed,
                "generation": self.generation,
                "shard": self.shard,
                "from": self.start,
                "to": self.end,
            }
        )


def parse_message(body: bytes) -> ShardMessage:
    """Return the message that the body holds.

    Raises:
        ShardMessageInvalid: it holds none, or one of another version of the app.

    """
    problem = ShardMessageInvalid(
        "The message is none that this version of the app has written: see what else writes to the"
        " queue sync-shards. Nothing was done; the next tick plans anew."
    )
    if len(body) > _LONGEST:
        raise problem
    try:
        members = parse_strictly(body)
    except UnfitItemError as error:
        raise problem from error
    if not isinstance(members, dict) or members.keys() != _MEMBERS:
        raise problem
    texts = [members[name] for name in ("feed", "from", "to")]
    numbers = [members[name] for name in ("format", "generation", "shard")]
    # bool is a subclass of int.
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise problem
    if not all(isinstance(text, str) and len(text) <= LONGEST_CURSOR for text in texts):
        raise problem
    if members["format"] != _FORMAT or members["kind"] not in list(MessageKind):
        raise problem
    message = ShardMessage(
        MessageKind(members["kind"]),
        members["feed"],
        members["generation"],
        members["shard"],
        members["from"],
        members["to"],
    )
    is_read = message.kind is MessageKind.READ
    if message.shard >= MAX_SHARDS or not message.feed or is_read == (message.start == ""):
        raise problem
    return message
