"""The SAM template against the code that it deploys, and against rules that no linter knows."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.model import StringShape
from hypothesis import assume, given
from hypothesis import strategies as st

from aws_authorizer import settings as authorizer_settings
from aws_backend import settings as backend_settings
from aws_backend import table_layout
from aws_backend.record import StoredRecord
from azure_function_app import declared_settings as function_app_settings
from bridge_cli.diagnosing.decisions import PARAMETERS
from bundling.bundles import AWS_PLATFORMS, DEFAULT_ARCHITECTURE, RECIPES
from emulator.aws.template import load_template
from emulator.aws.template_overlay import functions_in
from shared import problem
from shared.contract import CONTRACT_SETTINGS
from shared.entra import CLOUDS
from shared.routes import PROTECTED_ROUTES, ROUTES
from shared.settings_reader import Setting

ROOT = Path(__file__).parents[2]
FILE = ROOT / "infra" / "aws" / "template.yaml"
TEMPLATE = load_template(FILE)
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
API: dict[str, Any] = RESOURCES["Api"]["Properties"]
AUTHORIZER: dict[str, Any] = API["Auth"]["Authorizers"]["EntraToken"]
FUNCTIONS: dict[str, dict[str, Any]] = dict(functions_in(TEMPLATE))

SETTINGS: dict[str, tuple[Setting[object], ...]] = {
    "AuthorizerFunction": authorizer_settings.SETTINGS,
    "RecordsFunction": backend_settings.RECORDS_SETTINGS,
    "DiscoveryFunction": backend_settings.DISCOVERY_SETTINGS,
    "HealthFunction": (),
}

NIL_GUID = "00000000-0000-0000-0000-000000000000"
JWS = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


def parameter_of(setting: Setting[object]) -> str:
    """The parameter that a setting comes from: its name in camel case."""
    return setting.name.title().replace("_", "")


def resources_of(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of every resource of a kind."""
    return {
        name: resource["Properties"]
        for name, resource in RESOURCES.items()
        if resource["Type"] == kind
    }


def events() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every route of the template: the function behind it, and its properties."""
    for name, function in FUNCTIONS.items():
        for event in function.get("Events", {}).values():
            yield name, event["Properties"]


def variables(function: str) -> dict[str, Any]:
    """The environment that the template gives a function."""
    given: dict[str, Any] = FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    return given


def walk(value: Any) -> Iterator[Any]:
    """The value and everything inside it."""
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inside:
        yield from walk(each)


# --- the file -----------------------------------------------------------------------------------


def test_when_cfn_lint_reads_the_template_then_it_finds_nothing() -> None:
    """The published schemas of every resource, and cfn-lint's own rules."""
    linted = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), FILE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (linted.returncode, linted.stdout)


def test_when_cloudformation_reads_the_template_then_it_meets_no_alias() -> None:
    """CloudFormation takes no YAML aliases, though SAM's own tools do."""
    tokens = yaml.scan(FILE.read_text("utf-8"))

    assert not [token for token in tokens if isinstance(token, yaml.AliasToken | yaml.AnchorToken)]


# --- routes -------------------------------------------------------------------------------------


def test_when_routes_are_listed_then_template_and_code_agree() -> None:
    """The template serves exactly the routes that the authorizer and the backend know."""
    in_template = {(event["Method"], event["Path"]) for _function, event in events()}

    assert {(route.method, route.path) for route in ROUTES} == in_template


def test_when_a_route_is_protected_then_the_authorizer_stands_in_front() -> None:
    """Only the public routes opt out of the API's default authorizer, and nothing else does."""
    unguarded = {
        (event["Method"], event["Path"]) for _function, event in events() if "Auth" in event
    }
    public = {(route.method, route.path) for route in set(ROUTES) - set(PROTECTED_ROUTES)}

    assert "EntraToken" == API["Auth"]["DefaultAuthorizer"]
    assert public == unguarded
    assert [{"Authorizer": "NONE"}] * len(public) == [
        event["Auth"] for _function, event in events() if "Auth" in event
    ]


