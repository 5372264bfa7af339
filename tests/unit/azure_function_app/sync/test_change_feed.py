"""Reading the change feed."""

import asyncio
import gzip
import json
import logging
import secrets
import threading
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpx import HTTPXMock

from azure_function_app.aws_api.client import MAX_BODY
from azure_function_app.call_trace import Tracer
from azure_function_app.errors import (
    BackendContractError,
    BackendError,
    BackendRejected,
    BackendUnavailable,
    ShardsUnsupported,
    TokenRefused,
)
from azure_function_app.sync import change_feed
from azure_function_app.sync.change_feed import (
    LONGEST_CURSOR,
    MAX_ITEMS,
    MAX_VALUES,
    ChangeFeed,
    error_for_status,
    parse_change_page,
    parse_shards,
)
from azure_function_app.sync.records import (
    ChangePage,
    FeedShard,
    FeedShards,
    Record,
    encode_data,
)
from shared.log import log_event
from shared.trace_context import parse_amzn_trace_id, parse_traceparent
from tests.support.calling import TOKEN
from tests.support.canned_api import Canned, CannedApi, Handler, answering, problem
from tests.support.keys import base64url
from tests.support.proxy_calls import TRACER

GZIP = ("content-encoding", "gzip")
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


def feed_of(api: CannedApi) -> ChangeFeed:
    """The change feed of that API."""
    return ChangeFeed(api.client, api.clock, TRACER)


def test_when_a_page_is_good_then_its_records_are_typed() -> None:
    """Every member arrives as it was sent."""
    record = Record("EGLL", 1, "2026-11-21T06:00:00Z", deleted=False, data={"name": "Heathrow"})

    assert ChangePage((record,), "c1", has_more=True) == parse_change_page(page())


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.floats() | st.text()))
def test_when_a_record_is_read_then_its_encoding_is_the_one_that_stores_keep(
    data: dict[str, Any],
) -> None:
    """What was encoded while reading is what would be encoded while storing."""
    for record in parse_change_page(item(data=data)).records:
        assert encode_data(record) == encode_data(replace(record, encoded=None))


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
        b'{"items": [], "next_cursor": NaN, "has_more": false}',
        b'{"items": [], "next_cursor": "\xff", "has_more": false}',
        b'{"items": [], "next_cursor": "\\ud800", "has_more": false}',
        b'{"items": [], "next_cursor": "c", "has_more": false, "next": ' + b"9" * 5_000 + b"}",
        b'{"items": [NaN}, "next_cursor": "c", "has_more": false}',
        b'{"items": [{"a": [1, {}], "next_cursor": "c", "has_more": false}',
        b'{"items": [NaN,], "next_cursor": "c", "has_more": false}',
        b'{"items": [NaN, , NaN], "next_cursor": "c", "has_more": false}',
        b'{"items": [{"a": NaN} {}], "next_cursor": "c", "has_more": false}',
        b'{"items": [NaN], "next_cursor": "c", "has_more": false} x',
        b'{"items": [NaN], "next_cursor": "c", "has_more": false',
        b'{"items": [NaN], "items": [], "next_cursor": "c", "has_more": false}',
        b'{"items": [NaN "], "next_cursor": "c", "has_more": false}',
        b"[" * 100_000,
        b'{"items": [], "next_cursor": "a", "next_cursor": "b", "has_more": false}',
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
        ({"updated_at": "2026-W47-6T06:00:00Z"}, "updated_at"),
        ({"updated_at": "20261121T060000Z"}, "updated_at"),
        ({"updated_at": "2026-11-21 06:00:00Z"}, "updated_at"),
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


