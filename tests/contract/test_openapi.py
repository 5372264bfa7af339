"""docs/openapi.yaml describes what the backend really answers."""

import inspect
import json
import re
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from openapi_spec_validator import validate

from aws_backend import cursor, errors, preconditions, record, records_api
from aws_backend.cursor import Cursor
from aws_backend.dispatch import Operation, dispatch_event
from aws_backend.errors import (
    ApiError,
    FeedContended,
    FeedImportFailed,
    FeedImporting,
    FeedRenewing,
    StorageUnavailable,
)
from aws_backend.handlers.health import get_health
from aws_backend.protected_resource import METADATA_PATH, ProtectedResourceApi
from aws_backend.record import MAX_DATA_BYTES, MAX_DEPTH
from aws_backend.records_api import RecordsApi
from aws_backend.settings import load_discovery_settings
from shared.routes import ROUTES
from tests.support.fake_clock import FakeClock
from tests.support.fake_record_store import FakeRecordStore
from tests.support.openapi import (
    DOCUMENT,
    check_described,
    check_schema,
    described_operations,
)
from tests.support.proxy_event import CALLER, proxy_event

RECORD = "/v1/records/{id}"


class Backend:
    """The three Lambdas' operations over a store in memory, each answer checked."""

    def __init__(self) -> None:
        """Start with an empty store."""
        self.store = FakeRecordStore()
        settings = load_discovery_settings(
            {
                "ENTRA_TENANT_ID": "11111111-1111-4111-8111-111111111111",
                "API_CLIENT_ID": "22222222-2222-4222-8222-222222222222",
                "API_APP_ID_URI": "api://22222222-2222-4222-8222-222222222222",
            }
        )
        self.operations: dict[tuple[str, str], Operation] = {
            ("GET", "/health"): get_health,
            **RecordsApi(self.store).operations(),
            **ProtectedResourceApi(settings.identity, settings.public_url).operations(),
        }

    def call(
        self, method: str, resource: str = RECORD, record_id: str = "a", **event: Any
    ) -> tuple[int, dict[str, Any] | None]:
        """Status and document of an answer that is exactly as described."""
        if method == "PUT":
            event.setdefault("body", "{}")
            event["headers"] = {"Content-Type": "application/json", **event.get("headers", {})}
        sent = proxy_event(
            method, resource, record_id=record_id if resource == RECORD else None, **event
        )
        answer: dict[str, Any] = dispatch_event(sent, lambda: self.operations, FakeClock())
        document = json.loads(answer["body"]) if answer["body"] else None
        check_described(method, resource, answer["statusCode"], answer["headers"], document)
        return answer["statusCode"], document

    def changes(self, **query: str) -> tuple[int, dict[str, Any] | None]:
        """The same for a page of changes."""
        lists = {name: [value] for name, value in query.items()}
        return self.call("GET", "/v1/records", query=lists)


@pytest.fixture
def backend() -> Backend:
    """An empty backend."""
    return Backend()


# --- the description itself ---------------------------------------------------------------------


def test_when_the_description_is_read_then_it_is_valid_openapi() -> None:
    """Any tool that knows OpenAPI 3.1 can use it."""
    validate(DOCUMENT)


def test_when_routes_are_declared_then_the_description_has_exactly_those() -> None:
    """Paths, methods and roles are those of shared.routes."""
    declared = {(route.method, route.path): [route.role] if route.role else [] for route in ROUTES}
    found = {
        (method, path): [role for need in operation["security"] for role in need["entraToken"]]
        for method, path, operation in described_operations()
    }

    assert declared == found


def test_when_limits_are_described_then_they_are_the_codes() -> None:
    """The numbers that a caller reads are those that the code holds to."""
    parameters = {p["name"]: p for p in DOCUMENT["paths"]["/v1/records"]["get"]["parameters"]}
    limit = parameters["limit"]["schema"]
    body = DOCUMENT["paths"][RECORD]["put"]["requestBody"]["description"]

    assert (1, records_api.MAX_LIMIT, records_api.DEFAULT_LIMIT) == (
        limit["minimum"],
        limit["maximum"],
        limit["default"],
    )
    assert f"{MAX_DATA_BYTES // 1024} KiB" in body
    assert f"{MAX_DEPTH} levels" in body


def test_when_an_error_has_a_code_then_the_description_names_it() -> None:
    """Every code that the backend's source can answer with stands in the description."""
    classes = [
        error
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, ApiError)
    ]
    codes = {vars(error).get("code") for error in classes} - {None, "route_unknown"}
    for module in (records_api, record, cursor, preconditions):
        codes |= set(re.findall(r'InvalidRequest\(\s*"(\w+)"', inspect.getsource(module)))
    text = yaml.safe_dump(DOCUMENT, width=10_000)

    assert codes
    assert {code for code in codes if f"`{code}`" not in text} == set()


# --- its promises and the answers ---------------------------------------------------------------


def test_when_the_public_routes_answer_then_it_is_as_described(backend: Backend) -> None:
    """Health and metadata."""
    assert 200 == backend.call("GET", "/health", authorizer=None)[0]
    assert 200 == backend.call("GET", METADATA_PATH, authorizer=None)[0]


