"""The records API's operations, over a store in memory."""

import json

import pytest

from aws_backend.errors import (
    ApiError,
    BodyTooLarge,
    CursorExpired,
    InvalidRequest,
    MediaTypeUnsupported,
    PreconditionFailed,
    RecordNotFound,
)
from aws_backend.proxy_event import BackendRequest, BackendResponse, parse_proxy_event
from aws_backend.record import MAX_DATA_BYTES
from aws_backend.records_api import DEFAULT_LIMIT, RecordsApi
from tests.support.fake_record_store import FakeRecordStore
from tests.support.proxy_event import proxy_event

RECORD = "/v1/records/{id}"


@pytest.fixture
def store() -> FakeRecordStore:
    """An empty store."""
    return FakeRecordStore()


@pytest.fixture
def api(store: FakeRecordStore) -> RecordsApi:
    """The API over the store."""
    return RecordsApi(store)


def listing(**query: str) -> BackendRequest:
    """A request for changes."""
    return parse_proxy_event(proxy_event(query={name: [value] for name, value in query.items()}))


def on_record(
    method: str, record_id: str = "a", *, body: str | None = None, **headers: str
) -> BackendRequest:
    """A request for one record; header names come with underscores."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent.setdefault("content-type", "application/json")
    return parse_proxy_event(
        proxy_event(method, RECORD, record_id=record_id, headers=sent, body=body)
    )


def put(
    api: RecordsApi, record_id: str = "a", body: str = '{"n":1}', **headers: str
) -> BackendResponse:
    """The answer to a PUT."""
    return api.put_record(on_record("PUT", record_id, body=body, **headers))


# --- the change feed ----------------------------------------------------------------------------


def test_when_changes_are_listed_then_the_page_has_items_cursor_and_has_more(
    api: RecordsApi,
) -> None:
    """The cursor of one page starts the next."""
    put(api, "a")
    put(api, "b")
    api.delete_record(on_record("DELETE", "a"))

    first = json.loads(api.list_changes(listing(limit="1")).body)
    second = json.loads(api.list_changes(listing(limit="1", cursor=first["next_cursor"])).body)

    assert [("b", False)] == [(item["id"], item["deleted"]) for item in first["items"]]
    assert first["has_more"]
    assert {
        "items": [
            {
                "id": "a",
                "version": 2,
                "updated_at": "2026-11-21T05:47:00.000Z",
                "deleted": True,
                "data": {},
            }
        ],
        "next_cursor": second["next_cursor"],
        "has_more": False,
    } == second


def test_when_changes_are_listed_then_nobody_keeps_the_page(api: RecordsApi) -> None:
    """A page of a feed is old at once."""
    headers = api.list_changes(listing()).headers

    assert ("no-store", "application/json") == (headers["Cache-Control"], headers["Content-Type"])


def test_when_the_cursor_is_empty_then_the_feed_starts_at_the_beginning(api: RecordsApi) -> None:
    """An empty cursor is what many clients write for none."""
    put(api)

    assert api.list_changes(listing()) == api.list_changes(listing(cursor=""))


@pytest.mark.parametrize(
    ("query", "limit"), [({}, DEFAULT_LIMIT), ({"limit": "1"}, 1), ({"limit": "1000"}, 1000)]
)
def test_when_a_limit_is_given_then_it_holds(
    api: RecordsApi, store: FakeRecordStore, query: dict[str, str], limit: int
) -> None:
    """The limit is the caller's, within bounds."""
    api.list_changes(listing(**query))

    assert [limit] == store.limits


def shards_request() -> BackendRequest:
    """A request for the shards."""
    return parse_proxy_event(proxy_event("GET", "/v1/shards"))


def test_when_shards_are_listed_then_each_may_be_followed_from_its_start_to_its_end(
    api: RecordsApi,
) -> None:
    """A reader who has read everything stands where the listing says that the shard ends."""
    put(api, "a")
    put(api, "b")
    (shard,) = json.loads(api.list_shards(shards_request()).body)["shards"]

    page = json.loads(api.list_changes(listing(cursor=shard["start"])).body)

    assert ["a", "b"] == [item["id"] for item in page["items"]]
    assert (shard["end"], False) == (page["next_cursor"], page["has_more"])


def test_when_nothing_was_ever_written_then_there_is_no_feed_and_no_shard(api: RecordsApi) -> None:
    """Null is no feed's name, so no reader takes this for a feed without records."""
    response = api.list_shards(shards_request())

    assert {"feed": None, "shards": []} == json.loads(response.body)
    assert ("no-store", "application/json") == (
        response.headers["Cache-Control"],
        response.headers["Content-Type"],
    )


