"""The entry: three outcomes, for every kind of event, and nothing else, whatever comes."""

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aws_authorizer import handler as entry
from aws_authorizer.bootstrap import Authorizer, build_authorizer, get_authorizer
from aws_authorizer.errors import Unauthorized, Undecided
from aws_authorizer.handler import authorize, handler
from aws_authorizer.key_set_fetch import FetchedKeySet, FetchFailed
from aws_authorizer.settings import load_settings
from shared.reasons import Reason
from tests.support.events import (
    EVENT_BUILDERS,
    METHOD_ARN,
    STAGE_ARN,
    http_v2_event,
    rest_request_event,
    rest_token_event,
)
from tests.support.fake_clock import FakeClock
from tests.support.keys import TENANT_ID, base64url, jwk, key_set, private_key
from tests.support.tokens import (
    API_CLIENT_ID,
    CLIENT_ID,
    NOW,
    OBJECT_ID,
    OTHER_ID,
    header,
    signed_bytes,
    signed_token,
    to_json,
    valid_claims,
)

REQUIRED = {
    "ENTRA_TENANT_ID": TENANT_ID,
    "API_CLIENT_ID": API_CLIENT_ID,
    "ALLOWED_CLIENT_IDS": CLIENT_ID,
}
GOOD = f"Bearer {signed_token()}"


def authorizer(
    lines: list[str] | None = None,
    body: bytes | None = key_set(),
    **environment: str,
) -> Authorizer:
    """An authorizer whose key set is this body, or cannot be had."""

    def fetch() -> FetchedKeySet:
        if body is None:
            raise FetchFailed("unreachable")
        return FetchedKeySet(body, None)

    return build_authorizer(
        load_settings(REQUIRED | environment),
        clock=FakeClock(now=NOW),
        write=([] if lines is None else lines).append,
        build_fetch=lambda _url, _seconds: fetch,
    )


def decisions(lines: list[str]) -> list[dict[str, object]]:
    """The decisions among the lines."""
    members = [json.loads(line) for line in lines]
    return [each for each in members if each["event"] == "decision"]


def effects(answer: dict[str, object]) -> list[str]:
    """The effects of the policy's statements."""
    document = answer["policyDocument"]
    assert isinstance(document, dict)
    return [statement["Effect"] for statement in document["Statement"]]


@pytest.mark.parametrize("build_event", EVENT_BUILDERS.values(), ids=EVENT_BUILDERS)
def test_when_a_token_is_good_then_a_policy_allows(
    build_event: Callable[[str], dict[str, object]],
) -> None:
    """For every kind of API."""
    lines: list[str] = []
    answer = authorize(authorizer(lines), build_event(GOOD), "request-1")

    assert OBJECT_ID == answer["principalId"]
    assert ["Allow"] == effects(answer)
    (decision,) = decisions(lines)
    assert ("allowed", "allowed", "request-1", OBJECT_ID) == tuple(
        decision[name] for name in ("outcome", "reason", "request_id", "object_id")
    )


KEY = "made-up-key-0123456789"
HTTP_APIS = {"http 1.0", "http 2.0"}


@pytest.mark.parametrize("kind", EVENT_BUILDERS)
def test_when_the_caller_has_a_usage_plan_key_then_only_other_apis_than_http_apis_get_it(
    kind: str,
) -> None:
    """HTTP APIs know no usage plans. The key is in no log line and in no authorizer context."""
    lines: list[str] = []
    keys = f"{OTHER_ID}={'o' * 20},{CLIENT_ID}={KEY}"
    answer = authorize(authorizer(lines, USAGE_PLAN_KEYS=keys), EVENT_BUILDERS[kind](GOOD), "r")

    assert (None if kind in HTTP_APIS else KEY) == answer.get("usageIdentifierKey")
    assert ["Allow"] == effects(answer)
    assert not [line for line in lines if KEY in line]
    assert KEY not in json.dumps(answer["context"])


