"""Where the records go: what any store must promise to the sync job."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from azure_function_app.deadline import Deadline
from azure_function_app.sync.poison_store import MAX_ID_LENGTH, PoisonOrigin, PoisonStore
from azure_function_app.sync.records import PoisonRecord, Record, encode_data
from azure_function_app.sync.sweep import Stretch
from shared.formats.rfc3339 import parse_rfc3339

# DynamoDB holds no item over 400 KB, so nothing larger can come from there; as UTF-16 that many
# bytes still fit into one Table Storage entity of 1 MiB.
MAX_DATA_BYTES: Final = 400 * 1024
MAX_VERSION: Final = 2**63 - 1
MAX_TIMESTAMP_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """What one page of the feed comes to, for a store to take in at once."""

    records: Sequence[Record]
    poison: Sequence[PoisonRecord]
    origin: PoisonOrigin
    """Of the poison."""


class RecordSink(PoisonStore, Protocol):
    """Keeps the newest version of every record, and what is set aside. Twice is the same as once.

    Every call is over by its deadline; without one the store's own bound holds. What a generation
    would write or mark after a later one has begun is refused, in the very transaction that would
    have done it.
    """

    async def write(
        self, records: Sequence[Record], *, generation: int = 0, deadline: Deadline | None = None
    ) -> int:
        """Store a batch and say how many records that changed.

        A record replaces the stored one only if its generation is later, or its version greater in
        the same generation: so batches may come twice, late, or from two runs at once. A tombstone
        replaces the data and marks the record deleted. No record of the batch counts as written
        before all are: the caller checkpoints next.

        Raises:
            CheckpointConflict: a later generation has begun.
            ContentRefused: the store will never take some record of the batch; others may be
                written.
            StoreUnavailable: nothing may be assumed written; write the batch again.

        """

    async def begin_generation(self, generation: int, *, deadline: Deadline | None = None) -> None:
        """Refuse every write of an earlier generation from now on. Twice is the same as once.

        Raises:
            CheckpointConflict: a later generation has begun.
            StoreUnavailable: it may not hold everywhere; begin it again.

        """

    async def count_missing(
        self, position: str, *, generation: int, deadline: Deadline | None = None
    ) -> Stretch:
        """Count the live records of one stretch, and those that the generation has not replaced.

        Args:
            position: of the stretch before; empty for the first.
            generation: the one that is looked for.
            deadline: for the call; the stretch is shorter rather than late.

        Raises:
            StoreUnavailable: count the stretch again.

        """

    async def mark_missing(
        self, position: str, *, generation: int, deadline: Deadline | None = None
    ) -> Stretch:
        """Mark as deleted what no record of the generation replaced in one stretch.

        Their data stays, because only silence says that they are gone. `missing` is how many were
        marked that had not been deleted before.

        Raises:
            CheckpointConflict: a later generation has begun.
            StoreUnavailable: not all may be marked; mark the stretch again.

        """

    async def newest_generation(self, *, deadline: Deadline | None = None) -> int:
        """Return the latest generation that has begun; 0 if there is none.

        Raises:
            StoreUnavailable: it could not be read.

        """

    async def retain(
        self, ids: Sequence[str], *, generation: int, deadline: Deadline | None = None
    ) -> None:
        """Take records of earlier generations into this one, as they are, at version 0.

        So they are not missing from it, and its first version of each replaces them. IDs of which
        there is no record play no part.

        Raises:
            CheckpointConflict: a later generation has begun. Where there is nothing to do, it may
                not be raised.
            StoreUnavailable: retain them again.

        """

    async def stored_orders(
        self, ids: Sequence[str], *, deadline: Deadline | None = None
    ) -> Mapping[str, tuple[int, int]]:
        """Return by ID the generation and version of those records that are there.

        Raises:
            StoreUnavailable: they could not be read.

        """


def reason_unfit(record: Record) -> str | None:
    """Why no store can hold the record; None if every one can.

    The bounds are the smallest of all stores', so that a record does not depend on which is used.
    """
    problem = reason_unfit_id(record.id)
    if problem is not None:
        return problem
    if not 1 <= record.version <= MAX_VERSION:
        problem = f"the version is not from 1 to {MAX_VERSION}"
    elif not _is_time(record.updated_at):
        problem = "updated_at is no RFC 3339 time"
    else:
        try:
            if len(encode_data(record).encode()) > MAX_DATA_BYTES:
                problem = f"the data is over {MAX_DATA_BYTES} bytes long"
        except (ValueError, TypeError, RecursionError):
            problem = "the data has no JSON form"
    return problem


def reason_unfit_id(record_id: str) -> str | None:
    """Why no store can hold a record of that ID; None if every one can."""
    if not 1 <= len(record_id) <= MAX_ID_LENGTH:
        return f"the id is not 1 to {MAX_ID_LENGTH} characters long"
    # Nearly every ID is ASCII, and then there is a quicker question.
    is_plain = record_id.isascii() and record_id.isprintable()
    if not is_plain and any(unicodedata.category(each) in {"Cc", "Cs"} for each in record_id):
        return "the id holds a control character or a lone surrogate"
    return None


def _is_time(text: str) -> bool:
    try:
        parse_rfc3339(text)
    except ValueError:
        return False
    return len(text) <= MAX_TIMESTAMP_LENGTH


def newest_by_id(records: Iterable[Record]) -> list[Record]:
    """Return the newest version of each record, so that a batch names none twice."""
    newest: dict[str, Record] = {}
    for record in records:
        known = newest.get(record.id)
        if known is None or record.version > known.version:
            newest[record.id] = record
    return list(newest.values())
