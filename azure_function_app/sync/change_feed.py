"""Reads a page of the API's change feed: what is not as described is refused or set aside."""

import json
from datetime import datetime, timedelta
from typing import Final

from azure_function_app.errors import BackendContractError
from azure_function_app.sync.records import ChangePage, PoisonRecord, Record

LONGEST_CURSOR: Final = 4_096


class _UnfitItem(Exception):
    """An item is no valid record; the message says why and quotes none of its data."""


def parse_change_page(body: bytes) -> ChangePage:
    """The page that the body holds. An item that is no valid record is among its poison.

    Raises:
        BackendContractError: the body is no page at all.

    """
    try:
        page = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BackendContractError("The API's change feed is not JSON.") from error
    if not isinstance(page, dict):
        raise BackendContractError("The API's change feed is not a JSON object.")
    items, cursor, has_more = page.get("items"), page.get("next_cursor"), page.get("has_more")
    if not isinstance(items, list):
        raise BackendContractError("The API's change feed has no list of items.")
    if not isinstance(cursor, str) or not 0 < len(cursor) <= LONGEST_CURSOR:
        raise BackendContractError("The API's change feed has no usable next_cursor.")
    if not isinstance(has_more, bool):
        raise BackendContractError("The API's change feed does not say whether it has more.")
    records: list[Record] = []
    poison: list[PoisonRecord] = []
    for item in items:
        try:
            records.append(_parse_record(item))
        except _UnfitItem as error:
            poison.append(_set_aside(item, str(error)))
    return ChangePage(tuple(records), cursor, has_more, tuple(poison))


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _set_aside(item: object, reason: str) -> PoisonRecord:
    claimed = item.get("id") if isinstance(item, dict) else None
    return PoisonRecord(
        id=claimed if isinstance(claimed, str) else "",
        reason=reason,
        raw=json.dumps(item, ensure_ascii=True),
    )


def _parse_record(item: object) -> Record:
    if not isinstance(item, dict):
        raise _UnfitItem("the item is no JSON object")
    record_id, version, deleted = item.get("id"), item.get("version"), item.get("deleted")
    updated_at, data = item.get("updated_at"), item.get("data")
    if not isinstance(record_id, str) or not record_id:
        raise _UnfitItem("id is not a string with something in it")
    # bool is a subclass of int.
    if type(version) is not int or version < 1:
        raise _UnfitItem("version is not a whole number from 1")
    if not isinstance(deleted, bool):
        raise _UnfitItem("deleted is neither true nor false")
    if not isinstance(updated_at, str) or not _is_utc(updated_at):
        raise _UnfitItem("updated_at is not a time in UTC")
    if deleted:
        return Record(record_id, version, updated_at, deleted=True, data={})
    if not isinstance(data, dict):
        raise _UnfitItem("data is not a JSON object")
    return Record(record_id, version, updated_at, deleted=False, data=data)


def _is_utc(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() == timedelta(0)
    except ValueError:
        return False
