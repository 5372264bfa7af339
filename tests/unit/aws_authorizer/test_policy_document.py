"""Policies, and what IAM makes of them."""

import itertools
import re
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aws_authorizer.errors import Undecided
from aws_authorizer.policy_document import (
    MAX_RESOURCE_CHARACTERS,
    Answer,
    PolicyBuilder,
    RoutesAmbiguous,
    _hits,
    _pattern,
    _reaches,
    build_route_patterns,
)
from shared.principal import Principal
from shared.routes import PROTECTED_ROUTES, Role, Route
from tests.support.events import STAGE_ARN
from tests.support.keys import TENANT_ID
from tests.support.tokens import CLIENT_ID, OBJECT_ID
from tests.support.work import growth_of

BUILDER = PolicyBuilder(PROTECTED_ROUTES)
ADMIN = Role.WRITE


def principal(*roles: str) -> Principal:
    """A caller with these roles."""
    return Principal(OBJECT_ID, TENANT_ID, CLIENT_ID, frozenset(roles), "token-id")


def glob_matches(pattern: str, text: str) -> bool:
    """IAM's matching: `*` is any run of characters, slashes included, `?` is exactly one."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None


def evaluate(answer: Answer, resource: str) -> bool:
    """IAM's decision: a Deny that matches wins, then an Allow that matches, then no."""
    effects = set()
    for statement in answer["policyDocument"]["Statement"]:  # type: ignore[index]
        assert "execute-api:Invoke" == statement["Action"]
        if any(glob_matches(pattern, resource) for pattern in statement["Resource"]):
            effects.add(statement["Effect"])
    return effects == {"Allow"}


def serving_route(routes: Sequence[Route], method: str, path: str) -> Route | None:
    """The route by which API Gateway serves a request: the most literal one that fits."""
    segments = path.split("/")
    best: tuple[list[int], Route] | None = None
    for route in routes:
        ours = route.path.split("/")
        is_greedy = ours[-1].endswith("+}")
        fits = route.method == method and (
            len(ours) <= len(segments) if is_greedy else len(ours) == len(segments)
        )
        if not fits or "" in segments[1:]:
            continue
        ranks = [0 if mine == theirs else 1 for mine, theirs in zip(ours, segments, strict=False)]
        if is_greedy:
            ranks[-1] = 2
        literal = all(
            rank == 0 or mine.startswith("{") for rank, mine in zip(ranks, ours, strict=True)
        )
        if literal and (best is None or ranks < best[0]):
            best = (ranks, route)
    return best[1] if best else None


def test_when_a_caller_may_read_then_the_policy_opens_reading_on_the_stage() -> None:
    """Every route that the role opens, not the one asked for; the context is flat strings."""
    answer = BUILDER.build_allow(principal(Role.READ), STAGE_ARN, is_websocket=False)

    assert {
        "principalId": OBJECT_ID,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": [
                        f"{STAGE_ARN}/GET/v1/records",
                        f"{STAGE_ARN}/GET/v1/shards",
                        f"{STAGE_ARN}/GET/v1/records/*",
                    ],
                }
            ],
        },
        "context": {
            "object_id": OBJECT_ID,
            "tenant_id": TENANT_ID,
            "client_id": CLIENT_ID,
            "roles": "Records.Read",
            "token_id": "token-id",
        },
    } == answer


@pytest.mark.parametrize("roles", [{Role.READ}, {Role.WRITE}, {Role.READ, Role.WRITE}])
def test_when_a_policy_is_cached_then_every_route_is_decided_by_its_role(roles: set[Role]) -> None:
    """For each route of the API, the policy says what the role table says."""
    answer = BUILDER.build_allow(principal(*roles), STAGE_ARN, is_websocket=False)
    for route in PROTECTED_ROUTES:
        path = route.path.replace("{id}", "EGLL")

        assert route.admits(roles) == evaluate(answer, f"{STAGE_ARN}/{route.method}{path}")


@pytest.mark.parametrize(
    "resource",
    [
        f"{STAGE_ARN}/POST/v1/records",
        f"{STAGE_ARN}/GET/v1/records-admin",
        f"{STAGE_ARN}/GET/v1",
        f"{STAGE_ARN}/get/v1/records",
        f"{STAGE_ARN.replace('prod', 'prod2')}/GET/v1/records",
        f"{STAGE_ARN.replace('abc123', 'other1')}/GET/v1/records",
        f"{STAGE_ARN.replace('aws', 'aws-cn')}/GET/v1/records",
    ],
)
def test_when_something_else_is_asked_for_then_the_policy_does_not_open_it(resource: str) -> None:
    """Other methods, neighbors, stages, APIs and partitions stay closed."""
    answer = BUILDER.build_allow(principal(*Role), STAGE_ARN, is_websocket=False)

    assert not evaluate(answer, resource)


