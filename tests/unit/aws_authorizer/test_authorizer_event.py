"""Events of every kind."""

import ast
import inspect
from collections.abc import Callable

import pytest

from aws_authorizer.authorizer_event import (
    AuthorizerRequest,
    parse_authorizer_event,
    parse_bearer_token,
)
from aws_authorizer.errors import TokenRejected, Undecided
from aws_authorizer.method_arn import parse_method_arn
from shared.reasons import Reason
from tests.support.events import (
    EVENT_BUILDERS,
    METHOD_ARN,
    STAGE_ARN,
    http_v1_event,
    http_v2_event,
    rest_request_event,
)

ARN = parse_method_arn(METHOD_ARN)
EVENTS = {name: build("Bearer abc") for name, build in EVENT_BUILDERS.items()}
REQUEST_EVENTS = {name: event for name, event in EVENTS.items() if name != "rest token"}


def undecided(event: object) -> Reason:
    """Why nothing is decided."""
    with pytest.raises(Undecided) as caught:
        parse_authorizer_event(event)
    return caught.value.reason


def rejection(event: object) -> Reason:
    """Why there is no token in the event."""
    with pytest.raises(TokenRejected) as caught:
        parse_bearer_token(parse_authorizer_event(event))
    return caught.value.reason


def request(authorization: str | None) -> AuthorizerRequest:
    """A request with this header."""
    return AuthorizerRequest(ARN, authorization, has_several=False)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_when_an_event_is_of_any_kind_then_its_token_and_stage_are_read(
    event: dict[str, object],
) -> None:
    """REST, HTTP and WebSocket APIs, in every payload format."""
    parsed = parse_authorizer_event(event)

    assert STAGE_ARN == parsed.method_arn.stage_arn
    assert "abc" == parse_bearer_token(parsed)


def test_when_a_kind_of_event_is_read_then_one_of_it_is_tried() -> None:
    """Each case of the parser has an event here, and so in the tests of the handler."""
    tree = ast.parse(inspect.getsource(parse_authorizer_event))
    cases = [
        tuple(ast.literal_eval(ast.unparse(pattern)) for pattern in node.patterns)
        for node in ast.walk(tree)
        if isinstance(node, ast.MatchSequence)
    ]

    assert cases
    assert set(cases) == {(event.get("type"), event.get("version")) for event in EVENTS.values()}


def test_when_an_event_is_of_a_kind_then_it_is_told_apart() -> None:
    """Only format 2.0 knows simple responses, only WebSocket `$connect`."""
    parsed = {name: parse_authorizer_event(event) for name, event in EVENTS.items()}

    assert {"http 2.0"} == {name for name, each in parsed.items() if each.is_payload_v2}
    assert {"websocket"} == {
        name for name, each in parsed.items() if each.method_arn.is_websocket_connect
    }


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "event",
        {},
        {"type": "TOKEN"},
        {"type": "TOKEN", "methodArn": METHOD_ARN, "version": "1.0"},
        {"type": "TOKEN", "methodArn": METHOD_ARN, "version": "2.0"},
        {"type": "TOKEN", "methodArn": METHOD_ARN, "routeArn": METHOD_ARN, "version": "2.0"},
        {"type": "TOKEN", "methodArn": [METHOD_ARN]},
        {"type": "token", "methodArn": METHOD_ARN},
        {"type": ["TOKEN"], "methodArn": METHOD_ARN},
        {"type": "REQUEST", "methodArn": "GET/orders"},
        {"type": "REQUEST", "methodArn": METHOD_ARN, "version": "3.0"},
        {"type": "REQUEST", "methodArn": METHOD_ARN, "version": 1.0},
        {"type": "REQUEST", "methodArn": METHOD_ARN, "version": ["1.0"]},
        {"type": "REQUEST", "methodArn": METHOD_ARN, "version": "2.0"},
        {"type": "REQUEST", "routeArn": METHOD_ARN},
        {"httpMethod": "GET", "path": "/", "headers": {"Authorization": "Bearer abc"}},
    ],
)
def test_when_an_event_is_none_of_ours_then_nothing_is_decided(event: object) -> None:
    """Whoever calls the function with something else gets neither a yes nor a no."""
    assert Reason.EVENT_NOT_UNDERSTOOD == undecided(event)


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("event", REQUEST_EVENTS.values(), ids=REQUEST_EVENTS)
def test_when_the_header_is_spelled_in_any_case_then_it_is_found(
    event: dict[str, object], name: str
) -> None:
    """Field names have no case (RFC 9110 section 5.1)."""
    spelled = event | {"headers": {name: "Bearer abc"}}
    if "multiValueHeaders" in event:
        spelled["multiValueHeaders"] = {name: ["Bearer abc"]}

    assert "abc" == parse_bearer_token(parse_authorizer_event(spelled))


