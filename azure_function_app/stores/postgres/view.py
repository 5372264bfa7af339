"""What the tables in PostgreSQL hold, for a person who looks: it only reads, and makes no table."""

from collections.abc import Mapping, Sequence

from azure_function_app.stores.postgres import records
from azure_function_app.stores.postgres.database import PostgresDatabase
from azure_function_app.sync.record_view import HeldVersion


class PostgresView:
    """Looks at the records, over the store's own connections."""

    def __init__(self, database: PostgresDatabase) -> None:
        """Take the store's database."""
        self._database = database

    async def held_versions(self, record_ids: Sequence[str]) -> Mapping[str, HeldVersion]:
        """Return by ID which version is held of those of the records that are held."""
        nothing = dict[str, HeldVersion]()
        return await self._database.read(
            None, lambda connection: records.held_versions(connection, record_ids), nothing
        )

    async def count_live(self, *, before: int) -> int:
        """Return how many records are held, and not deleted, in generations before that one."""
        return await self._database.read(
            None, lambda connection: records.count_live(connection, before), 0
        )

    async def newest_generation(self) -> int:
        """Return the latest generation that has begun; 0 if there is none."""
        return await self._database.read(None, records.newest_generation, 0)