def test_when_a_route_is_declared_then_it_names_one_method_on_one_path() -> None:
    """A method ANY or a greedy path would serve what nobody has thought of."""
    for _function, event in events():
        assert event["Method"] in {"GET", "PUT", "POST", "DELETE", "PATCH"}
        assert "+}" not in event["Path"]
        assert {"Ref": "Api"} == event["RestApiId"]


# --- functions ----------------------------------------------------------------------------------


def test_when_functions_are_listed_then_each_has_a_bundle_recipe() -> None:
    """A function without a recipe could not be built, a recipe without a function is dead."""
    assert set(RECIPES) == set(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_when_a_handler_is_named_then_its_bundle_has_it(function: str) -> None:
    """The handler is a function, in the package that the recipe ships."""
    module, _, name = FUNCTIONS[function]["Handler"].rpartition(".")

    assert RECIPES[function].package == module.partition(".")[0]
    # Read, not imported: an entry sets up its process's logging.
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text("utf-8")
    defined = [each.name for each in ast.parse(source).body if isinstance(each, ast.FunctionDef)]
    assert name in defined


@pytest.mark.parametrize("function", FUNCTIONS)
def test_when_a_function_reads_a_setting_then_the_template_gives_it(function: str) -> None:
    """Every setting is there but the local one, and none that the function would not read."""
    known = {setting.name for setting in SETTINGS[function]}

    assert known - {"ENTRA_AUTHORITY"} == set(variables(function))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_when_a_setting_is_given_then_its_parameter_has_its_name(function: str) -> None:
    """KEY_SET_FILE is KeySetFile; only what the stack makes itself is no parameter."""
    for name, value in variables(function).items():
        camel_case = name.title().replace("_", "")
        # The table that is served may be another one than the stack's own, and a domain is a URL.
        assert {"Ref": camel_case} == value.get("Fn::If", [value])[-1]
        assert ("Fn::If" in value) == (name in {"RECORDS_TABLE", "PUBLIC_URL"})
        assert camel_case in TEMPLATE["Parameters"] or name == "RECORDS_TABLE"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_when_a_parameter_is_left_out_then_the_setting_is_too(function: str) -> None:
    """Its default is the setting's, or nothing, which the code reads as the setting's."""
    for setting in SETTINGS[function]:
        parameter = TEMPLATE["Parameters"].get(parameter_of(setting))
        if parameter is not None:
            assert ("Default" in parameter) == (setting.default is not None)
            assert str(parameter.get("Default", "")) in {"", setting.default}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_when_a_parameter_has_bounds_then_the_setting_reaches_to_them(function: str) -> None:
    """The least and the most that the template takes pass the code's own reading of them."""
    for setting in SETTINGS[function]:
        parameter = TEMPLATE["Parameters"].get(parameter_of(setting), {})
        assert ("Number" == parameter.get("Type")) == ("MinValue" in parameter)
        for bound in {"MinValue", "MaxValue"} & parameter.keys():
            setting.parse(str(parameter[bound]))


def test_when_a_setting_comes_from_a_parameter_then_what_the_parameter_allows_is_valid() -> None:
    """Defaults and allowed values of the template pass the code's own reading of them."""
    checked = 0
    for function, settings in SETTINGS.items():
        for setting in settings:
            reference = variables(function).get(setting.name, {}).get("Ref", "")
            parameter = TEMPLATE["Parameters"].get(reference, {})
            values = [*parameter.get("AllowedValues", []), parameter.get("Default", "")]
            for value in filter(None, values):
                setting.parse(str(value))
                checked += 1

    assert checked > 0
    assert set(CLOUDS) == set(TEMPLATE["Parameters"]["EntraCloud"]["AllowedValues"])


@pytest.mark.parametrize(
    ("parameter", "accepted", "refused"),
    [
        ("EntraTenantId", "11111111-1111-4111-8111-11111111111a", "contoso.com"),
        ("ApiAppIdUri", "api://11111111-1111-4111-8111-111111111111", "api://"),
        (
            "AllowedClientIds",
            "11111111-1111-4111-8111-111111111111, 22222222-2222-4222-8222-222222222222",
            "11111111-1111-4111-8111-111111111111,",
        ),
        ("AdditionalTenantIds", "", "contoso.com"),
        (
            "AdditionalAudiences",
            "11111111-1111-4111-8111-111111111111, https://api.example.com",
            "api://a,",
        ),
        ("DelegatedScopes", "", "access_as_user"),
        (
            "DelegatedScopes",
            "access_as_user=Records.Read+Records.Write, api.read=Records.Read",
            "access_as_user=Records.Read,Records.Write",
        ),
        ("UsagePlanKeys", "", f"{NIL_GUID}={'k' * 19}"),
        ("UsagePlanKeys", f"{NIL_GUID}={'k' * 20}", f"{NIL_GUID}={'k' * 129}"),
        ("UsagePlanKeys", f"{NIL_GUID}={'k' * 20}, {NIL_GUID}={'k' * 20}", "k" * 20),
        ("KeySetFileMaxAgeSeconds", "", "a week"),
        ("KeySetFileMaxAgeSeconds", "6999999", "7000000"),
        ("VerifiedTokenCacheSize", "100000", "100001"),
        ("VerifiedTokenCacheSize", "0", "0.5"),
        ("ApiAppIdUri", "https://api.example/a.default", "api://a/.default"),
        ("ApiAppIdUri", "", "11111111-1111-4111-8111-111111111111"),
        ("AlarmTopicArn", "", "arn:aws:sns:eu-west-1:123456789012:alarms.fifo"),
        ("AlarmTopicArn", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:alarms", "alarms"),
        ("PublicUrl", "https://api.example.com/prod", "https://api.example.com/prod/"),
        ("PublicUrl", "http://127.0.0.1:4566/_aws/execute-api/abc/prod", "http://example.com"),
        ("PublicUrl", "", "api.example.com"),
        ("AuthorizerRelease", "", "a release"),
        ("AuthorizerProvisionedConcurrency", "10", "0.5"),
        ("AuthorizerProvisionedConcurrency", "0", "00"),
        ("CustomDomain", "", "https://api.example.com"),
        ("CustomDomain", "api.example.com", "API.example.com"),
        ("CustomDomain", "a.io", "*.example.com"),
        ("CertificateArn", "", "arn:aws:iam::123456789012:server-certificate/x"),
        ("HostedZoneId", "Z0123456789ABC", "/hostedzone/Z0123456789ABC"),
        ("TruststoreUri", "s3://trust/authorities.pem", "https://trust/authorities.pem"),
        ("TruststoreVersion", "", "a b"),
        ("VpcEndpointIds", "vpce-0123456789abcdef0", "vpce-0123456789abcdef0, vpce-01234567"),
        ("WebAclArn", "", "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/b"),
        ("RestoredTable", "", "arn:aws:dynamodb:eu-west-1:123456789012:table/records"),
        ("RestoredTable", "Stack-RecordsTable-1A2B_3.x", "ab"),
    ],
)
def test_when_a_parameter_is_given_then_its_pattern_tells_right_from_wrong(
    parameter: str, accepted: str, refused: str
) -> None:
    """A wrong value is refused before anything is deployed; the pattern is matched as a whole."""
    pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"]

    assert re.fullmatch(pattern, accepted)
    assert not re.fullmatch(pattern, refused)


@given(st.data())
@pytest.mark.parametrize(
    ("function", "setting"),
    [
        pytest.param(function, setting, id=f"{function}-{setting.name}")
        for function, settings in SETTINGS.items()
        for setting in settings
        if "AllowedPattern" in TEMPLATE["Parameters"].get(parameter_of(setting), {})
        # Roles are the route table's, and each client ID stands once: no pattern knows either.
        and setting.name not in {"DELEGATED_SCOPES", "USAGE_PLAN_KEYS"}
    ],
)
def test_when_a_pattern_allows_a_value_then_the_function_starts_with_it(
    function: str, setting: Setting[object], data: st.DataObject
) -> None:
    """What the template lets pass and the code refuses would take the whole API down."""
    pattern = TEMPLATE["Parameters"][parameter_of(setting)]["AllowedPattern"]
    value = data.draw(st.from_regex(pattern, fullmatch=True))

    assert setting.name in variables(function)
    if value:
        assume(NIL_GUID not in value)  # no pattern can say so in a readable way
        setting.parse(value)
    else:
        assert setting.default is not None


def test_when_bundles_are_built_then_they_are_for_what_the_template_runs_on() -> None:
    """Python version and processor of the template are those that the bundles are made for."""
    version = (ROOT / ".python-version").read_text().strip()
    defaults = TEMPLATE["Globals"]["Function"]

    assert f"python{version}" == defaults["Runtime"]
    assert [{"Ref": "Architecture"}] == defaults["Architectures"]
    assert set(AWS_PLATFORMS) == set(TEMPLATE["Parameters"]["Architecture"]["AllowedValues"])
    assert DEFAULT_ARCHITECTURE == TEMPLATE["Parameters"]["Architecture"]["Default"]
    assert not [
        name for name, each in FUNCTIONS.items() if {"Runtime", "Architectures"} & each.keys()
    ]


def test_when_the_key_set_is_slow_then_the_authorizer_answers_before_its_timeout() -> None:
    """The longest deadline of a fetch leaves the function time to refuse in order."""
    timeout = TEMPLATE["Globals"]["Function"]["Timeout"]

    assert TEMPLATE["Parameters"]["KeySetFetchSeconds"]["MaxValue"] * 2 <= timeout


# --- the authorizer, hardened -------------------------------------------------------------------


def test_when_a_result_is_cached_then_the_token_is_its_whole_key() -> None:
    """An identity source that is not the token would hand one caller's policy to another."""
    assert ["EntraToken"] == list(API["Auth"]["Authorizers"])
    assert "TOKEN" == AUTHORIZER["FunctionPayloadType"]
    assert {"Header", "ValidationExpression", "ReauthorizeEvery"} == set(AUTHORIZER["Identity"])
    assert "Authorization" == AUTHORIZER["Identity"]["Header"]
    # What follows the function goes along for the new deployment that SAM is to make.
    index, (function, *_follows) = AUTHORIZER["FunctionArn"]["Fn::Select"]
    assert (0, {"Ref": "AuthorizerAlias"}) == (index, function)


def test_when_a_result_is_cached_then_an_hour_is_the_most() -> None:
    """The parameter bounds it, and the default is well below."""
    parameter = TEMPLATE["Parameters"][AUTHORIZER["Identity"]["ReauthorizeEvery"]["Ref"]]

    assert 0 == parameter["MinValue"]
    assert parameter["MaxValue"] <= 3600
    assert parameter["Default"] <= 300


def passes_the_gateway(credential: str) -> bool:
    """Whether the authorizer is asked about the credential; API Gateway matches all of it."""
    return bool(re.fullmatch(AUTHORIZER["Identity"]["ValidationExpression"], credential))


@pytest.mark.parametrize("credential", [f"Bearer {JWS}", f"bearer {JWS}", f"Bearer  {JWS}"])
def test_when_a_credential_is_a_bearer_jws_then_the_authorizer_decides(credential: str) -> None:
    """The scheme's name has no case (RFC 9110), and one space or more follows it (RFC 6750)."""
    assert passes_the_gateway(credential)


@pytest.mark.parametrize(
    "credential",
    [
        "",
        JWS,
        f"Bearer{JWS}",
        f"Basic {JWS}",
        f"Bearer {JWS} ",
        f" Bearer {JWS}",
        f"Bearer {JWS}\n",
        f"Bearer {JWS}.more.parts",
        f"Bearer {JWS.rpartition('.')[0]}.",
        "Bearer a.b",
        "Bearer",
    ],
)
def test_when_a_credential_is_no_bearer_jws_then_the_gateway_refuses_it(credential: str) -> None:
    """It costs no Lambda call. The anchors say so to whoever else reads the expression."""
    expression = AUTHORIZER["Identity"]["ValidationExpression"]

    assert not passes_the_gateway(credential)
    assert (expression[0], expression[-1]) == ("^", "$")


def test_when_the_api_is_imported_then_a_warning_fails_the_deployment() -> None:
    """A warning could mean a route without its authorizer."""
    assert API["FailOnWarnings"] is True
    assert {"Fn::If": ["IsPrivate", "PRIVATE", "REGIONAL"]} == API["EndpointConfiguration"]["Type"]


def test_when_nothing_is_said_of_api_keys_then_they_come_from_where_api_gateway_looks() -> None:
    """The header is its own default; the authorizer can take the header's place."""
    assert {"Ref": "ApiKeySource"} == API["ApiKeySourceType"]
    assert "HEADER" == TEMPLATE["Parameters"]["ApiKeySource"]["Default"]


# --- permissions and secrets --------------------------------------------------------------------

DYNAMODB_ACTIONS = {
    "get_item": {"dynamodb:GetItem"},
    "batch_get_item": {"dynamodb:BatchGetItem"},
    "query": {"dynamodb:Query"},
    "transact_write_items": {"dynamodb:PutItem", "dynamodb:ConditionCheckItem"},
}
"""What each call of the record store needs; a transaction needs what its items need."""


TRACES = {
    "Effect": "Allow",
    "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
    "Resource": "*",
}
"""What each role has besides where requests are traced; neither action knows a resource."""


def statements(role: str) -> list[dict[str, Any]]:
    """Every statement of a function's role, without that for traces."""
    return [
        statement
        for policy in RESOURCES[role]["Properties"]["Policies"]
        for statement in policy.get("Fn::If", ["", policy])[1]["PolicyDocument"]["Statement"]
        if statement != TRACES
    ]


OF_THIS_ACCOUNT = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:"


def either(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Both resources that a condition chooses between, or the only one."""
    chosen: list[dict[str, Any]] = resource.get("Fn::If", ["", resource])[1:]
    return chosen


def role_of(function: str) -> str:
    """The logical ID of the function's role."""
    name: str = FUNCTIONS[function]["Role"]["Fn::GetAtt"][0]
    return name


def test_when_functions_have_roles_then_each_has_one_of_its_own() -> None:
    """No function can do what another one needs, and none has a managed policy."""
    roles = [role_of(function) for function in FUNCTIONS]

    assert len(FUNCTIONS) == len(set(roles))
    assert not [role for role in roles if "ManagedPolicyArns" in RESOURCES[role]["Properties"]]
    assert not [name for name, each in FUNCTIONS.items() if "Policies" in each]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_when_a_role_allows_something_then_it_names_it(function: str) -> None:
    """No wildcard in an action or a resource; each resource is one of the stack's own."""
    for statement in statements(role_of(function)):
        actions = statement["Action"]
        for action in actions if isinstance(actions, list) else [actions]:
            assert re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action)
        for resource in either(statement["Resource"]):
            named = resource.get("Fn::GetAtt", [None])[0] or resource["Fn::Sub"]
            named = named.removeprefix(OF_THIS_ACCOUNT)
            assert re.fullmatch(
                r"\w+|(\$\{RecordsTable\.Arn\}|table/\$\{RestoredTable\})(/index/feed)?", named
            )


@pytest.mark.parametrize("function", sorted(FUNCTIONS.keys() - {"RecordsFunction"}))
def test_when_a_function_needs_no_table_then_it_may_only_log(function: str) -> None:
    """The authorizer and the public routes cannot touch the records."""
    actions = {action for each in statements(role_of(function)) for action in each["Action"]}

    assert {"logs:CreateLogStream", "logs:PutLogEvents"} == actions


def test_when_the_store_calls_dynamodb_then_the_role_allows_exactly_that() -> None:
    """The calls in the source are those that the role is made for."""
    files = (ROOT / "aws_backend" / "feed").glob("*.py")
    source = "".join(file.read_text("utf-8") for file in files)
    calls = set(re.findall(r"\bclient\.([a-z_]+)\(", source))
    allowed = {
        action
        for statement in statements("RecordsRole")
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
        if action.startswith("dynamodb:")
    }

    assert {action for call in calls for action in DYNAMODB_ACTIONS[call]} == allowed


def test_when_the_template_is_deployed_then_there_is_no_secret_to_store() -> None:
    """Nothing is named like one; only the keys of usage plans, none by default, are hidden."""
    hidden = {name: each for name, each in TEMPLATE["Parameters"].items() if "NoEcho" in each}
    names = [*TEMPLATE["Parameters"], *(name for each in FUNCTIONS for name in variables(each))]

    likely = [name for name in names if re.search("(?i)secret|password|api_?key", name)]
    assert ["ApiKeySource"] == likely
    assert ["HEADER", "AUTHORIZER"] == TEMPLATE["Parameters"]["ApiKeySource"]["AllowedValues"]
    assert ["UsagePlanKeys"] == list(hidden)
    assert "" == hidden["UsagePlanKeys"]["Default"]
    assert not [each for each in walk(RESOURCES) if isinstance(each, str) and "{{resolve:" in each]


# --- logs, limits, answers ----------------------------------------------------------------------

LOGGED = {
    "$context.requestTimeEpoch",
    "$context.requestId",
    "$context.xrayTraceId",
    "$context.httpMethod",
    "$context.resourcePath",
    "$context.status",
    "$context.responseLatency",
    "$context.integrationLatency",
    "$context.integrationStatus",
    "$context.error.responseType",
    "$context.authorize.status",
    "$context.authorizer.decision_id",
    "$context.authorizer.principalId",
    "$context.authorizer.status",
    "$context.authorizer.latency",
    "$context.authorizer.requestId",
    "$context.authorizer.object_id",
    "$context.authorizer.client_id",
    "$context.authorizer.roles",
    "$context.authorizer.token_id",
    "$context.identity.sourceIp",
}
"""What an access log line may say: none of it can hold a token.

An error's message could: API Gateway quotes an Authorization header that it cannot read.
"""


def test_when_a_request_is_logged_then_the_line_is_json_without_a_token() -> None:
    """Each value is one of a reviewed list, and the line parses."""
    line = API["AccessLogSetting"]["Format"]

    assert LOGGED == set(re.findall(r"\$[A-Za-z_.]+", line))
    assert len(LOGGED) == len(json.loads(re.sub(r"\$[A-Za-z_.]+", "1", line)))


def traced(parameter: str) -> tuple[set[str], dict[str, bool], set[str]]:
    """What traces where `Tracing` is that: the stage's or functions' modes, and who may write."""
    branch = 1 if parameter == "true" else 2
    modes = {
        str(TEMPLATE["Globals"]["Function"]["Tracing"]["Fn::If"][branch]),
        *(str(function["Tracing"]) for function in FUNCTIONS.values() if "Tracing" in function),
    }
    stages = {"Api": API["TracingEnabled"]["Fn::If"][branch]}
    writers = {
        name
        for name in FUNCTIONS
        for policy in RESOURCES[role_of(name)]["Properties"]["Policies"]
        if "Fn::If" in policy
        and policy["Fn::If"][0] == "TracesRequests"
        and TRACES in policy["Fn::If"][branch].get("PolicyDocument", {}).get("Statement", [])
    }
    return modes, stages, writers


def test_when_tracing_is_on_then_stage_and_functions_go_on_with_the_callers_trace() -> None:
    """Every function, and each may write its segments: no layer, no library, no sampling rule.

    What is recorded decides the caller's `Sampled=`; a rule of our own would record more.
    """
    assert ({"Active"}, {"Api": True}, set(FUNCTIONS)) == traced("true")
    assert 4 <= len(FUNCTIONS)
    assert not resources_of("AWS::XRay::SamplingRule")
    assert not [name for name, each in FUNCTIONS.items() if "Layers" in each]


def test_when_tracing_is_off_then_nothing_is_recorded_and_nobody_may() -> None:
    """As it is unless somebody asks for it; the trace's ID is passed through all the same."""
    assert "false" == TEMPLATE["Parameters"]["Tracing"]["Default"]
    assert ({"PassThrough"}, {"Api": False}, set()) == traced("false")


def test_when_tracing_is_decided_then_by_one_parameter() -> None:
    """A stage that records without its functions, or they without it, leaves half a trace."""
    assert {"Fn::Equals": [{"Ref": "Tracing"}, "true"]} == TEMPLATE["Conditions"]["TracesRequests"]
    assert "TracesRequests" == API["TracingEnabled"]["Fn::If"][0]
    assert "TracesRequests" == TEMPLATE["Globals"]["Function"]["Tracing"]["Fn::If"][0]


def test_when_functions_are_traced_then_no_bundle_has_a_library_for_it() -> None:
    """API Gateway and Lambda make their segments by themselves."""
    for name in ("authorizer", "backend"):
        lock = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}

        assert locked
        assert not {each for each in locked if "xray" in each or "opentelemetry" in each}


def test_when_a_stage_is_deployed_then_it_is_throttled_and_traces_no_data() -> None:
    """Data traces would write tokens to the log."""
    (setting,) = API["MethodSettings"]

    assert ("*", "/*") == (setting["HttpMethod"], setting["ResourcePath"])
    assert setting["DataTraceEnabled"] is False
    assert {"Ref": "ThrottleRate"} == setting["ThrottlingRateLimit"]
    assert {"Ref": "ThrottleBurst"} == setting["ThrottlingBurstLimit"]


def test_when_something_logs_then_its_log_group_forgets() -> None:
    """Each function has a log group of its own; each group has a retention, the gateway's too."""
    groups = resources_of("AWS::Logs::LogGroup")
    used = [function["LoggingConfig"]["LogGroup"]["Ref"] for function in FUNCTIONS.values()]

    assert len(used) == len(set(used))
    assert set(groups) == {*used, "AccessLogGroup"}
    assert all({"Ref": "LogRetentionInDays"} == each["RetentionInDays"] for each in groups.values())


GATEWAY_RESPONSES: dict[str, dict[str, Any]] = API["GatewayResponses"]
DEFAULTS = {"DEFAULT_4XX", "DEFAULT_5XX"}


def document_of(kind: str) -> dict[str, Any]:
    """The body of a gateway response."""
    document: dict[str, Any] = json.loads(
        GATEWAY_RESPONSES[kind]["ResponseTemplates"]["application/json"]
    )
    return document


def test_when_the_gateway_can_answer_itself_then_the_template_says_what() -> None:
    """Every answer that API Gateway lets us write; botocore carries its list of them."""
    model = botocore.session.get_session().get_service_model("apigateway")
    shape = model.shape_for("GatewayResponseType")
    assert isinstance(shape, StringShape)
    kinds = set(shape.enum)

    # The developer guide, "Gateway response types": this one cannot be customized.
    assert kinds - {"REQUEST_TOO_LARGE"} == set(GATEWAY_RESPONSES)


@pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
def test_when_the_gateway_answers_itself_then_it_is_a_problem_document(kind: str) -> None:
    """RFC 9457, with a code of ours and the request's ID."""
    headers = GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]
    document = document_of(kind)

    assert f"'{problem.MEDIA_TYPE}'" == headers["Content-Type"]
    assert re.fullmatch(r"[a-z_]+", document["code"])
    assert "$context.requestId" == document["request_id"]
    assert problem.TYPE == document["type"]


