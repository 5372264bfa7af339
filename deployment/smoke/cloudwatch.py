"""The alarm's state as CloudWatch has it, with the caller's own AWS sign-in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import boto3
import botocore.exceptions
from botocore.config import Config

from deployment.smoke.background import in_background
from deployment.smoke.outcome import CheckBlockedError, CheckFailedError, SmokeCode
from deployment.smoke.sources import AlarmState

ALARM: Final = "UndecidedDecisionsAlarm"
"""The alarm's logical ID in infra/aws/template.yaml."""
_CONFIG: Final = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
_NOT_ALLOWED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_SIGN_IN_OVER: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"})


@dataclass(frozen=True, slots=True)
class CloudWatchAlarms:
    """Looks the alarm up by the stack's resources, so that nobody has to know its name."""

    stack_name: str | None
    region: str | None = None
    profile: str | None = None
    session: Callable[[str | None, str | None], boto3.session.Session] = lambda region, profile: (
        boto3.session.Session(region_name=region, profile_name=profile)
    )
    endpoint_url: str | None = None
    """Where the AWS is that is asked; None means Amazon's."""
    config: Config = _CONFIG

    async def undecided_alarm(self) -> AlarmState:
        """Return the state of the stack's alarm on undecided decisions.

        Raises:
            CheckBlockedError: nobody is signed in, a right is missing, or no stack is named.
            CheckFailedError: there is no such stack or alarm.

        """
        return await in_background(self._look)

    def alarm(self) -> dict[str, Any]:
        """Return all that CloudWatch says of the alarm; blocks.

        Raises:
            CheckBlockedError, CheckFailedError: as above.

        """
        if self.stack_name is None:
            raise CheckBlockedError(
                SmokeCode.TARGET_INCOMPLETE,
                "nothing was asked",
                "Say which CloudFormation stack it is by --stack, or leave this out by --only.",
            )
        try:
            return self._describe(self.stack_name)
        except botocore.exceptions.ClientError as error:
            raise _explain(error, self.stack_name) from error
        except botocore.exceptions.NoRegionError as error:
            raise CheckBlockedError(
                SmokeCode.TARGET_INCOMPLETE,
                "nothing was asked",
                "Say in which AWS region the stack is by --region, or set AWS_REGION.",
            ) from error
        except (
            botocore.exceptions.NoCredentialsError,
            botocore.exceptions.ProfileNotFound,
            botocore.exceptions.TokenRetrievalError,
            botocore.exceptions.UnauthorizedSSOTokenError,
        ) as error:
            raise CheckBlockedError(
                SmokeCode.AWS_SIGN_IN_MISSING,
                f"no sign-in ({type(error).__name__})",
                "Nobody is signed in to AWS: run `aws sso login` or `aws configure`, or give"
                " --profile.",
            ) from error
        # botocore raises the latter for an address that is none.
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise CheckFailedError(
                SmokeCode.UNREACHABLE,
                f"no answer of AWS ({type(error).__name__})",
                "AWS does not answer: check the region, and what stands before the internet.",
            ) from error

    def _look(self) -> AlarmState:
        return AlarmState(self.alarm()["StateValue"])

    def _describe(self, stack_name: str) -> dict[str, Any]:
        session = self.session(self.region, self.profile)
        where = {"endpoint_url": self.endpoint_url, "config": self.config}
        stacks: Any = session.client("cloudformation", **where)  # type: ignore[call-overload]  # the names of its arguments
        detail = stacks.describe_stack_resource(StackName=stack_name, LogicalResourceId=ALARM)
        name = detail["StackResourceDetail"]["PhysicalResourceId"]
        alarms: Any = session.client("cloudwatch", **where)  # type: ignore[call-overload]  # the same
        found = alarms.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm"])
        if not found["MetricAlarms"]:
            raise CheckFailedError(
                SmokeCode.ALARM_MISSING,
                f"no alarm of the name {name}",
                "Somebody has deleted the stack's alarm: delete it from the template too, or make"
                " the stack's drift good by deploying it anew.",
            )
        described: dict[str, Any] = found["MetricAlarms"][0]
        return described


def _explain(error: botocore.exceptions.ClientError, stack_name: str) -> CheckFailedError:
    code = error.response["Error"]["Code"]
    came = f"AWS refused {error.operation_name} ({code})"
    if code in _NOT_ALLOWED:
        return CheckBlockedError(
            SmokeCode.AWS_NOT_ALLOWED,
            came,
            "Give the signed-in role cloudformation:DescribeStackResource on the stack and"
            " cloudwatch:DescribeAlarms.",
        )
    if code in _SIGN_IN_OVER:
        return CheckBlockedError(
            SmokeCode.AWS_SIGN_IN_MISSING, came, "The AWS sign-in is over: sign in again."
        )
    return CheckFailedError(
        SmokeCode.ALARM_MISSING,
        came,
        f"There is no stack {stack_name} with an {ALARM} in this account and region: check --stack,"
        " --region and --profile.",
    )
