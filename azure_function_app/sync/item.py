"""Reads one item of the change feed: a record, or what can be said of it if it is none."""

import json
from datetime import timedelta
from typing import Final, NoReturn, TypeIs

from azure_function_app.sync.page_text import BrokenTextError, TooManyPartsError, cut_whole
from azure_function_app.sync.records import ItemClaims, PoisonRecord, Record, encode_mapping
from shared.formats.rfc3339 import parse_rfc3339

_MOST_MEMBERS: Final = 100
"""Of an item that is no valid record; beyond that nobody looks for what it claims."""
_CLAIMS: Final = frozenset({"id", "version", "deleted"})


class UnfitItemError(Exception):
    """An item is no valid record; the message says why and quotes none of its data."""


def parse_item(raw: bytes) -> Record:
    """Return the record that an item's text spells.

    Raises:
        UnfitItemError: it is no valid record.

    """
    return parse_record(parse_strictly(raw))


def parse_strictly(raw: bytes) -> object:
    """Return the value that the text spells, in which every member has a name of its own.

    Raises:
        UnfitItemError: it is not JSON in UTF-8, or what not every reader reads in the same way.

    """
    try:
        return json.loads(
            raw.decode(), object_pairs_hook=_unique_members, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as error:
        raise UnfitItemError("the item is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise UnfitItemError("the item is not JSON") from error
    except ValueError as error:
        raise UnfitItemError("the item holds a number of too many digits") from error
    except RecursionError as error:
        raise UnfitItemError("the item is nested too deep") from error


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UnfitItemError("the item has a member twice in one object")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise UnfitItemError("the item holds NaN or an infinity")


def parse_record(item: object) -> Record:
    """Return the record that an item is.

    Raises:
        UnfitItemError: it is no valid record.

    """
    if not isinstance(item, dict):
        raise UnfitItemError("the item is no JSON object")
    record_id, version, deleted = item.get("id"), item.get("version"), item.get("deleted")
    updated_at, data = item.get("updated_at"), item.get("data")
    if not isinstance(record_id, str) or not record_id:
        raise UnfitItemError("id is not a string with something in it")
    if not _is_version(version):
        raise UnfitItemError("version is not a whole number from 1")
    if not isinstance(deleted, bool):
        raise UnfitItemError("deleted is neither true nor false")
    if not isinstance(updated_at, str) or not _is_utc(updated_at):
        raise UnfitItemError("updated_at is not a time in UTC")
    if deleted:
        return Record(record_id, version, updated_at, deleted=True, data={}, encoded="{}")
    if not isinstance(data, dict):
        raise UnfitItemError("data is not a JSON object")
    return Record(
        record_id, version, updated_at, deleted=False, data=data, encoded=_encoded_or_none(data)
    )


def _encoded_or_none(data: dict[str, object]) -> str | None:
    try:
        return encode_mapping(data)
    except (ValueError, TypeError, RecursionError):
        # A record all the same; which store could hold it is not for us to say.
        return None


def claims_of(raw: bytes) -> ItemClaims:
    """Return what an item that is no valid record says of itself, where that can be read.

    Its other members need not be JSON. A member that comes twice claims nothing, except that it is
    enough for one of them to say that the record was deleted.
    """
    found: dict[str, list[object]] = {name: [] for name in _CLAIMS}
    for name, value in _legible_members(raw):
        found[name].append(value)
    single = {name: values[0] for name, values in found.items() if len(values) == 1}
    record_id, version = single.get("id"), single.get("version")
    return ItemClaims(
        id=record_id if isinstance(record_id, str) else "",
        version=version if _is_version(version) else None,
        is_tombstone=True in [value for value in found["deleted"] if isinstance(value, bool)],
    )


def _legible_members(text: bytes) -> list[tuple[str, object]]:
    try:
        parts = cut_whole(text, most=_MOST_MEMBERS)
    except (BrokenTextError, TooManyPartsError):
        return []
    legible = []
    for part in parts:
        try:
            name = parse_strictly(part.name) if part.name else None
            if name in _CLAIMS:
                value = parse_strictly(text[part.start : part.end])
                legible.append((str(name), value))
        except UnfitItemError:
            continue
    return legible


def poison_of(raw: bytes, reason: str) -> PoisonRecord:
    """Return the item as what is set aside, for that reason."""
    claims = claims_of(raw)
    return PoisonRecord(claims.id, reason, raw, is_tombstone=claims.is_tombstone)


def _is_version(version: object) -> TypeIs[int]:
    # bool is a subclass of int.
    return type(version) is int and version >= 1


def _is_utc(text: str) -> bool:
    try:
        return parse_rfc3339(text).utcoffset() == timedelta(0)
    except ValueError:
        return False
