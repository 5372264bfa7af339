"""The API that a run reads: the real operations over a store in memory that changes while read."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

from aws_backend.cursor import ShardCursor, parse_cursor
from aws_backend.errors import ApiError
from aws_backend.proxy_event import BackendRequest
from aws_backend.records_api import RecordsApi
from shared import problem
from tests.crash_matrix.sharded_store import ShardedRecordStore
from tests.support.fake_record_store import FakeRecordStore
from tests.support.faulty_server import ReceivedRequest

type ChangeKind = Literal["put", "delete", "spoil", "replace"]
type Change = tuple[ChangeKind, str]
"""`put` and `delete` a record, `spoil` one so that it is none, or `replace` the whole feed."""

NOT_A_RECORD: Final = "NaN"


@dataclass(slots=True)
class Reply:
    """What the API says to one request."""

    status: int
    body: bytes
    media_type: str

    def to_bytes(self) -> bytes:
        """Return it as it goes over the wire."""
        head = (
            f"HTTP/1.1 {self.status} Told\r\nContent-Length: {len(self.body)}\r\n"
            f"Content-Type: {self.media_type}\r\n\r\n"
        )
        return head.encode() + self.body


@dataclass(slots=True)
class Source:
    """The records of the API, and what is going to change while they are read."""

    changes_after: Mapping[int, Sequence[Change]] = field(default_factory=dict[int, list[Change]])
    """By the number of requests that were answered since `start`."""
    shards: int = 1
    store: FakeRecordStore = field(init=False)
    feed_number: int = 0
    writes: int = 0
    answered: int = 0
    spoiled: set[str] = field(default_factory=set[str])
    """IDs of the items that are no records; those of feeds that are over too."""

    def __post_init__(self) -> None:
        """Begin with an empty feed."""
        self.store = self._new_store()

    def copy(self) -> "Source":
        """Return a source that goes its own way from here."""
        return deepcopy(self)

    def apply(self, change: Change) -> None:
        """Make one change."""
        kind, record_id = change
        if kind == "replace":
            self.feed_number += 1
            self.store = self._new_store()
            return
        self.writes += 1
        data: str | None = None
        if kind == "put":
            data = json.dumps({"write": self.writes}, separators=(",", ":"))
        elif kind == "spoil":
            data = NOT_A_RECORD
            self.spoiled.add(record_id)
        self.store.write_record(record_id, lambda _current: data)

    def answer(self, request: ReceivedRequest) -> Reply:
        """Return the reply to a request, and let the source change after it."""
        reply = self._reply(request)
        self.answered += 1
        for change in self.changes_after.get(self.answered, ()):
            self.apply(change)
        return reply

    def finish(self) -> None:
        """Make the changes that are still to come, so that all trials end with one source."""
        for number in sorted(self.changes_after):
            if number > self.answered:
                for change in self.changes_after[number]:
                    self.apply(change)
        self.changes_after = {}

    def live(self) -> dict[str, tuple[int, str]]:
        """Return version and data of each record that is there, by its ID."""
        return {
            record.id: (record.version, record.data)
            for record in self.store.records.values()
            if not record.deleted and record.data != NOT_A_RECORD
        }

    def _new_store(self) -> FakeRecordStore:
        feed = self.feed_number.to_bytes(16)
        if self.shards == 1:
            return FakeRecordStore(feed)
        return ShardedRecordStore(feed, self.shards)

    def _reply(self, request: ReceivedRequest) -> Reply:
        query = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
        asked = BackendRequest(
            method=request.method,
            resource="/v1/records",
            path_parameters={},
            query={name: tuple(values) for name, values in query.items()},
            headers={},
            body=b"",
            authorizer=None,
            request_id="",
            domain_name=None,
            full_path=request.target,
        )
        try:
            api = RecordsApi(self.store)
            page = api.list_shards(asked) if lists_shards(request) else api.list_changes(asked)
        except ApiError as error:
            told = {"type": problem.TYPE, "status": error.status, "code": error.code}
            return Reply(error.status, json.dumps(told).encode(), problem.MEDIA_TYPE)
        return Reply(page.status, str(page.body).encode(), "application/json")


def lists_shards(request: ReceivedRequest) -> bool:
    """Return whether the request is for the list of shards."""
    return urlsplit(request.target).path.endswith("/shards")


def subject_of(request: ReceivedRequest) -> str:
    """Return what a request is about: the whole feed, one shard, or the list of shards."""
    if lists_shards(request):
        return "shards"
    (cursor,) = parse_qs(urlsplit(request.target).query).get("cursor", [""])
    place = parse_cursor(cursor) if cursor else None
    return f"shard {place.shard}" if isinstance(place, ShardCursor) else "feed"
