"""AWS with the sign-in of whoever runs us: looked at by boto3, deployed to by `sam`.

What was deployed is remembered in AWS: the stack's parameter `AuthorizerRelease` is the digest of
what it was deployed from. CloudFormation sets it together with everything else, and takes it back
together with everything else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
import botocore.exceptions
from botocore.config import Config

from deployment.aws_account import LogRole, PreflightError, inspect_account
from deployment.bridge_file import Environment
from deployment.clouds import Report, Stack, StackDeployment
from deployment.errors import (
    BusyError,
    DeploymentError,
    NotSignedIn,
    ProgramError,
    RightsMissing,
    SignedInElsewhere,
)
from deployment.lines import sam_lines
from deployment.lines.sam_lines import DIGEST_TAG
from deployment.programs.programs import Programs
from deployment.programs.refusals import refusal
from deployment.steps.aws_steps import parameters_path, parameters_text
from deployment.steps.step import Context

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

_CONFIG: Final = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3})
_DEPLOY_SECONDS: Final = 3600.0
_NO_RIGHTS: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_NO_SIGN_IN: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
)
_GITHUB: Final = "/token.actions.githubusercontent.com"
_EMPTY: Final = frozenset({"REVIEW_IN_PROGRESS"})
"""A stack of which only the intention is there: a run ended before it was made."""
_GIVEN_UP: Final = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"})
_STUCK: Final = "UPDATE_ROLLBACK_FAILED"


@dataclass(frozen=True, slots=True)
class AwsAccount:
    """AWS as an environment's deployer reaches it."""

    environment: Environment
    context: Context
    programs: Programs
    make_session: Callable[[str, str | None], boto3.session.Session] = lambda region, profile: (
        boto3.session.Session(region_name=region, profile_name=profile)
    )

    def sign_in(self) -> str:
        """Return who is signed in; `AwsCloud` says what is raised."""
        wanted = self.environment.aws.account_id
        with _explained("asking who is signed in"):
            identity = self._session().client("sts", config=_CONFIG).get_caller_identity()
        if identity["Account"] != wanted:
            raise SignedInElsewhere(
                "aws_other_account",
                f"The AWS sign-in is to the account {identity['Account']}, and bridge.toml names"
                f" {wanted}: sign in there, or name its profile in aws.profile.",
            )
        return identity["Arn"].rpartition(":")[2]

    def lacks_log_role(self) -> bool:
        """Return whether there is no role for logs; `AwsCloud` says what is raised."""
        aws = self.environment.aws
        try:
            found = inspect_account(region=aws.region, profile=aws.profile or None)
        except PreflightError as error:
            raise RightsMissing("aws_rights_missing", str(error)) from error
        return found.log_role is not LogRole.SET

    def github_provider(self) -> str:
        """Return the provider's ARN, or nothing; `AwsCloud` says what is raised."""
        with _explained("looking for GitHub's identity provider"):
            client = self._session().client("iam", config=_CONFIG)
            listed = client.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        return next((each["Arn"] for each in listed if each["Arn"].endswith(_GITHUB)), "")

    def find_stack(self, name: str) -> Stack | None:
        """Return the stack, or None if there is none; `AwsCloud` says what is raised."""
        with _explained("looking at the stack"):
            client = self._session().client("cloudformation", config=_CONFIG)
            try:
                described = client.describe_stacks(StackName=name)["Stacks"][0]
            except botocore.exceptions.ClientError as error:
                if "does not exist" in str(error):
                    return None
                raise
        status = described["StackStatus"]
        if status in _EMPTY:
            return None
        if status in _GIVEN_UP:
            raise ProgramError(
                "aws_stack_given_up",
                f"The stack {name} is {status}: look at its events, mend the cause, delete it by"
                f" `sam delete --stack-name {name} --region {self.environment.aws.region}`, and"
                " deploy again.",
            )
        if status == _STUCK:
            region = self.environment.aws.region
            raise ProgramError(
                "aws_stack_stuck",
                f"The stack {name} is {status}: look at its events, mend the cause, run"
                f" `aws cloudformation continue-update-rollback --stack-name {name} --region"
                f" {region}`, and deploy again when that has ended.",
            )
        if status.endswith("_IN_PROGRESS"):
            raise BusyError(
                "aws_busy",
                f"Somebody else, or an earlier run, is deploying the stack {name} at the moment"
                f" ({status}): wait until that has ended, and run the same command again.",
            )
        return _read_stack(described)

    def deploy_stack(self, deployment: StackDeployment, report: Report) -> Stack:
        """Create or update the stack and return it; `AwsCloud` says what is raised."""
        # Since the first step, the default credentials may have become another account's.
        self.sign_in()
        path = parameters_path(self.context, deployment.name)
        self.programs.write(path, parameters_text(deployment.parameters))
        line = sam_lines.deploy(
            self.environment,
            deployment.name,
            deployment.template,
            path,
            capability=deployment.capability,
            digest=deployment.digest,
        )
        done = self.programs.run(line, timeout=_DEPLOY_SECONDS, report=report)
        if done.exit_code:
            raise refusal(done, f"deploying the stack {deployment.name}", cloud="aws")
        stack = self.find_stack(deployment.name)
        if stack is None or not stack.is_complete:
            status = "gone" if stack is None else stack.status
            raise ProgramError(
                "aws_stack_incomplete",
                f"`sam deploy` ended well, and the stack {deployment.name} is {status}: look at its"
                " events, and deploy again.",
            )
        return stack

    def _session(self) -> boto3.session.Session:
        aws = self.environment.aws
        return self.make_session(aws.region, aws.profile or None)


def _read_stack(described: "StackTypeDef") -> Stack:
    return Stack(
        described["StackStatus"],
        {
            parameter["ParameterKey"]: parameter.get("ParameterValue", "")
            for parameter in described.get("Parameters", [])
        },
        {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])},
        {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}.get(DIGEST_TAG, ""),
    )


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _explain(error, doing) from error
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.ProfileNotFound) as error:
        raise NotSignedIn(
            "aws_sign_in_needed",
            f"Nobody is signed in to AWS: run `aws sso login` or `aws configure`. ({error})",
        ) from error
    # botocore raises the latter for an address that is none.
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise ProgramError("aws_unreachable", f"AWS could not be asked: {error}") from error


def _explain(error: botocore.exceptions.ClientError, doing: str) -> DeploymentError:
    code = error.response["Error"]["Code"]
    if code in _NO_RIGHTS:
        return RightsMissing(
            "aws_rights_missing",
            f"This sign-in may not do it ({doing}): {error.operation_name} is not allowed.",
        )
    if code in _NO_SIGN_IN:
        return NotSignedIn(
            "aws_sign_in_needed", f"The AWS sign-in is over ({code}): sign in again."
        )
    return ProgramError("aws_refused", f"AWS refused {error.operation_name} ({code}).")