@pytest.mark.parametrize("keys", ["", f"{OTHER_ID}={KEY}"])
def test_when_the_caller_has_no_usage_plan_key_then_the_answer_names_none(keys: str) -> None:
    """Another application's key least of all; the gateway refuses where it wants one."""
    answer = authorize(authorizer(USAGE_PLAN_KEYS=keys), rest_token_event(GOOD), "")

    assert "usageIdentifierKey" not in answer


def test_when_a_caller_is_denied_then_no_usage_plan_counts_it() -> None:
    """The application has a key, but its token no role."""
    event = rest_token_event(f"Bearer {signed_token(valid_claims(roles=None))}")
    answer = authorize(authorizer(USAGE_PLAN_KEYS=f"{CLIENT_ID}={KEY}"), event, "")

    assert ["Deny"] == effects(answer)
    assert "usageIdentifierKey" not in answer


def test_when_the_request_claims_a_usage_plan_key_then_it_counts_for_nothing() -> None:
    """Whose quota is used up follows from the proven client ID only."""
    event = rest_request_event(GOOD)
    claimed = {"headers": {"Authorization": GOOD, "x-api-key": "o" * 20}, "usageIdentifierKey": "o"}
    answer = authorize(authorizer(USAGE_PLAN_KEYS=f"{CLIENT_ID}={KEY}"), event | claimed, "")

    assert KEY == answer["usageIdentifierKey"]


@pytest.mark.parametrize("build_event", EVENT_BUILDERS.values(), ids=EVENT_BUILDERS)
@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        (valid_claims(exp=NOW - 100), Reason.EXPIRED),
        (valid_claims(aud=OTHER_ID), Reason.WRONG_AUDIENCE),
        (valid_claims(iss="https://issuer.example"), Reason.WRONG_ISSUER),
        (valid_claims(tid=OTHER_ID), Reason.WRONG_TENANT),
    ],
)
def test_when_a_token_is_bad_then_the_call_is_unauthorized(
    build_event: Callable[[str], dict[str, object]], claims: dict[str, object], reason: Reason
) -> None:
    """401: the exact message, with the reason in our log alone."""
    lines: list[str] = []
    with pytest.raises(Unauthorized) as caught:
        authorize(authorizer(lines), build_event(f"Bearer {signed_token(claims)}"), "")

    assert "Unauthorized" == str(caught.value)
    assert caught.value.__cause__ is None
    (decision,) = decisions(lines)
    assert ("rejected", reason) == (decision["outcome"], decision["reason"])
    assert "object_id" not in decision


@pytest.mark.parametrize("build_event", EVENT_BUILDERS.values(), ids=EVENT_BUILDERS)
@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"roles": None}, Reason.MISSING_ROLE), ({"azp": OTHER_ID}, Reason.UNKNOWN_CLIENT)],
)
def test_when_a_caller_is_not_allowed_then_a_policy_denies(
    build_event: Callable[[str], dict[str, object]], changes: dict[str, object], reason: Reason
) -> None:
    """403: an explicit Deny on the stage, because the token is good."""
    lines: list[str] = []
    token = signed_token(valid_claims(**changes))
    answer = authorize(authorizer(lines), build_event(f"Bearer {token}"), "")

    assert ["Deny"] == effects(answer)
    assert STAGE_ARN in json.dumps(answer)
    (decision,) = decisions(lines)
    assert ("denied", reason, OBJECT_ID) == tuple(
        decision[name] for name in ("outcome", "reason", "object_id")
    )


def test_when_there_are_no_keys_then_nothing_is_decided() -> None:
    """500, which the gateway does not cache; the log says why."""
    lines: list[str] = []
    with pytest.raises(Undecided) as caught:
        authorize(authorizer(lines, None), rest_token_event(GOOD), "")

    assert Reason.KEY_SET_UNAVAILABLE == caught.value.reason
    (decision,) = decisions(lines)
    assert ("undecided", "key_set_unavailable", "unreachable") == tuple(
        decision[name] for name in ("outcome", "reason", "detail")
    )