@pytest.mark.parametrize("kind", sorted(GATEWAY_RESPONSES.keys() - DEFAULTS))
def test_when_an_answer_has_a_status_then_its_body_has_the_same(kind: str) -> None:
    """RFC 9457 section 3.1.2; with this type the title is the status's own (section 4.2.1)."""
    status = GATEWAY_RESPONSES[kind]["StatusCode"]
    document = document_of(kind)

    assert (status, HTTPStatus(status).phrase) == (document["status"], document["title"])


@pytest.mark.parametrize("kind", sorted(DEFAULTS))
def test_when_an_answer_stands_for_many_then_it_names_no_status(kind: str) -> None:
    """Each of them keeps its own, which a fixed one in the body would contradict."""
    assert "StatusCode" not in GATEWAY_RESPONSES[kind]
    assert {"type", "code", "detail", "request_id"} == set(document_of(kind))


@pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
def test_when_an_answer_names_a_variable_then_it_quotes_nothing_of_the_request(kind: str) -> None:
    """A message of API Gateway's may quote the Authorization header, and breaks the JSON."""
    template = GATEWAY_RESPONSES[kind]["ResponseTemplates"]["application/json"]

    assert set(re.findall(r"\$[A-Za-z.]*[A-Za-z]", template)) <= {
        "$context.requestId",
        "$context.error.responseType",
    }


