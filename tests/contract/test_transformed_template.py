"""The SAM template as CloudFormation gets it, with several sets of parameters.

The local AWS does not show these: it makes each stack in one go, in an account without limits.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.aws_stacks import (
    ALONE,
    FIRST_DAY,
    OTHER_VALUES,
    PARAMETER_SETS,
    TEMPLATE,
    URL,
    definition,
    only_id,
    resources_of,
    stack,
)
from tests.support.sam_template import dependencies, references, transform

SETS = pytest.mark.parametrize("parameters", PARAMETER_SETS.values(), ids=PARAMETER_SETS)


def comes_before(parameters: Mapping[str, str], name: str) -> set[str]:
    """Everything that CloudFormation has made by the time that it makes the resource."""
    resources = stack(parameters)["Resources"]
    before: set[str] = set()
    pending = [name]
    while pending:
        for other in dependencies(resources[pending.pop()]) & resources.keys() - before:
            before.add(other)
            pending.append(other)
    return before


# --- what is deployed ---------------------------------------------------------------------------


def test_when_cfn_lint_reads_the_transformed_templates_then_it_finds_nothing(
    tmp_path: Path,
) -> None:
    """What SAM makes of the template passes too, whatever the parameters.

    Only W2001 is no finding: SAM writes values in place of some parameters, which then seem unused.
    """
    files = []
    for number, parameters in enumerate(PARAMETER_SETS.values()):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(transform(TEMPLATE, parameters)))
        files.append(file)
    linted = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--ignore-checks", "W2001", "--", *files],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (linted.returncode, linted.stdout)


def test_when_a_parameter_is_declared_then_these_tests_change_it() -> None:
    """A parameter that no test here varies could do what none of them sees."""
    required = {name for name, each in TEMPLATE["Parameters"].items() if "Default" not in each}

    assert required == set(FIRST_DAY)
    assert set(TEMPLATE["Parameters"]) == set(OTHER_VALUES)
    for name, value in OTHER_VALUES.items():
        declared = TEMPLATE["Parameters"][name]
        assert str(declared.get("Default")) != value
        assert re.fullmatch(declared.get("AllowedPattern", ".*"), value)


@SETS
def test_when_something_is_referred_to_then_it_is_in_the_stack(
    parameters: Mapping[str, str],
) -> None:
    """No condition leaves a reference to a resource that is not made."""
    made = stack(parameters)
    named = {
        name
        for resource in made["Resources"].values()
        for name in dependencies(resource)
        if not name.startswith("AWS::")
    } | {name for name in references(made["Outputs"]) if not name.startswith("AWS::")}

    assert set() == named - made["Resources"].keys()


@SETS
def test_when_resources_are_made_then_none_waits_for_itself(parameters: Mapping[str, str]) -> None:
    """CloudFormation refuses a circle."""
    circles = [
        name for name in stack(parameters)["Resources"] if name in comes_before(parameters, name)
    ]

    assert [] == circles


# --- a new deployment for a new definition -------------------------------------------------------


@pytest.mark.parametrize("parameter", OTHER_VALUES)
def test_when_a_parameter_changes_the_definition_then_the_stage_gets_a_new_deployment(
    parameter: str,
) -> None:
    """A stage serves a snapshot; without a new one a changed definition is never seen."""
    changed = FIRST_DAY | {parameter: OTHER_VALUES[parameter]}
    deployment = "AWS::ApiGateway::Deployment"

    if definition(FIRST_DAY) != definition(changed):
        assert only_id(FIRST_DAY, deployment) != only_id(changed, deployment)
    (stage,) = resources_of(changed, "AWS::ApiGateway::Stage").values()
    assert {"Ref": only_id(changed, deployment)} == stage["Properties"]["DeploymentId"]


def test_when_api_keys_come_from_elsewhere_then_the_stage_gets_a_new_deployment() -> None:
    """The source is a property of the API, and a stage keeps the one that it was deployed with."""
    changed = FIRST_DAY | {"ApiKeySource": "AUTHORIZER"}
    deployment = "AWS::ApiGateway::Deployment"

    assert only_id(FIRST_DAY, deployment) != only_id(changed, deployment)


def test_when_there_are_usage_plan_keys_then_sam_writes_none_of_them_down() -> None:
    """CloudFormation hides the parameter's value, but not what SAM would put in its place."""
    parameters = FIRST_DAY | ALONE
    _, _, key = parameters["UsagePlanKeys"].partition("=")

    assert key not in json.dumps(transform(TEMPLATE, parameters))


def test_when_two_values_of_a_parameter_follow_each_other_then_each_has_its_deployment() -> None:
    """Also from one address to the next, and back."""
    deployments = [
        only_id(FIRST_DAY | {"PublicUrl": url}, "AWS::ApiGateway::Deployment")
        for url in ("", URL, "https://api.example.com", "")
    ]

    assert all(before != after for before, after in pairwise(deployments))
    assert deployments[0] == deployments[-1]


