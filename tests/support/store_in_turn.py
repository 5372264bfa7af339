"""A store whose writes and whose source's answers take turns, for tests in which time is made up.

A run reads a page while it stores another one. A clock that jumps in the middle of a write would
say that the write took that long.
"""

import asyncio
from pathlib import Path
from typing import Any

from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.sync_store import Step


class StoreInTurn(SqliteStore):
    """A SQLite store whose pages are written while the source has not the turn."""

    def __init__(self, path: Path, turn: asyncio.Lock) -> None:
        """Take the file's path, and the lock that the source holds while it answers."""
        super().__init__(path)
        self._turn = turn

    async def write_page(self, *arguments: Any, **options: Any) -> Step:
        """Write the page when it is the store's turn."""
        async with self._turn:
            return await super().write_page(*arguments, **options)
