"""What a store can tell about the records that it holds, for a person who looks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class HeldVersion(NamedTuple):
    """Which version of a record a store holds."""

    generation: int
    version: int
    deleted: bool


class RecordView(Protocol):
    """Looks at the records of a store and changes nothing, not even to make the store."""

    async def held_versions(self, record_ids: Sequence[str]) -> Mapping[str, HeldVersion]:
        """Return by ID which version is held of those of the records that are held.

        Raises:
            StoreUnavailable: it could not be read.

        """

    async def count_live(self, *, before: int) -> int:
        """Return how many records are held, and not deleted, in generations before that one.

        Looks at every record.

        Raises:
            StoreUnavailable: it could not be read.

        """

    async def newest_generation(self) -> int:
        """Return the latest generation that has begun; 0 if there is none.

        Raises:
            StoreUnavailable: it could not be read.

        """
