"""What each option of the template changes in the stack, and that nothing changes without it."""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from aws_authorizer import settings as authorizer_settings
from aws_backend import settings as backend_settings
from shared.routes import PROTECTED_ROUTES, ROUTES
from tests.support.aws_stacks import (
    DOMAIN,
    FIRST_DAY,
    IN_THE_RULES,
    MUTUAL_TLS,
    OTHER_VALUES,
    PARAMETER_SETS,
    RELEASE,
    TEMPLATE,
    URL,
    chosen,
    definition,
    resources_of,
    stack,
)
from tests.support.sam_template import broken_rules, deployed, transform

FUNCTIONS = {"AuthorizerFunction", "RecordsFunction", "DiscoveryFunction", "HealthFunction"}


def properties(parameters: Mapping[str, str], name: str) -> dict[str, Any]:
    """The properties of one resource of the stack."""
    found: dict[str, Any] = stack(parameters)["Resources"][name]["Properties"]
    return found


def stage(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The properties of the stage."""
    (only,) = resources_of(parameters, "AWS::ApiGateway::Stage").values()
    found: dict[str, Any] = only["Properties"]
    return found


def policies(parameters: Mapping[str, str], role: str) -> list[str]:
    """The names of a role's policies."""
    return [policy["PolicyName"] for policy in properties(parameters, role)["Policies"]]


def test_when_nothing_is_asked_for_then_no_option_makes_a_resource() -> None:
    """On the first day there is nothing that costs without being wanted."""
    made = {each["Type"] for each in stack(FIRST_DAY)["Resources"].values()}

    assert not {kind for kind in made if re.match("AWS::(CodeDeploy|Route53|WAFv2)::", kind)}
    assert not made & {
        "AWS::Lambda::Version",
        "AWS::ApiGateway::DomainName",
        "AWS::ApiGateway::BasePathMapping",
        "AWS::CloudWatch::Dashboard",
    }


# --- parameters that do not go together ----------------------------------------------------------


@pytest.mark.parametrize("parameters", PARAMETER_SETS.values(), ids=PARAMETER_SETS)
def test_when_parameters_go_together_then_no_rule_refuses_them(
    parameters: Mapping[str, str],
) -> None:
    """Every set that these tests deploy is one that CloudFormation takes."""
    assert [] == broken_rules(TEMPLATE, parameters)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        (
            RELEASE | chosen("AuthorizerSnapStart", "AuthorizerProvisionedConcurrency"),
            "SnapStart or provisioned concurrency, not both",
        ),
        (chosen("AuthorizerSnapStart"), "need AuthorizerRelease"),
        (chosen("AuthorizerProvisionedConcurrency"), "need AuthorizerRelease"),
        (chosen("AuthorizerRollout"), "need AuthorizerRelease"),
        (chosen("CustomDomain"), "CustomDomain needs CertificateArn"),
        (DOMAIN | {"PublicUrl": URL}, "PublicUrl follows from CustomDomain"),
        (DOMAIN | chosen("VpcEndpointIds"), "A private API is reached through VpcEndpointIds"),
        (chosen("CertificateArn"), "belong to CustomDomain"),
        (chosen("HostedZoneId"), "belong to CustomDomain"),
        (chosen("TruststoreUri"), "belong to CustomDomain"),
        (DOMAIN | chosen("TruststoreVersion"), "TruststoreVersion belongs to TruststoreUri"),
        (chosen("DefaultEndpoint"), "Without CustomDomain the default endpoint is the only way"),
    ],
)
def test_when_parameters_do_not_go_together_then_a_rule_says_why(
    parameters: dict[str, str], says: str
) -> None:
    """Before anything is deployed, and with one reason."""
    (reason,) = broken_rules(TEMPLATE, FIRST_DAY | parameters)

    assert says in reason


def test_when_a_rule_looks_at_a_parameter_then_these_tests_know_it() -> None:
    """Those are the ones that are not tried with every other value."""
    text = json.dumps(TEMPLATE["Rules"])

    assert IN_THE_RULES == set(re.findall(r'"Ref": "(\w+)"', text))


# --- releases of the authorizer -------------------------------------------------------------------


