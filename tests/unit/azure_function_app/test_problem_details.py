"""Every error has its place among the problems."""

import inspect
import json

import pytest

from azure_function_app import errors
from azure_function_app.errors import BackendRejected, BridgeError, RequestRefused
from azure_function_app.problem_details import problem_of
from shared.settings_reader import SettingProblem, SettingsError

ERRORS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BridgeError)
]


def made(kind: type[BridgeError]) -> BridgeError:
    """An error of that class."""
    return kind("Said.", status=400) if issubclass(kind, BackendRejected) else kind("Said.")


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not BridgeError])
def test_when_an_error_class_exists_then_the_proxy_has_a_status_for_it(
    kind: type[BridgeError],
) -> None:
    """Only what the sync job meets, which no request can cause, is an internal error."""
    of_the_sync = {
        errors.CheckpointConflict,
        errors.ContentRefused,
        errors.RecordsUnfit,
        errors.ShardMessageInvalid,
    }

    status = problem_of(made(kind)).status

    assert (status == 500) == (kind in of_the_sync)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("request_refused", 400),
        ("request_path_invalid", 400),
        ("request_caller_unknown", 401),
        ("request_route_unknown", 404),
        ("request_method_not_allowed", 405),
        ("request_length_required", 411),
        ("request_body_too_large", 413),
        ("request_headers_too_large", 431),
    ],
)
def test_when_a_request_is_refused_then_the_status_is_the_most_exact_one(
    code: str, status: int
) -> None:
    """HTTP's own word for what is wrong, 400 where it has none."""
    assert status == problem_of(RequestRefused("No.", code=code)).status


def test_when_the_settings_are_wrong_then_the_caller_sees_none_of_them() -> None:
    """The problem says where to look; names and values are for the log."""
    error = SettingsError((SettingProblem("AWS_API_BASE_URL", "'http://x' is not valid"),))

    problem = problem_of(error)

    assert (500, "settings_invalid") == (problem.status, problem.code)
    assert "AWS_API_BASE_URL" not in problem.detail
    assert "http" not in problem.detail


def test_when_a_problem_is_an_answer_then_it_is_rfc_9457() -> None:
    """An absolute type, the status's own title, and the members that we add."""
    answer = problem_of(RequestRefused("No.")).response("r-1", ("Allow", "GET"))

    assert {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "No.",
        "code": "request_refused",
        "request_id": "r-1",
    } == json.loads(answer.body)
    assert (
        ("Content-Type", "application/problem+json"),
        ("Cache-Control", "no-store"),
        ("X-Request-Id", "r-1"),
        ("Allow", "GET"),
    ) == answer.headers
