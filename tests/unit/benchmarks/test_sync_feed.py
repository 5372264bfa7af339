"""The source of the sync's benchmark: what it serves is a feed."""

import json
from http import HTTPStatus
from typing import Any

from aws_backend.table_layout import shard_of
from benchmarks.sync.digest import Digest, canonical
from benchmarks.sync.feed import Feed, make_records

AIRPORTS = [(f"A{number}", {"name": f"Airport {number}"}) for number in range(3)]


def read_all(feed: Feed, cursor: str = "", limit: int = 4) -> tuple[list[Any], str]:
    """Every item from the cursor on, and the last page's cursor."""
    items: list[Any] = []
    while True:
        status, body = feed.answer(f"/v1/records?limit={limit}&cursor={cursor}")
        assert status == HTTPStatus.OK
        page = json.loads(body)
        items += page["items"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            return items, cursor


def digest_of(items: list[Any]) -> str:
    """The digest of the newest version of each item."""
    digest = Digest()
    for item in {item["id"]: item for item in items}.values():
        digest.add(item["id"], item["version"], item["updated_at"], canonical(item["data"]))
    return digest.text


def test_when_more_records_are_asked_for_than_there_are_airports_then_each_id_is_there_once() -> (
    None
):
    """The airports come again with a number behind their codes."""
    ids = [record_id for record_id, _ in make_records(AIRPORTS, 8)]

    assert ids == ["A0", "A1", "A2", "A0-1", "A1-1", "A2-1", "A0-2", "A1-2"]


def test_when_the_feed_is_read_page_by_page_then_every_record_is_there_and_the_digest_agrees() -> (
    None
):
    """The digest that sinks are compared with is that of what was served."""
    feed = Feed(make_records(AIRPORTS, 10))

    items, _ = read_all(feed)

    assert len(items) == 10
    assert digest_of(items) == feed.digest.text


def test_when_records_change_then_a_reader_at_the_end_gets_only_those() -> None:
    """An increment is the changes and nothing else, at their next version."""
    feed = Feed(make_records(AIRPORTS, 10))
    before, cursor = read_all(feed)
    feed.change(3)

    changes, _ = read_all(feed, cursor)

    assert [(item["id"], item["version"]) for item in changes] == [
        ("A0", 2),
        ("A0-1", 2),
        ("A0-2", 2),
    ]
    assert digest_of(before + changes) == feed.digest.text


def test_when_changes_are_undone_then_the_feed_is_as_it_was() -> None:
    """Each contender begins with the same feed."""
    feed = Feed(make_records(AIRPORTS, 10), shards=2)
    before = read_all(feed)
    digest = feed.digest.text
    feed.change(3)
    feed.undo()

    after = read_all(feed)

    assert before == after
    assert digest == feed.digest.text


def test_when_a_feed_has_shards_then_together_they_hold_every_record_in_its_own_shard() -> None:
    """A shard's start reads to its end, and the shards are those that the table has."""
    feed = Feed(make_records(AIRPORTS, 30), shards=4)
    listed = json.loads(feed.answer("/v1/shards").body)

    read = [read_all(feed, shard["start"]) for shard in listed["shards"]]

    assert [shard["end"] for shard in listed["shards"]] == [cursor for _, cursor in read]
    assert feed.digest.text == digest_of([item for items, _ in read for item in items])
    for number, (items, _) in enumerate(read):
        assert {number} == {shard_of(item["id"], 4) for item in items}


def test_when_a_cursor_is_of_another_feed_then_it_has_expired() -> None:
    """A reader of another feed starts over."""
    assert Feed([]).answer("/v1/records?cursor=another").status == HTTPStatus.GONE
