"""API Gateway's events as requests."""

import base64
from typing import Any

import pytest

from aws_backend.proxy_event import (
    BackendResponse,
    ProxyEventError,
    json_response,
    parse_proxy_event,
)
from tests.support.proxy_event import CALLER, proxy_event


def test_when_an_event_is_complete_then_everything_is_read() -> None:
    """Header names lose their case, repeats are kept, the caller is handed on."""
    event = proxy_event(
        "PUT",
        "/v1/records/{id}",
        record_id="a",
        query={"x": ["1", "2"]},
        headers={"If-Match": '"1"'},
        body='{"ü":1}',
    )

    request = parse_proxy_event(event)

    assert ("PUT", "/v1/records/{id}") == (request.method, request.resource)
    assert {"id": "a"} == request.path_parameters
    assert {"x": ("1", "2")} == request.query
    assert ('"1"',) == request.headers["if-match"]
    assert '{"ü":1}'.encode() == request.body
    assert request.authorizer == CALLER
    assert "c6af9ac6-7b61-11e6-9a41-93e8deadbeef" == request.request_id
    assert "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com" == request.domain_name
    assert "/prod/v1/records/a" == request.full_path


def test_when_an_event_is_empty_where_it_may_be_then_nothing_is_made_up() -> None:
    """API Gateway writes null for an empty map or body."""
    event = proxy_event(authorizer=None) | {"multiValueHeaders": None, "headers": None}
    del event["requestContext"]["domainName"]

    request = parse_proxy_event(event)

    assert ({}, {}, {}) == (request.path_parameters, request.query, request.headers)
    assert b"" == request.body
    assert request.authorizer is None
    assert request.domain_name is None


def test_when_only_single_values_are_sent_then_they_are_read() -> None:
    """A test event from the console has no multi-value maps."""
    event = proxy_event(query={"limit": ["5"]}, headers={"A": "1"})
    del event["multiValueHeaders"], event["multiValueQueryStringParameters"]

    request = parse_proxy_event(event)

    assert {"limit": ("5",)} == request.query
    assert ("1",) == request.headers["a"]


def test_when_a_header_comes_in_two_spellings_then_both_values_are_kept() -> None:
    """A second spelling cannot hide a value."""
    event = proxy_event() | {"multiValueHeaders": {"If-Match": ['"1"'], "if-match": ['"2"']}}

    assert ('"1"', '"2"') == parse_proxy_event(event).headers["if-match"]


def test_when_the_body_is_base64_then_it_is_decoded() -> None:
    """API Gateway encodes what matches its binary media types."""
    event = proxy_event(body=base64.b64encode(b"\xff{}").decode()) | {"isBase64Encoded": True}

    assert b"\xff{}" == parse_proxy_event(event).body


def test_when_the_body_holds_half_a_surrogate_pair_then_it_is_handed_on() -> None:
    """Reading an event never fails over what the caller wrote."""
    assert b"\xed\xa0\x80" == parse_proxy_event(proxy_event(body="\ud800")).body


@pytest.mark.parametrize(
    "changed",
    [
        {"httpMethod": None},
        {"resource": 1},
        {"requestContext": "x"},
        {"pathParameters": {"id": 1}},
        {"multiValueHeaders": {"A": "1"}},
        {"multiValueHeaders": {"A": [1]}},
        {"multiValueQueryStringParameters": []},
        {"body": {}},
        {"body": "*", "isBase64Encoded": True},
        {"body": "é", "isBase64Encoded": True},
    ],
)
def test_when_an_event_has_another_shape_then_it_is_refused(changed: dict[str, Any]) -> None:
    """What API Gateway does not send for a REST API is not guessed at."""
    with pytest.raises(ProxyEventError):
        parse_proxy_event(proxy_event() | changed)


def test_when_an_answer_is_given_then_it_has_exactly_the_members_that_the_gateway_takes() -> None:
    """Any further member would make API Gateway answer 502."""
    answer = json_response(200, {"ü": 1}, {"ETag": '"1"'}).to_proxy_response()

    assert {
        "statusCode": 200,
        "headers": {
            "X-Content-Type-Options": "nosniff",
            "Content-Type": "application/json",
            "ETag": '"1"',
        },
        "body": '{"ü":1}',
        "isBase64Encoded": False,
    } == answer


def test_when_an_answer_is_empty_then_its_body_is_an_empty_text() -> None:
    """204 and 304 have no content."""
    assert "" == BackendResponse(204).to_proxy_response()["body"]