@pytest.mark.parametrize(
    "data",
    [
        '{"runway":1,"runway":2}',
        '{"runway":1,"runway":1}',
        '{"runways":[[{"length":1,"length":2}]]}',
        '{},"data":{}',
        '{},"unknown":{"x":1,"x":2}',
    ],
)
def test_when_an_item_has_a_member_twice_then_only_that_item_is_set_aside(data: str) -> None:
    """One reader takes the first and another the last, so neither is the record."""
    members = '"id":"EGKK","version":1,"updated_at":"2026-11-21T06:00:00Z","deleted":false'
    items = f'{json.dumps(ITEM)},{{{members},"data":{data}}},{json.dumps(ITEM)}'

    found = parse_change_page(f'{{"items":[{items}],"next_cursor":"c","has_more":false}}'.encode())

    assert ["EGLL", "EGLL"] == [record.id for record in found.records]
    (poison,) = found.poison
    assert ("EGKK", "the item has a member twice in one object") == (poison.id, poison.reason)


def test_when_an_item_is_no_object_then_it_is_set_aside_too() -> None:
    """It has no ID to go by."""
    (poison,) = parse_change_page(page(items=["text"])).poison

    assert ("", b'"text"') == (poison.id, poison.raw)


def good(record_id: str) -> bytes:
    """An item without a flaw."""
    return json.dumps(ITEM | {"id": record_id}).encode()


def with_data(data: bytes) -> bytes:
    """An item with that data, which need not be JSON."""
    item = json.dumps(ITEM | {"id": "bad", "version": 7, "data": "here"}).encode()
    return item.replace(b'"here"', data)


DEEP = 100_000


@pytest.mark.parametrize(
    ("bad", "record_id", "reason"),
    [
        (with_data(b'{"a":NaN}'), "bad", "the item holds NaN or an infinity"),
        (with_data(b'{"a":-Infinity}'), "bad", "the item holds NaN or an infinity"),
        (b"Infinity", "", "the item holds NaN or an infinity"),
        (with_data(b"9" * 5_000), "bad", "the item holds a number of too many digits"),
        (with_data(b"[" * DEEP + b"]" * DEEP), "bad", "the item is nested too deep"),
        (with_data(b'{"a":' * DEEP + b"1" + b"}" * DEEP), "bad", "the item is nested too deep"),
        (with_data(b'{"a":"\xff]}"}'), "bad", "the item is not UTF-8"),
        (with_data(b'{"a":"\xed\xa0\x80"}'), "bad", "the item is not UTF-8"),
        (b'{"id":"\xff"}', "", "the item is not UTF-8"),
        (with_data(b'{"a":1,"a":1}'), "bad", "the item has a member twice in one object"),
        (b'{"id":"a","id":"b"}', "", "the item has a member twice in one object"),
        (with_data(b'{"a":yes}'), "bad", "the item is not JSON"),
        (with_data(b'{"a":"\n"}'), "bad", "the item is not JSON"),
        (with_data(b"{'a':1}"), "bad", "the item is not JSON"),
        (with_data(b'{"a" 1}'), "bad", "the item is not JSON"),
        (with_data(b"{1:2}"), "bad", "the item is not JSON"),
        (with_data(b"[1,]"), "bad", "the item is not JSON"),
        (with_data(b'{"a":"\\"],[{\\\\",b:1}'), "bad", "the item is not JSON"),
        (b"yes", "", "the item is not JSON"),
        (b"{{}}", "", "the item is not JSON"),
    ],
)
def test_when_the_text_of_one_item_is_bad_then_only_that_item_is_set_aside(
    bad: bytes, record_id: str, reason: str
) -> None:
    """Whatever is in it, its neighbors arrive, and every byte of it is kept."""
    items = b" , ".join([good("a"), bad, good("b"), bad])

    found = parse_change_page(
        b' {"more": {}, "has_more": true , "items" :[' + items + b' ] ,"next_cursor": "c"}\n'
    )

    assert (["a", "b"], "c", True) == (
        [record.id for record in found.records],
        found.next_cursor,
        found.has_more,
    )
    assert [(record_id, reason, bad.strip())] * 2 == [
        (poison.id, poison.reason, poison.raw) for poison in found.poison
    ]
    assert [good("a"), good("b")] == [found.raw_of(number) for number in (0, 1)]


