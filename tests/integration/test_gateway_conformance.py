"""What API Gateway does around an authorizer, on the local AWS, through the project's own template.

The rows are those of AWS's documentation and of measurements on AWS. Where MiniStack differs,
`docs/local-aws-differences.md` says so, and the last tests here notice when that changes.
"""

import json
import re
import time

import pytest

from emulator.aws.deployment import LocalAws
from tests.support.local_aws import Answer, DeployProbes, ProbedStack

pytestmark = pytest.mark.stack

UNAUTHORIZED = (401, "UnauthorizedException", "token_rejected")
ACCESS_DENIED = (403, "AccessDeniedException", "access_denied")
UNDECIDED = (500, "AuthorizerConfigurationException", "authorizer_undecided")


def refusal(answer: Answer) -> tuple[int, str, str]:
    """The answer's status, API Gateway's name for the error, and our own code for it."""
    return answer.status, answer.headers["x-amzn-errortype"], answer.document["code"]


# --- before the authorizer ----------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/records"), ("POST", "/v1/records")])
def test_when_no_route_matches_then_the_authorizer_is_not_asked(
    probed_stack: ProbedStack, method: str, path: str
) -> None:
    """Routing comes first: an unknown path and an unknown method are refused alike."""
    token = probed_stack.token("allow")

    answer = probed_stack.call(path, method=method, token=token)

    assert (404, "MissingAuthenticationTokenException", "route_unknown") == refusal(answer)
    assert 0 == probed_stack.authorizer_calls(token)


def test_when_a_route_serves_get_then_head_is_unknown(probed_stack: ProbedStack) -> None:
    """API Gateway does not derive HEAD from GET."""
    answer = probed_stack.call(method="HEAD", token=probed_stack.token("allow"))

    assert 404 == answer.status


def test_when_the_stage_is_unknown_then_the_gateway_forbids(probed_stack: ProbedStack) -> None:
    """A stage that was never deployed is no route of ours."""
    answer = probed_stack.call(stage="elsewhere", token=probed_stack.token("allow"))

    assert 403 == answer.status


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}])
def test_when_the_token_is_missing_then_401_without_the_authorizer(
    probed_stack: ProbedStack, headers: dict[str, str]
) -> None:
    """An absent and an empty identity source are refused by the gateway itself."""
    answer = probed_stack.call(headers=headers)

    assert UNAUTHORIZED == refusal(answer)


@pytest.mark.parametrize(
    "credential",
    [
        "{token}",
        "Basic {token}",
        "Bearer{token}",
        "Bearer {token}.fourth",
        "Bearer {token}=",
        "Bearer {token}, Bearer {token}",
        "Bearer two.parts",
        "Bearer unsigned.token.",
    ],
)
def test_when_the_credential_is_no_bearer_jws_then_401_without_the_authorizer(
    probed_stack: ProbedStack, credential: str
) -> None:
    """The validation expression keeps what cannot be a token away from the Lambda."""
    token = probed_stack.token("allow")

    answer = probed_stack.call(headers={"Authorization": credential.format(token=token)})

    assert UNAUTHORIZED == refusal(answer)
    assert 0 == probed_stack.authorizer_calls(token)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_when_the_scheme_is_written_otherwise_then_it_is_the_same_scheme(
    probed_stack: ProbedStack, scheme: str
) -> None:
    """An authentication scheme's name has no case (RFC 9110 section 11.1)."""
    token = probed_stack.token("allow")

    answer = probed_stack.call(headers={"Authorization": f"{scheme} {token}"})

    assert 200 == answer.status


@pytest.mark.parametrize("path", ["/health", "/.well-known/oauth-protected-resource"])
def test_when_a_route_is_public_then_it_answers_without_a_token(
    probed_stack: ProbedStack, path: str
) -> None:
    """Public routes have no authorizer, so nothing of one reaches the backend."""
    answer = probed_stack.call(path)

    assert (200, None) == (answer.status, answer.document["authorizer"])