@pytest.mark.parametrize(
    "changes",
    [
        {"multiValueHeaders": {"Authorization": ["Bearer abc", "Bearer def"]}},
        {"multiValueHeaders": {"Authorization": ["Bearer abc", "Bearer abc"]}},
        {"multiValueHeaders": {"Authorization": ["Bearer abc"], "authorization": ["Bearer abc"]}},
        {"multiValueHeaders": None, "headers": {"Authorization": "Bearer a", "AUTHORIZATION": "b"}},
    ],
)
def test_when_there_are_two_headers_then_neither_is_used(changes: dict[str, object]) -> None:
    """RFC 6750 section 2: a client sends its token once. Which one counts is nobody's guess."""
    assert Reason.SEVERAL_TOKENS == rejection(rest_request_event("Bearer abc") | changes)


def test_when_http_2_joins_two_headers_then_they_are_no_token() -> None:
    """Format 2.0 joins repeats by commas, and a comma is in no token."""
    joined = "Bearer abc,Bearer def"

    assert "abc,Bearer def" == parse_bearer_token(parse_authorizer_event(http_v2_event(joined)))


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {}, "multiValueHeaders": {}},
        {"headers": None, "multiValueHeaders": None},
        {"headers": [], "multiValueHeaders": "x"},
        {"headers": {"Authorization": None}, "multiValueHeaders": {"Authorization": [None]}},
        {"headers": {"Authorization": ""}, "multiValueHeaders": {"Authorization": [""]}},
        {"headers": {"Authorization": 5}, "multiValueHeaders": {"Authorization": [5]}},
        {"headers": {"Authorization": []}, "multiValueHeaders": {"Authorization": []}},
        {"headers": {"X-Authorization": "Bearer abc"}, "multiValueHeaders": {}},
        {"headers": {5: "Bearer abc"}, "multiValueHeaders": {}},
    ],
)
def test_when_there_is_no_header_then_there_is_no_token(changes: dict[str, object]) -> None:
    """Absent, empty, null, or no string."""
    assert Reason.NO_TOKEN == rejection(rest_request_event("Bearer abc") | changes)


@pytest.mark.parametrize("value", [None, "", 5, ["Bearer abc"]])
def test_when_a_token_event_has_no_token_then_there_is_none(value: object) -> None:
    """The same for TOKEN authorizers."""
    event = {"type": "TOKEN", "methodArn": METHOD_ARN, "authorizationToken": value}

    assert Reason.NO_TOKEN == rejection(event)


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER abc", "bEaReR   abc"])
def test_when_the_scheme_is_bearer_then_what_follows_is_the_token(header: str) -> None:
    """RFC 9110 section 11.1: the scheme has no case; one or more spaces follow."""
    assert "abc" == parse_bearer_token(request(header))


@pytest.mark.parametrize(
    "header",
    ["abc", "Bearer", "Bearerabc", "Bearer\tabc", " Bearer abc", "Basic abc", "Token abc",
     "Bearer:abc", "Bearer=abc", "DPoP abc", "\u212abearer abc", "\ud800earer abc"],
)  # fmt: skip
def test_when_the_scheme_is_another_then_there_is_no_token(header: str) -> None:
    """Nothing looser than RFC 6750 section 2.1."""
    with pytest.raises(TokenRejected) as caught:
        parse_bearer_token(request(header))

    assert Reason.NOT_BEARER == caught.value.reason


