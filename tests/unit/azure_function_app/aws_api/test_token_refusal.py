"""Why the API turned our token away, by what its answer shows."""

import json
import logging
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.aws_api.client import ApiResponse, problem_code
from azure_function_app.aws_api.token_refusal import RefusedBy, explain_refusal, log_refusal
from azure_function_app.errors import TokenRefused
from shared.routes import PROTECTED_ROUTES, ROUTES, Role, Route

POLICY = ("x-amzn-errortype", "AccessDeniedException")
AUTHORIZER = ("x-amzn-errortype", "UnauthorizedException")
FORBIDDEN = ("x-amzn-errortype", "ForbiddenException")
WAF = ("x-amzn-errortype", "WafFilteredException")
PROBLEM = ("content-type", "application/problem+json")
DELETE = next(route for route in ROUTES if route.method == "DELETE")
OPEN = next(route for route in ROUTES if route.role is None)


def refusal(
    status: int = 403,
    *headers: tuple[str, str],
    code: str | None = None,
    roles: frozenset[str] | None = None,
    route: Route = DELETE,
) -> TokenRefused:
    """The error for such an answer."""
    body = b"" if code is None else json.dumps({"code": code}).encode()
    answer = ApiResponse(status, httpx.Headers([*headers, PROBLEM]), body, roles)
    return explain_refusal(answer, problem_code(answer), route)


@pytest.mark.parametrize(
    ("status", "headers", "code", "refused_by"),
    [
        (401, [AUTHORIZER], None, RefusedBy.AUTHORIZER),
        (401, [AUTHORIZER], "token_rejected", RefusedBy.AUTHORIZER),
        (401, [], "token_rejected", RefusedBy.AUTHORIZER),
        (401, [], None, RefusedBy.ELSEWHERE),
        (401, [POLICY], None, RefusedBy.ELSEWHERE),
        (403, [POLICY], None, RefusedBy.POLICY),
        (403, [("x-amzn-errortype", "AccessDeniedException:http://x/")], None, RefusedBy.POLICY),
        (403, [], "access_denied", RefusedBy.POLICY),
        (403, [], "missing_role", RefusedBy.BACKEND),
        (403, [], "another_code", RefusedBy.ELSEWHERE),
        (403, [], "token_rejected", RefusedBy.ELSEWHERE),
        (403, [], None, RefusedBy.ELSEWHERE),
        (403, [AUTHORIZER], None, RefusedBy.ELSEWHERE),
        (403, [FORBIDDEN], None, RefusedBy.ELSEWHERE),
        (403, [FORBIDDEN], "access_denied", RefusedBy.ELSEWHERE),
        (403, [FORBIDDEN], "missing_role", RefusedBy.ELSEWHERE),
        (403, [FORBIDDEN], "api_key_refused", RefusedBy.API_KEY),
        (403, [], "api_key_refused", RefusedBy.API_KEY),
        (403, [POLICY], "api_key_refused", RefusedBy.POLICY),
        (401, [], "api_key_refused", RefusedBy.ELSEWHERE),
        (401, [FORBIDDEN], "api_key_refused", RefusedBy.ELSEWHERE),
        (403, [FORBIDDEN], "request_filtered", RefusedBy.FIREWALL),
        (403, [], "request_filtered", RefusedBy.FIREWALL),
        (403, [WAF], "request_filtered", RefusedBy.FIREWALL),
        (403, [WAF], None, RefusedBy.FIREWALL),
        (401, [WAF], None, RefusedBy.ELSEWHERE),
        (
            403,
            [("x-amzn-errortype", "MissingAuthenticationTokenException")],
            "access_denied",
            RefusedBy.ELSEWHERE,
        ),
    ],
)
def test_when_an_answer_refuses_then_its_evidence_says_who_did(
    status: int, headers: list[tuple[str, str]], code: str | None, refused_by: RefusedBy
) -> None:
    """The gateway's own header first, then the problem document of template or backend."""
    assert refused_by is refusal(status, *headers, code=code).evidence["refused_by"]