def test_when_a_public_route_gets_a_token_then_the_authorizer_is_not_asked(
    probed_stack: ProbedStack,
) -> None:
    """A bad token does not close a public route."""
    token = probed_stack.token("raise_unauthorized")

    answer = probed_stack.call("/health", token=token)

    assert 200 == answer.status
    assert 0 == probed_stack.authorizer_calls(token)


# --- what the authorizer answers ----------------------------------------------------------------


def test_when_the_authorizer_raises_unauthorized_then_401(probed_stack: ProbedStack) -> None:
    """The one message that API Gateway turns into 401."""
    token = probed_stack.token("raise_unauthorized")

    answer = probed_stack.call(token=token)

    assert UNAUTHORIZED == refusal(answer)
    assert 1 == probed_stack.authorizer_calls(token)


@pytest.mark.parametrize(
    "behavior",
    [
        "raise_unauthorized_and_more",
        "raise_other",
        "exit",
        "return_null",
        "return_text",
        "return_status",
        "return_no_policy",
    ],
)
def test_when_the_authorizer_gives_no_policy_then_500(
    probed_stack: ProbedStack, behavior: str
) -> None:
    """Another exception, a crash or an answer that is no policy: undecided, never let in."""
    token = probed_stack.token(behavior)

    answer = probed_stack.call(token=token)

    assert UNDECIDED == refusal(answer)
    assert 1 == probed_stack.authorizer_calls(token)


def test_when_the_authorizer_is_gone_then_500(deploy_probes: DeployProbes) -> None:
    """A function that cannot be called decides nothing, so nobody is let in."""
    stack = deploy_probes("orphaned")
    aws = LocalAws(stack.ministack.endpoint_url)
    functions = aws.session().client("lambda", endpoint_url=aws.endpoint_url, config=aws.config)
    functions.delete_function(FunctionName=stack.deployment.functions["AuthorizerFunction"])

    answer = stack.call(token=stack.token("allow"))

    assert UNDECIDED == refusal(answer)


@pytest.mark.parametrize("behavior", ["deny", "allow_elsewhere", "allow_other_stage"])
def test_when_no_statement_allows_the_method_then_403(
    probed_stack: ProbedStack, behavior: str
) -> None:
    """An explicit Deny, and an Allow for something else, end alike."""
    answer = probed_stack.call(token=probed_stack.token(behavior))

    assert ACCESS_DENIED == refusal(answer)


def test_when_deny_and_allow_both_match_then_deny_wins(probed_stack: ProbedStack) -> None:
    """One denied path inside an allowed stage stays closed, and only that one."""
    token = probed_stack.token("deny_one_of_all")

    denied = probed_stack.call("/v1/records/secret", token=token)
    allowed = probed_stack.call("/v1/records/open", token=token)

    assert ACCESS_DENIED == refusal(denied)
    assert 200 == allowed.status


def test_when_a_wildcard_ends_a_resource_then_it_spans_slashes(probed_stack: ProbedStack) -> None:
    """`stage/GET/*` reaches every depth of the path, and no other method."""
    token = probed_stack.token("allow_reading")

    assert 200 == probed_stack.call("/v1/records", token=token).status
    assert 200 == probed_stack.call("/v1/records/a", token=token).status
    assert 403 == probed_stack.call("/v1/records/a", method="PUT", token=token).status


def test_when_a_call_is_allowed_then_the_context_arrives_as_strings(
    probed_stack: ProbedStack,
) -> None:
    """Numbers and booleans lose their type on the way to the backend; the principal goes along."""
    answer = probed_stack.call(token=probed_stack.token("allow"))

    context = answer.document["authorizer"]
    assert "7" == context["number"]
    assert "true" == context["flag"]
    assert "a b" == context["text"]
    assert "probe" == context["principalId"]


def test_when_the_authorizer_is_asked_then_it_sees_the_real_path(probed_stack: ProbedStack) -> None:
    """The method ARN names the path of this request, not the resource with its parameter."""
    answer = probed_stack.call("/v1/records/LHR", token=probed_stack.token("say_method"))

    context = answer.document["authorizer"]
    stage = f"{probed_stack.deployment.api_id}/{probed_stack.deployment.stage}"
    assert context["method_arn"].endswith(f":{stage}/GET/v1/records/LHR")
    assert "TOKEN" == context["kind"]


