"""The parameters of infra/aws/template.yaml, and what an environment gives them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from aws_authorizer import settings as authorizer
from aws_backend import settings as backend
from deployment.bridge_file import Environment
from deployment.errors import DeploymentError
from deployment.names import names_of
from deployment.parameters.derived_settings import authorizer_settings, backend_settings
from deployment.values import Value, Values, show

TEMPLATE: Final = "infra/aws/template.yaml"
PUBLIC_URL: Final = "PublicUrl"
RELEASE: Final = "AuthorizerRelease"
MANAGE_LOG_ROLE: Final = "ManageGatewayLogRole"
KEPT: Final = frozenset({"UsagePlanKeys"})
"""Parameters that we never give, so that CloudFormation keeps what somebody gave by hand."""

_PARTITIONS: Final = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}

DERIVED_PARAMETERS: Final[Mapping[str, str]] = {
    "StageName": "stage",
    "Architecture": "aws.architecture",
    "CustomDomain": "aws.custom_domain",
    "CertificateArn": "aws.certificate_arn",
    "HostedZoneId": "aws.hosted_zone_id",
    "AlarmTopicArn": "aws.alarm_topic_arn",
    "DefaultEndpoint": "aws.custom_domain",
    PUBLIC_URL: "aws.custom_domain, or the API that the stack makes",
    RELEASE: "what is deployed",
    MANAGE_LOG_ROLE: "what the account has; `bridge preflight` tells",
}
"""Parameters that [aws.parameters] must not give, because they follow from what is named here."""

GITHUB_TRUSTSTORE: Final = re.compile(r"arn:[a-z-]+:s3:::[a-z0-9.-]{3,63}/[A-Za-z0-9!_.()/-]+")
"""What infra/aws/github.yaml takes as `TruststoreArn`."""


@dataclass(frozen=True, slots=True)
class TemplateParameter:
    """One parameter as the template declares it."""

    name: str
    default: str | None
    declaration: Mapping[str, Any]

    def refusal(self, value: str) -> str | None:
        """Return why CloudFormation would refuse the value, or None if it would not."""
        allowed = self.declaration.get("AllowedValues")
        if allowed is not None and value not in map(str, allowed):
            return f"expected one of {', '.join(map(str, allowed))}"
        pattern = self.declaration.get("AllowedPattern")
        if pattern is not None and not re.fullmatch(pattern, value):
            constraint = self.declaration.get("ConstraintDescription", f"must match {pattern}")
            return f"it {constraint}"
        if self.declaration["Type"] == "Number":
            return self._number_refusal(value)
        return None

    def _number_refusal(self, value: str) -> str | None:
        least, most = self.declaration.get("MinValue"), self.declaration.get("MaxValue")
        if not re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", value):
            return "expected a number"
        if (least is not None and float(value) < least) or (
            most is not None and float(value) > most
        ):
            upper = "" if most is None else f", at most {most}"
            return f"expected a number, at least {least}{upper}"
        return None


class _TemplateLoader(yaml.SafeLoader):
    """Reads CloudFormation's short forms, such as !Ref, as None: only parameters are looked at."""


_TemplateLoader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def load_template_parameters(
    checkout: Path, template: str = TEMPLATE
) -> Mapping[str, TemplateParameter]:
    """Return a template's parameters by name.

    Raises:
        DeploymentError: there is no template where this checkout should have it.

    """
    path = checkout / template
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise DeploymentError(
            "checkout_incomplete", f"There is no {path}: run `bridge` from a checkout."
        ) from None
    # A subclass of the safe loader.
    declared = yaml.load(text, Loader=_TemplateLoader)["Parameters"]  # noqa: S506
    return {
        name: TemplateParameter(
            name,
            str(declaration["Default"]) if "Default" in declaration else None,
            declaration,
        )
        for name, declaration in declared.items()
    }


def camel_case(setting: str) -> str:
    """Return a setting's name as the template spells it: ENTRA_TENANT_ID is EntraTenantId."""
    return "".join(word.capitalize() for word in setting.split("_"))


def setting_parameters() -> Mapping[str, str]:
    """Return by its name each parameter that is a setting of a Lambda, and the setting's name."""
    declared = (*authorizer.SETTINGS, *backend.SETTINGS)
    return {camel_case(setting.name): setting.name for setting in declared}


def roles_boundary(environment: Environment) -> str:
    """Return the boundary that infra/aws/github.yaml makes for the stack's roles, or nothing."""
    if environment.github is None:
        return ""
    partition, account = _partition(environment), environment.aws.account_id
    return f"arn:{partition}:iam::{account}:policy/github-boundary-{names_of(environment).stack}"


def truststore_arn(environment: Environment) -> str:
    """Return the ARN of the object that [aws.parameters] names as `TruststoreUri`, or nothing."""
    uri = environment.aws.parameters.get("TruststoreUri", "")
    return f"arn:{_partition(environment)}:s3:::{uri.removeprefix('s3://')}" if uri else ""


def _partition(environment: Environment) -> str:
    region = environment.aws.region
    return next((name for begin, name in _PARTITIONS.items() if region.startswith(begin)), "aws")


def public_url(environment: Environment, values: Values) -> str:
    """Return the API's address as callers know it; a placeholder while only AWS could tell."""
    if environment.aws.custom_domain:
        return f"https://{environment.aws.custom_domain}"
    return show(values, Value.DEFAULT_URL)


def stack_parameters(
    environment: Environment,
    values: Values,
    declared: Mapping[str, TemplateParameter],
) -> dict[str, str]:
    """Return every parameter of the stack but `PublicUrl`, `AuthorizerRelease` and those kept.

    Each has a value, its default where nothing else is said: what an update does not name, it
    keeps, so a line taken out of bridge.toml would have no effect.

    Raises:
        DeploymentError: the template does not declare something that the environment needs.

    """
    aws = environment.aws
    boundary = roles_boundary(environment)
    given = {
        camel_case(name): value
        for settings in (authorizer_settings(environment, values), backend_settings(environment))
        for name, value in settings.items()
    } | {
        "StageName": environment.stage,
        "Architecture": aws.architecture,
        "CustomDomain": aws.custom_domain,
        "CertificateArn": aws.certificate_arn,
        "HostedZoneId": aws.hosted_zone_id,
        "AlarmTopicArn": aws.alarm_topic_arn,
        "DefaultEndpoint": "closed" if aws.custom_domain else "open",
        MANAGE_LOG_ROLE: show(values, Value.MANAGE_GATEWAY_LOG_ROLE),
        **({"RolesBoundary": boundary} if boundary else {}),
        **aws.parameters,
    }
    unknown = sorted(given.keys() - declared.keys())
    if unknown:
        raise DeploymentError(
            "template_lacks_parameter", f"{TEMPLATE} has no parameter {', '.join(unknown)}."
        )
    left_out = {PUBLIC_URL, RELEASE} | KEPT
    return {
        name: given.get(name, parameter.default or "")
        for name, parameter in declared.items()
        if name not in left_out
    }