@pytest.mark.parametrize(
    "item",
    [
        ITEM | {"deleted": True, "version": "1"},
        ITEM | {"deleted": True, "updated_at": None},
        ITEM | {"deleted": True, "id": None},
        ITEM | {"deleted": True, "data": float("nan")},
    ],
)
def test_when_a_tombstone_is_malformed_then_it_is_known_for_one(item: dict[str, Any]) -> None:
    """The sink still has what the source has not, so it counts apart."""
    (poison,) = parse_change_page(page(items=[item])).poison

    assert poison.is_tombstone
    assert not parse_change_page(page(items=[item | {"deleted": 1}])).poison[0].is_tombstone


def test_when_a_page_has_a_byte_order_mark_then_it_is_read_all_the_same() -> None:
    """RFC 8259 section 8.1 lets a reader ignore it; with poison in the page as well."""
    for items in ([ITEM], [ITEM, "bad"]):
        assert 1 == len(parse_change_page(b"\xef\xbb\xbf" + page(items=items)).records)


def test_when_a_record_was_read_then_its_item_can_be_had_as_it_came() -> None:
    """Members that a record has no place for included."""
    item = b'{"new": 1.00,' + good("a")[1:]

    found = parse_change_page(b'{"items":[' + item + b'],"next_cursor":"c","has_more":false}')

    assert item == found.raw_of(0)


@given(
    st.lists(
        st.sampled_from(
            [good("a"), b"{}", b'[[[[[["]"]]]]]]', b"NaN", b'"\\"]\xff"', with_data(b"[{},NaN]")]
        )
    )
)
def test_when_good_and_bad_items_are_mixed_then_none_is_lost_or_changed(items: list[bytes]) -> None:
    """Each is a record or poison, in the order of the page."""
    body = b'{"items":[' + b",\n".join(items) + b'],"next_cursor":"c","has_more":false}'

    found = parse_change_page(body)

    assert [item for item in items if item == good("a")] == [
        found.raw_of(number) for number in range(len(found.records))
    ]
    assert [item for item in items if item != good("a")] == [poison.raw for poison in found.poison]


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


@pytest.mark.parametrize(
    ("cursor", "query"),
    [("", "limit=500"), ("a b/+=&c", "cursor=a%20b%2F%2B%3D%26c&limit=500")],
)
async def test_when_changes_are_asked_for_then_cursor_and_limit_are_in_the_query(
    api: CannedApi, cursor: str, query: str
) -> None:
    """Encoded, so that any cursor comes back as it was; none is sent for the beginning."""
    api.handle = answering(200, json.dumps(PAGE).encode())

    await feed_of(api).changes(cursor, limit=500, deadline=api.deadline())

    (request,) = api.requests
    decoded = httpx.QueryParams(request.url.query.decode())
    assert f"https://api.example/prod/v1/records?{query}".split("?")[0] == str(
        request.url.copy_with(query=None)
    )
    assert decoded == httpx.QueryParams(query)
    assert f"Bearer {TOKEN}" == request.headers["authorization"]


async def test_when_pages_are_asked_for_then_each_call_is_a_span_of_the_runs_trace(
    api: CannedApi, caplog: pytest.LogCaptureFixture
) -> None:
    """It has a request ID of its own too, which the lines about it name; the run's come back."""
    api.handle = answering(200, page())
    tracer = Tracer(secrets.token_hex)
    feed = ChangeFeed(api.client, api.clock, tracer)

    with tracer.serving("run") as trace, caplog.at_level(logging.INFO):
        await feed.changes("", limit=1, deadline=api.deadline())
        api.handle = answering(403, b"{}")
        with pytest.raises(TokenRefused):
            await feed.changes("", limit=1, deadline=api.deadline())
        log_event(logging.getLogger("n"), logging.INFO, "run_line")

    refused, after = [vars(record)["bridge_fields"] for record in caplog.records[-2:]]
    sent = [request.headers for request in api.requests]
    assert {trace.context.trace_id} == {headers["traceparent"][3:35] for headers in sent}
    assert 2 == len({headers["traceparent"] for headers in sent})
    assert 2 == len({headers["x-request-id"] for headers in sent})
    assert all(
        parse_traceparent(headers["traceparent"]) == parse_amzn_trace_id(headers["x-amzn-trace-id"])
        for headers in sent
    )
    assert (sent[-1]["x-request-id"], "run") == (refused["request_id"], after["request_id"])