def test_when_the_answer_is_401_or_403_then_it_carries_a_challenge() -> None:
    """RFC 9110 section 15.5.2 asks for one with 401, RFC 6750 section 3.1 for the error's name."""
    headers = {
        kind: API["GatewayResponses"][kind]["ResponseParameters"]["Headers"]["WWW-Authenticate"]
        for kind in ("UNAUTHORIZED", "ACCESS_DENIED")
    }

    condition, of_domain, otherwise = headers["UNAUTHORIZED"]["Fn::If"]
    assert "HasCustomDomain" == condition
    assert of_domain["Fn::Sub"].startswith(
        "'Bearer resource_metadata=\"https://${CustomDomain}/.well-known/"
    )
    condition, with_metadata, bare = otherwise["Fn::If"]
    assert "HasPublicUrl" == condition
    assert with_metadata["Fn::Sub"].startswith(
        "'Bearer resource_metadata=\"${PublicUrl}/.well-known/"
    )
    assert "'Bearer'" == bare
    assert "'Bearer error=\"insufficient_scope\"'" == headers["ACCESS_DENIED"]


# --- the table ----------------------------------------------------------------------------------


def test_when_the_table_is_made_then_it_is_the_one_that_the_store_writes() -> None:
    """Keys, their types and the index are those that aws_backend.table_layout writes and names."""
    (table,) = resources_of("AWS::DynamoDB::Table").values()
    (index,) = table["LocalSecondaryIndexes"]
    record = StoredRecord("id", 1, 1, "", deleted=False, data="{}")
    item: dict[str, Any] = table_layout.record_to_item(record)

    assert list(table_layout.record_key("id")) == [
        key["AttributeName"] for key in table["KeySchema"]
    ]
    assert table_layout.FEED_INDEX == index["IndexName"]
    assert ["collection", "sequence"] == [key["AttributeName"] for key in index["KeySchema"]]
    assert {"ProjectionType": "ALL"} == index["Projection"]
    for attribute in table["AttributeDefinitions"]:
        assert [attribute["AttributeType"]] == list(item[attribute["AttributeName"]])


