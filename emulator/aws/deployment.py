"""Deploys the SAM template to the local AWS, by the CloudFormation calls that AWS takes too."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.exceptions
from botocore.config import Config

from emulator.aws.local_bundles import Bundles
from emulator.aws.ministack import REGION
from emulator.aws.template import load_template
from emulator.aws.template_overlay import functions_in, overlay_for_local
from shared.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackTypeDef

STACK_NAME: Final = "azure-aws-bridge"

_CODE_BUCKET: Final = "lambda-code"
_DONE_WITHIN_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_NOTHING_TO_UPDATE: Final = "No updates are to be performed"
# What CloudFormation says of a resource that it gave up because another one had failed.
_CONSEQUENCES: Final = ("cancelled", "rollback", "The following resource(s) failed")


class DeploymentError(Exception):
    """The stack could not be deployed; the message says which resource failed, and why."""

    code = "deployment_failed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The deployed stack."""

    api_url: str
    """The API's URL, stage included, without a trailing slash."""
    api_id: str
    stage: str
    table_name: str
    functions: Mapping[str, str]
    """Each function's name, by its logical ID in the template."""


@dataclass(frozen=True, slots=True)
class LocalAws:
    """Clients of the local AWS. It takes any key, so these are no secrets."""

    endpoint_url: str

    def session(self) -> boto3.session.Session:
        """Return a session that reads nothing of the developer's own AWS configuration."""
        return boto3.session.Session(
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - any text serves
            region_name=REGION,
        )

    @property
    def config(self) -> Config:
        """Settings for one try, straight to loopback: the machine's proxy settings are ignored."""
        return Config(proxies={}, retries={"total_max_attempts": 1})


def deploy(  # noqa: PLR0913 - each is a thing of the caller's that it must hand in
    endpoint_url: str,
    template_file: Path,
    bundles: Bundles,
    parameters: Mapping[str, str],
    authority: str,
    *,
    clock: Clock,
    sleep: Callable[[float], None],
    report: Callable[[str], None] = lambda _line: None,
    stack_name: str = STACK_NAME,
) -> Deployment:
    """Create or update the stack from the template and these parameters, and return it.

    `report` is called with a line of text after each step.

    Raises:
        DeploymentError: a resource could not be made, or the stack took more than a minute.

    """
    aws = LocalAws(endpoint_url)
    template = load_template(template_file)
    _check_parameters(template, parameters)
    code_uris = _upload(aws, bundles)
    report(f"{len(code_uris)} bundles uploaded")
    local = overlay_for_local(
        template, code_uris=code_uris, parameters=parameters, authority=authority
    )
    client = aws.session().client("cloudformation", endpoint_url=endpoint_url, config=aws.config)
    _submit(client, stack_name, _upload_template(aws, local), parameters)
    stack = _wait(client, stack_name, clock, sleep, report)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    api_id, stage_name = outputs["ApiId"], outputs["StageName"]
    deployment = Deployment(
        # The address of AWS's own form needs a name that resolves and a port; this one needs none.
        api_url=f"{endpoint_url}/_aws/execute-api/{api_id}/{stage_name}",
        api_id=api_id,
        stage=stage_name,
        table_name=outputs["RecordsTable"],
        functions={
            logical_id: _physical_id(client, stack_name, logical_id)
            for logical_id, _properties in functions_in(template)
        },
    )
    if not parameters.get("PublicUrl"):
        _tell_public_url(aws, deployment)
    return deployment


