"""Reads the API's change feed: what is not as described is refused or set aside."""

import asyncio
import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from azure_function_app.aws_api.client import ApiClient, ApiRequest, ApiResponse, problem_code
from azure_function_app.aws_api.retry_after import parse_retry_after
from azure_function_app.aws_api.token_refusal import REFUSALS, explain_refusal, log_refusal
from azure_function_app.call_trace import Tracer
from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    BackendContractError,
    BackendError,
    BackendRejected,
    BackendUnavailable,
    ShardsUnsupported,
)
from azure_function_app.sync.checkpoint_store import MAX_SHARDS
from azure_function_app.sync.item import (
    UnfitItemError,
    parse_item,
    parse_record,
    parse_strictly,
    poison_of,
)
from azure_function_app.sync.page_text import (
    BrokenTextError,
    Part,
    TooManyPartsError,
    cut_list,
    cut_whole,
)
from azure_function_app.sync.records import (
    ChangePage,
    FeedShard,
    FeedShards,
    PoisonRecord,
    Record,
)
from azure_function_app.telemetry.spans import NO_SPANS, FieldValue, SpanRecorder
from shared.clock import Clock
from shared.log import log_fields
from shared.routes import ROUTES, Route

LONGEST_CURSOR: Final = 4_096
MAX_ITEMS: Final = 1_000
"""The most that the API gives at a time, whatever it is asked for."""
_MOST_MEMBERS: Final = 1_000
"""Of the page itself, which has three."""
MAX_VALUES: Final = 750_000
"""In one page, members and containers counted. Each takes some 64 bytes of memory, whatever it took
on the wire; one record, of 256 KiB at most, always has fewer."""
# One that does not end is one to the end; else each of its quotes would be tried as a beginning.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STRETCH: Final = re.compile(rb'(?:[^"]++|"(?:[^"\\]++|\\.)*+"?){1,1000}+', re.DOTALL)
"""Some strings and what is between them, as many as one can take out without much memory."""
# What begins or separates values, outside of strings.
_STRUCTURE: Final = (b",", b":", b"[", b"{")
_LONGEST_FEED: Final = 512
_MOST_LISTING_BYTES: Final = 1024 * 1024
"""Of the list of shards, which has two cursors for each."""
_LISTING_VALUES: Final = 10_000


def _route(path: str) -> Route:
    return next(route for route in ROUTES if (route.method, route.path) == ("GET", path))


_ROUTE: Final = _route("/v1/records")
_SHARDS_ROUTE: Final = _route("/v1/shards")


@dataclass(frozen=True, slots=True)
class ChangeFeed:
    """The change feed of the API: the sync job's source."""

    api: ApiClient
    clock: Clock
    tracer: Tracer
    spans: SpanRecorder = NO_SPANS

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
        request_id = self.tracer.new_request_id()
        fields: dict[str, FieldValue] = {"request_id": request_id, "limit": limit}
        with self.spans.span("read_page", fields) as span:
            with log_fields(request_id=request_id):
                response = await self._get(_ROUTE, request_id, deadline, str(query))
                self._raise_for_status(response, _ROUTE)
            # In a thread, because a page takes up to a second and the proxy has the same event
            # loop.
            page = await asyncio.to_thread(parse_change_page, response.content)
            if page.has_more and page.next_cursor == cursor:
                raise BackendContractError("The API's change feed has more but does not move on.")
            span.set({"records": len(page.records), "records_set_aside": len(page.poison)})
            return page

    async def shards(self, *, deadline: Deadline) -> FeedShards | None:
        """Return the feed's shards, and where each of them stands now; None if there is no feed.

        Args:
            deadline: for everything, retries included.

        Raises:
            ShardsUnsupported: the API is of a version that knows no shards.
            BackendUnavailable: it could not be reached, or is busy or broken.
            TokenRefused: it turned our token away; the reason is in our log.
            BackendRejected: it does not serve the request; the code is the API's own.
            BackendContractError: its response is no list of shards.
            BridgeError: any other kind, as `ApiClient.send` raises them.

        """
        with log_fields(request_id=(request_id := self.tracer.new_request_id())):
            response = await self._get(_SHARDS_ROUTE, request_id, deadline)
            if _is_unknown_route(response):
                raise ShardsUnsupported(
                    "The API has no GET /v1/shards, which SYNC_FAN_OUT=true reads the feed by:"
                    " deploy the AWS stack of this version, or set SYNC_FAN_OUT to false."
                )
            self._raise_for_status(response, _SHARDS_ROUTE)
        return parse_shards(response.content)

    async def _get(
        self, route: Route, request_id: str, deadline: Deadline, query: str = ""
    ) -> ApiResponse:
        headers = (
            ("accept", "application/json"),
            ("x-request-id", request_id),
            *self.tracer.outgoing_headers(),
        )
        request = ApiRequest(route.method, route.path, query, headers, route=route.path)
        return await self.api.read(request, deadline=deadline)

    def _raise_for_status(self, response: ApiResponse, route: Route) -> None:
        status = response.status_code
        if status == httpx.codes.OK:
            return
        code = problem_code(response)
        if status in REFUSALS:
            refusal = explain_refusal(response, code, route, code=code or f"backend_{status}")
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


def _is_unknown_route(response: ApiResponse) -> bool:
    """Return whether the API, or API Gateway before it, has no such route.

    For a path without a method API Gateway answers 403 and says so in its own words, before any
    authorizer has looked at the token.
    """
    if response.status_code == httpx.codes.NOT_FOUND:
        return True
    if response.status_code != httpx.codes.FORBIDDEN:
        return False
    kind: str = response.headers.get("x-amzn-errortype", "").partition(":")[0]
    return kind == "MissingAuthenticationTokenException"