def test_when_the_table_has_another_feed_then_the_listing_names_another(api: RecordsApi) -> None:
    """And a start of the one before is no start of this one."""
    put(api)
    other = RecordsApi(FakeRecordStore(feed=bytes(reversed(range(16)))))
    put(other)
    here, there = (json.loads(each.list_shards(shards_request()).body) for each in (api, other))

    assert here["feed"] != there["feed"]
    with pytest.raises(CursorExpired):
        other.list_changes(listing(cursor=here["shards"][0]["start"]))


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "+1", "1.0", " 1", "", "01", "1e2", "٣", "x"])
def test_when_the_limit_is_no_number_within_bounds_then_it_is_refused(
    api: RecordsApi, limit: str
) -> None:
    """A limit is digits and nothing else."""
    with pytest.raises(InvalidRequest, match="from 1 to 1000") as caught:
        api.list_changes(listing(limit=limit))

    assert "limit_invalid" == caught.value.code


def test_when_the_cursor_is_not_ours_then_it_is_refused(api: RecordsApi) -> None:
    """A cursor cannot be guessed at."""
    with pytest.raises(InvalidRequest) as caught:
        api.list_changes(listing(cursor="7"))

    assert "cursor_invalid" == caught.value.code


def test_when_the_feed_is_another_then_the_cursor_has_expired(api: RecordsApi) -> None:
    """The store's refusal reaches the caller."""
    put(api)
    cursor = json.loads(api.list_changes(listing()).body)["next_cursor"]

    with pytest.raises(CursorExpired):
        RecordsApi(FakeRecordStore()).list_changes(listing(cursor=cursor))


@pytest.mark.parametrize("query", [{"curzor": ["x"]}, {"Limit": ["1"]}, {"": [""]}])
def test_when_a_parameter_is_unknown_then_the_request_is_refused(
    api: RecordsApi, query: dict[str, list[str]]
) -> None:
    """A misspelled cursor would read the feed from its start for ever."""
    with pytest.raises(InvalidRequest, match="cursor and limit") as caught:
        api.list_changes(parse_proxy_event(proxy_event(query=query)))

    assert "parameter_unknown" == caught.value.code


def test_when_a_parameter_is_repeated_then_the_request_is_refused(api: RecordsApi) -> None:
    """Which of two limits counts is not guessed."""
    with pytest.raises(InvalidRequest, match="limit once") as caught:
        api.list_changes(parse_proxy_event(proxy_event(query={"limit": ["1", "1"]})))

    assert "parameter_repeated" == caught.value.code


# --- one record ---------------------------------------------------------------------------------


def test_when_a_record_is_put_first_then_it_is_created(api: RecordsApi) -> None:
    """The answer is the record as stored, with its ETag."""
    answer = put(api)

    assert (201, '"1"') == (answer.status, answer.headers["ETag"])
    assert answer.body == api.get_record(on_record("GET")).body
    assert {"n": 1} == json.loads(answer.body)["data"]


def test_when_a_record_is_put_again_then_it_is_replaced(api: RecordsApi) -> None:
    """The version grows, and the data is the new one alone."""
    put(api)
    answer = put(api, body='{"m":2}')

    assert (200, '"2"', {"m": 2}) == (
        answer.status,
        answer.headers["ETag"],
        json.loads(answer.body)["data"],
    )


@pytest.mark.parametrize(
    "body", ['{"n":1,"m":2}', '{"m":2,"n":1.0}', '{"m":2,"n":1,"o":null}', '{"m":"2","n":1}']
)
def test_when_other_data_is_put_then_it_is_a_new_version(api: RecordsApi, body: str) -> None:
    """Order and form of a number may mean something to the data's owner."""
    put(api, body='{"m":2,"n":1}')

    assert '"2"' == put(api, body=body).headers["ETag"]


def test_when_the_same_data_is_put_again_then_nothing_is_written(
    api: RecordsApi, store: FakeRecordStore
) -> None:
    """A caller who repeats a PUT, spelled in any way, gets the record as it is."""
    first = put(api, body='{"n":1.5,"u":"ü"}')
    again = put(api, body=' { "n": 1.50, "u": "\\u00fc" } ')

    assert (200, '"1"', first.body) == (again.status, again.headers["ETag"], again.body)
    assert 1 == store.sequence


@pytest.mark.parametrize("headers", [{"if_match": '"2"'}, {"if_none_match": "*"}])
def test_when_the_same_data_is_put_against_a_precondition_then_it_fails_all_the_same(
    api: RecordsApi, headers: dict[str, str]
) -> None:
    """What the caller requires comes before what there is to do (RFC 9110 section 13.2)."""
    put(api)

    with pytest.raises(PreconditionFailed):
        put(api, **headers)


def test_when_the_same_data_is_put_after_a_deletion_then_it_is_a_new_version(
    api: RecordsApi,
) -> None:
    """Readers who have seen the tombstone must see the record again."""
    put(api, body="{}")
    api.delete_record(on_record("DELETE"))
    answer = put(api, body="{}")

    assert (201, '"3"') == (answer.status, answer.headers["ETag"])


def test_when_a_deleted_record_is_put_then_it_is_created(api: RecordsApi) -> None:
    """A tombstone is no record."""
    put(api)
    api.delete_record(on_record("DELETE"))

    answer = put(api)

    assert (201, '"3"') == (answer.status, answer.headers["ETag"])


