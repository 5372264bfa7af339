"""Reading the change feed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.errors import BackendContractError
from azure_function_app.sync.change_feed import LONGEST_CURSOR, parse_change_page
from azure_function_app.sync.records import ChangePage, Record

ITEM = {
    "id": "EGLL",
    "version": 1,
    "updated_at": "2026-11-21T06:00:00Z",
    "deleted": False,
    "data": {"name": "Heathrow"},
}
PAGE = {"items": [ITEM], "next_cursor": "c1", "has_more": True}


def page(**changes: Any) -> bytes:
    """A good page with these members changed."""
    return json.dumps(PAGE | changes).encode()


def item(**changes: Any) -> bytes:
    """A page whose only item has these members changed."""
    return page(items=[ITEM | changes])


def test_when_a_page_is_good_then_its_records_are_typed() -> None:
    """Every member arrives as it was sent."""
    record = Record("EGLL", 1, "2026-11-21T06:00:00Z", deleted=False, data={"name": "Heathrow"})

    assert ChangePage((record,), "c1", has_more=True) == parse_change_page(page())


def test_when_a_record_was_deleted_then_it_is_a_tombstone() -> None:
    """Whatever data it still carries is not looked at."""
    for data in ({}, None, {"name": "Heathrow"}):
        (record,) = parse_change_page(item(deleted=True, data=data)).records

        assert (True, {}) == (record.deleted, record.data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"page"',
        b"\xff\xfe{}",
        b'{"items": [NaN], "next_cursor": "c", "has_more": false}',
        b"[" * 100_000,
        page(items=None),
        page(items={}),
        page(next_cursor=None),
        page(next_cursor=""),
        page(next_cursor=1),
        page(next_cursor="c" * (LONGEST_CURSOR + 1)),
        page(has_more=None),
        page(has_more=1),
        page(has_more="false"),
    ],
)
def test_when_a_body_is_no_page_then_it_is_refused(body: bytes) -> None:
    """Without a list, a cursor and an end there is nothing to go on from."""
    with pytest.raises(BackendContractError):
        parse_change_page(body)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"version": 0}, "version"),
        ({"version": "1"}, "version"),
        ({"version": 1.0}, "version"),
        ({"version": True}, "version"),
        ({"deleted": None}, "deleted"),
        ({"deleted": 0}, "deleted"),
        ({"updated_at": None}, "updated_at"),
        ({"updated_at": "yesterday"}, "updated_at"),
        ({"updated_at": "2026-11-21T06:00:00"}, "updated_at"),
        ({"updated_at": "2026-11-21T06:00:00+01:00"}, "updated_at"),
        ({"data": None}, "data"),
        ({"data": []}, "data"),
    ],
)
def test_when_one_item_is_bad_then_it_is_set_aside_and_the_others_stay(
    changes: dict[str, Any], reason: str
) -> None:
    """The reason names the member and quotes nothing of it; the item is kept as it came."""
    bad = ITEM | changes
    found = parse_change_page(page(items=[ITEM, bad, ITEM]))

    assert 2 == len(found.records)
    (poison,) = found.poison
    assert poison.reason.startswith(reason)
    assert bad == json.loads(poison.raw)
    assert (bad["id"] if isinstance(bad["id"], str) else "") == poison.id


def test_when_an_item_is_no_object_then_it_is_set_aside_too() -> None:
    """It has no ID to go by."""
    (poison,) = parse_change_page(page(items=["text"])).poison

    assert ("", '"text"') == (poison.id, poison.raw)


def nested(children: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Lists and objects, whose members often have the feed's own names."""
    names = st.text() | st.sampled_from([*PAGE, *ITEM])
    return st.lists(children) | st.dictionaries(names, children)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), nested))
def test_when_any_json_comes_then_it_is_a_page_or_refused(value: object) -> None:
    """Nothing else is raised, and no item is lost."""
    body = json.dumps(value).encode()
    try:
        found = parse_change_page(body)
    except BackendContractError:
        return

    assert isinstance(value, dict)
    assert len(value["items"]) == len(found.records) + len(found.poison)
