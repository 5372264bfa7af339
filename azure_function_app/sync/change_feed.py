"""Reads the API's change feed: what is not as described is refused or set aside."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import httpx

from azure_function_app.aws_api.client import ApiClient, ApiRequest, ApiResponse, problem_code
from azure_function_app.aws_api.retry_after import parse_retry_after
from azure_function_app.aws_api.token_refusal import REFUSALS, explain_refusal, log_refusal
from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    BackendContractError,
    BackendError,
    BackendRejected,
    BackendUnavailable,
)
from azure_function_app.sync.records import ChangePage, PoisonRecord, Record
from shared.clock import Clock
from shared.formats.json_rules import child_containers, refuse_constant
from shared.formats.rfc3339 import parse_rfc3339
from shared.routes import ROUTES

LONGEST_CURSOR: Final = 4_096
MAX_ITEMS: Final = 1_000
"""The most that the API gives at a time, whatever it is asked for."""
MAX_VALUES: Final = 750_000
"""In one page, members and containers counted. Each takes some 64 bytes of memory, whatever it took
on the wire; one record, of 256 KiB at most, always has fewer."""
# One that does not end is one to the end; else each of its quotes would be tried as a beginning.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STRETCH: Final = re.compile(rb'(?:[^"]++|"(?:[^"\\]++|\\.)*+"?){1,1000}+', re.DOTALL)
"""Some strings and what is between them, as many as one can take out without much memory."""
# What begins or separates values, outside of strings.
_STRUCTURE: Final = (b",", b":", b"[", b"{")
_ROUTE: Final = next(
    route for route in ROUTES if (route.method, route.path) == ("GET", "/v1/records")
)


@dataclass(frozen=True, slots=True)
class ChangeFeed:
    """The change feed of the API: the sync job's source."""

    api: ApiClient
    clock: Clock

    async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
        """Return the page of the change feed that starts at the cursor.

        Args:
            cursor: a page's `next_cursor`; the empty cursor is the beginning.
            limit: how many changes to ask for.
            deadline: for everything, retries included.

        Raises:
            BackendUnavailable: the API could not be reached, or is busy or broken.
            TokenRefused: it turned our token away; the reason is in our log.
            BackendRejected: it does not serve the request; the code is the API's own.
            BackendContractError: its response is no page of the feed.
            BridgeError: any other kind, as `ApiClient.send` raises them.

        """
        query = httpx.QueryParams(
            {"cursor": cursor, "limit": limit} if cursor else {"limit": limit}
        )
        request = ApiRequest(
            _ROUTE.method, _ROUTE.path, str(query), (("accept", "application/json"),)
        )
        response = await self.api.read(request, deadline=deadline)
        self._raise_for_status(response)
        page = parse_change_page(response.content)
        if page.has_more and page.next_cursor == cursor:
            raise BackendContractError("The API's change feed has more but does not move on.")
        return page

    def _raise_for_status(self, response: ApiResponse) -> None:
        status = response.status_code
        if status == httpx.codes.OK:
            return
        code = problem_code(response)
        if status in REFUSALS:
            refusal = explain_refusal(response, code, _ROUTE, code=code or f"backend_{status}")
            log_refusal(refusal)
            raise refusal
        told = response.headers.get("Retry-After")
        retry_after_seconds = None if told is None else parse_retry_after(told, self.clock.now())
        raise error_for_status(status, code, retry_after_seconds)


def error_for_status(
    status: int, code: str | None, retry_after_seconds: float | None
) -> BackendError:
    """The error that a status other than 200 means to a caller who wanted the resource.

    What 401 and 403 mean, `token_refusal` says.
    """
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return BackendUnavailable(
            "The API is being called too often.",
            code="backend_throttled",
            retry_after_seconds=retry_after_seconds,
        )
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return BackendUnavailable(
            f"The API is broken or busy ({status}).",
            code=f"backend_{status}",
            retry_after_seconds=retry_after_seconds,
        )
    if status >= httpx.codes.BAD_REQUEST:
        return BackendRejected(f"The API refused the request ({status}).", status=status, code=code)
    return BackendContractError(f"The API answered {status}, which its description does not hold.")


class _UnfitItem(Exception):
    """An item is no valid record; the message says why and quotes none of its data."""


def parse_change_page(body: bytes) -> ChangePage:
    """The page that the body holds. An item that is no valid record is among its poison.

    Raises:
        BackendContractError: the body is no page at all.

    """
    page, ambiguous = _parse_json(body)
    if not isinstance(page, dict) or id(page) in ambiguous:
        raise BackendContractError("The API's change feed is not a JSON object, each member once.")
    items, cursor, has_more = page.get("items"), page.get("next_cursor"), page.get("has_more")
    if not isinstance(items, list):
        raise BackendContractError("The API's change feed has no list of items.")
    if len(items) > MAX_ITEMS:
        raise BackendContractError(f"The API's change feed has over {MAX_ITEMS} items in a page.")
    if not isinstance(cursor, str) or not 0 < len(cursor) <= LONGEST_CURSOR:
        raise BackendContractError("The API's change feed has no usable next_cursor.")
    if not isinstance(has_more, bool):
        raise BackendContractError("The API's change feed does not say whether it has more.")
    records: list[Record] = []
    poison: list[PoisonRecord] = []
    for item in items:
        try:
            _check_members(item, ambiguous)
            records.append(_parse_record(item))
        except _UnfitItem as error:
            poison.append(_set_aside(item, str(error)))
    return ChangePage(tuple(records), cursor, has_more, tuple(poison))


def _parse_json(body: bytes) -> tuple[object, dict[int, object]]:
    """Return the value that the body spells, and by `id` each object that has a member twice."""
    _check_value_count(body)
    ambiguous: dict[int, object] = {}

    def build_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            ambiguous[id(members)] = members
        return members

    try:
        value = json.loads(body, object_pairs_hook=build_object, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BackendContractError("The API's change feed is not JSON.") from error
    return value, ambiguous


def _check_value_count(body: bytes) -> None:
    # Nearly every page has few enough even with what stands in its strings, which is quickly told.
    if _count_structure(body) <= MAX_VALUES:
        return
    count = 0
    for stretch in _STRETCH.finditer(body):
        count += _count_structure(_STRING.sub(b"", stretch[0]))
        if count > MAX_VALUES:
            raise BackendContractError(
                f"A page of the API's change feed has more than {MAX_VALUES} values:"
                " lower SYNC_PAGE_SIZE.",
                code="backend_too_large",
            )


def _count_structure(body: bytes) -> int:
    return sum(body.count(character) for character in _STRUCTURE)


def _check_members(item: object, ambiguous: Mapping[int, object]) -> None:
    # Almost no page has such an object, and then no item needs the closer look.
    containers = child_containers([[item]]) if ambiguous else []
    while containers:
        if any(id(container) in ambiguous for container in containers):
            raise _UnfitItem("the item has a member twice in one object")
        containers = child_containers(containers)


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
        return parse_rfc3339(text).utcoffset() == timedelta(0)
    except ValueError:
        return False