def _check_parameters(template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
    unknown = sorted(parameters.keys() - template["Parameters"].keys())
    if unknown:
        raise DeploymentError(f"the template has no parameter {', '.join(unknown)}")


def _upload(aws: LocalAws, bundles: Bundles) -> dict[str, str]:
    client = aws.session().client("s3", endpoint_url=aws.endpoint_url, config=aws.config)
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(
            Bucket=_CODE_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    uris = {}
    for function, bundle in bundles.items():
        code = bundle.read_bytes()
        # CloudFormation updates a function whose code has another address.
        key = f"{function}-{hashlib.sha256(code).hexdigest()}.zip"
        client.put_object(Bucket=_CODE_BUCKET, Key=key, Body=code)
        uris[function] = f"s3://{_CODE_BUCKET}/{key}"
    return uris


def _upload_template(aws: LocalAws, template: Mapping[str, Any]) -> str:
    # In the request itself CloudFormation takes 51,200 bytes; `sam deploy` uploads it too.
    client = aws.session().client("s3", endpoint_url=aws.endpoint_url, config=aws.config)
    body = json.dumps(template).encode()
    key = f"template-{hashlib.sha256(body).hexdigest()}.json"
    client.put_object(Bucket=_CODE_BUCKET, Key=key, Body=body)
    return f"{aws.endpoint_url}/{_CODE_BUCKET}/{key}"


def _submit(
    client: "CloudFormationClient", stack_name: str, url: str, parameters: Mapping[str, str]
) -> None:
    listed: list[ParameterTypeDef] = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
    ]
    submit = client.update_stack if _exists(client, stack_name) else client.create_stack
    try:
        submit(
            StackName=stack_name,
            TemplateURL=url,
            Parameters=listed,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except botocore.exceptions.ClientError as error:
        reason = error.response["Error"].get("Message", str(error))
        if _NOTHING_TO_UPDATE not in reason:
            raise DeploymentError(f"the template was refused: {reason}") from error


def _exists(client: "CloudFormationClient", stack_name: str) -> bool:
    try:
        client.describe_stacks(StackName=stack_name)
    except botocore.exceptions.ClientError:
        return False
    return True


def _wait(
    client: "CloudFormationClient",
    stack_name: str,
    clock: Clock,
    sleep: Callable[[float], None],
    report: Callable[[str], None],
) -> "StackTypeDef":
    give_up_at = clock.monotonic() + _DONE_WITHIN_SECONDS
    reported = 0
    while True:
        stack = client.describe_stacks(StackName=stack_name)["Stacks"][0]
        status = stack["StackStatus"]
        resources = client.list_stack_resources(StackName=stack_name)["StackResourceSummaries"]
        done = sum(resource["ResourceStatus"].endswith("_COMPLETE") for resource in resources)
        if done > reported:
            report(f"{done} resources ready")
            reported = done
        if not status.endswith("_IN_PROGRESS"):
            if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
                return stack
            raise DeploymentError(_reason(client, stack_name, stack))
        if clock.monotonic() >= give_up_at:
            raise DeploymentError(
                f"the stack was still {status} after {_DONE_WITHIN_SECONDS:.0f} seconds"
            )
        sleep(_POLL_SECONDS)


def _reason(client: "CloudFormationClient", stack_name: str, stack: "StackTypeDef") -> str:
    events = client.describe_stack_events(StackName=stack_name)["StackEvents"]
    for event in reversed(events):  # oldest first: what failed first made the others fail
        reason = event.get("ResourceStatusReason", "")
        is_consequence = any(sign in reason for sign in _CONSEQUENCES)
        if event["ResourceStatus"].endswith("_FAILED") and reason and not is_consequence:
            resource = f"{event['LogicalResourceId']} ({event['ResourceType']})"
            return f"{resource} could not be made: {reason}"
    return f"the stack ended as {stack['StackStatus']}: {stack.get('StackStatusReason', 'unknown')}"


def _tell_public_url(aws: LocalAws, deployment: Deployment) -> None:
    # On AWS a function learns the API's address from the request. MiniStack's requests do not say
    # it, and the address is not known before the stack is there.
    client = aws.session().client("lambda", endpoint_url=aws.endpoint_url, config=aws.config)
    for name in deployment.functions.values():
        configuration = client.get_function_configuration(FunctionName=name)
        variables = configuration.get("Environment", {}).get("Variables", {})
        if variables.get("PUBLIC_URL", deployment.api_url) != deployment.api_url:
            variables["PUBLIC_URL"] = deployment.api_url
            client.update_function_configuration(
                FunctionName=name, Environment={"Variables": variables}
            )


def _physical_id(client: "CloudFormationClient", stack_name: str, logical_id: str) -> str:
    detail = client.describe_stack_resource(StackName=stack_name, LogicalResourceId=logical_id)
    return detail["StackResourceDetail"]["PhysicalResourceId"]