def test_when_the_authorizer_itself_fails_then_nothing_is_decided_and_nothing_is_told() -> None:
    """A fault of ours is no verdict, and its message may hold what the request said."""

    def break_down(token: str) -> None:
        raise KeyError(token)

    lines: list[str] = []
    broken = authorizer(lines)
    broken.verifier.verify = break_down  # type: ignore[method-assign, assignment]
    with pytest.raises(Undecided) as caught:
        authorize(broken, rest_token_event(GOOD), "")

    assert Reason.INTERNAL_ERROR == caught.value.reason
    assert caught.value.__cause__ is None
    (decision,) = decisions(lines)
    assert str(decision["detail"]).startswith("KeyError in break_down:")
    assert GOOD[7:] not in "".join(lines) + str(caught.value)


@pytest.mark.parametrize(
    ("claims", "by_route", "expected"),
    [
        (valid_claims(), "false", False),
        (valid_claims(), "true", True),
        (valid_claims(roles=["Records.Read", "Records.Write"]), "false", True),
        (valid_claims(roles=None), "true", False),
    ],
)
def test_when_an_http_api_wants_simple_responses_then_it_gets_them(
    claims: dict[str, object],
    by_route: str,
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A boolean and nothing like one."""
    simple = authorizer(HTTP_API_SIMPLE_RESPONSES="true", HTTP_API_CACHES_BY_ROUTE=by_route)
    event = http_v2_event(f"Bearer {signed_token(claims)}", "GET /v1/records")
    answer = authorize(simple, event, "")

    assert expected is answer["isAuthorized"]
    assert "policyDocument" not in answer


def test_when_a_header_says_the_route_key_then_the_answer_is_still_for_every_route() -> None:
    """The cache key is a setting: `x-tenant: GET /v1/records` must not open `PUT` to a reader."""
    simple = authorizer(HTTP_API_SIMPLE_RESPONSES="true")
    answer = authorize(simple, http_v2_event(GOOD, "GET /v1/records"), "")

    assert {"isAuthorized": False} == answer


@pytest.mark.parametrize("changes", [{}, {"routeKey": None}, {"routeKey": ""}, {"routeKey": 5}])
def test_when_the_gateway_does_not_cache_by_route_after_all_then_nothing_is_decided(
    changes: dict[str, object],
) -> None:
    """A yes for one route would be reused for every other."""
    simple = authorizer(HTTP_API_SIMPLE_RESPONSES="true", HTTP_API_CACHES_BY_ROUTE="true")
    with pytest.raises(Undecided) as caught:
        authorize(simple, http_v2_event(GOOD) | changes, "")

    assert Reason.IDENTITY_SOURCE == caught.value.reason


def test_when_the_gateway_caches_nothing_then_each_route_is_decided_by_itself() -> None:
    """Without identity sources there is no cache that could mix routes up."""
    simple = authorizer(HTTP_API_SIMPLE_RESPONSES="true", HTTP_API_CACHES_BY_ROUTE="true")
    event = http_v2_event(GOOD) | {"identitySource": None}

    assert authorize(simple, event, "")["isAuthorized"] is True
    written = event | {"routeKey": "PUT /v1/records/{id}"}
    assert {"isAuthorized": False} == authorize(simple, written, "")


def test_when_simple_responses_are_on_then_other_apis_still_get_policies() -> None:
    """Format 2.0 alone knows them."""
    simple = authorizer(HTTP_API_SIMPLE_RESPONSES="true")

    assert ["Allow"] == effects(authorize(simple, rest_token_event(GOOD), ""))


@pytest.mark.parametrize("build_event", EVENT_BUILDERS.values(), ids=EVENT_BUILDERS)
@pytest.mark.parametrize("claims", [valid_claims(), valid_claims(roles=["Other"])])
def test_when_a_caller_is_known_then_the_answer_names_the_call_that_decided(
    build_event: Callable[[str], dict[str, object]], claims: dict[str, object]
) -> None:
    """The gateway keeps the answer and hands it on: allowed or denied, the log line is found."""
    lines: list[str] = []
    token = f"Bearer {signed_token(claims)}"
    answer = authorize(authorizer(lines), build_event(token), "request-1")

    context = answer["context"]
    assert isinstance(context, dict)
    assert decisions(lines)[0]["request_id"] == context["decision_id"]


def test_when_two_calls_decide_alike_then_each_answer_names_its_own() -> None:
    """What a process remembers of a token or a policy does not carry the first call's ID."""
    same = authorizer()
    contexts = [authorize(same, rest_token_event(GOOD), each)["context"] for each in ("1", "2")]

    assert ["1", "2"] == [
        context["decision_id"] for context in contexts if isinstance(context, dict)
    ]


# --- the Lambda entry ---------------------------------------------------------------------------


class Context:
    """As much of Lambda's context as is read."""

    def __init__(self, request_id: object) -> None:
        """Take the request ID."""
        self.aws_request_id = request_id


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process that has not decided anything yet."""
    get_authorizer.cache_clear()
    for name in REQUIRED:
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    get_authorizer.cache_clear()


def test_when_settings_are_missing_then_nothing_is_decided_and_each_is_named(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first call says what to set; once it is set, calls are decided."""
    with pytest.raises(Undecided, match="settings_invalid"):
        handler(rest_token_event(GOOD), None)
    written = capsys.readouterr().out
    assert all(name in written for name in REQUIRED)

    for name, value in REQUIRED.items():
        environment.setenv(name, value)
    with pytest.raises(Unauthorized):
        handler(rest_token_event("Bearer x"), Context("request-1"))
    assert '"request_id": "request-1"' in capsys.readouterr().out


def test_when_lambda_names_the_trace_then_each_calls_line_has_its_own(
    environment: pytest.MonkeyPatch,
) -> None:
    """The runtime client sets the variable anew for each call, and removes it where there is none.

    Nothing else joins the line of a TOKEN authorizer, which sees no header, with the request's.
    """
    lines: list[str] = []
    same = authorizer(lines)
    environment.setattr(entry, "get_authorizer", lambda: same)
    for root in ("1-0af76519-16cd43dd8448eb211c80319c", "1-11111111-222222222222222222222222"):
        environment.setenv("_X_AMZN_TRACE_ID", f"Root={root};Parent={'1' * 16};Sampled=0")
        handler(rest_token_event(GOOD), Context("request-1"))
    environment.setenv("_X_AMZN_TRACE_ID", "nonsense")
    handler(rest_token_event(GOOD), Context("request-1"))
    environment.delenv("_X_AMZN_TRACE_ID")
    handler(rest_token_event(GOOD), Context("request-1"))

    assert ["0af7651916cd43dd8448eb211c80319c", "11111111222222222222222222222222", "", ""] == [
        line["trace_id"] for line in decisions(lines)
    ]


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (None, ""),
        (Context(5), ""),
        (Context("request-1"), "request-1"),
        (Context("x" * 100), "x" * 64),
    ],
)
def test_when_a_context_has_a_request_id_then_the_log_has_it(
    environment: pytest.MonkeyPatch, context: object, expected: str
) -> None:
    """Bounded, and only if it is text."""
    lines: list[str] = []
    environment.setattr(entry, "get_authorizer", lambda: authorizer(lines))
    with pytest.raises(Unauthorized):
        handler(rest_token_event(""), context)

    assert expected == decisions(lines)[0]["request_id"]