@pytest.mark.parametrize("build_event", [http_v1_event, http_v2_event])
@pytest.mark.parametrize(
    "source", ["some-api-key", "Bearer ab", "Bearer abcd", "abc", "bearer abc"]
)
def test_when_an_identity_source_is_not_the_token_then_nothing_is_decided(
    build_event: Callable[[str], dict[str, object]], source: str
) -> None:
    """The gateway would serve one caller's answer to whoever sends the same other header."""
    event = build_event("Bearer abc")
    listed = [source] if isinstance(event["identitySource"], list) else source

    assert Reason.IDENTITY_SOURCE == undecided(event | {"identitySource": listed})


@pytest.mark.parametrize(
    "sources", ["Bearer abc", "Bearer abc,acme", "acme,Bearer abc", "acme,Bearer abc,203.0.113.9"]
)
def test_when_format_1_joins_the_identity_sources_then_the_token_is_found_among_them(
    sources: str,
) -> None:
    """First, last or in between; format 1.0 has one text for all of them."""
    event = http_v1_event("Bearer abc") | {"identitySource": sources}

    assert "abc" == parse_bearer_token(parse_authorizer_event(event))


@pytest.mark.parametrize("build_event", [http_v1_event, http_v2_event])
@pytest.mark.parametrize("sources", [None, [], ""])
def test_when_there_is_no_identity_source_then_nothing_is_cached(
    build_event: Callable[[str], dict[str, object]], sources: object
) -> None:
    """Without one there is no cache, so there is nothing to mix up."""
    event = build_event("Bearer abc") | {"identitySource": sources}

    assert "abc" == parse_bearer_token(parse_authorizer_event(event))


@pytest.mark.parametrize("build_event", [http_v1_event, http_v2_event])
@pytest.mark.parametrize("sources", [5, {"a": "b"}, [5], [None, "Bearer abc"]])
def test_when_identity_sources_are_no_text_then_nothing_is_decided(
    build_event: Callable[[str], dict[str, object]], sources: object
) -> None:
    """What the gateway caches by cannot be told."""
    assert Reason.EVENT_NOT_UNDERSTOOD == undecided(
        build_event("Bearer abc") | {"identitySource": sources}
    )


def test_when_there_are_two_tokens_then_identity_sources_do_not_matter() -> None:
    """Neither of the two is used, so neither is looked for: 401, not 500."""
    event = http_v1_event("Bearer abc") | {
        "multiValueHeaders": {"Authorization": ["Bearer abc", "Bearer def"]},
        "identitySource": "x",
    }

    assert Reason.SEVERAL_TOKENS == rejection(event)


@pytest.mark.parametrize("build_event", [http_v1_event, http_v2_event])
def test_when_there_is_no_token_then_identity_sources_do_not_matter(
    build_event: Callable[[str], dict[str, object]],
) -> None:
    """A 401 is for nobody else, whatever it is cached by."""
    event = build_event("") | {"headers": {}, "multiValueHeaders": {}, "identitySource": "x"}

    assert Reason.NO_TOKEN == rejection(event)


def test_when_a_rest_api_asks_then_it_tells_no_identity_sources() -> None:
    """Only HTTP APIs do; a member of that name in another event means nothing."""
    event = rest_request_event("Bearer abc") | {"identitySource": "some-api-key"}

    assert parse_authorizer_event(event).identity_sources is None


def test_when_a_route_serves_the_call_then_only_format_2_tells_which() -> None:
    """The route key, which simple responses may depend on."""
    routes = {name: parse_authorizer_event(event).route_key for name, event in EVENTS.items()}

    assert {"http 2.0": "GET /v1/records"} == {name: key for name, key in routes.items() if key}