def alias(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The authorizer's alias."""
    found: dict[str, Any] = stack(parameters)["Resources"]["AuthorizerAlias"]
    return found


def test_when_there_is_no_release_then_the_alias_is_what_was_deployed_last() -> None:
    """A setting that changes takes effect with the deployment that changes it."""
    assert "$LATEST" == alias(FIRST_DAY)["Properties"]["FunctionVersion"]
    assert "live" == alias(FIRST_DAY)["Properties"]["Name"]


def test_when_there_is_a_release_then_the_alias_is_its_version() -> None:
    """A version is published after the function has the release's code and settings."""
    parameters = FIRST_DAY | RELEASE

    version = {"Fn::GetAtt": ["AuthorizerVersion", "Version"]}
    assert version == alias(parameters)["Properties"]["FunctionVersion"]
    assert {"Ref": "AuthorizerFunction"} == properties(parameters, "AuthorizerVersion")[
        "FunctionName"
    ]


def test_when_a_release_is_new_then_function_and_version_differ_from_the_last_ones() -> None:
    """Lambda publishes nothing for an unchanged function, CloudFormation for an unchanged text."""
    one, other = FIRST_DAY | {"AuthorizerRelease": "1"}, FIRST_DAY | {"AuthorizerRelease": "2"}

    for name in ("AuthorizerFunction", "AuthorizerVersion"):
        assert properties(one, name)["Description"] != properties(other, name)["Description"]
    assert len(properties(one, "AuthorizerFunction")["Description"]) + 127 <= 256


def test_when_sam_publishes_by_itself_then_a_removed_client_would_stay() -> None:
    """Why the version is not SAM's: its name does not depend on what a parameter says."""
    template = deepcopy(TEMPLATE)
    function = template["Resources"]["AuthorizerFunction"]["Properties"]
    function |= {"AutoPublishAlias": "sams", "AutoPublishAliasAllProperties": True}
    changed = FIRST_DAY | {"AllowedClientIds": OTHER_VALUES["AllowedClientIds"]}

    versions = [
        {
            name
            for name, each in transform(template, parameters)["Resources"].items()
            if each["Type"] == "AWS::Lambda::Version"
        }
        for parameters in (FIRST_DAY, changed)
    ]
    assert versions[0] == versions[1]


def test_when_a_version_is_replaced_then_the_last_one_goes() -> None:
    """AWS bills each snapshot that is kept."""
    version = TEMPLATE["Resources"]["AuthorizerVersion"]

    assert ("Delete", "Delete") == (version["DeletionPolicy"], version["UpdateReplacePolicy"])


def test_when_a_rollout_is_gradual_then_an_alarm_ends_it() -> None:
    """Undecided decisions, and 5xx for an authorizer that cannot even start."""
    parameters = PARAMETER_SETS["provisioned"]
    group = properties(parameters, "AuthorizerRolloutGroup")
    policy = alias(parameters)["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]

    assert {"Ref": "AuthorizerRolloutGroup"} == policy["DeploymentGroupName"]
    assert "CodeDeployDefault.LambdaCanary10Percent5Minutes" == group["DeploymentConfigName"]
    assert group["AlarmConfiguration"]["Enabled"] is True
    watched = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    assert {"UndecidedDecisionsAlarm", "ServerErrorsAlarm"} <= watched
    assert watched <= resources_of(parameters, "AWS::CloudWatch::Alarm").keys()
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


def test_when_a_rollout_is_at_once_then_codedeploy_has_no_part_in_it() -> None:
    """Also with a release."""
    assert {} == alias(FIRST_DAY | RELEASE)["UpdatePolicy"]


def test_when_snapshots_are_asked_for_then_versions_start_from_them() -> None:
    """Off unless asked for."""
    parameters = FIRST_DAY | RELEASE | {"AuthorizerSnapStart": "true"}

    told = [properties(each, "AuthorizerFunction")["SnapStart"] for each in (FIRST_DAY, parameters)]
    assert [{"ApplyOn": "None"}, {"ApplyOn": "PublishedVersions"}] == told


def test_when_processes_are_kept_then_the_alias_has_them() -> None:
    """Off unless asked for."""
    kept = alias(PARAMETER_SETS["provisioned"])["Properties"]["ProvisionedConcurrencyConfig"]

    assert {"ProvisionedConcurrentExecutions": "2"} == kept
    assert "ProvisionedConcurrencyConfig" not in alias(FIRST_DAY)["Properties"]


# --- tracing, table, processor --------------------------------------------------------------------


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_when_requests_are_traced_then_each_function_may_say_so(function: str) -> None:
    """Only then: a role has no action that nothing needs."""
    role = function.replace("Function", "Role")
    traced = FIRST_DAY | {"Tracing": "true"}

    modes = [properties(each, function)["TracingConfig"]["Mode"] for each in (FIRST_DAY, traced)]
    assert ["PassThrough", "Active"] == modes
    assert "WriteTraces" not in policies(FIRST_DAY, role)
    assert "WriteTraces" in policies(traced, role)
    assert [False, True] == [stage(each)["TracingEnabled"] for each in (FIRST_DAY, traced)]


@pytest.mark.parametrize(("said", "is_protected"), [("false", False), ("true", True)])
def test_when_the_table_is_protected_then_dynamodb_knows(said: str, is_protected: bool) -> None:  # noqa: FBT001
    """The stack's own table; one that was restored is not the stack's to protect."""
    parameters = FIRST_DAY | {"TableDeletionProtection": said}

    assert is_protected is properties(parameters, "RecordsTable")["DeletionProtectionEnabled"]


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_when_a_processor_is_chosen_then_every_function_has_it(architecture: str) -> None:
    """One of another kind would not start."""
    parameters = FIRST_DAY | {"Architecture": architecture}
    functions = resources_of(parameters, "AWS::Lambda::Function")

    assert FUNCTIONS == functions.keys()
    assert all([architecture] == each["Properties"]["Architectures"] for each in functions.values())


# --- a domain -------------------------------------------------------------------------------------


def told_urls(parameters: Mapping[str, str]) -> list[Any]:
    """The API's address as the metadata, the challenge of a 401, and the Function App are told."""
    challenge = definition(parameters)["x-amazon-apigateway-gateway-responses"]["UNAUTHORIZED"]
    header = challenge["responseParameters"]["gatewayresponse.header.WWW-Authenticate"]
    found = re.search('resource_metadata="(.*)/.well-known/oauth-protected-resource"', header)
    return [
        properties(parameters, "DiscoveryFunction")["Environment"]["Variables"]["PUBLIC_URL"],
        found[1] if found else None,
        stack(parameters)["Outputs"]["AwsApiBaseUrl"]["Value"],
    ]


@pytest.mark.parametrize(
    ("parameters", "url"),
    [({"PublicUrl": URL}, URL), (DOMAIN, "https://api.example.com")],
    ids=["PublicUrl", "domain"],
)
def test_when_the_address_is_known_then_everybody_is_told_the_same(
    parameters: dict[str, str], url: str
) -> None:
    """A domain drops the stage from the path, for all of them at once."""
    assert [url] * 3 == told_urls(FIRST_DAY | parameters)


def test_when_the_address_is_not_known_then_nobody_is_told_a_wrong_one() -> None:
    """Only the output has what API Gateway chose."""
    metadata, challenge, output = told_urls(FIRST_DAY)

    assert ("", None) == (metadata, challenge)
    assert "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/prod" == output["Fn::Sub"]


def test_when_there_is_a_domain_then_it_serves_the_stage_without_a_path() -> None:
    """With a certificate of this region, and no protocol older than TLS 1.2."""
    parameters = FIRST_DAY | DOMAIN
    domain, mapping = properties(parameters, "Domain"), properties(parameters, "DomainMapping")

    assert "api.example.com" == domain["DomainName"]
    assert OTHER_VALUES["CertificateArn"] == domain["RegionalCertificateArn"]
    assert ({"Types": ["REGIONAL"]}, "TLS_1_2") == (
        domain["EndpointConfiguration"],
        domain["SecurityPolicy"],
    )
    assert "MutualTlsAuthentication" not in domain
    assert {"DomainName", "RestApiId", "Stage"} == mapping.keys()
    assert {mapping["Stage"]["Ref"]} == resources_of(parameters, "AWS::ApiGateway::Stage").keys()
    assert "DomainRecord" not in stack(parameters)["Resources"]
    assert "DomainTarget" in stack(parameters)["Outputs"]


def test_when_there_is_a_zone_then_the_domain_gets_its_record() -> None:
    """It points to the domain's own regional name."""
    record = properties(PARAMETER_SETS["mutual TLS"], "DomainRecord")

    assert ("api.example.com", "Z0123456789ABC") == (record["Name"], record["HostedZoneId"])
    assert {"Fn::GetAtt": ["Domain", "RegionalDomainName"]} == record["AliasTarget"]["DNSName"]


def is_closed(parameters: Mapping[str, str]) -> object:
    """Whether API Gateway's own name does not serve the API."""
    servers = definition(parameters).get("servers", [])
    # API Gateway warns of one without a URL, and fails the deployment for it.
    assert all(server["url"] == "https://api.example.com" for server in servers)
    said = [
        server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]
        for server in servers
    ]
    return any(said)


@pytest.mark.parametrize(
    ("parameters", "closed"),
    [
        ({}, False),
        (DOMAIN, False),
        (DOMAIN | {"DefaultEndpoint": "closed"}, True),
        (MUTUAL_TLS, True),
    ],
    ids=["no domain", "domain", "closed", "mutual TLS"],
)
def test_when_the_domain_asks_for_certificates_then_there_is_no_way_beside_it(
    parameters: dict[str, str],
    closed: bool,  # noqa: FBT001
) -> None:
    """The default endpoint asks for none (AWS: "mutual TLS authentication for REST APIs")."""
    assert closed is is_closed(FIRST_DAY | parameters)


def test_when_there_is_a_truststore_then_the_domain_asks_for_certificates() -> None:
    """Of the named version of the object, or of the newest."""
    uri = {"TruststoreUri": OTHER_VALUES["TruststoreUri"]}
    pinned = properties(FIRST_DAY | MUTUAL_TLS, "Domain")["MutualTlsAuthentication"]
    newest = properties(FIRST_DAY | DOMAIN | uri, "Domain")["MutualTlsAuthentication"]

    assert uri | {"TruststoreVersion": "v1"} == pinned
    assert uri == newest


# --- what stands before the API -------------------------------------------------------------------


def test_when_the_api_is_private_then_only_its_endpoints_reach_it() -> None:
    """The policy lets in their calls and no other; about those the authorizer decides."""
    (api,) = resources_of(PARAMETER_SETS["private"], "AWS::ApiGateway::RestApi").values()
    endpoints = OTHER_VALUES["VpcEndpointIds"].split(",")
    (statement,) = api["Properties"]["Policy"]["Statement"]

    assert {"Types": ["PRIVATE"], "VpcEndpointIds": endpoints} == api["Properties"][
        "EndpointConfiguration"
    ]
    assert ("Allow", "execute-api:Invoke") == (statement["Effect"], statement["Action"])
    assert {"StringEquals": {"aws:SourceVpce": endpoints}} == statement["Condition"]


def test_when_the_api_is_public_then_it_has_no_policy_of_its_own() -> None:
    """The authorizer decides."""
    (api,) = resources_of(FIRST_DAY, "AWS::ApiGateway::RestApi").values()

    assert {"Types": ["REGIONAL"]} == api["Properties"]["EndpointConfiguration"]
    assert "Policy" not in api["Properties"]


def test_when_there_is_a_web_acl_then_it_stands_before_the_stage() -> None:
    """By the ARN that a stage has for AWS WAF."""
    parameters = FIRST_DAY | chosen("WebAclArn")
    association = properties(parameters, "WebAclAssociation")

    assert OTHER_VALUES["WebAclArn"] == association["WebACLArn"]
    assert "WebAclAssociation" not in stack(FIRST_DAY)["Resources"]
    arn = TEMPLATE["Resources"]["WebAclAssociation"]["Properties"]["ResourceArn"]["Fn::Sub"]
    assert (
        "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${Stage}",
        {"Stage": {"Ref": "Api.Stage"}},
    ) == tuple(arn)


# --- in every stack -------------------------------------------------------------------------------

SETTINGS = {
    "AuthorizerFunction": authorizer_settings.SETTINGS,
    "RecordsFunction": backend_settings.RECORDS_SETTINGS,
    "DiscoveryFunction": backend_settings.DISCOVERY_SETTINGS,
    "HealthFunction": (),
}
PUBLIC = {(route.method.lower(), route.path) for route in ROUTES if route not in PROTECTED_ROUTES}


def wrong_functions(made: Mapping[str, Any]) -> set[str]:
    """Functions whose runtime or settings are not those that the code is written for."""
    wrong = set()
    for name, settings in SETTINGS.items():
        function = made["Resources"][name]["Properties"]
        given = function.get("Environment", {}).get("Variables", {})
        read = {setting.name for setting in settings} - {"ENTRA_AUTHORITY"}
        if function["Runtime"] != "python3.13" or read != given.keys():
            wrong.add(name)
    return wrong


def wrong_operations(made: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Routes that are not known, or that ask for more or less than their authorizer."""
    (api,) = (each for each in made["Resources"].values() if "RestApi" in each["Type"])
    paths = api["Properties"]["Body"]["paths"]
    found = {
        (method, path): operation["security"]
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    expected: dict[tuple[str, str], object] = {
        (route.method.lower(), route.path): [{"NONE": []}]
        if (route.method.lower(), route.path) in PUBLIC
        else [{"EntraToken": []}]
        for route in ROUTES
    }
    return {
        operation
        for operation in found.keys() | expected.keys()
        if found.get(operation) != expected.get(operation)
    }


def cached_seconds(made: Mapping[str, Any]) -> int:
    """For how long API Gateway keeps the authorizer's answer."""
    (api,) = (each for each in made["Resources"].values() if "RestApi" in each["Type"])
    (scheme,) = api["Properties"]["Body"]["components"]["securitySchemes"].values()
    return int(scheme["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"])


@pytest.mark.parametrize("parameters", PARAMETER_SETS.values(), ids=PARAMETER_SETS)
def test_when_an_option_is_chosen_then_functions_and_routes_stay_what_they_are(
    parameters: Mapping[str, str],
) -> None:
    """Each setting is given and no other, each route has its authorizer but the two public ones."""
    made = stack(parameters)

    assert 7 == len(ROUTES)
    assert {("get", "/health"), ("get", "/.well-known/oauth-protected-resource")} == PUBLIC
    assert set() == wrong_functions(made)
    assert set() == wrong_operations(made)
    assert int(parameters.get("AuthorizerResultTtlInSeconds", "300")) == cached_seconds(made)


def changed_stack(*path: str, value: object) -> dict[str, Any]:
    """The first day's stack, from a template with another value at this place."""
    template = deepcopy(TEMPLATE)
    place = template
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return deployed(transform(template, FIRST_DAY), FIRST_DAY)


def test_when_a_runtime_does_not_exist_then_it_is_found() -> None:
    """No linter knows: `python3.31` in Globals passes."""
    made = changed_stack("Globals", "Function", "Runtime", value="python3.31")

    assert SETTINGS.keys() == wrong_functions(made)


def test_when_a_setting_has_no_reader_then_its_function_is_found() -> None:
    """A renamed one is one too few and one too many."""
    variables = ("Properties", "Environment", "Variables")
    made = changed_stack("Resources", "RecordsFunction", *variables, value={"TABLE": "x"})

    assert {"RecordsFunction"} == wrong_functions(made)


def test_when_a_route_loses_its_authorizer_then_it_is_found() -> None:
    """In what API Gateway imports, whatever the template says of defaults."""
    event = ("Resources", "RecordsFunction", "Properties", "Events", "DeleteRecord")
    made = changed_stack(*event, "Properties", "Auth", value={"Authorizer": "NONE"})

    assert {("delete", "/v1/records/{id}")} == wrong_operations(made)


def test_when_answers_are_kept_for_hours_then_it_is_found() -> None:
    """No linter knows: 9999 seconds pass."""
    authorizer = ("Resources", "Api", "Properties", "Auth", "Authorizers", "EntraToken")
    made = changed_stack(*authorizer, "Identity", "ReauthorizeEvery", value=9999)

    assert 9999 == cached_seconds(made)


def test_when_roles_have_a_boundary_then_each_role_of_the_stack_has_it() -> None:
    """A pipeline may make no other. The gateway's log role is its account's administrator's."""
    parameters = PARAMETER_SETS["provisioned"] | chosen("RolesBoundary")
    bounded = {
        name
        for name, each in resources_of(parameters, "AWS::IAM::Role").items()
        if each["Properties"].get("PermissionsBoundary") == OTHER_VALUES["RolesBoundary"]
    }

    assert resources_of(parameters, "AWS::IAM::Role").keys() == bounded
    assert {"RolloutRole"} == bounded - {name.replace("Function", "Role") for name in FUNCTIONS}
    assert all(
        "PermissionsBoundary" not in each["Properties"]
        for each in resources_of(FIRST_DAY, "AWS::IAM::Role").values()
    )