def test_when_nothing_changes_then_neither_does_the_deployment() -> None:
    """Deploying again without a change is no change."""
    one, other = (
        [
            name
            for name, each in transform(TEMPLATE, FIRST_DAY)["Resources"].items()
            if each["Type"] == "AWS::ApiGateway::Deployment"
        ]
        for _ in range(2)
    )

    assert one == other


@pytest.mark.parametrize(
    ("parameters", "challenge"),
    [
        (FIRST_DAY, "'Bearer'"),
        (
            FIRST_DAY | {"PublicUrl": URL},
            f"'Bearer resource_metadata=\"{URL}/.well-known/oauth-protected-resource\"'",
        ),
    ],
    ids=["first deployment", "second deployment"],
)
def test_when_the_public_url_is_known_then_the_challenge_of_a_401_has_it(
    parameters: Mapping[str, str], challenge: str
) -> None:
    """RFC 9728 section 5.1."""
    responses = definition(parameters)["x-amazon-apigateway-gateway-responses"]

    headers = responses["UNAUTHORIZED"]["responseParameters"]
    assert challenge == headers["gatewayresponse.header.WWW-Authenticate"]


@SETS
def test_when_the_authorizer_is_called_then_it_is_by_its_alias(
    parameters: Mapping[str, str],
) -> None:
    """What goes along with its name for SAM's sake is not what is called."""
    (scheme,) = definition(parameters)["components"]["securitySchemes"].values()
    uri = json.dumps(scheme["x-amazon-apigateway-authorizer"]["authorizerUri"])

    assert '{"Fn::Select": [0, [{"Ref": "AuthorizerAlias"}, ' in uri
    assert {"AuthorizerAlias"} == {
        name for name in references(json.loads(uri)) if not name.startswith("AWS::")
    }


@SETS
def test_when_the_authorizer_is_called_then_api_gateway_may(parameters: Mapping[str, str]) -> None:
    """A permission on the function itself would not reach the alias."""
    permitted = [
        each["Properties"]["FunctionName"]
        for name, each in resources_of(parameters, "AWS::Lambda::Permission").items()
        if "Authorizer" in name
    ]

    ((index, choices),) = [each["Fn::Select"] for each in permitted]
    assert (0, {"Ref": "AuthorizerAlias"}) == (index, choices[0])


# --- the role that API Gateway logs with ---------------------------------------------------------


def test_when_the_stack_sets_the_log_role_then_the_stage_waits_for_it() -> None:
    """API Gateway refuses a stage with an access log while the account has no role for it."""
    parameters = PARAMETER_SETS["fresh account"]
    stage = only_id(parameters, "AWS::ApiGateway::Stage")

    assert {"GatewayLogAccount", "GatewayLogRole", "AccessLogGroup"} <= comes_before(
        parameters, stage
    )


def test_when_the_stack_sets_the_log_role_then_there_is_an_api_by_then() -> None:
    """The account setting can only be made where there is an API already."""
    parameters = PARAMETER_SETS["fresh account"]

    assert only_id(parameters, "AWS::ApiGateway::RestApi") in comes_before(
        parameters, "GatewayLogAccount"
    )


def test_when_the_account_has_a_log_role_then_the_stack_leaves_it_alone() -> None:
    """One setting for the whole account is not ours to change."""
    assert not resources_of(FIRST_DAY, "AWS::ApiGateway::Account")
    assert "GatewayLogRole" not in stack(FIRST_DAY)["Resources"]


def test_when_the_stack_no_longer_sets_the_log_role_then_role_and_setting_stay() -> None:
    """Other APIs of the account log with them."""
    for name in ("GatewayLogRole", "GatewayLogAccount"):
        resource = TEMPLATE["Resources"][name]
        assert ("Retain", "Retain") == (resource["DeletionPolicy"], resource["UpdateReplacePolicy"])


@SETS
def test_when_the_stage_logs_then_it_is_to_the_log_group(parameters: Mapping[str, str]) -> None:
    """What goes along with its name for the order's sake is not where it logs to."""
    (stage,) = resources_of(parameters, "AWS::ApiGateway::Stage").values()
    destination = stage["Properties"]["AccessLogSetting"]["DestinationArn"]
    index, choices = destination.get("Fn::Select", [0, [destination]])

    assert {"Fn::GetAtt": ["AccessLogGroup", "Arn"]} == choices[index]


def test_when_a_restored_table_is_named_then_nothing_serves_the_stacks_own() -> None:
    """Setting, permissions, alarms and output all follow; the stack's own table stays as it is."""
    parameters = FIRST_DAY | {"RestoredTable": "records-restored"}
    made = stack(parameters)
    (function,) = (
        each
        for each in resources_of(parameters, "AWS::Lambda::Function").values()
        if "RECORDS_TABLE" in each["Properties"].get("Environment", {}).get("Variables", {})
    )
    (table,) = resources_of(parameters, "AWS::DynamoDB::Table")
    users = {name for name, each in made["Resources"].items() if table in set(references(each))}

    assert "records-restored" == function["Properties"]["Environment"]["Variables"]["RECORDS_TABLE"]
    assert "records-restored" == made["Outputs"]["RecordsTable"]["Value"]
    assert set() == users
    assert table in set(references(stack(FIRST_DAY)["Resources"]["RecordsRole"]))
