"""The steps that AWS's deployer takes."""

import json
from collections.abc import Mapping
from typing import Final

from deployment.lines import sam_lines
from deployment.lines.line import Line, PlannedFile
from deployment.parameters.template_parameters import (
    PUBLIC_URL,
    RELEASE,
    stack_parameters,
    truststore_arn,
)
from deployment.steps.step import Context, Step, StepId, Who
from deployment.values import Value, show

GITHUB_TEMPLATE: Final = "infra/aws/github.yaml"
CAPABILITY: Final = "CAPABILITY_IAM"
GITHUB_CAPABILITY: Final = "CAPABILITY_NAMED_IAM"
_DEPLOYER_RIGHTS: Final = (
    "what the stack is made of: CloudFormation, S3, Lambda, API Gateway, DynamoDB, CloudWatch, IAM"
    " roles; AdministratorAccess has it"
)


def build_folder(context: Context) -> str:
    """Return where `sam build` puts the template and the bundles, from the checkout."""
    return f"{context.folder}/aws"


def built_template(context: Context) -> str:
    """Return the template that `sam build` left, from the checkout."""
    return f"{build_folder(context)}/template.yaml"


def parameters_path(context: Context, stack: str) -> str:
    """Return the file with a stack's parameters, from the checkout."""
    return f"{context.folder}/{stack}.parameters.yaml"


def parameters_text(parameters: Mapping[str, str]) -> str:
    """Return a parameter file as `sam deploy` takes it: YAML, of which JSON is a part."""
    return json.dumps(parameters, indent=2) + "\n"


def github_parameters(context: Context) -> dict[str, str]:
    """Return what the environment gives the parameters of infra/aws/github.yaml."""
    github = context.environment.github
    prefix = github.subject_prefix if github else ""
    aws = context.environment.aws
    return {
        "SubjectPrefix": prefix,
        "EnvironmentName": context.environment.name,
        "StackName": context.names.stack,
        "ProviderArn": show(context.values, Value.GITHUB_PROVIDER),
        "HostedZoneId": aws.hosted_zone_id,
        "WebAclArn": aws.parameters.get("WebAclArn", ""),
        "TruststoreArn": truststore_arn(context.environment),
    }


def _stack_files(context: Context) -> tuple[PlannedFile, ...]:
    given = stack_parameters(context.environment, context.values, context.declared)
    text = parameters_text(given | {PUBLIC_URL: "", RELEASE: "<digest>"})
    return (PlannedFile(parameters_path(context, context.names.stack), text),)


def _public_url_files(context: Context) -> tuple[PlannedFile, ...]:
    if context.environment.aws.custom_domain:
        return ()
    given = stack_parameters(context.environment, context.values, context.declared)
    url = show(context.values, Value.DEFAULT_URL)
    text = parameters_text(given | {PUBLIC_URL: url, RELEASE: "<digest>"})
    return (PlannedFile(parameters_path(context, context.names.stack), text),)


def _stack_lines(context: Context) -> tuple[Line, ...]:
    stack = context.names.stack
    return (
        sam_lines.deploy(
            context.environment,
            stack,
            built_template(context),
            parameters_path(context, stack),
            capability=CAPABILITY,
        ),
    )


def _public_url_lines(context: Context) -> tuple[Line, ...]:
    return () if context.environment.aws.custom_domain else _stack_lines(context)


def _github_files(context: Context) -> tuple[PlannedFile, ...]:
    path = parameters_path(context, context.names.github_stack)
    return (PlannedFile(path, parameters_text(github_parameters(context))),)


def _github_lines(context: Context) -> tuple[Line, ...]:
    stack = context.names.github_stack
    return (
        sam_lines.deploy(
            context.environment,
            stack,
            GITHUB_TEMPLATE,
            parameters_path(context, stack),
            capability=GITHUB_CAPABILITY,
            digest="<digest>",
        ),
    )


ACCOUNT: Final = Step(
    StepId.AWS_ACCOUNT,
    "What the AWS account has",
    Who.AWS_DEPLOYER,
    "apigateway:GET on the account's settings, iam:GetRole",
    "nothing",
    "nothing",
    after=(StepId.SIGN_IN,),
    gives=(Value.MANAGE_GATEWAY_LOG_ROLE, Value.GITHUB_PROVIDER),
    lines=lambda context: (sam_lines.preflight(context.environment),),
)
STACK: Final = Step(
    StepId.AWS_STACK,
    "The API and its records",
    Who.AWS_DEPLOYER,
    _DEPLOYER_RIGHTS,
    "the stack of infra/aws/template.yaml",
    "the API, closed to everybody but the applications of the tenant that are named",
    after=(
        StepId.PACKAGES,
        StepId.AZURE_FOUNDATION,
        StepId.ENTRA,
        StepId.AWS_ACCOUNT,
        StepId.AWS_GITHUB,
    ),
    needs=(Value.IDENTITY_CLIENT_ID, Value.API_CLIENT_ID, Value.MANAGE_GATEWAY_LOG_ROLE),
    gives=(Value.DEFAULT_URL,),
    lines=_stack_lines,
    files=_stack_files,
)
PUBLIC_ADDRESS: Final = Step(
    StepId.AWS_PUBLIC_URL,
    "The API's address in its challenge",
    Who.AWS_DEPLOYER,
    _DEPLOYER_RIGHTS,
    "the same stack once more, because API Gateway chooses the address at the first deployment;"
    " with aws.custom_domain nothing",
    "a 401 that names the public metadata (RFC 9728)",
    after=(StepId.AWS_STACK,),
    needs=(Value.DEFAULT_URL,),
    gives=(Value.API_URL,),
    lines=_public_url_lines,
    files=_public_url_files,
)
GITHUB: Final = Step(
    StepId.AWS_GITHUB,
    "GitHub's way into AWS",
    Who.AWS_DEPLOYER,
    "IAM roles and the account's OpenID Connect providers",
    "the stack of infra/aws/github.yaml: a role that GitHub's tokens may take",
    "the role, which may deploy this stack and nothing else; the boundary of the stack's own roles",
    after=(StepId.AWS_ACCOUNT,),
    needs=(Value.GITHUB_PROVIDER,),
    lines=_github_lines,
    files=_github_files,
    only_with_github=True,
)