# --- the result cache ---------------------------------------------------------------------------


def test_when_the_same_token_comes_again_then_the_authorizer_is_not_asked_again(
    probed_stack: ProbedStack,
) -> None:
    """The answer is kept by token, and another token gets none of it."""
    token, other = probed_stack.token("allow"), probed_stack.token("allow")

    statuses = [probed_stack.call(token=each).status for each in (token, token, token, other)]

    assert [200, 200, 200, 200] == statuses
    assert 1 == probed_stack.authorizer_calls(token)
    assert 1 == probed_stack.authorizer_calls(other)


def test_when_the_policy_names_one_method_then_the_next_method_is_403(
    probed_stack: ProbedStack,
) -> None:
    """The cached policy is evaluated anew for each method: why ours names what the roles allow."""
    token = probed_stack.token("allow_this")

    first = probed_stack.call("/v1/records", token=token)
    second = probed_stack.call("/v1/records/a", token=token)

    assert 200 == first.status
    assert ACCESS_DENIED == refusal(second)
    assert 1 == probed_stack.authorizer_calls(token)


def test_when_a_call_is_denied_then_the_denial_is_kept(probed_stack: ProbedStack) -> None:
    """A Deny is an answer like any other."""
    token = probed_stack.token("deny")

    statuses = [probed_stack.call(token=token).status for _ in range(2)]

    assert [403, 403] == statuses
    assert 1 == probed_stack.authorizer_calls(token)


@pytest.mark.parametrize("behavior", ["raise_unauthorized", "raise_other", "return_no_policy"])
def test_when_there_is_no_policy_then_nothing_is_kept(
    probed_stack: ProbedStack, behavior: str
) -> None:
    """The next try asks again, so an outage ends with its cause."""
    token = probed_stack.token(behavior)

    statuses = {probed_stack.call(token=token).status for _ in range(2)}

    assert 1 == len(statuses)
    assert 2 == probed_stack.authorizer_calls(token)


def test_when_the_stage_differs_then_the_kept_answer_does_not_serve(
    probed_stack: ProbedStack,
) -> None:
    """The cache is one stage's own: the other stage asks for itself."""
    aws = LocalAws(probed_stack.ministack.endpoint_url)
    gateway = aws.session().client("apigateway", endpoint_url=aws.endpoint_url, config=aws.config)
    api_id, stage = probed_stack.deployment.api_id, probed_stack.deployment.stage
    deployment_id = gateway.get_stage(restApiId=api_id, stageName=stage)["deploymentId"]
    gateway.create_stage(restApiId=api_id, stageName="second", deploymentId=deployment_id)
    token = probed_stack.token("allow")

    first = probed_stack.call(token=token)
    second = probed_stack.call(token=token, stage="second")

    assert (200, 200) == (first.status, second.status)
    assert 2 == probed_stack.authorizer_calls(token)


def test_when_the_ttl_has_passed_then_the_authorizer_is_asked_again(
    deploy_probes: DeployProbes,
) -> None:
    """The template's parameter bounds how long an answer is reused."""
    stack = deploy_probes("expiring", AuthorizerResultTtlInSeconds="1")
    token = stack.token("allow")
    stack.call(token=token)

    time.sleep(1.05)
    stack.call(token=token)

    assert 2 == stack.authorizer_calls(token)


def test_when_the_ttl_is_zero_then_every_call_asks(deploy_probes: DeployProbes) -> None:
    """Zero turns the cache off."""
    stack = deploy_probes("uncached", AuthorizerResultTtlInSeconds="0")
    token = stack.token("allow")

    statuses = [stack.call(token=token).status for _ in range(2)]

    assert [200, 200] == statuses
    assert 2 == stack.authorizer_calls(token)


# --- the template's own answers -----------------------------------------------------------------


