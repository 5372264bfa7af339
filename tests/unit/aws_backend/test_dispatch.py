"""From event to answer: the caller's check, the errors, the log line."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import pytest

from aws_backend.dispatch import Operation, configure_logging, dispatch_event
from aws_backend.errors import ApiError, FeedContended, RecordNotFound, StorageUnavailable
from aws_backend.proxy_event import BackendResponse
from shared.log import JsonLines
from shared.routes import PROTECTED_ROUTES, ROUTES
from tests.support.fake_clock import FakeClock
from tests.support.proxy_event import CALLER, proxy_event

SECRET = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln"


def serve_everything() -> Mapping[tuple[str, str], Operation]:
    """An operation for every route, each of which answers 200."""
    return {
        (route.method, route.path): lambda _request: BackendResponse(200, "{}") for route in ROUTES
    }


def failing(error: Exception) -> Mapping[tuple[str, str], Operation]:
    """An operation for every route, each of which raises."""

    def fail(_request: object) -> BackendResponse:
        raise error

    return {(route.method, route.path): fail for route in ROUTES}


def answer(
    event: Mapping[str, Any], operations: Mapping[tuple[str, str], Operation] | None = None
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, document and headers of the answer."""
    chosen = serve_everything() if operations is None else operations
    response: dict[str, Any] = dispatch_event(event, lambda: chosen, FakeClock())
    return response["statusCode"], json.loads(response["body"]), response["headers"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_when_the_caller_has_both_roles_then_every_route_is_served(route: Any) -> None:
    """The route table and the operations agree."""
    assert 200 == answer(proxy_event(route.method, route.path))[0]


@pytest.mark.parametrize("route", PROTECTED_ROUTES, ids=lambda r: f"{r.method} {r.path}")
@pytest.mark.parametrize(
    "authorizer",
    [
        None,
        {},
        {"principalId": "x"},
        CALLER | {"roles": None},
        CALLER | {"roles": ["Records.Read", "Records.Write"]},
        {name: value for name, value in CALLER.items() if name != "object_id"},
    ],
)
def test_when_no_authorizer_stood_in_front_then_no_protected_route_is_served(
    route: Any, authorizer: Mapping[str, object] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A deployment that lost its authorizer refuses everybody, and says so in its log."""
    event = proxy_event(route.method, route.path, authorizer=authorizer)

    status, problem, _ = answer(event)

    assert (500, "authorizer_context_missing") == (status, problem["code"])
    assert "context" not in problem["detail"]
    assert any(record.levelno == logging.ERROR for record in caplog.records)


@pytest.mark.parametrize("route", PROTECTED_ROUTES, ids=lambda r: f"{r.method} {r.path}")
@pytest.mark.parametrize("roles", ["", "Records", "records.read", "Records.Reader", "Records.*"])
def test_when_the_caller_lacks_the_role_then_answer_and_log_name_it(
    route: Any, roles: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Roles are checked again behind the gateway, exactly; the log has the caller's own beside."""
    event = proxy_event(route.method, route.path, authorizer=CALLER | {"roles": roles})

    with caplog.at_level(logging.INFO, "aws_backend"):
        status, problem, _ = answer(event)

    assert (403, "missing_role") == (status, problem["code"])
    assert str(route.role) in problem["detail"]
    (line,) = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert ("missing_role", route.role, roles.split()) == (
        line["code"],
        line["needed_role"],
        line["roles"],
    )


@pytest.mark.parametrize("route", PROTECTED_ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_when_the_caller_has_the_routes_role_alone_then_it_is_served(route: Any) -> None:
    """Neither role implies the other."""
    event = proxy_event(route.method, route.path, authorizer=CALLER | {"roles": str(route.role)})

    assert 200 == answer(event)[0]


@pytest.mark.parametrize("path", ["/health", "/.well-known/oauth-protected-resource"])
def test_when_a_route_is_public_then_it_needs_no_caller(path: str) -> None:
    """There is no authorizer in front of it."""
    assert 200 == answer(proxy_event("GET", path, authorizer=None))[0]


@pytest.mark.parametrize(
    ("method", "resource"),
    [("POST", "/v1/records"), ("GET", "/v1/records/"), ("GET", "/admin"), ("get", "/v1/records")],
)
def test_when_a_route_is_not_in_the_table_then_it_is_not_found(method: str, resource: str) -> None:
    """Only what `shared.routes` names exists, whatever the gateway lets through."""
    status, problem, _ = answer(proxy_event(method, resource))

    assert (404, "route_unknown") == (status, problem["code"])


def test_when_a_lambda_does_not_serve_a_route_then_it_is_not_found() -> None:
    """Each Lambda has its own operations, and a wrong integration shows."""
    assert 404 == answer(proxy_event(), operations={})[0]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RecordNotFound("There is no record a."), 404, "record_not_found"),
        (FeedContended("Try again."), 503, "feed_contended"),
        (StorageUnavailable("Try again."), 503, "storage_unavailable"),
    ],
)
def test_when_an_operation_refuses_then_the_answer_is_a_problem(
    error: ApiError, status: int, code: str
) -> None:
    """Problem details (RFC 9457) with a stable code."""
    given_status, problem, headers = answer(proxy_event(), failing(error))

    assert status == given_status
    assert "application/problem+json" == headers["Content-Type"]
    assert "no-store" == headers["Cache-Control"]
    assert {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(error),
        "code": code,
        "request_id": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    } == problem
    assert (status == 503) == ("Retry-After" in headers)