HTML = ("content-type", "text/html; charset=iso-8859-1")
CLOUDFRONT = [("server", "CloudFront"), ("x-cache", "Error from cloudfront")]
CLOUDFRONT_PAGE = b"<H1>403 ERROR</H1><H2>The request could not be satisfied.</H2>Request blocked."
BALANCER = [("server", "awselb/2.0")]


@pytest.mark.parametrize(
    ("status", "headers", "refused_by"),
    [
        (403, [*CLOUDFRONT, HTML], RefusedBy.FIREWALL),
        (403, [CLOUDFRONT[0], HTML], RefusedBy.FIREWALL),
        (403, [CLOUDFRONT[1], HTML], RefusedBy.FIREWALL),
        (403, [*BALANCER, ("content-type", "text/html")], RefusedBy.FIREWALL),
        # The gateway's own answers pass CloudFront with its marks, but with the gateway's ID, too.
        (403, [*CLOUDFRONT, HTML, ("x-amzn-requestid", "r")], RefusedBy.ELSEWHERE),
        (403, [*CLOUDFRONT, HTML, POLICY], RefusedBy.POLICY),
        (403, [*CLOUDFRONT, HTML, FORBIDDEN], RefusedBy.ELSEWHERE),
        (403, [*CLOUDFRONT, ("content-type", "application/json")], RefusedBy.ELSEWHERE),
        (403, CLOUDFRONT, RefusedBy.ELSEWHERE),
        (403, [HTML], RefusedBy.ELSEWHERE),
        (403, [("server", "nginx"), ("x-cache", "MISS"), HTML], RefusedBy.ELSEWHERE),
        (401, [*CLOUDFRONT, HTML], RefusedBy.ELSEWHERE),
    ],
)
def test_when_a_front_answers_in_html_then_a_firewall_has_refused(
    status: int, headers: list[tuple[str, str]], refused_by: RefusedBy
) -> None:
    """CloudFront and load balancers answer for their firewall; the gateway saw no request."""
    answer = ApiResponse(status, httpx.Headers(headers), CLOUDFRONT_PAGE)
    error = explain_refusal(answer, problem_code(answer), DELETE)

    assert refused_by is error.evidence["refused_by"]


@pytest.mark.parametrize(
    ("headers", "code", "named", "advice"),
    [
        ([FORBIDDEN], "api_key_refused", "backend_api_key", "AWS_API_KEY"),
        ([FORBIDDEN], "request_filtered", "backend_firewall", "web ACL"),
        ([WAF], None, "backend_firewall", "web ACL"),
        ([FORBIDDEN], None, "backend_forbidden", "API key"),
    ],
)
@pytest.mark.parametrize("roles", [None, frozenset(), frozenset({Role.WRITE})])
def test_when_it_is_not_about_the_token_then_code_and_advice_say_so(
    headers: list[tuple[str, str]],
    code: str | None,
    named: str,
    advice: str,
    roles: frozenset[str] | None,
) -> None:
    """Nobody is sent to assign a role, whether our token has it or not."""
    error = refusal(403, *headers, code=code, roles=roles)

    assert named == error.code
    assert advice in str(error.evidence["advice"])
    assert "Records." not in str(error)
    assert "DELETE /v1/records/{id}" in str(error)


@pytest.mark.parametrize("code", ["access_denied", "missing_role"])
@pytest.mark.parametrize("route", PROTECTED_ROUTES, ids=lambda route: f"{route.method}{route.path}")
@pytest.mark.parametrize("roles", [None, frozenset(), frozenset({"Records.Else"})])
def test_when_the_role_is_missing_then_message_and_evidence_name_the_routes_own(
    code: str, route: Route, roles: frozenset[str] | None
) -> None:
    """From the table of routes, for each of them, whether our token could be read or not."""
    error = refusal(code=code, route=route, roles=roles)

    assert f"{route.method} {route.path}, which needs the app role {route.role};" in str(error)
    assert (route.role, None if roles is None else False, "backend_refused_token") == (
        error.evidence["needed_role"],
        error.evidence["token_has_role"],
        error.code,
    )