def test_when_a_call_is_refused_then_the_answer_is_a_problem_document(
    probed_stack: ProbedStack,
) -> None:
    """Every refusal speaks RFC 9457 and carries the challenge that its status asks for."""
    rejected = probed_stack.call()
    denied = probed_stack.call(token=probed_stack.token("deny"))

    assert "application/problem+json" == rejected.headers["content-type"]
    assert (401, "Unauthorized") == (rejected.document["status"], rejected.document["title"])
    assert "application/problem+json" == denied.headers["content-type"]
    assert 'Bearer error="insufficient_scope"' == denied.headers["www-authenticate"]


def test_when_the_public_url_is_known_then_the_challenge_names_the_metadata(
    deploy_probes: DeployProbes,
) -> None:
    """RFC 9728 section 5.1: a client learns from the 401 where to read which token it needs."""
    stack = deploy_probes("published", PublicUrl="https://api.example.com/prod")

    answer = stack.call()

    metadata = "https://api.example.com/prod/.well-known/oauth-protected-resource"
    assert f'Bearer resource_metadata="{metadata}"' == answer.headers["www-authenticate"]


def test_when_the_public_url_is_not_known_then_the_challenge_is_bare(
    probed_stack: ProbedStack,
) -> None:
    """Without the parameter the 401 still names the scheme (RFC 9110 section 15.5.2)."""
    assert "Bearer" == probed_stack.call().headers["www-authenticate"]


def test_when_the_stage_is_over_its_rate_then_429_says_when_to_come_again(
    deploy_probes: DeployProbes,
) -> None:
    """The stage's throttle holds, and its answer can be obeyed."""
    stack = deploy_probes("throttled", ThrottleRate="1", ThrottleBurst="1")

    answers = [stack.call("/health") for _ in range(3)]

    assert 200 == answers[0].status
    assert (429, "TooManyRequestsException", "throttled") == refusal(answers[-1])
    assert "1" == answers[-1].headers["retry-after"]


# --- where MiniStack differs (docs/local-aws-differences.md) ------------------------------------


@pytest.mark.parametrize(
    ("behavior", "status_here"),
    [
        ("raise_lower_case", 401),  # AWS: 500, the message must be exactly Unauthorized
        ("allow_other_action", 200),  # AWS: 403, no statement allows execute-api:Invoke
        ("allow_on_condition", 200),  # AWS: 403, the condition does not hold
        ("nested_context", 200),  # AWS: 500, a context value must be a string, number or boolean
    ],
)
def test_when_ministack_is_laxer_than_aws_then_the_docs_list_it(
    probed_stack: ProbedStack, behavior: str, status_here: int
) -> None:
    """If one of these fails, MiniStack has caught up with AWS: take it off the list."""
    answer = probed_stack.call(token=probed_stack.token(behavior))

    assert status_here == answer.status


def test_when_a_backend_sends_a_challenge_then_ministack_does_not_rename_it(
    probed_stack: ProbedStack,
) -> None:
    """AWS renames a backend's WWW-Authenticate to x-amzn-Remapped-WWW-Authenticate."""
    answer = probed_stack.call("/health")

    assert "Probe" == answer.headers["www-authenticate"]


def test_when_a_request_is_answered_then_the_stages_access_log_has_its_line(
    probed_stack: ProbedStack,
) -> None:
    """In the template's own format, with the same ID as the answer has."""
    aws = LocalAws(probed_stack.ministack.endpoint_url)
    gateway = aws.session().client("apigateway", endpoint_url=aws.endpoint_url, config=aws.config)
    deployment = probed_stack.deployment

    stage = gateway.get_stage(restApiId=deployment.api_id, stageName=deployment.stage)
    answer = probed_stack.call("/health")

    setting = stage["accessLogSettings"]
    assert setting["destinationArn"]
    lines = probed_stack.ministack.access_log_file.read_text().splitlines()
    line = next(
        line
        for line in map(json.loads, lines)
        if line["request_id"] == answer.headers["x-amzn-requestid"]
    )
    assert set(line) == set(re.findall(r'"(\w+)":', setting["format"]))
    assert ("GET", "/health", "200") == (line["method"], line["route"], line["status"])