def test_when_a_record_is_got_then_it_may_be_kept_but_is_asked_about_again(
    api: RecordsApi,
) -> None:
    """A kept record is revalidated by its ETag."""
    put(api)
    answer = api.get_record(on_record("GET"))

    assert (200, '"1"', "private, no-cache") == (
        answer.status,
        answer.headers["ETag"],
        answer.headers["Cache-Control"],
    )


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', "*", '"0", "1"'])
def test_when_the_caller_has_the_record_already_then_it_is_not_sent_again(
    api: RecordsApi, tag: str
) -> None:
    """304 carries the ETag and no content."""
    put(api)
    answer = api.get_record(on_record("GET", if_none_match=tag))

    assert (304, '"1"', "") == (answer.status, answer.headers["ETag"], answer.body)
    assert "Content-Type" not in answer.headers


def test_when_the_caller_has_an_older_record_then_it_is_sent(api: RecordsApi) -> None:
    """Another ETag means another version."""
    put(api)

    assert 200 == api.get_record(on_record("GET", if_none_match='"0"')).status


def test_when_a_get_requires_another_version_then_it_fails(api: RecordsApi) -> None:
    """If-Match holds for reads too."""
    put(api)

    with pytest.raises(PreconditionFailed):
        api.get_record(on_record("GET", if_match='"2"'))


@pytest.mark.parametrize("method", ["get_record", "delete_record"])
@pytest.mark.parametrize("was_deleted", [False, True])
def test_when_there_is_no_record_then_it_is_not_found_whatever_the_precondition(
    api: RecordsApi, method: str, *, was_deleted: bool
) -> None:
    """A 404 comes before any precondition (RFC 9110 section 13.2.1)."""
    if was_deleted:
        put(api)
        api.delete_record(on_record("DELETE"))

    with pytest.raises(RecordNotFound, match="no record a"):
        getattr(api, method)(on_record("GET", if_match='"1"'))


def test_when_a_record_is_deleted_then_the_answer_is_empty(api: RecordsApi) -> None:
    """And the record is gone."""
    put(api)

    assert (204, "") == (
        (answer := api.delete_record(on_record("DELETE"))).status,
        answer.body,
    )
    with pytest.raises(RecordNotFound):
        api.get_record(on_record("GET"))


@pytest.mark.parametrize(
    "headers", [{"if_match": '"2"'}, {"if_match": 'W/"1"'}, {"if_none_match": "*"}]
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_when_a_write_requires_another_state_then_nothing_is_written(
    api: RecordsApi, store: FakeRecordStore, method: str, headers: dict[str, str]
) -> None:
    """The record, its version and the feed stay as they are."""
    put(api)
    body = '{"n":2}' if method == "PUT" else None
    operation = api.operations()[method, RECORD]

    with pytest.raises(PreconditionFailed):
        operation(on_record(method, body=body, **headers))
    assert 1 == store.sequence


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_when_a_write_requires_the_present_state_then_it_is_done(
    api: RecordsApi, method: str
) -> None:
    """If-Match with the ETag that was answered last."""
    tag = put(api).headers["ETag"]
    body = "{}" if method == "PUT" else None

    answer = api.operations()[method, RECORD](on_record(method, body=body, if_match=tag))

    assert answer.status in {200, 204}


@pytest.mark.parametrize("tag", ["*", '"1"'])
def test_when_a_put_requires_a_record_that_is_not_there_then_it_fails(
    api: RecordsApi, tag: str
) -> None:
    """If-Match never creates."""
    with pytest.raises(PreconditionFailed):
        put(api, if_match=tag)


def test_when_a_put_may_only_create_then_it_creates(api: RecordsApi) -> None:
    """If-None-Match: * passes where there is no record."""
    assert 201 == put(api, if_none_match="*").status


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (on_record("PUT", body=None, content_type="application/json"), InvalidRequest),
        (on_record("PUT", body="[]"), InvalidRequest),
        (on_record("PUT", body="{}", content_type="text/plain"), MediaTypeUnsupported),
        (on_record("PUT", body="x" * (MAX_DATA_BYTES + 1)), BodyTooLarge),
        (on_record("PUT", "a%2Fb", body="{}"), InvalidRequest),
        (on_record("PUT", body="{}", if_match="1"), InvalidRequest),
    ],
)
def test_when_a_put_is_wrong_in_itself_then_nothing_is_written(
    api: RecordsApi, store: FakeRecordStore, request_: BackendRequest, error: type[ApiError]
) -> None:
    """The store is not even asked."""
    with pytest.raises(error):
        api.put_record(request_)
    assert 0 == store.sequence


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_when_a_record_is_asked_for_with_a_parameter_then_it_is_refused(
    api: RecordsApi, method: str
) -> None:
    """These routes take none, so one is a mistake."""
    event = proxy_event(method, RECORD, record_id="a", query={"version": ["1"]})

    with pytest.raises(InvalidRequest, match="no parameters"):
        api.operations()[method, RECORD](parse_proxy_event(event))


def test_when_the_path_has_no_id_then_it_is_refused(api: RecordsApi) -> None:
    """A gateway that routes wrongly does not make an empty ID."""
    with pytest.raises(InvalidRequest):
        api.get_record(parse_proxy_event(proxy_event("GET", RECORD)))