def test_when_access_is_denied_then_the_whole_stage_is_closed() -> None:
    """An explicit Deny, good for as long as the gateway caches it."""
    answer = BUILDER.build_deny(principal(), STAGE_ARN)

    assert {
        "principalId": OBJECT_ID,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Deny", "Resource": [f"{STAGE_ARN}/*"]}
            ],
        },
        "context": principal().to_context(),
    } == answer
    assert not evaluate(answer, f"{STAGE_ARN}/GET/v1/records")


def test_when_a_websocket_connects_then_the_connection_alone_is_opened() -> None:
    """A WebSocket API asks once, for `$connect`."""
    answer = BUILDER.build_allow(principal(Role.READ), STAGE_ARN, is_websocket=True)

    assert evaluate(answer, f"{STAGE_ARN}/$connect")
    assert not evaluate(answer, f"{STAGE_ARN}/GET/v1/records")


def test_when_answers_are_built_again_then_they_are_the_same() -> None:
    """What is kept between calls is not changed by them."""
    caller = principal(Role.READ)
    first = BUILDER.build_allow(caller, STAGE_ARN, is_websocket=False)
    BUILDER.build_allow(principal(Role.WRITE), STAGE_ARN, is_websocket=False)

    assert first == BUILDER.build_allow(caller, STAGE_ARN, is_websocket=False)


def test_when_the_limit_is_declared_then_it_is_this() -> None:
    """The next test takes it from the code, so this one says what it is."""
    assert 512 == MAX_RESOURCE_CHARACTERS


def test_when_a_resource_is_at_the_limit_then_it_is_built_and_over_it_is_not() -> None:
    """API Gateway takes 512 characters; a longer one must not be cut or sent."""
    room = MAX_RESOURCE_CHARACTERS - len(f"{STAGE_ARN}/GET/")
    for length, is_built in ((room, True), (room + 1, False)):
        builder = PolicyBuilder([Route("GET", "/" + "x" * length, Role.READ)])
        if is_built:
            assert builder.build_allow(principal(Role.READ), STAGE_ARN, is_websocket=False)
        else:
            with pytest.raises(Undecided):
                builder.build_allow(principal(Role.READ), STAGE_ARN, is_websocket=False)


# --- simple responses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "route_key", "expected"),
    [
        ({Role.READ}, "GET /v1/records", True),
        ({Role.READ}, "GET /v1/records/{id}", True),
        ({Role.READ}, "PUT /v1/records/{id}", False),
        ({Role.WRITE}, "GET /v1/records", False),
        ({Role.READ}, "$default", False),
        (set(Role), "GET /unknown", False),
        ({Role.READ}, None, False),
        ({Role.WRITE}, None, False),
        (set(Role), None, True),
    ],
)
def test_when_answers_are_simple_then_they_hold_for_as_long_as_they_are_cached(
    roles: set[Role],
    route_key: str | None,
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """By route where the cache is by route; else yes only to who may do everything."""
    answer = BUILDER.build_simple_allow(principal(*roles), route_key)

    assert expected is answer["isAuthorized"]
    assert expected == ("context" in answer)


# --- other route tables -------------------------------------------------------------------------


def test_when_a_wildcard_covers_a_closed_route_then_that_route_is_denied() -> None:
    """`*` crosses slashes, so reading a record must not open what lies below it."""
    routes = [
        Route("GET", "/v1/records/{id}", Role.READ),
        Route("GET", "/v1/records/{id}/audit", ADMIN),
    ]
    answer = PolicyBuilder(routes).build_allow(principal(Role.READ), STAGE_ARN, is_websocket=False)

    assert evaluate(answer, f"{STAGE_ARN}/GET/v1/records/1")
    assert not evaluate(answer, f"{STAGE_ARN}/GET/v1/records/1/audit")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/records/1/audit",
        "/v1/records/1/audit/",
        "/v1/records/1/%61udit",
        "/v1/records/1/%61%75%64%69%74",
        "/v1/records/1/aud%69t",
        "/v1/records/1/audi%74",
        "/v1/records/1/aud%69t/",
        "/v1/records/1/AUDIT",
        "/v1/records/1//audit",
        "/v1/records//audit",
        "/v1/records/1/./audit",
        "/v1/records/1/x/../audit",
        "/v1/records/1%2Faudit",
        "/v1/records/1%2faudit",
        "/v1/records/a%20b/audit",
    ],
)
@pytest.mark.parametrize("beside", [(), ("/v1/records/{id}/history",)], ids=["alone", "beside"])
def test_when_a_closed_route_is_spelled_otherwise_then_it_stays_closed(
    path: str, beside: tuple[str, ...]
) -> None:
    """AWS does not document which spelling the policy is compared with, or what it decodes."""
    routes = [
        Route("GET", "/v1/records/{id}", Role.READ),
        Route("GET", "/v1/records/{id}/audit", ADMIN),
        *(Route("GET", open_path, Role.READ) for open_path in beside),
    ]
    answer = PolicyBuilder(routes).build_allow(principal(Role.READ), STAGE_ARN, is_websocket=False)

    assert evaluate(answer, f"{STAGE_ARN}/GET/v1/records/1")
    assert evaluate(answer, f"{STAGE_ARN}/GET/v1/records/a%20b")
    for open_path in beside:
        assert evaluate(answer, f"{STAGE_ARN}/GET{open_path.replace('{id}', 'a%20b')}")
    # A dot segment or an empty one is what this test spells; what lies beside cannot know it.
    if not beside or not any(odd in path for odd in ("//", "/.", "AUDIT")):
        assert not evaluate(answer, f"{STAGE_ARN}/GET{path}")


@pytest.mark.parametrize(
    ("routes", "closed"),
    [
        (
            [("/records/{id}", Role.READ), ("/records/{id}/audit", ADMIN)],
            ("*/*", "*/", "*%2F*", "*%2f*"),
        ),
        (
            [
                ("/records/{id}", Role.READ),
                ("/records/{id}/history", Role.READ),
                ("/records/{id}/audit", ADMIN),
            ],
            ("*/audit", "*/*%*", "*/", "*%2F*", "*%2f*"),
        ),
        ([("/records/{id}", Role.READ), ("/records", ADMIN)], ("",)),
    ],
)
def test_when_a_route_must_be_closed_then_the_policy_denies_this_and_no_more(
    routes: list[tuple[str, Role]], closed: tuple[str, ...]
) -> None:
    """The table of `docs/claim-contract.md`, row by row."""
    table = [Route("GET", path, role) for path, role in routes]
    patterns = build_route_patterns(table, frozenset({Role.READ}))

    assert {f"GET/records/{pattern}" for pattern in closed} == set(patterns.closed)


