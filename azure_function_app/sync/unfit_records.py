"""Finds the records that a store refuses, and tells when too much of a page is unfit."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from azure_function_app.errors import ContentRefused, RecordsUnfit
from azure_function_app.sync.records import PoisonRecord, Record

MOST_EXCUSED: Final = 20
"""Items that one run sets aside from pages of which too much is unfit, before it fails: a page of
one item that is unfit is all unfit, and must not stop the feed."""


async def write_fit(
    write: Callable[[Sequence[Record]], Awaitable[int]],
    records: Sequence[Record],
    *,
    on_refused: Callable[[Record, str], None],
) -> int:
    """Write all records that the store takes, and return how many that changed.

    A batch that is refused is halved until the records to blame stand by themselves: at most
    2 log2(n) + 1 writes for each of them. What is written twice by that does no harm, because
    writing again changes nothing.

    Args:
        write: stores a batch and returns how many records that changed.
        records: the batch.
        on_refused: is called with each record that the store refuses for good, and the reason.

    Raises:
        BridgeError: as `write` raises it, but for `ContentRefused`; and whatever `on_refused`
            raises, because it has seen enough.

    """
    changed = 0
    # A stack, the first half on top: the order of the feed is kept, and nothing recurses.
    batches = [records]
    while batches:
        batch = batches.pop()
        try:
            changed += await write(batch)
        except ContentRefused as error:
            changed += error.changed
            if len(batch) == 1:
                on_refused(batch[0], str(error))
            else:
                middle = len(batch) // 2
                batches += [batch[middle:], batch[:middle]]
    return changed


@dataclass(slots=True)
class PoisonAllowance:
    """How much poison a run still takes before it fails."""

    most_share: float
    """Of a page; 1 takes any."""
    _excused: int = field(default=0, init=False)

    def check(self, poison: Sequence[PoisonRecord], page_items: int) -> None:
        """Raise unless the run may set these items of a page aside.

        Raises:
            RecordsUnfit: it is not single records that are wrong, but the API, or this app.

        """
        if len(poison) > max(self.most_share * page_items, MOST_EXCUSED - self._excused):
            (reason, _), *_ = Counter(item.reason for item in poison).most_common(1)
            raise RecordsUnfit(
                f"{len(poison)} of {page_items} items of a page are unfit to be stored, most"
                f" because {reason}. Nothing was skipped. Mend the API or this app, or raise"
                " SYNC_MOST_POISON_SHARE to have such items set aside."
            )

    def use(self, poison_items: int, page_items: int) -> None:
        """Count what was set aside of a page."""
        if poison_items > self.most_share * page_items:
            self._excused += poison_items
