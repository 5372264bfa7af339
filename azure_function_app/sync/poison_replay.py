"""What a person does with what was set aside: have it tried again, or dropped.

Neither needs the sync to stand still. A replayed record is written as the sync writes it, so an
older version never replaces a newer one, whoever comes first; and whatever is tried again twice is
as if it had been tried once.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from azure_function_app.errors import ContentRefused
from azure_function_app.sync.checkpoint_store import BEGINNING, CheckpointStore
from azure_function_app.sync.item import UnfitItemError, claims_of, parse_item
from azure_function_app.sync.poison_store import KeptPoison, PoisonEntry, PoisonStore
from azure_function_app.sync.record_sink import RecordSink, reason_unfit, reason_unfit_id
from azure_function_app.sync.records import Record

_PAGE: Final = 100


class ReplayOutcome(StrEnum):
    """What became of one item."""

    STORED = "stored"
    """It is a valid record now, and the sink has it: it is no longer kept."""
    OVERTAKEN = "overtaken"
    """The sink has a newer version, or the feed is another one by now: it is no longer kept."""
    UNFIT = "unfit"
    """It is still no valid record, and stays where it is."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of all that was tried again."""

    outcomes: Mapping[ReplayOutcome, int]
    """How many items of each; those without any are left out."""
    reasons: Mapping[str, int] = field(default_factory=dict[str, int])
    """Why items are still unfit, by today's rules, and how many for each reason."""


async def all_poison(store: PoisonStore) -> AsyncIterator[PoisonEntry]:
    """Yield every item that is kept, page by page, without its content.

    Raises:
        StoreUnavailable: they could not be read.

    """
    after = ""
    while entries := await store.list_poison(after=after, limit=_PAGE):
        for entry in entries:
            yield entry
        after = entries[-1].key


async def replay_poison(sink: RecordSink, checkpoints: CheckpointStore) -> ReplayReport:
    """Try all that was set aside again under today's rules, and return what became of it.

    An item leaves only after its record is in the sink, or where it could change nothing there.

    Raises:
        CheckpointConflict: the feed has become another one meanwhile; try again.
        StoreUnavailable: some may have been tried; try again.

    """
    outcomes: Counter[ReplayOutcome] = Counter()
    reasons: Counter[str] = Counter()
    present_generation = 0
    async for entry in all_poison(sink):
        # Not for each item: without a checkpoint it takes a look at every record.
        if outcomes.total() % _PAGE == 0:
            present_generation = await _present_generation(sink, checkpoints)
        # Another process may have dropped it meanwhile.
        if (kept := await sink.get_poison(entry.key)) is None:
            continue
        outcome, reason = await _replay(kept, sink, present_generation)
        outcomes[outcome] += 1
        if outcome is ReplayOutcome.UNFIT:
            reasons[reason] += 1
        else:
            await sink.drop_poison(entry.key)
    return ReplayReport(dict(outcomes), dict(reasons))


async def drop_all_poison(store: PoisonStore, *, reason: str | None = None) -> int:
    """Forget everything that is kept, or what is kept for that reason; return how much that was.

    Raises:
        StoreUnavailable: some may have been dropped; drop the rest again.

    """
    dropped = 0
    async for entry in all_poison(store):
        if reason is None or entry.reason == reason:
            dropped += await store.drop_poison(entry.key)
    return dropped


async def _replay(
    kept: KeptPoison, sink: RecordSink, present_generation: int
) -> tuple[ReplayOutcome, str]:
    """Return what becomes of the item, and why it is unfit if it is."""
    origin = kept.entry.origin
    generation = origin.generation
    if generation != present_generation and not origin.set_aside_at:
        return ReplayOutcome.UNFIT, "the item is from an older version of this app, which cut it"
    if generation < present_generation:
        # The later feed says itself what it has: it is read from its beginning.
        return ReplayOutcome.OVERTAKEN, ""
    if generation > present_generation:
        # Written, it would hide all that the present feed says of the record.
        return ReplayOutcome.UNFIT, "the item is from another feed than the records"
    try:
        record = _parse(kept)
        changed = await sink.write([record], generation=generation)
    except (UnfitItemError, ContentRefused) as error:
        if await _is_overtaken(kept, sink):
            return ReplayOutcome.OVERTAKEN, ""
        return ReplayOutcome.UNFIT, str(error)
    return (ReplayOutcome.STORED if changed else ReplayOutcome.OVERTAKEN), ""


def _parse(kept: KeptPoison) -> Record:
    if not kept.entry.is_whole:
        raise UnfitItemError("only the item's beginning is kept")
    record = parse_item(kept.raw)
    if (reason := reason_unfit(record)) is not None:
        raise UnfitItemError(reason)
    return record


async def _is_overtaken(kept: KeptPoison, sink: RecordSink) -> bool:
    """Return whether the sink has a later version; not where the item's cannot be read."""
    claims = claims_of(kept.raw)
    if claims.version is None or reason_unfit_id(claims.id) is not None:
        return False
    stored = (await sink.stored_orders([claims.id])).get(claims.id)
    return stored is not None and stored > (kept.entry.origin.generation, claims.version)


async def _present_generation(sink: RecordSink, checkpoints: CheckpointStore) -> int:
    checkpoint = await checkpoints.load()
    if checkpoint != BEGINNING:
        return checkpoint.generation
    return await sink.newest_generation()
