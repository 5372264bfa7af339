"""The role that a GitHub environment deploys with, against what the SAM template deploys."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from emulator.aws.template import load_template
from tests.support.sam_template import deployed, transform
from tests.support.tool_environments import POLICY_CHECKS, run_tool

ROOT = Path(__file__).parents[2]
FILE = ROOT / "infra" / "aws" / "github.yaml"
TEMPLATE = load_template(FILE)
DEPLOYED = load_template(ROOT / "infra" / "aws" / "template.yaml")
GUID = "11111111-1111-4111-8111-111111111111"

ACCOUNT = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
}
FIRST = {
    "SubjectPrefix": "repo:owner@1/name@2",
    "EnvironmentName": "dev",
    "StackName": "bridge-dev",
}
EVERYTHING = FIRST | {
    "ProviderArn": "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com",
    "HostedZoneId": "Z123",
    "WebAclArn": f"arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/bridge/{GUID}",
    "TruststoreArn": "arn:aws:s3:::truststore/authorities.pem",
}

NOT_BY_A_PIPELINE = {
    "AWS::ApiGateway::Account": "the whole account has one: a person sets it on the first day",
}
"""Types of resource that only a person deploys."""

PERSONS_ROLES = {
    "GatewayLogRole": "belongs to the account's setting above, and outlives the stack",
}
"""Roles that need no boundary, because a pipeline never makes them."""

UNUSED: dict[str, dict[str, str]] = {
    "AWS::ApiGateway::RestApi": {
        "iam:PassRole": "no integration has a role: functions are called by permission",
        "s3:GetObject": "the definition stands in the template",
    },
    "AWS::DynamoDB::Table": {
        "dynamodb:*Replica": "no global table",
        "dynamodb:*Item": "CloudFormation touches no items but a replica's",
        "dynamodb:Query": "as above",
        "dynamodb:Scan": "as above",
        "dynamodb:*ImportTable": "nothing is imported from S3",
        "dynamodb:DescribeImport": "as above",
        "dynamodb:DeleteTable": "the table is retained, and no pipeline may end it",
        "dynamodb:PutResourcePolicy": "the table has no policy of its own",
        "dynamodb:DeleteResourcePolicy": "as above",
        "dynamodb:EnableKinesisStreamingDestination": "the table streams nowhere",
        "dynamodb:DisableKinesisStreamingDestination": "as above",
        "dynamodb:UpdateKinesisStreamingDestination": "as above",
        "dynamodb:UpdateContributorInsights": "no contributor insights",
        "dynamodb:UpdateTimeToLive": "nothing expires by itself",
        "iam:CreateServiceLinkedRole": "for replicas and for scaling that the table has not",
        "kinesis:*": "the table streams nowhere",
        "kms:*": "AWS's own key",
        "logs:*": "for an import",
        "s3:*": "for an import",
    },
    "AWS::IAM::Role": {
        "iam:DeleteRolePermissionsBoundary": "the boundary is what keeps the pipeline in bounds",
    },
    "AWS::Lambda::Function": {
        "ec2:*": "no function is in a VPC",
        "elasticfilesystem:*": "no function mounts a file system",
        "s3files:*": "as above",
        "kms:*": "AWS's own key",
        "lambda:*CodeSigningConfig": "no code signing",
        "lambda:GetLayerVersion": "no layers",
        "lambda:PassCapacityProvider": "no capacity provider",
        "lambda:AssociateRuntimeAlias": "no runtime alias",
    },
    "AWS::Logs::LogGroup": {
        "firehose:*": "no delivery to Firehose",
        "logs:*KmsKey": "AWS's own key",
        "logs:CreateLogDelivery": "no group of the class DELIVERY",
        "logs:DeleteDataProtectionPolicy": "no data protection policy",
        "logs:PutDataProtectionPolicy": "as above",
        "logs:DeleteIndexPolicy": "no field indexes",
        "logs:PutIndexPolicy": "as above",
        "logs:DeleteResourcePolicy": "no resource policy",
        "logs:PutResourcePolicy": "as above",
        "logs:PutBearerTokenAuthentication": "no bearer tokens",
        "s3:*": "no delivery to S3",
    },
    "AWS::CodeDeploy::DeploymentGroup": {
        "codedeploy:RegisterOnPremisesInstance": "there are functions only",
    },
    "AWS::WAFv2::WebACLAssociation": {
        f"{service}:*": "the association is with a stage"
        for service in (
            "amplify",
            "apprunner",
            "appsync",
            "bedrock-agentcore",
            "cognito-idp",
            "ec2",
            "elasticloadbalancing",
        )
    }
    | {
        "wafv2:*PermissionPolicy": "the web ACL is of this account",
    },
}
"""Rights that CloudFormation's own list names for a type, and that this stack never needs: why."""

