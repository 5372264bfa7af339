"""Records and checkpoint in PostgreSQL: where people query them beside what else they have.

A page and the checkpoint past it are one transaction, and any number of instances may share the
tables: of two runs that overlap, the second finds the checkpoint moved and changes nothing at all.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self

from azure_function_app.deadline import Deadline
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.stores.postgres import poison as kept
from azure_function_app.stores.postgres import records as rows
from azure_function_app.stores.postgres.connections import (
    Connection,
    PostgresConnections,
    Server,
)
from azure_function_app.stores.postgres.database import PostgresDatabase
from azure_function_app.stores.postgres.view import PostgresView
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    WHOLE_FEED_ROW,
    Checkpoint,
    SyncReport,
    runs_kept,
    surplus_reports,
)
from azure_function_app.sync.poison_store import KeptPoison, PoisonEntry, PoisonOrigin
from azure_function_app.sync.record_sink import Batch
from azure_function_app.sync.record_view import HeldVersion
from azure_function_app.sync.records import PoisonRecord, Record
from azure_function_app.sync.stored_text import (
    decode_checkpoint,
    decode_report,
    encode_report,
)
from azure_function_app.sync.sweep import Stretch, SweepPhase
from azure_function_app.sync.sync_store import Step, sweep_of, swept
from shared.clock import Clock
from shared.loopback import is_loopback_address

_KEEP_REPORT: Final = """
INSERT INTO runs (run_id, finished_at, shard, report) VALUES ($1, $2, $3, $4)
ON CONFLICT (run_id) DO NOTHING
"""
_OF_SHARD: Final = """
SELECT run_id, report FROM runs WHERE shard IS NOT DISTINCT FROM $1
ORDER BY finished_at DESC, number DESC
"""
_FORGET: Final = "DELETE FROM runs WHERE run_id = ANY($1::text[])"
_REPORTS: Final = "SELECT report FROM runs ORDER BY finished_at DESC, number DESC"


class PostgresStore:
    """A record sink and a checkpoint store in one schema, shared safely with other instances."""

    def __init__(self, database: PostgresDatabase, *, checkpoint_row: str = WHOLE_FEED_ROW) -> None:
        """Take the database, and the name of the row that the checkpoint is in.

        The tables are made on first use.
        """
        self._database = database
        self._checkpoint_row = checkpoint_row
        self.view = PostgresView(database)

    def for_row(self, row: str) -> Self:
        """Return this store with the checkpoint of another row; it is closed with this one."""
        return type(self)(self._database, checkpoint_row=row)

    async def write(
        self, records: Sequence[Record], *, generation: int = 0, deadline: Deadline | None = None
    ) -> int:
        """Store a batch in one transaction and say how many records that changed."""
        new = rows.rows_of(records)
        return await self._database.write(
            deadline, lambda connection: rows.upsert(connection, new, generation)
        )

    async def write_page(
        self,
        page: Batch,
        moved: Checkpoint,
        *,
        replacing: Checkpoint,
        deadline: Deadline | None = None,
    ) -> Step:
        """Take in a page and move the checkpoint past it, in one transaction."""
        new = rows.rows_of(page.records)

        async def take_in(connection: Connection) -> Step:
            saved = await self._move(connection, moved, replacing)
            if page.poison:
                await kept.keep_poison(connection, page.poison, page.origin)
            return Step(saved, await rows.upsert(connection, new, moved.generation))

        return await self._database.write(deadline, take_in)

    async def sweep_page(self, checkpoint: Checkpoint, *, deadline: Deadline | None = None) -> Step:
        """Take the sweep one stretch further, and the checkpoint too, in one transaction."""
        sweep, position = sweep_of(checkpoint)
        is_marking = sweep.phase is SweepPhase.MARKING
        take = rows.mark_missing if is_marking else rows.count_missing

        async def step(connection: Connection) -> Step:
            await rows.hold_checkpoint(connection, self._checkpoint_row, checkpoint)
            stretch = await take(connection, position, checkpoint.generation)
            moved = swept(checkpoint, sweep, stretch)
            saved = await self._move(connection, moved, checkpoint)
            return Step(saved, stretch.missing if is_marking else 0)

        return await self._database.write(deadline, step)

    async def begin_generation(self, generation: int, *, deadline: Deadline | None = None) -> None:
        """Refuse every write of an earlier generation from now on."""
        await self._database.write(
            deadline, lambda connection: rows.enter_generation(connection, generation)
        )

    async def count_missing(
        self, position: str, *, generation: int, deadline: Deadline | None = None
    ) -> Stretch:
        """Count one stretch of the live records, and those that the generation lacks."""
        return await self._database.read(
            deadline,
            lambda connection: rows.count_missing(connection, position, generation),
            Stretch(None, 0, 0),
        )

    async def mark_missing(
        self, position: str, *, generation: int, deadline: Deadline | None = None
    ) -> Stretch:
        """Mark as deleted what the generation lacks in one stretch."""
        return await self._database.write(
            deadline, lambda connection: rows.mark_missing(connection, position, generation)
        )

    async def newest_generation(self, *, deadline: Deadline | None = None) -> int:
        """Return the latest generation that has begun; 0 if there is none."""
        return await self._database.read(deadline, rows.newest_generation, 0)

    async def retain(
        self, ids: Sequence[str], *, generation: int, deadline: Deadline | None = None
    ) -> None:
        """Take records of earlier generations into this one, as they are, at version 0."""
        await self._database.write(
            deadline, lambda connection: rows.retain(connection, ids, generation)
        )

    async def stored_orders(
        self, ids: Sequence[str], *, deadline: Deadline | None = None
    ) -> Mapping[str, tuple[int, int]]:
        """Return by ID the generation and version of those records that are there."""
        nothing = dict[str, HeldVersion]()
        held = await self._database.read(
            deadline, lambda connection: rows.held_versions(connection, ids), nothing
        )
        return {name: (version.generation, version.version) for name, version in held.items()}

    async def set_aside(
        self,
        records: Sequence[PoisonRecord],
        *,
        origin: PoisonOrigin,
        deadline: Deadline | None = None,
    ) -> None:
        """Keep what is no valid record, each item once and whole."""
        await self._database.write(
            deadline, lambda connection: kept.keep_poison(connection, records, origin)
        )

    async def list_poison(
        self, *, after: str = "", limit: int = 100, deadline: Deadline | None = None
    ) -> Sequence[PoisonEntry]:
        """Return the next items that are kept, in the order of their keys."""
        return await self._database.read(
            deadline, lambda connection: kept.list_poison(connection, after, limit), []
        )

    async def get_poison(self, key: str, *, deadline: Deadline | None = None) -> KeptPoison | None:
        """Return the item of that key with its content; None if there is none."""
        return await self._database.read(
            deadline, lambda connection: kept.get_poison(connection, key), None
        )

    async def drop_poison(self, key: str, *, deadline: Deadline | None = None) -> bool:
        """Forget the item of that key, and return whether there was one."""
        return await self._database.read(
            deadline, lambda connection: kept.drop_poison(connection, key), nothing=False
        )

    async def load(self, *, deadline: Deadline | None = None) -> Checkpoint:
        """Return the checkpoint as last saved, or `BEGINNING`."""
        row = await self._database.read(
            deadline, lambda connection: rows.read_state(connection, self._checkpoint_row), None
        )
        return decode_checkpoint(*row) if row else BEGINNING

    async def save(
        self, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline | None = None
    ) -> Checkpoint:
        """Move the checkpoint on, if it is still the one that is replaced."""
        return await self._database.write(
            deadline, lambda connection: self._move(connection, moved, replacing)
        )

    async def reset(self, *, deadline: Deadline | None = None) -> None:
        """Delete the checkpoint, whatever it holds."""
        await self._database.read(
            deadline, lambda connection: rows.delete_state(connection, self._checkpoint_row), None
        )

    async def save_report(self, report: SyncReport, *, deadline: Deadline | None = None) -> None:
        """Keep the report beside those of other runs, the newest of them."""

        async def append(connection: Connection) -> None:
            await connection.execute(
                _KEEP_REPORT,
                report.run_id,
                report.finished_at,
                report.shard,
                encode_report(report),
            )
            await _forget_surplus(connection, report.shard)

        await self._database.write(deadline, append)

    async def load_reports(self, *, deadline: Deadline | None = None) -> Sequence[SyncReport]:
        """Return the reports that are kept, that of the run that ended last first."""

        async def read(connection: Connection) -> list[str]:
            return [row["report"] for row in await connection.fetch(_REPORTS)]

        nothing = list[str]()
        reports = map(decode_report, await self._database.read(deadline, read, nothing))
        return [report for report in reports if report is not None]

    async def load_report(self, *, deadline: Deadline | None = None) -> SyncReport | None:
        """Return the report of the run that ended last, if any has."""
        return next(iter(await self.load_reports(deadline=deadline)), None)

    async def aclose(self) -> None:
        """End every connection; the store is not usable afterwards. Twice is harmless."""
        await self._database.aclose()

    async def _move(
        self, connection: Connection, moved: Checkpoint, replacing: Checkpoint
    ) -> Checkpoint:
        return await rows.move_checkpoint(connection, self._checkpoint_row, moved, replacing)


async def _forget_surplus(connection: Connection, shard: int | None) -> None:
    runs = await connection.fetch(_OF_SHARD, shard)
    most = runs_kept(shard)
    if len(runs) > most:
        surplus = surplus_reports([decode_report(run["report"]) for run in runs], most=most)
        await connection.execute(_FORGET, [runs[number]["run_id"] for number in surplus])


def build_postgres_store(
    server: Server,
    *,
    clock: Clock,
    build_tls: Callable[[], ssl.SSLContext],
    request_token: Callable[[], AccessToken],
    schema: str = "bridge",
) -> PostgresStore:
    """Return a store in that database.

    A server on a loopback address is on this machine: it is sent no token, and asked for no
    certificate. Any other one proves itself by its certificate and is sent a token as the password.

    Args:
        server: where it is, and the role to be there.
        clock: measures deadlines.
        build_tls: makes what verifies the server's certificate and its name.
        request_token: obtains a token for the server, blocking.
        schema: where the tables are; letters, digits and underscores.

    """
    is_here = is_loopback_address(server.host)
    connections = PostgresConnections(
        server=server,
        schema=schema,
        clock=clock,
        tls=None if is_here else build_tls(),
        request_token=None if is_here else request_token,
    )
    return PostgresStore(PostgresDatabase(connections))
