"""The IAM policies of the SAM template, against AWS's own lists of actions and resources."""

from copy import deepcopy
from typing import Any

import pytest

from tests.support.aws_stacks import ALONE, FIRST_DAY, PARAMETER_SETS, stack
from tests.support.policy_checks import Judgement, function_policies, judge_policies

EVERYTHING = PARAMETER_SETS["provisioned"] | ALONE
STACKS = {
    "first day": FIRST_DAY,
    "restored table": FIRST_DAY | {"RestoredTable": "records-restored"},
    "everything": EVERYTHING,
}


def policies_of(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every policy of a stack's roles."""
    return dict(function_policies(resources))


@pytest.fixture(scope="module")
def judged() -> dict[str, Judgement]:
    """What is wrong with the policies of each stack; asked once, because the lists load slowly."""
    return judge_policies(
        {
            f"{name}: {policy}": document
            for name, parameters in STACKS.items()
            for policy, document in policies_of(stack(parameters)["Resources"]).items()
        }
    )


def test_when_policies_are_judged_then_nothing_is_wrong_with_them(
    judged: dict[str, Judgement],
) -> None:
    """Each action exists and goes with its resource; nothing is wider than it says."""
    wrong = {name: said for name, said in judged.items() if said.findings or said.unknown}

    assert {} == wrong


def test_when_policies_are_judged_then_none_is_passed_over(judged: dict[str, Judgement]) -> None:
    """Four functions write logs, one uses the table, and all trace where they are asked to."""
    counted = {
        name: (len(found), sum(said.actions for said in found))
        for name in STACKS
        if (found := [said for key, said in judged.items() if key.startswith(f"{name}: ")])
    }

    assert {
        "first day": (5, 13),
        "restored table": (5, 13),
        "everything": (9, 21),
    } == counted


@pytest.mark.parametrize(
    ("role", "change", "says"),
    [
        ("RecordsRole", {"Action": "dynamodb:Qurey"}, "unknown"),
        ("RecordsRole", {"Action": "dynamodb:*"}, "unknown"),
        ("AuthorizerRole", {"Resource": "arn:aws:s3:::bucket"}, "findings"),
    ],
    ids=["misspelt action", "all actions", "another service's resource"],
)
def test_when_a_policy_is_broken_then_it_is_found(
    role: str, change: dict[str, str], says: str
) -> None:
    """Each check is one that can fail."""
    resources = deepcopy(stack(FIRST_DAY)["Resources"])
    for policy in resources[role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            statement.update(change)

    (problems,) = [
        getattr(said, says)
        for name, said in judge_policies(policies_of(resources)).items()
        if name.startswith(f"{role}.") and getattr(said, says)
    ][:1]
    assert problems


@pytest.mark.parametrize("parameters", PARAMETER_SETS.values(), ids=PARAMETER_SETS)
def test_when_a_role_can_be_assumed_then_it_is_by_one_service_of_aws(
    parameters: dict[str, str],
) -> None:
    """Nobody else, and no other account."""
    trusts = {
        name: each["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        for name, each in stack(parameters)["Resources"].items()
        if each["Type"] == "AWS::IAM::Role"
    }

    services = {"GatewayLogRole": "apigateway", "RolloutRole": "codedeploy"}
    assert len(trusts) >= 4
    for name, trust in trusts.items():
        assert [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": f"{services.get(name, 'lambda')}.amazonaws.com"},
            }
        ] == trust


def test_when_a_role_has_a_managed_policy_then_it_is_one_that_is_known() -> None:
    """Of AWS's own, for two services of AWS's that act here; no function has one."""
    managed = {
        name: [each["Fn::Sub"].partition(":policy/")[2] for each in arns]
        for name, role in stack(EVERYTHING)["Resources"].items()
        if role["Type"] == "AWS::IAM::Role"
        and (arns := role["Properties"].get("ManagedPolicyArns", []))
    }

    assert {
        "GatewayLogRole": ["service-role/AmazonAPIGatewayPushToCloudWatchLogs"],
        "RolloutRole": ["service-role/AWSCodeDeployRoleForLambdaLimited"],
    } == managed
