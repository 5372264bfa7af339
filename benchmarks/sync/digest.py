"""Whether a sink holds what the source has: a count and a digest of all records, in any order.

Imports nothing but the standard library, because every contender's environment runs it.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Final

_BYTES: Final = 16
_ABOVE: Final = 1 << 8 * _BYTES


@dataclass(slots=True)
class Digest:
    """Of the records added so far; equal for the same records in another order."""

    records: int = 0
    total: int = 0

    def add(self, record_id: str, version: int, updated_at: str, data: str) -> None:
        """Add a record that is not deleted, its data as `canonical` spells it."""
        self.records += 1
        self.total = (self.total + _number(record_id, version, updated_at, data)) % _ABOVE

    def remove(self, record_id: str, version: int, updated_at: str, data: str) -> None:
        """Take a record out again."""
        self.records -= 1
        self.total = (self.total - _number(record_id, version, updated_at, data)) % _ABOVE

    @property
    def text(self) -> str:
        """Return both as one line."""
        return f"{self.records} {self.total:032x}"


def canonical(data: object) -> str:
    """Return the one spelling of the data that is digested."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _number(record_id: str, version: int, updated_at: str, data: str) -> int:
    text = "\0".join((record_id, str(version), updated_at, data))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=_BYTES).digest())
