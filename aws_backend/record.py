"""A record, and what an ID and a record's data may look like."""

import json
import math
import re
from dataclasses import dataclass
from typing import Final

from aws_backend.errors import BodyTooLarge, InvalidRequest, MediaTypeUnsupported
from shared.formats.json_rules import is_deeper_than, refuse_constant, unique_members

MAX_DATA_BYTES: Final = 256 * 1024
"""The largest data of a record, as JSON in UTF-8. A DynamoDB item ends at 400 KB."""

MAX_DEPTH: Final = 32
"""How deeply the data's objects and lists may nest; the outermost object is the first level."""

# RFC 3986 section 2.3: what needs no percent-encoding, so an ID has one spelling in a URL. It
# does not begin with a dot, because clients and proxies resolve "." and ".." away.
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}")

_JSON_TYPE = re.compile(r'application/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record at one version."""

    id: str
    version: int
    """Grows by one with each change of this record, deletion included, from 1."""
    sequence: int
    """The place of this change in the feed: grows with each change of any record, from 1."""
    updated_at: str
    """When the change was made by the writer's clock, RFC 3339 in UTC."""
    deleted: bool
    """Whether this is the tombstone of a record."""
    data: str
    """A JSON object as text; `{}` in a tombstone."""

    @property
    def entity_tag(self) -> str:
        """The strong ETag (RFC 9110 section 8.8.3): within a feed no version has two contents."""
        return f'"{self.version}"'

    def to_json(self) -> str:
        """Return the record as the API shows it."""
        # The data went in as checked JSON, so it needs no parsing on its way out.
        head = json.dumps(
            {
                "id": self.id,
                "version": self.version,
                "updated_at": self.updated_at,
                "deleted": self.deleted,
            },
            separators=(",", ":"),
        )
        return f'{head[:-1]},"data":{self.data}}}'


def parse_record_id(unverified_id: str) -> str:
    """Return the ID if it is a valid one.

    It is not percent-decoded here: API Gateway may have done that, and twice would change some.

    Raises:
        InvalidRequest: `id_invalid`.

    """
    if not _ID.fullmatch(unverified_id):
        raise InvalidRequest(
            "id_invalid",
            "A record ID is 1 to 128 letters, digits, '.', '_', '~' and '-', without"
            " percent-encoding, and begins with a letter, a digit or '_'.",
        )
    return unverified_id


def check_media_type(content_types: tuple[str, ...]) -> None:
    """Raise MediaTypeUnsupported unless the body is declared, once, as JSON in UTF-8."""
    if len(content_types) != 1 or not _JSON_TYPE.fullmatch(content_types[0].strip()):
        raise MediaTypeUnsupported("Send the record with Content-Type: application/json.")


def parse_record_data(body: bytes) -> str:
    """Return the data in the body as compact JSON text.

    It is one JSON object in UTF-8 (RFC 8259) without a byte order mark, and stricter than that:
    no member twice in an object, no NaN or Infinity, no number that a double cannot hold, no half
    of a surrogate pair, at most MAX_DEPTH levels. What the members mean is not checked.

    Raises:
        InvalidRequest: `body_invalid`.
        BodyTooLarge: it is longer than MAX_DATA_BYTES, as it came or as it would be stored.

    """
    _check_size(body)
    try:
        data = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=unique_members,
            parse_constant=refuse_constant,
            parse_float=_parse_double,
            parse_int=_parse_integer,
        )
    except (ValueError, RecursionError) as error:
        raise _invalid_body() from error
    if not isinstance(data, dict) or is_deeper_than(MAX_DEPTH, data):
        raise _invalid_body()
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        stored = text.encode()
    except UnicodeEncodeError as error:
        raise _invalid_body() from error
    _check_size(stored)
    return text


def _invalid_body() -> InvalidRequest:
    return InvalidRequest(
        "body_invalid",
        "The body must be one JSON object in UTF-8, without duplicate members, numbers beyond a"
        f" double's range, broken characters or more than {MAX_DEPTH} levels.",
    )


def _check_size(data: bytes) -> None:
    if len(data) > MAX_DATA_BYTES:
        raise BodyTooLarge(f"A record's data may have at most {MAX_DATA_BYTES} bytes.")


def _parse_double(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("beyond a double's range")
    return number


def _parse_integer(text: str) -> int:
    # Readers in other languages hold numbers as doubles; one beyond their range would break them.
    _parse_double(text)
    return int(text)