# --- whatever comes -----------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
EVENT_MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["TOKEN", "REQUEST"]) | JSON,
        "version": st.sampled_from(["1.0", "2.0"]) | JSON,
        "methodArn": st.just(METHOD_ARN) | JSON,
        "routeArn": st.just(METHOD_ARN) | JSON,
        "authorizationToken": st.just(GOOD) | JSON,
        "headers": st.just({"authorization": GOOD}) | JSON,
        "multiValueHeaders": st.just({"Authorization": [GOOD]}) | JSON,
        "identitySource": st.sampled_from([[GOOD], GOOD, f"x,{GOOD}"]) | JSON,
        "routeKey": st.just("GET /v1/records") | JSON,
        "requestContext": JSON,
    },
)
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]


def decide(event: object, tested: Authorizer) -> None:
    """Have the event decided; only outcomes that API Gateway knows may come out."""
    try:
        answer = authorize(tested, event, "request")
    except Unauthorized:
        return
    except Undecided as undecided:
        if undecided.reason is Reason.INTERNAL_ERROR:
            raise  # a fault of ours is no outcome
        return
    encoded = json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
    assert len(encoded) < 8_192
    assert "isAuthorized" in answer or ["Allow"] == effects(answer) or ["Deny"] == effects(answer)


@settings(max_examples=300, suppress_health_check=QUIET)
@given(EVENT_MEMBERS | JSON)
def test_when_an_event_is_arbitrary_then_the_outcome_is_one_of_three(event: object) -> None:
    """No event makes the handler raise anything else, however HTTP APIs are set up."""
    decide(event, authorizer())
    decide(event, authorizer(HTTP_API_SIMPLE_RESPONSES="true", HTTP_API_CACHES_BY_ROUTE="true"))


