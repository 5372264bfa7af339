"""A change feed in memory, with the faults that a test asks for."""

from collections.abc import Callable, Sequence

from azure_function_app.deadline import Deadline
from azure_function_app.errors import BackendRejected
from azure_function_app.sync.records import ChangePage, PoisonRecord, Record


def record(record_id: str, version: int = 1, *, deleted: bool = False, **data: object) -> Record:
    """A valid record, unless the caller bends it."""
    return Record(
        id=record_id,
        version=version,
        updated_at="2026-11-21T05:47:00.000Z",
        deleted=deleted,
        data={} if deleted else {"name": f"{record_id} v{version}"} | data,
    )


class FakeFeed:
    """Serves its changes oldest first; a cursor ends with the number of changes read so far."""

    def __init__(self, changes: Sequence[Record | PoisonRecord] = ()) -> None:
        """Start with these changes."""
        self.changes_so_far = list(changes)
        self.calls: list[tuple[str, int, float]] = []
        self.before_answer: Callable[[str], None] = lambda _cursor: None
        self.expired_cursors: set[str] = set()
        self._feed = ""

    def start_anew(self, changes: Sequence[Record | PoisonRecord]) -> None:
        """Become another feed, as when the table behind it was made anew: old cursors expire."""
        self._feed += "new."
        self.changes_so_far = list(changes)

    async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
        """The page that starts at the cursor."""
        self.calls.append((cursor, limit, deadline.remaining_seconds()))
        self.before_answer(cursor)
        feed, _, number = cursor.rpartition(".")
        is_of_another_feed = bool(cursor) and (f"{feed}." if feed else "") != self._feed
        if is_of_another_feed or cursor in self.expired_cursors:
            raise BackendRejected("The cursor has expired.", status=410, code="cursor_expired")
        start = int(number or 0)
        items = self.changes_so_far[start : start + limit]
        end = start + len(items)
        return ChangePage(
            records=tuple(item for item in items if isinstance(item, Record)),
            next_cursor=f"{self._feed}{end}",
            has_more=end < len(self.changes_so_far),
            poison=tuple(item for item in items if isinstance(item, PoisonRecord)),
        )