@pytest.mark.parametrize("route", PROTECTED_ROUTES, ids=lambda route: f"{route.method}{route.path}")
def test_when_the_token_has_another_role_only_then_the_log_says_which(route: Route) -> None:
    """Of the roles only those that the API declares are repeated."""
    others = frozenset(Role) - {route.role}

    evidence = refusal(403, POLICY, route=route, roles=others | {"Else.Where"}).evidence

    assert (False, sorted(others)) == (evidence["token_has_role"], evidence["token_roles"])


def test_when_the_token_has_the_role_then_nobody_is_sent_to_assign_it() -> None:
    """The reason is another one then: most likely the application is not on the list."""
    error = refusal(403, POLICY, roles=frozenset({Role.WRITE}))

    assert "assign" not in str(error)
    assert "ALLOWED_CLIENT_IDS" not in str(error)
    assert "ALLOWED_CLIENT_IDS" in str(error.evidence["advice"])


def test_when_an_open_route_is_refused_then_no_role_is_named() -> None:
    """It needs none, so the API was deployed with other routes than ours."""
    error = refusal(403, POLICY, route=OPEN)

    assert "needs no app role" in str(error)
    assert "one version" in str(error.evidence["advice"])


def test_when_the_backend_refuses_then_the_log_says_that_the_policy_did_not() -> None:
    """The two were deployed with different tables of routes."""
    assert "deploy both from one version" in str(refusal(code="missing_role").evidence["advice"])


@pytest.mark.parametrize(
    ("status", "code"), [(401, "backend_refused_token"), (403, "backend_forbidden")]
)
def test_when_someone_else_refuses_then_no_role_is_guessed(status: int, code: str) -> None:
    """A 401 is about the token whoever says it; a 403 of unknown origin need not be."""
    error = refusal(status, code=None)

    assert code == error.code
    assert f"was answered with {status} by something other" in str(error)
    assert "Records." not in str(error)


@given(
    status=st.sampled_from([401, 403]),
    error_type=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40),
    code=st.none()
    | st.sampled_from(
        ["access_denied", "missing_role", "api_key_refused", "request_filtered", "x"]
    ),
    body=st.binary(max_size=40),
    route=st.sampled_from(ROUTES),
    roles=st.none() | st.frozensets(st.sampled_from([*Role, "x"])),
)
def test_whatever_the_answer_says_then_the_message_repeats_none_of_it(
    *,
    status: int,
    error_type: str,
    code: str | None,
    body: bytes,
    route: Route,
    roles: frozenset[str] | None,
) -> None:
    """The caller sees our words, the route and its role; the API's are for our log."""
    headers = httpx.Headers([(b"x-amzn-errortype", f"SECRET{error_type}".encode("latin-1"))])
    answer = ApiResponse(status, headers, b"SECRET" + body, roles)

    error = explain_refusal(answer, code, route)

    assert "SECRET" not in str(error)
    assert f"{route.method} {route.path}" in str(error)


def test_when_a_refusal_is_logged_then_it_is_one_warning_with_all_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Code, status, and everything that the evidence holds."""
    with caplog.at_level(logging.WARNING):
        log_refusal(refusal(403, POLICY, ("x-amzn-requestid", "aws-1")))

    (line,) = caplog.records
    fields: dict[str, Any] = vars(line)["bridge_fields"]
    assert "token_refused" == line.getMessage()
    assert (403, "policy", Role.WRITE, "aws-1") == (
        fields["status"],
        fields["refused_by"],
        fields["needed_role"],
        fields["aws_request_id"],
    )
