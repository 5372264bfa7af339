"""The stacks that the template makes with sets of parameters, as CloudFormation gets them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from emulator.aws.template import load_template
from tests.support.sam_template import deployed, transform

TEMPLATE = load_template(Path(__file__).parents[2] / "infra" / "aws" / "template.yaml")
GUID = "11111111-1111-4111-8111-111111111111"
URL = "https://abc123.execute-api.eu-west-1.amazonaws.com/prod"

FIRST_DAY = {"EntraTenantId": GUID, "ApiClientId": GUID, "AllowedClientIds": GUID}
"""What must be given, and nothing else."""

OTHER_VALUES = {
    "EntraTenantId": "22222222-2222-4222-8222-222222222222",
    "EntraCloud": "usgov",
    "ApiClientId": "22222222-2222-4222-8222-222222222222",
    "ApiAppIdUri": "api://other",
    "AllowedClientIds": "22222222-2222-4222-8222-222222222222",
    "AcceptedTokenVersions": "1.0",
    "AdditionalTenantIds": GUID,
    "AdditionalAudiences": f"{GUID},https://api.example",
    "DelegatedScopes": "access_as_user=Records.Read",
    "ApiKeySource": "AUTHORIZER",
    "UsagePlanKeys": f"{GUID}=made-up-key-of-a-usage-plan",
    "HttpApiSimpleResponses": "true",
    "HttpApiCachesByRoute": "true",
    "ClockLeewaySeconds": "0",
    "KeySetFile": "key_set.json",
    "KeySetFileMaxAgeSeconds": "300",
    "KeySetMaxAgeSeconds": "600",
    "KeySetMaxStaleSeconds": "7200",
    "KeySetCoolDownSeconds": "60",
    "KeySetFetchSeconds": "0.5",
    "VerifiedTokenCacheSize": "0",
    "StageName": "v1",
    "AuthorizerResultTtlInSeconds": "0",
    "PublicUrl": URL,
    "ThrottleRate": "1",
    "ThrottleBurst": "1",
    "LogRetentionInDays": "1",
    "ManageGatewayLogRole": "true",
    "RolesBoundary": "arn:aws:iam::123456789012:policy/boundary",
    "FeedShards": "16",
    "RestoredTable": "records-restored",
    "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
    "KeySetAgeAlarmSeconds": "300",
    "Architecture": "x86_64",
    "AuthorizerRelease": "2026-11-22.1",
    "AuthorizerRollout": "Canary10Percent5Minutes",
    "AuthorizerSnapStart": "true",
    "AuthorizerProvisionedConcurrency": "2",
    "Tracing": "true",
    "Dashboard": "true",
    "TableDeletionProtection": "true",
    "CustomDomain": "api.example.com",
    "CertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/11111111-2222",
    "HostedZoneId": "Z0123456789ABC",
    "TruststoreUri": "s3://trust/authorities.pem",
    "TruststoreVersion": "v1",
    "DefaultEndpoint": "closed",
    "VpcEndpointIds": "vpce-0123456789abcdef0,vpce-0fedcba9876543210",
    "WebAclArn": f"arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/edge/{GUID}",
}
"""For each parameter a value that is neither its default nor the first day's."""

IN_THE_RULES = {
    "PublicUrl",
    "AuthorizerRelease",
    "AuthorizerRollout",
    "AuthorizerSnapStart",
    "AuthorizerProvisionedConcurrency",
    "CustomDomain",
    "CertificateArn",
    "HostedZoneId",
    "TruststoreUri",
    "TruststoreVersion",
    "DefaultEndpoint",
    "VpcEndpointIds",
}
"""The parameters that the template's rules look at: not every value goes with every other."""


def chosen(*names: str) -> dict[str, str]:
    """The other values of these parameters."""
    return {name: OTHER_VALUES[name] for name in names}


ALONE = {name: value for name, value in OTHER_VALUES.items() if name not in IN_THE_RULES}
RELEASE = chosen("AuthorizerRelease")
DOMAIN = chosen("CustomDomain", "CertificateArn")
MUTUAL_TLS = DOMAIN | chosen("HostedZoneId", "TruststoreUri", "TruststoreVersion")

PARAMETER_SETS = {
    "first day": FIRST_DAY,
    "second deployment": FIRST_DAY | {"PublicUrl": URL},
    "fresh account": FIRST_DAY | {"ManageGatewayLogRole": "true"},
    "release": FIRST_DAY | RELEASE,
    "provisioned": FIRST_DAY
    | RELEASE
    | chosen("AuthorizerRollout", "AuthorizerProvisionedConcurrency"),
    "domain": FIRST_DAY | DOMAIN,
    "mutual TLS": FIRST_DAY | ALONE | MUTUAL_TLS | RELEASE,
    "private": FIRST_DAY
    | ALONE
    | RELEASE
    | chosen("PublicUrl", "VpcEndpointIds", "AuthorizerRollout", "AuthorizerSnapStart"),
}


@cache
def _stack(parameters: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return deployed(transform(TEMPLATE, dict(parameters)), dict(parameters))


def stack(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The stack that these parameters make."""
    return _stack(tuple(sorted(parameters.items())))


def resources_of(parameters: Mapping[str, str], kind: str) -> dict[str, dict[str, Any]]:
    """The resources of one kind, by logical ID."""
    found: dict[str, dict[str, Any]] = stack(parameters)["Resources"]
    return {name: each for name, each in found.items() if each["Type"] == kind}


def only_id(parameters: Mapping[str, str], kind: str) -> str:
    """The logical ID of the only resource of a kind."""
    (name,) = resources_of(parameters, kind)
    return name


def definition(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The API's definition, as API Gateway imports it."""
    (api,) = resources_of(parameters, "AWS::ApiGateway::RestApi").values()
    body: dict[str, Any] = api["Properties"]["Body"]
    return body