@settings(max_examples=300, suppress_health_check=QUIET)
@given(
    st.dictionaries(st.sampled_from([*valid_claims(), "scp", "_claim_names", "TID"]), JSON),
    st.dictionaries(st.sampled_from([*header(), "crit", "jwk", "b64"]), JSON, max_size=2),
)
def test_when_a_signed_token_is_arbitrary_then_the_outcome_is_one_of_three(
    claims: dict[str, object], members: dict[str, object]
) -> None:
    """Not even Entra ID itself could make it raise anything else."""
    token = signed_bytes(to_json(header() | members), to_json(valid_claims() | claims))

    decide(rest_token_event(f"Bearer {token}"), authorizer())
    scopes = "access=Records.Read"
    decide(rest_token_event(f"Bearer {token}"), authorizer(DELEGATED_SCOPES=scopes))


@settings(max_examples=300, suppress_health_check=QUIET)
@given(st.text(max_size=200) | st.binary(max_size=200).map(base64url).map(lambda x: f"Bearer {x}"))
def test_when_a_header_is_arbitrary_then_the_call_is_unauthorized(value: str) -> None:
    """Nothing that is no token gets in, or gets anything else than a 401."""
    with pytest.raises(Unauthorized):
        authorize(authorizer(), rest_token_event(value), "")


ENTRIES = st.dictionaries(
    st.sampled_from(["kty", "kid", "n", "e", "use", "key_ops", "alg", "issuer", "d"]), JSON
)
KEY_SETS = st.one_of(
    st.binary(max_size=100),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.lists(ENTRIES.map(lambda changes: jwk() | changes), max_size=3).map(
        lambda entries: json.dumps({"keys": entries}).encode()
    ),
)


@settings(max_examples=300, suppress_health_check=QUIET)
@given(KEY_SETS)
def test_when_a_key_set_is_arbitrary_then_the_outcome_is_one_of_three(body: bytes) -> None:
    """No answer of the endpoint makes it raise anything else."""
    decide(rest_token_event(GOOD), authorizer(body=body))


@settings(max_examples=100, suppress_health_check=QUIET)
@given(EVENT_MEMBERS, st.sampled_from(["good", "forged", "denied"]))
def test_when_anything_is_decided_then_no_token_is_written(
    event: dict[str, object], kind: str
) -> None:
    """Neither the whole token nor one of its segments, in any line or message."""
    token = {
        "good": signed_token(),
        "forged": signed_token(key=private_key("key-2")),
        "denied": signed_token(valid_claims(roles=None)),
    }[kind]
    lines: list[str] = []
    message = ""
    sent = event | {"headers": {"Authorization": f"Bearer {token}"}, "type": "REQUEST"}
    try:
        authorize(authorizer(lines), sent, "")
    except (Unauthorized, Undecided) as raised:
        message = repr(raised)

    for segment in token.split("."):
        assert segment not in "".join(lines) + message