@pytest.mark.parametrize(
    "routes",
    [
        [Route("GET", "/v1/{id}", Role.READ), Route("GET", "/v1/admin", ADMIN)],
        [
            Route("GET", "/v1/{id}", Role.READ),
            Route("GET", "/v1/{id}/{note}", Role.READ),
            Route("GET", "/v1/{id}/audit", ADMIN),
        ],
    ],
    ids=["beside", "below"],
)
def test_when_a_literal_cannot_be_closed_in_every_spelling_then_it_shows_at_the_start(
    routes: list[Route],
) -> None:
    """`/v1/%61dmin` may be the route that is closed, or an ID that is open: nobody can tell."""
    with pytest.raises(RoutesAmbiguous, match="another spelling"):
        PolicyBuilder(routes)


def test_when_no_policy_can_be_written_then_it_shows_at_the_start() -> None:
    """A Deny that would also close what the caller may use is a fault of the route table."""
    routes = [
        Route("GET", "/{a}", Role.READ),
        Route("GET", "/{a}/x/{b}", ADMIN),
        Route("GET", "/{a}/x/b", Role.READ),
    ]
    with pytest.raises(RoutesAmbiguous, match="/x/"):
        PolicyBuilder(routes)


def test_when_only_a_caller_with_two_roles_has_no_policy_then_it_shows_at_the_start() -> None:
    """One role opens too much, the other one's route is hit by what closes the third's."""
    routes = [
        Route("GET", "/{a}", Role.READ),
        Route("GET", "/{a}/{note}/text", ADMIN),
        Route("GET", "/{a}/audit/log", "Records.Audit"),  # type: ignore[arg-type]  # a third role
    ]
    for role in Role:
        assert build_route_patterns(routes, frozenset({role}))

    with pytest.raises(RoutesAmbiguous, match="/audit/log"):
        PolicyBuilder(routes)


