"""The records API: each operation from a request to a response (docs/openapi.yaml)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_backend.cursor import Cursor, FeedCursor, parse_cursor
from aws_backend.dispatch import Operation
from aws_backend.errors import InvalidRequest, RecordNotFound
from aws_backend.preconditions import parse_preconditions
from aws_backend.proxy_event import BackendRequest, BackendResponse
from aws_backend.record import StoredRecord, check_media_type, parse_record_data, parse_record_id
from aws_backend.record_store import RecordStore
from shared.formats.base64url import encode_base64url

DEFAULT_LIMIT: Final = 500
MAX_LIMIT: Final = 1000

_LIMIT = re.compile(r"[1-9][0-9]{0,3}")
# A record may be kept, but is asked about again before each use; a page of changes is never kept.
_REVALIDATED: Final = {"Cache-Control": "private, no-cache"}
_NOT_STORED: Final = {"Cache-Control": "no-store"}
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class RecordsApi:
    """The operations on one record store."""

    store: RecordStore

    def operations(self) -> Mapping[tuple[str, str], Operation]:
        """Return each operation by method and route."""
        return {
            ("GET", "/v1/records"): self.list_changes,
            ("GET", "/v1/shards"): self.list_shards,
            ("GET", "/v1/records/{id}"): self.get_record,
            ("PUT", "/v1/records/{id}"): self.put_record,
            ("DELETE", "/v1/records/{id}"): self.delete_record,
        }

    def list_changes(self, request: BackendRequest) -> BackendResponse:
        """Return a page of the change feed."""
        parameters = _parse_parameters(request, "cursor", "limit")
        page = self.store.read_changes(
            _parse_start(parameters.get("cursor", "")),
            _parse_limit(parameters.get("limit", str(DEFAULT_LIMIT))),
        )
        items = ",".join(record.to_json() for record in page.records)
        has_more = "true" if page.has_more else "false"
        # The items are JSON already, and a cursor has nothing that JSON would escape.
        body = (
            f'{{"items":[{items}],"next_cursor":"{page.next_cursor.to_text()}",'
            f'"has_more":{has_more}}}'
        )
        return BackendResponse(200, body, _JSON | _NOT_STORED)

    def list_shards(self, request: BackendRequest) -> BackendResponse:
        """Return the feed's shards, each with its start and where it stands.

        Before the first write there is no feed, and the answer says so with null: a reader must not
        take that for a feed that has lost all of its records.
        """
        _parse_parameters(request)
        listing = self.store.list_shards()
        document = {
            "feed": encode_base64url(listing.feed) if listing else None,
            "shards": [
                {
                    "shard": each.shard,
                    "start": each.start.to_text(),
                    "end": each.end.to_text(),
                }
                for each in (listing.shards if listing else ())
            ],
        }
        return BackendResponse(200, json.dumps(document), _JSON | _NOT_STORED)

    def get_record(self, request: BackendRequest) -> BackendResponse:
        """Return the record, or 304 if the caller has it already."""
        record_id = _parse_id(request)
        preconditions = parse_preconditions(request.headers)
        record = _existing(self.store.get_record(record_id), record_id)
        preconditions.check_if_match(record.entity_tag)
        if preconditions.is_known(record.entity_tag):
            return BackendResponse(304, headers=_REVALIDATED | {"ETag": record.entity_tag})
        return _show(record, 200)

    def put_record(self, request: BackendRequest) -> BackendResponse:
        """Write the record and return it: with 201 if it is new, with 200 if it was there."""
        record_id = _parse_id(request)
        preconditions = parse_preconditions(request.headers)
        check_media_type(request.headers.get("content-type", ()))
        data = parse_record_data(request.body)
        was_there = False

        def decide(current: StoredRecord | None) -> str:
            nonlocal was_there
            was_there = current is not None and not current.deleted
            tag = _entity_tag(current)
            preconditions.check_if_match(tag)
            preconditions.check_if_none_match(tag)
            return data

        written = self.store.write_record(record_id, decide)
        return _show(written, 200 if was_there else 201)

    def delete_record(self, request: BackendRequest) -> BackendResponse:
        """Delete the record and return an empty response; the feed keeps a tombstone."""
        record_id = _parse_id(request)
        preconditions = parse_preconditions(request.headers)

        def decide(current: StoredRecord | None) -> None:
            # RFC 9110 section 13.2.1: a 404 comes before any precondition.
            tag = _existing(current, record_id).entity_tag
            preconditions.check_if_match(tag)
            preconditions.check_if_none_match(tag)

        self.store.write_record(record_id, decide)
        return BackendResponse(204)


def _show(record: StoredRecord, status: int) -> BackendResponse:
    headers = _JSON | _REVALIDATED | {"ETag": record.entity_tag}
    return BackendResponse(status, record.to_json(), headers)


def _existing(record: StoredRecord | None, record_id: str) -> StoredRecord:
    if record is None or record.deleted:
        raise RecordNotFound(f"There is no record {record_id}.")
    return record


def _entity_tag(record: StoredRecord | None) -> str | None:
    return None if record is None or record.deleted else record.entity_tag


def _parse_id(request: BackendRequest) -> str:
    _parse_parameters(request)
    return parse_record_id(request.path_parameters.get("id", ""))


def _parse_parameters(request: BackendRequest, *known: str) -> Mapping[str, str]:
    """Return the query parameters; raise InvalidRequest unless each is known and given once.

    If a misspelled cursor were ignored, every call would start the feed again, unnoticed.
    """
    for name, values in request.query.items():
        if name not in known:
            allowed = " and ".join(known) or "no parameters"
            raise InvalidRequest("parameter_unknown", f"This route takes {allowed}.")
        if len(values) != 1:
            raise InvalidRequest("parameter_repeated", f"Give {name} once.")
    return {name: values[0] for name, values in request.query.items()}


def _parse_start(unverified_text: str) -> FeedCursor:
    # Many clients write a cursor that they do not have yet as an empty one.
    return parse_cursor(unverified_text) if unverified_text else Cursor.at_start()


def _parse_limit(unverified_text: str) -> int:
    limit = int(unverified_text) if _LIMIT.fullmatch(unverified_text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest("limit_invalid", f"limit is a whole number from 1 to {MAX_LIMIT}.")
    return limit
