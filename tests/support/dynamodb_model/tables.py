"""Tables, their item collections and local indexes, and what stands in them."""

import bisect
import math
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.dynamodb_model.expressions import Item, ValidationError, Value, comparable

MOST_ITEM_BYTES: Final = 400 * 1024
_RECENT: Final = 8
"""How many of a collection's latest writes an eventually consistent read may not show yet."""

type Position = tuple[Any, Any]
"""Where an item stands in an index: by what it is sorted, and then its sort key."""


def size_of(item: Item | None) -> int:
    """Return the item's bytes by AWS's rules ("Item sizes and formats")."""
    return sum(len(name.encode()) + _size_of_value(value) for name, value in (item or {}).items())


def _size_of_value(value: Value) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(content)
        case "N":
            # One byte for each two significant digits, and one.
            return math.ceil(len(content.strip("-0.")) / 2) + 1
        case "BOOL" | "NULL":
            return 1
        case _:
            raise NotImplementedError(f"the model holds no {kind}")


@dataclass(slots=True)
class Slot:
    """The place of one item, whether there is one or not."""

    item: Item | None = None
    bytes: int = 0
    writes: int = 0
    """Grows with each write: what the paper calls the item's log sequence number."""
    holder: object | None = None
    """The transaction that has prepared this item and not written or released it yet."""


@dataclass(slots=True)
class Collection:
    """All items under one partition key."""

    slots: dict[Any, Slot] = field(default_factory=lambda: defaultdict(Slot))
    indexes: dict[str | None, list[Position]] = field(default_factory=dict)
    """The positions in each index, sorted; under None those in the table itself."""
    bytes: int = 0
    recent: deque[tuple[Any, Item | None]] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """The sort keys of the latest writes, and what was there before each."""


class Table:
    """One table."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Make the table that the parameters of CreateTable describe."""
        self.name: str = request["TableName"]
        self._types = {
            each["AttributeName"]: each["AttributeType"] for each in request["AttributeDefinitions"]
        }
        self.hash, self.range = self._keys(request["KeySchema"])
        self.indexes: dict[str, str] = {}
        for index in request.get("LocalSecondaryIndexes", ()):
            hash_name, range_name = self._keys(index["KeySchema"])
            if hash_name != self.hash or index["Projection"] != {"ProjectionType": "ALL"}:
                raise NotImplementedError("the model knows local indexes with all attributes")
            self.indexes[index["IndexName"]] = range_name
        if "GlobalSecondaryIndexes" in request:
            raise NotImplementedError("the model knows no global indexes")
        self.collections: dict[Any, Collection] = defaultdict(self._new_collection)

    @staticmethod
    def _keys(schema: Sequence[Mapping[str, str]]) -> tuple[str, str]:
        by_kind = {each["KeyType"]: each["AttributeName"] for each in schema}
        return by_kind["HASH"], by_kind["RANGE"]

    def _new_collection(self) -> Collection:
        return Collection(indexes={None: [], **{name: [] for name in self.indexes}})

    def key_of(self, item: Item, *, is_key: bool = False) -> tuple[Any, Any]:
        """Return the item's partition key and sort key; `is_key` if it must hold nothing else."""
        for name in (self.hash, self.range):
            if name not in item or set(item[name]) != {self._types[name]}:
                raise ValidationError(f"the key's {name} is missing or of another type")
        if is_key and len(item) != len({self.hash, self.range}):
            raise ValidationError("The provided key element does not match the schema")
        return comparable(item[self.hash]), comparable(item[self.range])

    def check(self, item: Item) -> None:
        """Raise ValidationError unless the item may be stored."""
        self.key_of(item)
        if size_of(item) > MOST_ITEM_BYTES:
            raise ValidationError("Item size has exceeded the maximum allowed size")
        for name in self.indexes.values():
            if name in item and set(item[name]) != {self._types[name]}:
                raise ValidationError(f"the index key {name} is of another type")

    def slot(self, key: tuple[Any, Any]) -> Slot:
        """Return the place of the item with this key."""
        return self.collections[key[0]].slots[key[1]]

    def write(self, key: tuple[Any, Any], item: Item | None) -> int:
        """Put the item in its place, in the table and in its indexes at once.

        Return how many units the indexes took ("Write considerations": none where nothing changes,
        one write each to remove an entry, to add one, or to change what one projects).
        """
        collection, sort_key = self.collections[key[0]], key[1]
        slot = collection.slots[sort_key]
        before = slot.item
        collection.recent.append((sort_key, before))
        new_bytes = size_of(item)
        units = 0
        for index, positions in collection.indexes.items():
            old, new = (self.position(index, each, sort_key) for each in (before, item))
            if old != new:
                if old is not None:
                    del positions[bisect.bisect_left(positions, old)]
                if new is not None:
                    bisect.insort(positions, new)
            if index is None:
                continue
            if old == new:
                units += write_units(max(slot.bytes, new_bytes)) if before != item and new else 0
            else:
                units += write_units(slot.bytes) if old is not None else 0
                units += write_units(new_bytes) if new is not None else 0
        collection.bytes += new_bytes - slot.bytes
        slot.item, slot.bytes, slot.writes = item, new_bytes, slot.writes + 1
        return units

    def position(self, index: str | None, item: Item | None, sort_key: Any) -> Position | None:
        """Return where the item stands in the index, or None if it does not."""
        if item is None:
            return None
        if index is None:
            return sort_key, sort_key
        name = self.indexes[index]
        return (comparable(item[name]), sort_key) if name in item else None

    def items(self) -> Iterator[Item]:
        """Give every item that is visible now."""
        for collection in list(self.collections.values()):
            for slot in list(collection.slots.values()):
                if slot.item is not None:
                    yield slot.item


def write_units(size: int) -> int:
    """Return the write units of so many bytes: one for each KB begun."""
    return max(1, math.ceil(size / 1024))


def read_units(size: int) -> int:
    """Return the read units of so many bytes, read consistently: one for each 4 KB begun."""
    return max(1, math.ceil(size / 4096))