def test_when_a_route_is_declared_twice_then_it_shows_at_the_start() -> None:
    """Under two names of its parameter and with two roles, nobody could say which role counts."""
    routes = [Route("GET", "/{a}", Role.READ), Route("GET", "/{b}", ADMIN)]
    with pytest.raises(RoutesAmbiguous):
        PolicyBuilder(routes)


def test_when_the_root_is_closed_then_a_wildcard_beside_it_does_not_open_it() -> None:
    """`*` also stands for nothing, so it reaches the root, which no parameter does."""
    routes = [Route("GET", "/{id}", Role.READ), Route("GET", "/", ADMIN)]
    answer = PolicyBuilder(routes).build_allow(principal(Role.READ), STAGE_ARN, is_websocket=False)

    assert evaluate(answer, f"{STAGE_ARN}/GET/1")
    assert not evaluate(answer, f"{STAGE_ARN}/GET/")


@pytest.mark.parametrize(
    ("opened", "closed"), [("/$batch", "/x-batch"), ("/a", "/aa"), ("/aa", "/a")]
)
def test_when_two_literals_differ_then_neither_closes_the_other(opened: str, closed: str) -> None:
    """`*` alone is a wildcard: no other sign, and no letter that comes twice."""
    routes = [Route("GET", opened, Role.READ), Route("GET", closed, ADMIN)]

    assert () == build_route_patterns(routes, frozenset({Role.READ})).closed


def test_when_a_greedy_route_is_as_long_as_the_open_one_then_no_policy_can_be_written() -> None:
    """`/a/*` opens `/a/x/y` too, which the greedy route serves; closing that would close both."""
    routes = [Route("GET", "/a/{id}", Role.READ), Route("GET", "/{p}/{all+}", ADMIN)]
    with pytest.raises(RoutesAmbiguous):
        PolicyBuilder(routes)


def test_when_a_path_is_longer_than_python_recurses_then_the_table_is_still_read() -> None:
    """What API Gateway does not take is said where the policy is built, and has a reason."""
    path = "/" + "x" * 2_000
    builder = PolicyBuilder([Route("GET", path, Role.READ), Route("GET", f"{path}/{{id}}", ADMIN)])

    with pytest.raises(Undecided):
        builder.build_allow(principal(Role.READ), STAGE_ARN, is_websocket=False)


def test_when_a_table_is_four_times_as_long_then_it_takes_some_sixteen_times_as_long() -> None:
    """Each route is compared with each other one, and no pair of them more than once."""
    below = "/v1/customers/{customer}/orders/{order}"

    def build(number: int) -> None:
        for remembers in (_pattern, _reaches, _hits):
            remembers.cache_clear()
        PolicyBuilder(
            [
                Route("GET", f"{below}/lines{i}/part{i % 4}", Role.READ if i % 2 else ADMIN)
                for i in range(number)
            ]
        )

    assert growth_of(build, int, size=25, good_enough=32).factor < 32


# The literal has characters that sort on both sides of the slash.
SHORT_PATHS = [
    "/" + "/".join(segments)
    for length in (1, 2, 3)
    for segments in itertools.product(["a-1", "{p}"], repeat=length)
]
SHORT_REQUESTS = [
    "/" + "/".join(segments)
    for length in (1, 2, 3, 4)
    for segments in itertools.product(["a-1", "b"], repeat=length)
]


def spellings(path: str) -> list[str]:
    """A request's path as it is, with a slash at the end, and with one segment encoded."""
    segments = path.split("/")
    encoded = [
        "/".join(
            [*segments[:i], f"%{ord(segments[i][0]):02x}{segments[i][1:]}", *segments[i + 1 :]]
        )
        for i in range(1, len(segments))
    ]
    return [path, path + "/", *encoded]