WITHOUT_A_RESOURCE = {
    "codedeploy:StopDeployment",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "route53:ListHostedZones",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""Actions that may be allowed on "*": what they look at has no name of ours."""

POLICIES = ["StackPolicy", "FunctionsPolicy", "OperationsPolicy", "RolesPolicy", "RolesBoundary"]

PARLIAMENTS_ERRORS = {
    ("UNKNOWN_ACTION", "Unknown action lambda:GetFunctionScalingConfig"): "newer than its data",
    ("UNKNOWN_ACTION", "Unknown action lambda:PutFunctionScalingConfig"): "newer than its data",
    ("UNKNOWN_ACTION", "Unknown action logs:PutLogGroupDeletionProtection"): "newer than its data",
    (
        "INVALID_ARN",
        "Account expected to be of form like 123456789012",
    ): "SAM's transform belongs to the account `aws`",
    (
        "MISMATCHED_TYPE_BUT_USABLE",
        "Type mismatch: StringEquals requires a value of type String but given Arn",
    ): "AWS's own examples compare iam:PermissionsBoundary so, and no wildcard is wanted",
}
"""What parliament finds and is none, with the reason."""

MOST_POLICY_CHARACTERS = 6144
"""Of a managed policy, without white space (IAM's quotas)."""


def _resolve(value: Any) -> Any:
    """The value with the account's own values in place of pseudo parameters."""
    match value:
        case list():
            resolved: Any = [_resolve(each) for each in value]
        case {"Fn::Sub": text}:
            resolved = re.sub(r"\$\{([^}]+)\}", lambda found: ACCOUNT[found[1]], text)
        case {"Ref": name}:
            resolved = ACCOUNT.get(name, f"arn:aws:iam::123456789012:policy/{name}")
        case {"Fn::GetAtt": [name, "Arn"]}:
            resolved = f"arn:aws:iam::123456789012:oidc-provider/{name}"
        case dict():
            resolved = {key: _resolve(each) for key, each in value.items()}
        case _:
            resolved = value
    return resolved


def resources(parameters: Mapping[str, str] = EVERYTHING) -> dict[str, Any]:
    """The resources that these parameters make."""
    found: dict[str, Any] = _resolve(deployed(TEMPLATE, parameters)["Resources"])
    return found


def policies(parameters: Mapping[str, str] = EVERYTHING) -> dict[str, dict[str, Any]]:
    """Every managed policy's document, by logical ID."""
    return {
        name: each["Properties"]["PolicyDocument"]
        for name, each in resources(parameters).items()
        if each["Type"] == "AWS::IAM::ManagedPolicy"
    }


def statements(*names: str) -> Iterator[dict[str, Any]]:
    """The statements of the named policies."""
    documents = policies()
    for name in names:
        yield from documents[name]["Statement"]


def as_list(value: str | list[str]) -> list[str]:
    """The value as a list, if it is none."""
    return [value] if isinstance(value, str) else value


def role_statements() -> list[dict[str, Any]]:
    """The statements of every policy that the deploying role has."""
    attached = TEMPLATE["Resources"]["DeployRole"]["Properties"]["ManagedPolicyArns"]
    return list(statements(*(each["Ref"] for each in attached)))


def allowed_actions() -> set[str]:
    """What the deploying role may do at all."""
    return {action for each in role_statements() for action in as_list(each["Action"])}


@cache
def needed_actions(kind: str) -> frozenset[str]:
    """What CloudFormation does with its caller's rights to a resource of this type."""
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    return frozenset(
        action
        for event in ("create", "read", "update", "delete")
        for action in handlers.get(event, {}).get("permissions", [])
    )


def is_unused(kind: str, action: str) -> bool:
    """Whether the table above says why this stack does not need the action."""
    return any(_matches(pattern, action) for pattern in UNUSED.get(kind, {}))


def _matches(pattern: str, action: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action) is not None


def missing_rights(template: Mapping[str, Any]) -> dict[str, set[str]]:
    """What the deploying role lacks for the template, by type of resource."""
    transformed = transform(
        template, {"EntraTenantId": GUID, "ApiClientId": GUID, "AllowedClientIds": GUID}
    )
    kinds = {each["Type"] for each in transformed["Resources"].values()}
    lacking = {
        kind: {
            action
            for action in needed_actions(kind) - allowed_actions()
            if not is_unused(kind, action)
        }
        for kind in kinds - NOT_BY_A_PIPELINE.keys()
    }
    return {kind: actions for kind, actions in lacking.items() if actions}


# --- enough rights -------------------------------------------------------------------------------


def test_when_the_stack_is_deployed_then_the_role_may_do_all_that_it_takes() -> None:
    """Each action that CloudFormation's schema names for a type of resource, but for the unused."""
    assert {} == missing_rights(DEPLOYED)


def test_when_the_template_gets_another_type_of_resource_then_the_role_lacks_its_rights() -> None:
    """Nobody adds a queue and finds out in production that the pipeline may not make it."""
    template = deepcopy(DEPLOYED)
    template["Resources"]["Queue"] = {"Type": "AWS::SQS::Queue", "Properties": {}}

    assert {"AWS::SQS::Queue"} == missing_rights(template).keys()


def test_when_rights_are_compared_then_there_are_some() -> None:
    """Else the comparison would find nothing wrong in nothing."""
    assert {"lambda:CreateFunction", "lambda:UpdateFunctionCode"} <= needed_actions(
        "AWS::Lambda::Function"
    )
    assert 100 < len(allowed_actions())


@pytest.mark.parametrize("kind", UNUSED)
def test_when_a_right_is_said_to_be_unused_then_the_schema_names_it_and_the_role_has_it_not(
    kind: str,
) -> None:
    """The table holds no line that nothing needs, nor one that is not true."""
    stale = [
        pattern
        for pattern in UNUSED[kind]
        if not any(_matches(pattern, action) for action in needed_actions(kind))
    ]

    assert [] == stale


def test_when_the_backend_gets_a_right_then_the_boundary_has_it_too() -> None:
    """A role may do what both its policies and the boundary allow."""
    transformed = transform(
        DEPLOYED, {"EntraTenantId": GUID, "ApiClientId": GUID, "AllowedClientIds": GUID}
    )
    granted = {
        action
        for each in transformed["Resources"].values()
        if each["Type"] == "AWS::IAM::Role"
        for action in _granted(each["Properties"].get("Policies", []))
    }
    bounded = {action for each in statements("RolesBoundary") for action in as_list(each["Action"])}

    assert "dynamodb:Query" in granted
    assert set() == granted - bounded


def _granted(policy: Any) -> Iterator[str]:
    if isinstance(policy, list):
        for each in policy:
            yield from _granted(each)
    elif isinstance(policy, dict):
        if policy.get("Effect") == "Allow":
            yield from as_list(policy["Action"])
        for each in policy.values():
            yield from _granted(each)


# --- not more than enough ------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [FIRST, EVERYTHING], ids=["first", "everything"])
def test_when_another_job_asks_for_the_role_then_it_is_not_trusted(
    parameters: dict[str, str],
) -> None:
    """One audience and one subject, both compared letter by letter, and no other condition."""
    role = resources(parameters)["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]
    (statement,) = role["Statement"]
    issuer = "token.actions.githubusercontent.com"

    assert "sts:AssumeRoleWithWebIdentity" == statement["Action"]
    assert {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": "repo:owner@1/name@2:environment:dev",
        }
    } == statement["Condition"]


@pytest.mark.parametrize(
    ("prefix", "is_one"),
    [
        ("repo:owner/name", True),
        ("repo:owner@12/name.py@34", True),
        ("repo:owner/*", False),
        ("repo:owner@*/name", False),
        ("owner/name", False),
        ("repo:owner/name:environment:prod", False),
    ],
)
def test_when_a_subject_prefix_would_trust_more_than_one_repository_then_it_is_refused(
    prefix: str, *, is_one: bool
) -> None:
    """Both forms that GitHub writes, and no wildcard."""
    pattern = TEMPLATE["Parameters"]["SubjectPrefix"]["AllowedPattern"]

    assert is_one == bool(re.fullmatch(pattern, prefix))


@pytest.mark.parametrize("name", POLICIES)
def test_when_a_right_is_given_then_it_is_spelled_out(name: str) -> None:
    """No wildcard in an action, and "*" as a resource only where there is no name of ours."""
    for statement in statements(name):
        actions = as_list(statement["Action"])

        assert "Allow" == statement["Effect"]
        assert [] == [action for action in actions if "*" in action]
        if "*" in as_list(statement["Resource"]):
            assert set() == set(actions) - WITHOUT_A_RESOURCE


@pytest.mark.parametrize("name", ["FunctionsPolicy", "OperationsPolicy", "RolesPolicy"])
def test_when_the_pipeline_changes_a_resource_by_itself_then_it_may_not(name: str) -> None:
    """Only CloudFormation may, with the pipeline's rights."""
    for statement in statements(name):
        assert {"aws:CalledVia": ["cloudformation.amazonaws.com"]} == statement["Condition"][
            "ForAnyValue:StringEquals"
        ]


def test_when_the_role_would_change_itself_then_it_may_not() -> None:
    """Neither its own name nor its boundary's is among the names that it may change."""
    made = resources()
    own = made["DeployRole"]["Properties"]["RoleName"]
    roles = {
        resource.rpartition(":role/")[2]
        for statement in role_statements()
        for resource in as_list(statement["Resource"])
        if ":role/" in resource
    }

    assert {"bridge-dev-*"} == roles
    assert not own.startswith("bridge-dev-")
    assert [] == [
        action for action in allowed_actions() if action.startswith("iam:") and "Role" not in action
    ]


def test_when_the_role_looks_at_its_own_stack_then_it_changes_nothing_there() -> None:
    """`bridge deploy` compares; a pipeline that could update it would give itself any right."""
    own = {
        action
        for statement in role_statements()
        for resource in as_list(statement["Resource"])
        if "stack/bridge-dev-github/" in resource
        for action in as_list(statement["Action"])
    }

    assert {"cloudformation:DescribeStacks"} == own


@pytest.mark.parametrize(
    "action",
    [
        "iam:AttachRolePolicy",
        "iam:CreateRole",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
    ],
)
def test_when_the_pipeline_makes_a_role_then_the_boundary_is_on_it(action: str) -> None:
    """So that no template makes a role that may do more than the bridge's."""
    (statement,) = [each for each in role_statements() if action in as_list(each["Action"])]

    assert (
        "arn:aws:iam::123456789012:policy/RolesBoundary"
        == statement["Condition"]["StringEquals"]["iam:PermissionsBoundary"]
    )


def test_when_the_template_makes_a_role_then_it_takes_the_boundary() -> None:
    """Else the pipeline could not make it."""
    without = {
        name
        for name, each in DEPLOYED["Resources"].items()
        if each["Type"] == "AWS::IAM::Role"
        and {"Fn::If": ["HasRolesBoundary", {"Ref": "RolesBoundary"}, {"Ref": "AWS::NoValue"}]}
        != each["Properties"].get("PermissionsBoundary")
    }

    assert PERSONS_ROLES.keys() == without


# --- what a template of somebody else's could do -------------------------------------------------

ACCOUNT_ARN = "arn:aws:iam::123456789012"
BOUNDARY = f"{ACCOUNT_ARN}:policy/RolesBoundary"
BY_CLOUDFORMATION = {"aws:CalledVia": "cloudformation.amazonaws.com"}
OWN_ROLE = f"{ACCOUNT_ARN}:role/bridge-dev-AuthorizerFunctionRole-1"


def allows(document: list[dict[str, Any]], action: str, resource: str, **keys: str) -> bool:
    """Whether a policy of these statements, all of which allow, lets this call through."""
    return any(
        action in as_list(each["Action"])
        and any(_matches(pattern, resource) for pattern in as_list(each["Resource"]))
        and all(
            keys.get(key) in as_list(values)
            for compared in each.get("Condition", {}).values()
            for key, values in compared.items()
        )
        for each in document
    )


def pipeline_may(action: str, resource: str, **keys: str) -> bool:
    """Whether CloudFormation may, with the pipeline's rights and a template of anybody's."""
    return allows(role_statements(), action, resource, **keys, **BY_CLOUDFORMATION)


def test_when_the_bridges_own_template_is_deployed_then_it_may_be() -> None:
    """The evaluation finds what is allowed, and only by CloudFormation."""
    bounded = {"iam:PermissionsBoundary": BOUNDARY}

    assert pipeline_may("iam:CreateRole", OWN_ROLE, **bounded)
    assert pipeline_may("iam:PutRolePolicy", OWN_ROLE, **bounded)
    assert pipeline_may("iam:PassRole", OWN_ROLE, **{"iam:PassedToService": "lambda.amazonaws.com"})
    assert not allows(role_statements(), "iam:CreateRole", OWN_ROLE, **bounded)


@pytest.mark.parametrize("action", sorted(a for a in allowed_actions() if a.startswith("iam:")))
@pytest.mark.parametrize(
    "role",
    ["admin", "github-deploys-bridge-dev", "bridge-dev", "bridge-prod-X", "path/bridge-dev-X"],
)
@pytest.mark.parametrize("service", ["lambda.amazonaws.com", "cloudformation.amazonaws.com"])
def test_when_a_role_is_not_the_stacks_then_no_template_changes_or_passes_it(
    action: str, role: str, service: str
) -> None:
    """Not an administrator's, nor the pipeline's own, nor another environment's."""
    keys = {"iam:PermissionsBoundary": BOUNDARY, "iam:PassedToService": service}

    assert not pipeline_may(action, f"{ACCOUNT_ARN}:role/{role}", **keys)


@pytest.mark.parametrize(
    "boundary", ["", f"{ACCOUNT_ARN}:policy/mine", "arn:aws:iam::aws:policy/A"]
)
@pytest.mark.parametrize("action", ["iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"])
def test_when_a_role_has_not_the_boundary_then_no_template_gives_it_rights(
    action: str, boundary: str
) -> None:
    """So a template of an administrator's role ends in AccessDenied."""
    keys = {"iam:PermissionsBoundary": boundary} if boundary else {}

    assert not pipeline_may(action, OWN_ROLE, **keys)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:DeleteRolePermissionsBoundary", OWN_ROLE),
        ("iam:PutRolePermissionsBoundary", OWN_ROLE),
        ("iam:CreatePolicyVersion", f"{ACCOUNT_ARN}:policy/github-boundary-bridge-dev"),
        ("iam:SetDefaultPolicyVersion", f"{ACCOUNT_ARN}:policy/github-boundary-bridge-dev"),
        ("iam:DeletePolicy", f"{ACCOUNT_ARN}:policy/github-boundary-bridge-dev"),
        ("iam:CreateUser", f"{ACCOUNT_ARN}:user/bridge-dev-x"),
        ("iam:CreateAccessKey", f"{ACCOUNT_ARN}:user/admin"),
        ("iam:CreateServiceLinkedRole", f"{ACCOUNT_ARN}:role/aws-service-role/x"),
        ("sts:AssumeRole", OWN_ROLE),
        ("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:123456789012:function:bridge-dev-x"),
        ("lambda:UpdateFunctionCode", "arn:aws:lambda:eu-west-1:123456789012:function:bridge-x"),
        (
            "cloudformation:CreateChangeSet",
            "arn:aws:cloudformation:eu-west-1:123456789012:stack/bridge-dev-github/1",
        ),
        (
            "cloudformation:ExecuteChangeSet",
            "arn:aws:cloudformation:eu-west-1:123456789012:stack/bridge-dev-github/1",
        ),
        (
            "cloudformation:CreateChangeSet",
            "arn:aws:cloudformation:eu-west-1:aws:transform/Include",
        ),
        ("cloudformation:DeleteStack", "arn:aws:cloudformation:eu-west-1:123456789012:stack/b/1"),
        ("secretsmanager:GetSecretValue", "*"),
        ("ssm:GetParameters", "*"),
    ],
)
def test_when_a_template_reaches_for_more_then_it_is_refused(action: str, resource: str) -> None:
    """The boundary stays on, and is what it is; nobody is made or taken on besides."""
    assert not pipeline_may(action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/bridge-prod-Records"),
        ("dynamodb:Query", "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"),
        ("dynamodb:DeleteItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/bridge-dev-R"),
        ("lambda:UpdateAlias", "arn:aws:lambda:eu-west-1:123456789012:function:bridge-prod-A"),
        ("iam:CreateRole", OWN_ROLE),
        ("iam:PassRole", OWN_ROLE),
        ("sts:AssumeRole", OWN_ROLE),
    ],
)
def test_when_a_role_is_given_every_right_then_the_boundary_keeps_it_within_the_stack(
    action: str, resource: str
) -> None:
    """A template can give its role anything, and let anybody take it: this is what is left."""
    boundary = list(statements("RolesBoundary"))
    own = "arn:aws:dynamodb:eu-west-1:123456789012:table/bridge-dev-RecordsTable-1"

    assert not allows(boundary, action, resource)
    assert allows(boundary, "dynamodb:PutItem", own)
    assert allows(boundary, "dynamodb:Query", f"{own}/index/feed")


