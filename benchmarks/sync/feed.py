"""The change feed that the source serves: every item rendered beforehand, all of it in memory."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from aws_backend.table_layout import shard_of
from benchmarks.sync.digest import Digest, canonical

RECORDS_PATH: Final = "/v1/records"
SHARDS_PATH: Final = "/v1/shards"
FEED: Final = "feed-1"
MAX_LIMIT: Final = 1_000
_DEFAULT_LIMIT: Final = 500
_FIRST_AT: Final = "2026-11-21T06:00:00Z"
_CHANGED_AT: Final = "2026-11-21T07:00:00Z"
# All shards in one, or a shard's number; then how many changes of it have been handed out.
_CURSOR: Final = re.compile(rf"{FEED}\.(?P<shard>all|\d{{1,2}})\.(?P<position>\d{{1,9}})")

type Data = Mapping[str, object]


class Answer(NamedTuple):
    """What the source answers."""

    status: HTTPStatus
    body: bytes


@dataclass(slots=True)
class _Record:
    id: str
    version: int
    updated_at: str
    data: str
    """As JSON."""
    at: int
    """Its place in the whole feed."""
    shard: int
    at_in_shard: int

    def digested(self) -> tuple[str, int, str, str]:
        """Return what a digest takes."""
        return self.id, self.version, self.updated_at, self.data

    def item(self) -> bytes:
        """Return it as it stands in a page."""
        return (
            f'{{"id":"{self.id}","version":{self.version},"updated_at":"{self.updated_at}",'
            f'"deleted":false,"data":{self.data}}}'
        ).encode()


def make_records(airports: Iterable[tuple[str, Data]], count: int) -> Iterator[tuple[str, str]]:
    """Yield as many records as asked for, as (ID, data as JSON), each ID once.

    They are the airports, and then the airports again with a number behind their codes.
    """
    known = [(code, canonical(data)) for code, data in airports]
    every = (
        (f"{code}-{turn}" if turn else code, data)
        for turn in itertools.count()
        for code, data in known
    )
    return itertools.islice(every, count)


class Feed:
    """The changes of so many records, each once, and what is changed afterwards."""

    def __init__(self, records: Iterable[tuple[str, str]], *, shards: int = 1) -> None:
        """Render every record at its first version."""
        self._records: list[_Record] = []
        self._whole: list[bytes] = []
        self._shards: list[list[bytes]] = [[] for _ in range(shards)]
        self._replaced: list[tuple[int, _Record]] = []
        """What was changed, by its number, as it was before."""
        self.digest = Digest()
        for record_id, data in records:
            shard = shard_of(record_id, shards)
            record = _Record(
                record_id,
                1,
                _FIRST_AT,
                data,
                at=len(self._whole),
                shard=shard,
                at_in_shard=len(self._shards[shard]),
            )
            item = record.item()
            self._records.append(record)
            self._whole.append(item)
            self._shards[shard].append(item)
            self.digest.add(*record.digested())

    def change(self, count: int) -> None:
        """Change so many records, from all over the feed: each goes to the feed's end."""
        stride = max(1, len(self._records) // count)
        for number in range(0, len(self._records), stride)[:count]:
            record = self._records[number]
            in_shard = self._shards[record.shard]
            # Its place stays behind, empty, so that the cursors handed out go on to hold.
            self._whole[record.at] = in_shard[record.at_in_shard] = b""
            changed = replace(
                record,
                version=record.version + 1,
                updated_at=_CHANGED_AT,
                data=canonical(json.loads(record.data) | {"change": record.version}),
                at=len(self._whole),
                at_in_shard=len(in_shard),
            )
            self._whole.append(changed.item())
            in_shard.append(changed.item())
            self.digest.remove(*record.digested())
            self.digest.add(*changed.digested())
            self._records[number] = changed
            self._replaced.append((number, record))

    def undo(self) -> None:
        """Take every change back, as if there had been none."""
        while self._replaced:
            number, before = self._replaced.pop()
            changed = self._records[number]
            in_shard = self._shards[before.shard]
            # The last change is the feed's last.
            del self._whole[changed.at :], in_shard[changed.at_in_shard :]
            self._whole[before.at] = in_shard[before.at_in_shard] = before.item()
            self.digest.remove(*changed.digested())
            self.digest.add(*before.digested())
            self._records[number] = before

    def answer(self, target: str) -> Answer:
        """Return what a GET of that target is answered with."""
        url = urlsplit(target)
        path = url.path
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        if path.endswith(SHARDS_PATH):
            return Answer(HTTPStatus.OK, self._list_shards())
        if not path.endswith(RECORDS_PATH):
            return _problem(HTTPStatus.NOT_FOUND, "not_found")
        found = _CURSOR.fullmatch(query.get("cursor") or f"{FEED}.all.0")
        if found is None:
            return _problem(HTTPStatus.GONE, "cursor_expired")
        limit = query.get("limit", str(_DEFAULT_LIMIT))
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_LIMIT:
            return _problem(HTTPStatus.BAD_REQUEST, "limit_invalid")
        return Answer(HTTPStatus.OK, self._page(found["shard"], int(found["position"]), int(limit)))

    def _page(self, shard: str, start: int, limit: int) -> bytes:
        changes = self._whole if shard == "all" else self._shards[int(shard)]
        end = min(start + limit, len(changes))
        has_more = b"true" if end < len(changes) else b"false"
        return b'{"items":[%b],"next_cursor":"%b","has_more":%b}' % (
            b",".join(filter(None, changes[start:end])),
            _cursor(shard, end).encode(),
            has_more,
        )

    def _list_shards(self) -> bytes:
        shards = [
            {
                "shard": number,
                "start": _cursor(str(number), 0),
                "end": _cursor(str(number), len(changes)),
            }
            for number, changes in enumerate(self._shards)
        ]
        return json.dumps({"feed": FEED, "shards": shards}).encode()


def _cursor(shard: str, position: int) -> str:
    return f"{FEED}.{shard}.{position}"


def _problem(status: HTTPStatus, code: str) -> Answer:
    return Answer(status, json.dumps({"status": status, "code": code}).encode())