def test_when_the_stack_is_deleted_then_the_records_stay() -> None:
    """The table is kept, can be restored to a moment, and costs what it is used for."""
    (name,) = resources_of("AWS::DynamoDB::Table")
    table = RESOURCES[name]

    assert ("Retain", "Retain") == (table["DeletionPolicy"], table["UpdateReplacePolicy"])
    assert table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert "PAY_PER_REQUEST" == table["Properties"]["BillingMode"]


# --- outputs ------------------------------------------------------------------------------------


def test_when_an_output_feeds_a_setting_then_it_has_its_name() -> None:
    """What the Function App is told of this stack can be copied name by name."""
    feeds = {
        name: output["Description"].partition(":")[0]
        for name, output in TEMPLATE["Outputs"].items()
        if re.match(r"[A-Z_]+: ", output["Description"])
    }
    known = {
        setting.name for setting in (*function_app_settings.SETTINGS, *backend_settings.SETTINGS)
    }

    assert {name: name for name in feeds} == {
        name: setting.title().replace("_", "") for name, setting in feeds.items()
    }
    assert set(feeds.values()) <= known


def test_when_the_function_app_must_be_told_something_then_an_output_has_it() -> None:
    """The API's address, and everything of the contract that this stack was deployed with."""
    contract = {setting.name for setting in CONTRACT_SETTINGS} - {"ENTRA_AUTHORITY"}
    told = {name.title().replace("_", "") for name in contract | {"AWS_API_BASE_URL"}}

    assert told <= TEMPLATE["Outputs"].keys()


def test_when_the_doctor_names_a_parameter_then_the_template_has_it() -> None:
    """For each of the authorizer's settings that the stack gives, and for no other."""
    given = {name: value["Ref"] for name, value in variables("AuthorizerFunction").items()}

    assert PARAMETERS == given