@pytest.mark.parametrize("opened", SHORT_PATHS)
def test_when_two_routes_are_short_then_the_other_is_closed_in_every_spelling(opened: str) -> None:
    """Every pair: no spelling of a request for the closed route passes, and all of the open one."""
    for closed in SHORT_PATHS:
        if closed == opened:
            continue
        routes = [Route("GET", opened, Role.READ), Route("GET", closed, ADMIN)]
        served = {path: serving_route(routes, "GET", path) for path in SHORT_REQUESTS}
        # As text it is one route's, and decoded the other's: then there is no policy.
        is_both = any(
            serving_route(routes, "GET", spelled) not in {None, route}
            for path, route in served.items()
            if route is not None
            for spelled in spellings(path)
        )
        try:
            builder = PolicyBuilder(routes)
        except RoutesAmbiguous:
            assert is_both, (opened, closed)
            continue
        answer = builder.build_allow(principal(Role.READ), STAGE_ARN, is_websocket=False)
        shut = {
            spelled
            for path, route in served.items()
            if route == routes[1]
            for spelled in spellings(path)
        }

        assert not is_both, (opened, closed)
        assert not any(evaluate(answer, f"{STAGE_ARN}/GET{path}") for path in shut), closed
        assert all(
            evaluate(answer, f"{STAGE_ARN}/GET{path}")
            for path, route in served.items()
            if route == routes[0]
        )


@pytest.mark.parametrize(
    ("opened", "closed"),
    [
        ("/{p}", "/a-1/{all+}"),
        ("/{p}", "/{p}/{all+}"),
        ("/{p}/a-1", "/{p}/a-1/{all+}"),
        ("/{p}/{p}", "/{p}/a-1/{all+}"),
    ],
)
def test_when_a_greedy_route_is_closed_then_a_wildcard_does_not_open_it(
    opened: str, closed: str
) -> None:
    """Of all short requests, those pass that the open route serves, and no others."""
    routes = [Route("GET", opened, Role.READ), Route("GET", closed, ADMIN)]
    answer = PolicyBuilder(routes).build_allow(principal(Role.READ), STAGE_ARN, is_websocket=False)
    served = {path: serving_route(routes, "GET", path) for path in SHORT_REQUESTS}

    assert {path for path, route in served.items() if route == routes[0]} == {
        path
        for path, route in served.items()
        if route is not None and evaluate(answer, f"{STAGE_ARN}/GET{path}")
    }
    assert set(routes) <= set(served.values())


SEGMENTS = st.sampled_from(["a", "b", "{p}", "{q}"])
PATHS = st.builds(
    lambda segments, greedy: "/" + "/".join([*segments, *greedy]),
    st.lists(SEGMENTS, min_size=1, max_size=3),
    st.sampled_from([[], [], [], ["{proxy+}"]]),
)
ROUTES = st.lists(
    st.builds(Route, st.sampled_from(["GET", "PUT"]), PATHS, st.sampled_from(list(Role))),
    min_size=1,
    max_size=4,
    unique_by=lambda route: (route.method, re.sub(r"\{[^+}]+\}", "{}", route.path)),
)
REQUESTS = st.tuples(
    st.sampled_from(["GET", "PUT"]),
    st.lists(st.sampled_from(["a", "b", "ab", "c", "*", "GET"]), min_size=1, max_size=5),
)


@given(ROUTES, st.sets(st.sampled_from(list(Role)), min_size=1), st.lists(REQUESTS, max_size=20))
def test_when_routes_are_arbitrary_then_the_policy_agrees_with_the_role_table(
    routes: list[Route], roles: set[Role], requests: list[tuple[str, list[str]]]
) -> None:
    """For every request that the gateway serves, IAM decides as the serving route's role says."""
    builder = None
    try:
        builder = PolicyBuilder(routes)
    except RoutesAmbiguous:
        assume(False)  # noqa: FBT003 - hypothesis's own way to pass over an example
    assert builder is not None
    assume(any(route.admits(roles) for route in routes))
    answer = builder.build_allow(principal(*roles), STAGE_ARN, is_websocket=False)
    for method, segments in requests:
        path = "/" + "/".join(segments)
        route = serving_route(routes, method, path)
        if route is not None:
            assert route.admits(roles) == evaluate(answer, f"{STAGE_ARN}/{method}{path}")


@given(ROUTES)
def test_when_routes_are_arbitrary_then_a_closed_pattern_is_one_that_was_opened(
    routes: list[Route],
) -> None:
    """Nothing is denied that no wildcard had opened, so that policies stay small."""
    try:
        patterns = build_route_patterns(routes, frozenset({Role.READ}))
    except RoutesAmbiguous:
        return

    closed_by_role = [route for route in routes if not route.admits({Role.READ})]
    assert closed_by_role or not patterns.closed
    assert not patterns.closed or any("*" in pattern for pattern in patterns.opened)
