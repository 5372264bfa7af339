"""Where what is set aside stays until a person has seen to it: what any store must promise."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from azure_function_app.deadline import Deadline
from azure_function_app.sync.records import PoisonRecord

MAX_ID_LENGTH: Final = 512


@dataclass(frozen=True, slots=True)
class PoisonOrigin:
    """Where in the feed an item was found, and by which run."""

    run_id: str
    set_aside_at: str
    """RFC 3339, UTC."""
    generation: int
    """Of the feed; a later generation is another feed, whose versions are not comparable."""
    cursor: str
    """Where the item's page starts, to fetch it again by."""
    page_size: int
    """How many items were asked for at that cursor."""


@dataclass(frozen=True, slots=True)
class PoisonEntry:
    """What is known of an item that is kept, but for its content."""

    key: str
    """Names the item by what it is."""
    id: str
    """The ID that it claims; empty where it has none that can be read."""
    reason: str
    is_tombstone: bool
    """Whether it claims that the record was deleted: the sink still has what the source has not."""
    size: int
    """Bytes of the whole item."""
    is_whole: bool
    """Whether all of it is kept, or only its beginning, because the store cannot hold more."""
    origin: PoisonOrigin

    def to_row(self) -> tuple[str | int, ...]:
        """Return everything in the order of the columns of a table."""
        entry = (self.key, self.id, self.reason, self.is_tombstone, self.size, self.is_whole)
        origin = self.origin
        return (
            *entry,
            origin.run_id,
            origin.set_aside_at,
            origin.generation,
            origin.cursor,
            origin.page_size,
        )


@dataclass(frozen=True, slots=True)
class KeptPoison:
    """An item that was set aside, with its content."""

    entry: PoisonEntry
    raw: bytes
    """The item as it came, or its beginning."""


class PoisonStore(Protocol):
    """Keeps what is no valid record until it is dropped. Every call is over by its deadline."""

    async def set_aside(
        self,
        records: Sequence[PoisonRecord],
        *,
        origin: PoisonOrigin,
        deadline: Deadline | None = None,
    ) -> None:
        """Keep items with the reason, each once, however often it is found.

        Found again, an item keeps its first run. Its ID and content may be anything.

        Raises:
            StoreUnavailable: nothing may be assumed kept.

        """

    async def list_poison(
        self, *, after: str = "", limit: int = 100, deadline: Deadline | None = None
    ) -> Sequence[PoisonEntry]:
        """Return the next items in the order of their keys, none if there are no more.

        Args:
            after: the key of the last one that is known; empty to begin.
            limit: how many at most.
            deadline: for the call.

        Raises:
            StoreUnavailable: they could not be read.

        """

    async def get_poison(self, key: str, *, deadline: Deadline | None = None) -> KeptPoison | None:
        """Return the item of that key with its content; None if there is none.

        Raises:
            StoreUnavailable: it could not be read.

        """

    async def drop_poison(self, key: str, *, deadline: Deadline | None = None) -> bool:
        """Forget the item of that key, and return whether there was one.

        Raises:
            StoreUnavailable: unknown whether it was dropped; drop it again.

        """


def poison_key(record: PoisonRecord) -> str:
    """Return a name for the item by what it is, so that the same one is kept once."""
    name = record.id.encode(errors="surrogatepass")
    return hashlib.sha256(name + b"\0" + record.raw).hexdigest()


def poison_entry(record: PoisonRecord, origin: PoisonOrigin, *, most_bytes: int) -> PoisonEntry:
    """Return the entry of an item, its ID in a form that every store can hold.

    Args:
        record: the item.
        origin: where it comes from.
        most_bytes: how much content the store can keep of one item.

    """
    return PoisonEntry(
        key=poison_key(record),
        id=_encodable(record.id)[:MAX_ID_LENGTH],
        reason=_encodable(record.reason),
        is_tombstone=record.is_tombstone,
        size=len(record.raw),
        is_whole=len(record.raw) <= most_bytes,
        origin=origin,
    )


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