async def test_when_a_page_is_parsed_then_the_event_loop_goes_on(
    api: CannedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy's callers, who share the loop, wait for no page of the sync."""
    api.handle = answering(200, json.dumps(PAGE).encode())
    has_gone_on = threading.Event()
    loop = asyncio.get_running_loop()
    seen: list[bool] = []

    def parse(body: bytes) -> ChangePage:
        loop.call_soon_threadsafe(has_gone_on.set)
        seen.append(has_gone_on.wait(5))
        return parse_change_page(body)

    monkeypatch.setattr(change_feed, "parse_change_page", parse)
    await feed_of(api).changes("", limit=1, deadline=api.deadline())

    assert [True] == seen


async def test_when_a_page_is_compressed_then_it_is_read_all_the_same(api: CannedApi) -> None:
    """The feed decodes what the gateway coded."""
    api.handle = answering(200, gzip.compress(json.dumps(PAGE).encode()), GZIP)

    page = await feed_of(api).changes("", limit=1, deadline=api.deadline())

    assert "c1" == page.next_cursor


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Canned(200, b"not json"), "JSON"),
        (Canned(200, b"zip", [GZIP]), "coded"),
        (
            Canned(200, json.dumps(PAGE | {"has_more": True, "next_cursor": "c0"}).encode()),
            "move on",
        ),
        (Canned(200, bytes(MAX_BODY + 1)), "larger"),
    ],
)
async def test_when_an_answer_is_no_page_then_it_is_a_contract_error(
    api: CannedApi, answer: Canned, reason: str
) -> None:
    """Not JSON, not coded as it says, a cursor that stands still, more than the gateway allows."""
    api.handle = answer

    with pytest.raises(BackendContractError, match=reason):
        await feed_of(api).changes("c0", limit=1, deadline=api.deadline())


