"""Looks at an AWS account before the first deployment, and says which parameters it needs.

An account has one role per region that API Gateway writes logs with. Without it a stage with an
access log is refused; a second stack that sets it takes it over from the first.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

import boto3
import botocore.exceptions
from botocore.config import Config

_CONFIG: Final = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
_NOT_ALLOWED: Final = frozenset({"AccessDenied", "AccessDeniedException"})


class PreflightError(Exception):
    """The account cannot be looked at; the message says what to change."""

    code = "preflight_failed"


class LogRole(StrEnum):
    """What the account has for API Gateway to write logs with."""

    SET = "set"
    UNSET = "unset"
    GONE = "gone"
    """The setting names a role that has been deleted since."""


_MEANING: Final = {
    LogRole.SET: "API Gateway has a role to write logs with: {arn}.",
    LogRole.UNSET: "API Gateway has no role to write logs with, so the stack must set one.",
    LogRole.GONE: "API Gateway's role to write logs with, {arn}, is gone: the stack must set one.",
}


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found."""

    account_id: str
    region: str
    log_role: LogRole
    log_role_arn: str
    """Empty if there is none."""

    @property
    def parameters(self) -> dict[str, str]:
        """The template's parameters that depend on the account."""
        match self.log_role:
            case LogRole.SET:
                manages = "false"
            case LogRole.UNSET | LogRole.GONE:
                manages = "true"
            case _:
                assert_never(self.log_role)
        return {"ManageGatewayLogRole": manages}

    def to_json(self) -> str:
        """Return it as one JSON object."""
        return json.dumps(
            {
                "account_id": self.account_id,
                "region": self.region,
                "gateway_log_role": self.log_role,
                "gateway_log_role_arn": self.log_role_arn or None,
                "parameters": self.parameters,
            }
        )

    def to_text(self) -> str:
        """Return it as sentences, with what to deploy in the last line."""
        given = " ".join(f"{name}={value}" for name, value in self.parameters.items())
        return "\n".join(
            [
                f"Account {self.account_id}, region {self.region}.",
                _MEANING[self.log_role].format(arn=self.log_role_arn),
                f"Deploy with: sam deploy --guided --parameter-overrides {given}",
            ]
        )


def inspect_account(*, region: str | None, profile: str | None) -> Preflight:
    """Return what the account of the caller's own AWS configuration has. Changes nothing.

    Raises:
        PreflightError: nobody is signed in, no region is named, or a call was refused.

    """
    try:
        return _inspect(boto3.session.Session(region_name=region, profile_name=profile))
    except botocore.exceptions.NoRegionError as error:
        raise PreflightError("No AWS region is named: give --region, or set AWS_REGION.") from error
    except botocore.exceptions.NoCredentialsError as error:
        raise PreflightError(
            "Nobody is signed in to AWS: run `aws sso login` or `aws configure`, or give --profile."
        ) from error
    except botocore.exceptions.ClientError as error:
        raise PreflightError(_explain(error)) from error
    # botocore raises the latter for an address that is none.
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise PreflightError(f"AWS could not be asked: {error}") from error


def _inspect(session: boto3.session.Session) -> Preflight:
    if not session.region_name:
        raise botocore.exceptions.NoRegionError
    account_id = session.client("sts", config=_CONFIG).get_caller_identity()["Account"]
    account = session.client("apigateway", config=_CONFIG).get_account()
    arn = account.get("cloudwatchRoleArn", "")
    return Preflight(account_id, session.region_name, _judge_role(session, arn), arn)


def _judge_role(session: boto3.session.Session, arn: str) -> LogRole:
    if not arn:
        return LogRole.UNSET
    client = session.client("iam", config=_CONFIG)
    try:
        client.get_role(RoleName=arn.rpartition("/")[2])
    except client.exceptions.NoSuchEntityException:
        return LogRole.GONE
    except botocore.exceptions.ClientError as error:
        # A caller who may not look at roles still sees the setting, which API Gateway checked once.
        if error.response["Error"]["Code"] not in _NOT_ALLOWED:
            raise
    return LogRole.SET


def _explain(error: botocore.exceptions.ClientError) -> str:
    code = error.response["Error"]["Code"]
    if code in _NOT_ALLOWED:
        return (
            f"{error.operation_name} is not allowed: the signed-in role needs apigateway:GET on"
            " the account's settings (arn:aws:apigateway:<region>::/account)."
        )
    return f"AWS refused {error.operation_name} ({code}): is the sign-in still good?"