def parse_shards(body: bytes) -> FeedShards | None:
    """Return the list of shards that the body holds; members that are not known play no part.

    None means that the API has no feed, as before its first write.

    Raises:
        BackendContractError: the body is no such list.

    """
    problem = BackendContractError("The API's list of shards is not as described.")
    if len(body) > _MOST_LISTING_BYTES or _count_structure(body) > _LISTING_VALUES:
        raise BackendContractError("The API's list of shards is longer than any could be.")
    try:
        listing = parse_strictly(body.removeprefix(BOM_UTF8))
    except UnfitItemError as error:
        raise problem from error
    if not isinstance(listing, dict):
        raise problem
    feed, shards = listing.get("feed"), listing.get("shards")
    if "feed" in listing and feed is None and shards == []:
        return None
    if not isinstance(feed, str) or not _is_text(feed, _LONGEST_FEED):
        raise problem
    if not isinstance(shards, list) or not 1 <= len(shards) <= MAX_SHARDS:
        raise problem
    found = tuple(_parse_shard(shard, problem) for shard in shards)
    # Each from 0 once: a shard that is left out would never be read, and nobody would notice.
    if [shard.shard for shard in found] != list(range(len(found))):
        raise problem
    return FeedShards(feed, found)


def _parse_shard(shard: object, problem: BackendContractError) -> FeedShard:
    if not isinstance(shard, dict):
        raise problem
    number, start, end = shard.get("shard"), shard.get("start"), shard.get("end")
    # bool is a subclass of int.
    if type(number) is not int or not isinstance(start, str) or not isinstance(end, str):
        raise problem
    if not (_is_cursor(start) and _is_cursor(end)):
        raise problem
    return FeedShard(number, start, end)


def parse_change_page(body: bytes) -> ChangePage:
    """The page that the body holds. An item that is no valid record is among its poison.

    Raises:
        BackendContractError: the body is no page at all.

    """
    _check_value_count(body)
    body = body.removeprefix(BOM_UTF8)
    # Nearly every page is without a flaw, and then one call reads it. Otherwise each item is cut
    # out and read by itself, so that what is wrong with one harms no other.
    return _parse_flawless(body) or _parse_piecewise(body)


def _parse_flawless(body: bytes) -> ChangePage | None:
    try:
        page = parse_strictly(body)
        if not isinstance(page, dict):
            return None
        _check_frame(page, page.get("items"))
        records = tuple(parse_record(item) for item in page["items"])
    except (BackendContractError, UnfitItemError):
        return None
    return ChangePage(
        records,
        page["next_cursor"],
        page["has_more"],
        raw=_RawItems(body, range(len(records))),
    )


def _parse_piecewise(body: bytes) -> ChangePage:
    frame, items = _cut_page(body)
    _check_frame(frame, items)
    records: list[Record] = []
    numbers: list[int] = []
    poison: list[PoisonRecord] = []
    for number, part in enumerate(items or ()):
        raw = _raw(body, part)
        try:
            records.append(parse_item(raw))
            numbers.append(number)
        except UnfitItemError as error:
            poison.append(poison_of(raw, str(error)))
    return ChangePage(
        tuple(records),
        str(frame["next_cursor"]),
        bool(frame["has_more"]),
        tuple(poison),
        raw=_RawItems(body, numbers),
    )


def _cut_page(body: bytes) -> tuple[dict[str, object], Sequence[Part] | None]:
    """Return the page's members, and where each item is; None if `items` is no list."""
    frame: dict[str, object] = {}
    items = None
    try:
        for part in cut_whole(body, most=_MOST_MEMBERS):
            name = str(parse_strictly(part.name))
            if name in frame:
                raise BackendContractError("The API's change feed has a member twice.")
            if name == "items":
                frame[name] = None
                items = cut_list(body, part, most=MAX_ITEMS)
            else:
                frame[name] = parse_strictly(body[part.start : part.end])
    except TooManyPartsError as error:
        raise BackendContractError(
            f"The API's change feed has over {MAX_ITEMS} items in a page."
        ) from error
    except (BrokenTextError, UnfitItemError) as error:
        raise BackendContractError("The API's change feed is not a JSON object.") from error
    return frame, items


def _raw(body: bytes, part: Part) -> bytes:
    return body[part.start : part.end].rstrip(b" \t\n\r")


def _check_frame(page: Mapping[str, object], items: object) -> None:
    cursor = page.get("next_cursor")
    if not isinstance(items, list):
        raise BackendContractError("The API's change feed has no list of items.")
    if len(items) > MAX_ITEMS:
        raise BackendContractError(f"The API's change feed has over {MAX_ITEMS} items in a page.")
    if not isinstance(cursor, str) or not _is_cursor(cursor):
        raise BackendContractError("The API's change feed has no usable next_cursor.")
    if not isinstance(page.get("has_more"), bool):
        raise BackendContractError("The API's change feed does not say whether it has more.")


def _is_cursor(text: str) -> bool:
    return _is_text(text, LONGEST_CURSOR)


def _is_text(text: str, longest: int) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate, which JSON can spell, has no place in the URL of the next request.
        return False
    return 0 < len(text) <= longest


class _RawItems:
    """Cuts the items out of the page again, at the first need, for the one that no store takes."""

    def __init__(self, body: bytes, numbers: Sequence[int]) -> None:
        self._body = body
        self._numbers = numbers
        self._items: Sequence[Part] | None = None

    def __call__(self, number: int) -> bytes:
        if self._items is None:
            self._items = _cut_page(self._body)[1] or ()
        return _raw(self._body, self._items[self._numbers[number]])


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