@pytest.mark.parametrize(
    ("handle", "kind", "code"),
    [
        (problem(400, "cursor_invalid"), BackendRejected, "cursor_invalid"),
        (problem(410, "cursor_expired"), BackendRejected, "cursor_expired"),
        (problem(404, "not_found"), BackendRejected, "not_found"),
        (answering(404, b'{"message":"x"}'), BackendRejected, "backend_rejected"),
        (problem(400, "Not A Code\n"), BackendRejected, "backend_rejected"),
        (problem(400, ["x"]), BackendRejected, "backend_rejected"),
        (answering(401, b'{"message":"Unauthorized"}'), BackendRejected, "backend_401"),
        (answering(403, b'{"Message":"User is not"}'), BackendRejected, "backend_403"),
        (problem(403, "missing_role"), BackendRejected, "missing_role"),
        (answering(500, b'{"message":null}'), BackendUnavailable, "backend_500"),
        (answering(503), BackendUnavailable, "backend_503"),
        (answering(302, b"", ("location", "/")), BackendContractError, "backend_contract"),
        (answering(204), BackendContractError, "backend_contract"),
    ],
)
async def test_when_the_status_is_not_200_then_the_error_tells_which_kind(
    api: CannedApi, handle: Handler, kind: type[BackendError], code: str
) -> None:
    """The API's own code where it gives one that looks like a code, else ours."""
    api.handle = handle

    with pytest.raises(kind) as caught:
        await feed_of(api).changes("", limit=1, deadline=api.deadline())

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("claims", "has_role", "held"),
    [
        ({"roles": ["Records.Write", "x"]}, False, ["Records.Write"]),
        ({}, False, []),
        ({"roles": "Records.Read"}, None, None),
        (None, None, None),
    ],
)
async def test_when_the_feed_is_closed_to_us_then_error_and_log_name_the_role(
    httpx_mock: HTTPXMock,
    claims: dict[str, object] | None,
    has_role: bool | None,  # noqa: FBT001 - a row's own
    held: list[str] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The sync job has nobody to show a problem to, so it is all in its log; never the token."""
    payload = base64url(json.dumps(claims).encode())
    token = f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln"
    api = CannedApi(httpx_mock, token)
    api.handle = answering(403, b"{}", ("x-amzn-errortype", "AccessDeniedException"))

    with caplog.at_level(logging.WARNING), pytest.raises(TokenRefused) as caught:
        await feed_of(api).changes("", limit=1, deadline=api.deadline())

    assert "GET /v1/records, which needs the app role Records.Read" in str(caught.value)
    (line,) = caplog.records
    fields = vars(line)["bridge_fields"]
    assert "token_refused" == line.getMessage()
    assert ("backend_403", has_role, held) == (
        fields["code"],
        fields["token_has_role"],
        fields["token_roles"],
    )
    assert payload not in repr(fields)


def test_when_the_api_is_busy_then_the_error_says_when_to_come_back() -> None:
    """429 and 503 may carry Retry-After."""
    busy = error_for_status(429, None, 7.0)

    assert ("backend_throttled", 7.0) == (busy.code, busy.retry_after_seconds)


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"[]"])
async def test_when_a_problem_document_is_broken_then_our_own_code_serves(
    api: CannedApi, content: bytes
) -> None:
    """What cannot be read is no code."""
    api.handle = answering(400, content, ("content-type", "application/problem+json"))

    with pytest.raises(BackendRejected) as caught:
        await feed_of(api).changes("", limit=1, deadline=api.deadline())
    assert "backend_rejected" == caught.value.code


@pytest.mark.parametrize("count", [MAX_ITEMS, MAX_ITEMS + 1])
def test_when_a_page_has_more_items_than_the_api_gives_then_it_is_no_page(count: int) -> None:
    """Each costs work of its own."""
    body = page(items=[ITEM] * count)

    if count <= MAX_ITEMS:
        assert count == len(parse_change_page(body).records)
    else:
        with pytest.raises(BackendContractError, match="over 1000 items"):
            parse_change_page(body)


@pytest.mark.parametrize(
    ("data", "is_too_much"),
    [
        ([0] * (MAX_VALUES - 100), False),
        ([0] * MAX_VALUES, True),
        ([[]] * (MAX_VALUES // 2), True),
        ([{}] * (MAX_VALUES // 2), True),
        ({"text": ",:[{" * MAX_VALUES}, False),
        ({"text": '\\",' * MAX_VALUES}, False),
        ({"a" * 10: "\n,\t" * MAX_VALUES}, False),
    ],
)
def test_when_a_page_has_very_many_values_then_it_is_refused_unread(
    data: object, *, is_too_much: bool
) -> None:
    """What stands in strings is none of them; and the refusal says what helps."""
    body = page(items=[ITEM | {"data": {"all": data}}])

    if is_too_much:
        with pytest.raises(BackendContractError, match="lower SYNC_PAGE_SIZE") as caught:
            parse_change_page(body)
        assert "backend_too_large" == caught.value.code
    else:
        assert 1 == len(parse_change_page(body).records)


# --- the list of shards ---------------------------------------------------------------------------

SHARD = {"shard": 0, "start": "s0", "end": "e0"}


def listing(*shards: Any, **changes: Any) -> bytes:
    """A list of these shards, with these members changed."""
    return json.dumps({"feed": "f", "shards": list(shards)} | changes).encode()


def test_when_shards_are_listed_then_each_has_its_cursors() -> None:
    """In the order of their numbers, and what a later version adds plays no part."""
    body = listing(SHARD | {"items": 7}, {"shard": 1, "start": "s1", "end": "e1"}, since="x")

    shards = parse_shards(body)

    assert FeedShards("f", (FeedShard(0, "s0", "e0"), FeedShard(1, "s1", "e1"))) == shards


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"feed": "f", "feed": "f", "shards": []}',
        listing(),
        listing(SHARD, feed=""),
        listing(SHARD, feed=None),
        b'{"shards": []}',
        b'{"feed": null}',
        b'{"feed": null, "shards": {}}',
        listing(SHARD, feed=1),
        listing(SHARD, feed="f" * 513),
        listing(SHARD, shards={"0": SHARD}),
        listing(SHARD, SHARD),
        listing(SHARD, SHARD | {"shard": 2}),
        listing(SHARD | {"shard": 1}),
        listing(SHARD | {"shard": False}),
        listing(SHARD | {"shard": 0.0}),
        listing(SHARD | {"start": ""}),
        listing(SHARD | {"end": None}),
        listing(SHARD | {"end": "\ud800"}),
        listing(SHARD | {"end": "e" * (LONGEST_CURSOR + 1)}),
        listing([0, "s", "e"]),
        listing(*(SHARD | {"shard": number} for number in range(65))),
        listing(SHARD, more=[0] * 20_000),
        listing(SHARD, more="x" * 1_100_000),
    ],
)
def test_when_a_list_of_shards_is_not_as_described_then_it_is_refused(body: bytes) -> None:
    """A shard that is left out, or comes twice, would be a shard that nobody reads."""
    with pytest.raises(BackendContractError):
        parse_shards(body)


def test_when_there_is_no_feed_yet_then_the_list_says_so() -> None:
    """As the API answers before the first write."""
    assert parse_shards(b'{"feed": null, "shards": []}') is None


async def test_when_shards_are_asked_for_then_the_api_lists_them(api: CannedApi) -> None:
    """One request, and no query."""
    api.handle = answering(200, listing(SHARD))

    shards = await feed_of(api).shards(deadline=api.deadline())

    assert FeedShards("f", (FeedShard(0, "s0", "e0"),)) == shards
    assert ["https://api.example/prod/v1/shards"] == [str(each.url) for each in api.requests]


@pytest.mark.parametrize(
    "handle",
    [
        problem(404, "not_found"),
        answering(404, b'{"message":"x"}'),
        answering(403, b"{}", ("x-amzn-errortype", "MissingAuthenticationTokenException")),
        answering(403, b"{}", ("x-amzn-errortype", "MissingAuthenticationTokenException:http://x")),
    ],
)
async def test_when_the_api_knows_no_shards_then_the_error_says_what_to_deploy(
    api: CannedApi, handle: Handler
) -> None:
    """API Gateway answers 403 for a path that it has not, and not 404."""
    api.handle = handle

    with pytest.raises(ShardsUnsupported, match=r"deploy the AWS stack.*SYNC_FAN_OUT"):
        await feed_of(api).shards(deadline=api.deadline())


@pytest.mark.parametrize(
    ("handle", "kind", "code"),
    [
        (answering(403, b'{"Message":"User is not"}'), TokenRefused, "backend_403"),
        (problem(403, "missing_role"), TokenRefused, "missing_role"),
        (problem(503, "importing"), BackendUnavailable, "backend_503"),
        (answering(200, b"{}"), BackendContractError, "backend_contract"),
    ],
)
async def test_when_the_list_of_shards_cannot_be_had_then_the_error_tells_which_kind(
    api: CannedApi, handle: Handler, kind: type[BackendError], code: str
) -> None:
    """As for a page."""
    api.handle = handle

    with pytest.raises(kind) as caught:
        await feed_of(api).shards(deadline=api.deadline())

    assert code == caught.value.code