def test_when_a_record_lives_then_every_answer_is_as_described(backend: Backend) -> None:
    """Created, read, kept, replaced, deleted, and gone."""
    outcomes = [
        backend.call("PUT", body='{"n":1.5,"ü":[null]}')[0],
        backend.call("GET")[0],
        backend.call("GET", headers={"If-None-Match": '"1"'})[0],
        backend.call("PUT")[0],
        backend.call("DELETE", headers={"If-Match": '"2"'})[0],
        backend.call("GET")[0],
        backend.call("DELETE")[0],
        backend.call("PUT", headers={"If-None-Match": "*"})[0],
    ]

    assert [201, 200, 304, 200, 204, 404, 404, 201] == outcomes


def test_when_shards_are_listed_then_every_answer_is_as_described(backend: Backend) -> None:
    """Before the first write there is no feed, which is said; afterwards there are its shards."""
    assert (200, {"feed": None, "shards": []}) == backend.call("GET", "/v1/shards")
    backend.call("PUT", body='{"n":1}')

    status, listing = backend.call("GET", "/v1/shards")
    assert listing is not None
    _, page = backend.changes(cursor=listing["shards"][0]["start"])

    assert page is not None
    assert (200, [0]) == (status, [each["shard"] for each in listing["shards"]])
    assert listing["shards"][0]["end"] == page["next_cursor"]


def test_when_changes_are_listed_then_every_page_is_as_described(backend: Backend) -> None:
    """An empty feed, a full page, a tombstone, the end."""
    assert 200 == backend.changes()[0]
    for record_id in ("a", "b"):
        backend.call("PUT", record_id=record_id, body='{"n":1}')
    backend.call("DELETE", record_id="a")

    _, page = backend.changes(limit="1")
    assert page is not None
    _, last = backend.changes(limit="1", cursor=page["next_cursor"])
    assert last is not None

    assert (True, False) == (page["has_more"], last["has_more"])
    assert [False, True] == [item["deleted"] for item in (*page["items"], *last["items"])]


@pytest.mark.parametrize(
    ("status", "method", "resource", "event"),
    [
        (400, "GET", "/v1/records", {"query": {"limit": ["0"]}}),
        (400, "GET", "/v1/records", {"query": {"cursor": ["x"]}}),
        (400, "GET", "/v1/shards", {"query": {"cursor": [""]}}),
        (400, "GET", RECORD, {"record_id": ".."}),
        (400, "PUT", RECORD, {"body": "[]"}),
        (400, "DELETE", RECORD, {"headers": {"If-Match": "3"}}),
        (403, "GET", "/v1/records", {"authorizer": CALLER | {"roles": ""}}),
        (403, "GET", "/v1/shards", {"authorizer": CALLER | {"roles": "Records.Write"}}),
        (403, "PUT", RECORD, {"authorizer": CALLER | {"roles": "Records.Read"}}),
        (403, "DELETE", RECORD, {"authorizer": CALLER | {"roles": "Records.Read"}}),
        (404, "GET", RECORD, {}),
        (404, "DELETE", RECORD, {}),
        (
            410,
            "GET",
            "/v1/records",
            {"query": {"cursor": [Cursor(b"another feed's ID"[:16], 1).to_text()]}},
        ),
        (412, "PUT", RECORD, {"headers": {"If-Match": '"1"'}}),
        (413, "PUT", RECORD, {"body": " " * (MAX_DATA_BYTES + 1)}),
        (415, "PUT", RECORD, {"headers": {"Content-Type": "text/plain"}}),
        (500, "GET", "/v1/records", {"authorizer": None}),
    ],
)
def test_when_a_request_is_refused_then_the_problem_is_as_described(
    backend: Backend, status: int, method: str, resource: str, event: dict[str, Any]
) -> None:
    """Each refusal that the backend itself can give."""
    assert status == backend.call(method, resource, **event)[0]


@pytest.mark.parametrize(
    "error",
    [
        FeedContended("x"),
        FeedImporting("x"),
        FeedImportFailed("x"),
        FeedRenewing("x"),
        StorageUnavailable("x"),
        RuntimeError("x"),
    ],
)
@pytest.mark.parametrize(
    ("method", "resource"),
    [
        ("GET", "/v1/records"),
        ("GET", "/v1/shards"),
        ("GET", RECORD),
        ("PUT", RECORD),
        ("DELETE", RECORD),
    ],
)
def test_when_the_storage_fails_then_the_problem_is_as_described(
    backend: Backend, method: str, resource: str, error: Exception
) -> None:
    """Every operation that needs the storage may answer 503, and any may answer 500."""
    backend.store.fails_with = error

    assert backend.call(method, resource)[0] in {500, 503}


def test_when_an_answer_differs_from_the_description_then_the_check_says_so() -> None:
    """The checks above can fail."""
    with pytest.raises(ValidationError):
        check_schema({"items": {}}, {"$ref": "#/components/schemas/ChangePage"})
    with pytest.raises(KeyError):
        check_described("GET", "/health", 201, {}, None)
