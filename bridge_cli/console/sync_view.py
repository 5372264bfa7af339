"""How the sync stands: its checkpoint, and its runs, also those that the store could not keep."""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NoReturn, Self, assert_never

from azure_function_app.deadline import Deadline
from azure_function_app.errors import BridgeError, StoreUnavailable
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.stores.table_store import TableStore, build_table_store
from azure_function_app.sync.checkpoint_store import Checkpoint
from bridge_cli.console.log_tail import LogTail
from bridge_cli.console.shown import Json, shown
from emulator.stack import LocalStack
from shared.clock import Clock

_READ_SECONDS: Final = 1.0
"""A store that is broken on purpose must not hold up the page."""
_RUNS_SHOWN: Final = 12
_LOST_KEPT: Final = 12
_CURSOR_SHOWN: Final = 10
_MEMBERS: Final = (
    "run_id",
    "status",
    "pages",
    "records_read",
    "records_changed",
    "records_set_aside",
    "started_at",
    "finished_at",
    "error_code",
    "shard",
)


class SyncView:
    """Looks at the store from outside, and at what the Function App logs of its runs."""

    def __init__(self, store: SqliteStore | TableStore, file: Path | None, log: Path) -> None:
        """Take the store, its file if it is one, and the Function App's log."""
        self._store = store
        self._file = file
        self._tail = LogTail(log)
        self._logged: deque[Json] = deque(maxlen=_LOST_KEPT)
        self._reports: list[Json] = []
        self._checkpoint: Json | None = None
        self._records: int | None = None
        self._store_answers = True

    @classmethod
    @asynccontextmanager
    async def of(cls, stack: LocalStack) -> AsyncIterator[Self]:
        """Give the block the view of a stack's sync; its connections end with the block."""
        log = stack.log_folder / "function-app.log"
        match stack.record_store:
            case "sqlite":
                view = cls(SqliteStore(stack.sqlite_path), stack.sqlite_path, log)
            case "table":
                view = cls(build_table_store(stack.store_place, _no_credential), None, log)
            case _:
                assert_never(stack.record_store)
        try:
            yield view
        finally:
            await view._store.aclose()

    def read_log(self) -> None:
        """Take in what the Function App has logged since the last call."""
        for line in self._tail.read_new():
            if line.get("event") == "sync_finished":
                self._logged.appendleft(_members_of(line))

    async def read_store(self, clock: Clock) -> None:
        """Look at the store again; where it does not answer, what was seen last stays."""
        if self._file is not None and not self._file.exists():
            # To look would make it.
            return
        deadline = Deadline.after(_READ_SECONDS, clock)
        try:
            reports = await self._store.load_reports(deadline=deadline)
            self._reports = [_members_of(asdict(report)) for report in reports[:_RUNS_SHOWN]]
            if not reports:
                self._store_answers = True
                return
            checkpoint = await self._store.load(deadline=deadline)
            self._checkpoint = _shown_checkpoint(checkpoint)
            if self._file is not None:
                self._records = await self._store.view.count_live(before=checkpoint.generation + 1)
            self._store_answers = True
        except StoreUnavailable:
            self._store_answers = False
        except BridgeError as unreadable:
            self._checkpoint = {"cursor": None, "generation": None, "problem": unreadable.code}

    def runs(self) -> list[Json]:
        """Return the runs, the newest first; also those whose report the store could not take."""
        kept = {run["run_id"] for run in self._reports}
        lost = [run | {"report": "lost"} for run in self._logged if run["run_id"] not in kept]
        # A report of long ago that the store has forgotten is not lost, only old.
        oldest = min((run["started_at"] for run in self._reports), default="")
        lost = [run for run in lost if run["started_at"] >= oldest]
        runs = [*self._reports, *lost]
        runs.sort(key=lambda run: str(run["finished_at"]), reverse=True)
        return runs[:_RUNS_SHOWN]

    def ended_runs(self, *, beyond: frozenset[str]) -> list[Json]:
        """Return the runs that the log saw to end and that are none of those, the newest first."""
        return [run for run in self._logged if run["run_id"] not in beyond]

    def ended_run_ids(self) -> frozenset[str]:
        """Return the IDs of the runs that the log saw to end."""
        return frozenset(run["run_id"] for run in self._logged)

    def to_members(self) -> Json:
        """Return everything for the page."""
        return {
            "runs": self.runs(),
            "checkpoint": self._checkpoint,
            "records": self._records,
            "store_answers": self._store_answers,
        }

    @property
    def cursor(self) -> str | None:
        """What the page shows of the checkpoint's cursor."""
        return self._checkpoint["cursor"] if self._checkpoint else None


def _members_of(line: Mapping[str, Any]) -> Json:
    """Return the members of a report, from a log line or from the store, bounded."""
    members: Json = {}
    for name in _MEMBERS:
        value = line.get(name)
        members[name] = value if value is None or isinstance(value, int) else shown(value)
    return members


def _shown_checkpoint(checkpoint: Checkpoint) -> Json:
    cursor = checkpoint.cursor
    return {
        # Its end is what moves.
        "cursor": f"…{shown(cursor[-_CURSOR_SHOWN:])}" if cursor else None,
        "generation": checkpoint.generation,
        "is_rereading": checkpoint.is_rereading,
        "problem": None,
    }


def _no_credential() -> NoReturn:
    raise AssertionError("Azurite on loopback is signed in to by its own key")