def test_when_an_operation_breaks_then_the_caller_learns_nothing_about_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The traceback is in our log, and a token in it is not."""
    status, problem, _ = answer(proxy_event(), failing(RuntimeError(f"no {SECRET}")))

    lines = "".join(JsonLines().format(record) for record in caplog.records)
    assert (500, "internal_error") == (status, problem["code"])
    assert "RuntimeError" not in json.dumps(problem)
    assert "RuntimeError" in lines
    assert SECRET not in lines


@pytest.mark.parametrize("event", [{}, {"version": "2.0", "requestContext": {"http": {}}}])
def test_when_the_event_is_not_a_rest_apis_then_the_answer_is_500(event: dict[str, Any]) -> None:
    """A wrong integration is a fault of the deployment, not of the caller."""
    assert 500 == answer(event)[0]


def test_when_the_operations_cannot_be_built_then_the_answer_is_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wrong settings are logged by name and refused to everybody."""

    def broken() -> Mapping[tuple[str, str], Operation]:
        raise RuntimeError("RECORDS_TABLE: is missing")

    response = dispatch_event(proxy_event(), broken, FakeClock())

    assert 500 == response["statusCode"]
    assert "RECORDS_TABLE" in caplog.text


def test_when_a_request_is_answered_then_there_is_one_line_about_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It says who called what, and nothing of query, headers or body."""
    event = proxy_event(
        query={"cursor": ["marked"]},
        headers={"Authorization": "marked", "X-Request-Id": "callers-1"},
        body="marked",
    )
    with caplog.at_level(logging.INFO, "aws_backend"):
        dispatch_event(event, serve_everything, FakeClock(), "trace-1")

    (line,) = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert {
        "time": int(caplog.records[0].created * 1_000),
        "level": "INFO",
        "logger": "aws_backend.dispatch",
        "trace_id": "trace-1",
        "caller_request_id": "callers-1",
        "event": "request",
        "status": 200,
        "milliseconds": 0.0,
        "method": "GET",
        "route": "/v1/records",
        "request_id": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "decision_id": CALLER["decision_id"],
        "client_id": CALLER["client_id"],
        "object_id": CALLER["object_id"],
    } == line


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"requestContext": "x", "headers": "y"},
        {"requestContext": {"requestId": "g"}, "headers": {"x-request-id": ["z"], "a": 1}},
        proxy_event(headers={"x-request-id": "a\nb"}),
        proxy_event(headers={"x-request-id": "a" * 129}),
    ],
)
def test_when_the_callers_id_is_none_then_no_line_has_it(
    event: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A request is answered and logged all the same, and so is what is no request."""
    caplog.handler.setFormatter(JsonLines())
    with caplog.at_level(logging.INFO, "aws_backend"):
        dispatch_event(event, serve_everything, FakeClock(), "trace-1")

    lines = [json.loads(line) for line in caplog.text.splitlines() if line.startswith("{")]
    context = event.get("requestContext")
    expected = context["requestId"] if isinstance(context, dict) else ""
    assert lines
    assert {("trace-1", expected, None)} == {
        (line["trace_id"], line["request_id"], line["caller_request_id"]) for line in lines
    }


def test_when_storage_fails_then_each_line_about_it_names_the_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The warning of why and the line of the request are found by the same IDs."""
    caplog.handler.setFormatter(JsonLines())
    with caplog.at_level(logging.INFO, "aws_backend"):
        dispatch_event(
            proxy_event(), lambda: failing(StorageUnavailable("no")), FakeClock(), "trace-1"
        )

    lines = [json.loads(line) for line in caplog.text.splitlines()]
    assert ["request_failed", "request"] == [line["event"] for line in lines]
    assert {("trace-1", "c6af9ac6-7b61-11e6-9a41-93e8deadbeef")} == {
        (line["trace_id"], line["request_id"]) for line in lines
    }


def test_when_a_request_is_refused_then_its_line_has_the_code(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Refusals can be counted by their code."""
    with caplog.at_level(logging.INFO, "aws_backend"):
        answer(proxy_event("GET", "/nowhere"))

    assert "route_unknown" == json.loads(JsonLines().format(caplog.records[-1]))["code"]


# --- log configuration --------------------------------------------------------------------------


@pytest.fixture
def _restored_levels() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "aws_backend")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


class _RuntimeHandler(logging.Handler):
    """Writes as Lambda's runtime client does outside AWS: without ending the line."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stdout.write(self.format(record))


@pytest.mark.usefixtures("_restored_levels")
def test_when_the_runtime_has_a_handler_then_each_event_is_still_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two events are two lines of JSON, whatever handler was there before."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [_RuntimeHandler()])

    configure_logging()
    for event in ("first", "second"):
        logging.getLogger("aws_backend.dispatch").info(event)

    lines = capsys.readouterr().out.splitlines()
    assert ["first", "second"] == [json.loads(line)["event"] for line in lines]


@pytest.mark.usefixtures("_restored_levels")
def test_when_there_is_no_handler_then_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our lines are seen from INFO on, other people's from WARNING on."""
    handlers: list[logging.Handler] = []
    monkeypatch.setattr(logging.getLogger(), "handlers", handlers)

    configure_logging()

    root = logging.getLogger()
    assert [JsonLines] == [type(handler.formatter) for handler in root.handlers]
    assert logging.getLogger("aws_backend.dispatch").isEnabledFor(logging.INFO)
    assert not logging.getLogger("botocore").isEnabledFor(logging.INFO)