def test_when_a_role_is_under_no_boundary_then_no_template_of_the_pipeline_reaches_it() -> None:
    """Whom it trusts can be changed by its name only; with a path it has another."""
    for name in PERSONS_ROLES:
        path = DEPLOYED["Resources"][name]["Properties"]["Path"]
        role = f"{ACCOUNT_ARN}:role{path}bridge-dev-{name}-1"

        assert not pipeline_may("iam:UpdateAssumeRolePolicy", role)
        assert not pipeline_may(
            "iam:PassRole", role, **{"iam:PassedToService": "lambda.amazonaws.com"}
        )


# --- the tools' opinion --------------------------------------------------------------------------

ANALYZE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import parliament
documents = json.load(sys.stdin)
findings = {}
for name, document in documents.items():
    analyzed = parliament.analyze_policy_string(json.dumps(document))
    findings[name] = [[found.issue, str(found.detail)] for found in analyzed.findings]
json.dump(findings, sys.stdout)
"""


def findings(documents: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """What parliament finds wrong in each document."""
    result = run_tool(POLICY_CHECKS / "python", "-c", ANALYZE, given=json.dumps(documents))
    assert 0 == result.returncode, result.stderr
    found: dict[str, list[list[str]]] = json.loads(result.stdout)
    return found


def test_when_parliament_reads_the_policies_then_it_finds_nothing() -> None:
    """Actions that exist, on resources that they know, under conditions that they have."""
    documents = policies()
    found = {(issue, detail) for each in findings(documents).values() for issue, detail in each}

    assert set(POLICIES) == documents.keys()
    assert PARLIAMENTS_ERRORS.keys() == found


@pytest.mark.parametrize(
    ("action", "resource", "issue"),
    [
        ("lambda:CreateFunktion", "*", "UNKNOWN_ACTION"),
        ("dynamodb:UpdateTable", "arn:aws:s3:::bucket/*", "RESOURCE_MISMATCH"),
    ],
)
def test_when_a_policy_is_wrong_then_parliament_finds_it(
    action: str, resource: str, issue: str
) -> None:
    """The check bites."""
    document = deepcopy(policies()["FunctionsPolicy"])
    document["Statement"].append({"Effect": "Allow", "Action": action, "Resource": resource})

    assert issue in {found for found, _ in findings({"wrong": document})["wrong"]}


@pytest.mark.parametrize("name", POLICIES)
def test_when_a_policy_is_made_then_iam_takes_its_length(name: str) -> None:
    """With the longest stack name that bridge.toml gives: 16 and 31 characters and a hyphen."""
    longest = EVERYTHING | {"StackName": f"{'n' * 16}-{'e' * 31}"}
    document = json.dumps(policies(longest)[name], separators=(",", ":"))

    assert MOST_POLICY_CHARACTERS >= len(document)


def test_when_cfn_lint_reads_the_template_then_it_finds_nothing() -> None:
    """YAML aliases, for one, are found: CloudFormation takes none."""
    assert (0, "") == _lint(FILE)


def test_when_the_template_is_wrong_then_cfn_lint_finds_it(tmp_path: Path) -> None:
    """The check bites."""
    wrong = tmp_path / "github.yaml"
    text = FILE.read_text(encoding="utf-8")
    wrong.write_text(text.replace("MaxSessionDuration: 3600", "MaxSessionDuration: 360000"))
    status, found = _lint(wrong)

    assert 0 != status
    assert "360000" in found


def _lint(file: Path) -> tuple[int, str]:
    linted = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--", file],
        capture_output=True,
        text=True,
        check=False,
    )
    return linted.returncode, linted.stdout
