"""What the alarm's state is, with AWS's answers from a script."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from botocore.stub import Stubber

from deployment.smoke.cloudwatch import CloudWatchAlarms
from deployment.smoke.outcome import CheckBlockedError, CheckFailedError
from deployment.smoke.sources import AlarmState

NAME = "bridge-dev-UndecidedDecisionsAlarm-1X"
RESOURCE = {
    "StackResourceDetail": {
        "LogicalResourceId": "UndecidedDecisionsAlarm",
        "PhysicalResourceId": NAME,
        "ResourceType": "AWS::CloudWatch::Alarm",
        "ResourceStatus": "CREATE_COMPLETE",
        "LastUpdatedTimestamp": "2026-01-01T00:00:00Z",
    }
}


class Scripted:
    """A session whose clients answer from scripts, or fail before they are made."""

    def __init__(self, failure: Exception | None = None) -> None:
        """Make the clients; nothing is answered yet."""
        self.failure = failure
        self.clients: dict[str, Any] = {
            name: boto3.client(
                name, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
            )
            for name in ("cloudformation", "cloudwatch")
        }
        self.answers = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.answers.values():
            stub.activate()

    def client(self, name: str, **_options: object) -> Any:
        """The client of one service."""
        if self.failure is not None:
            raise self.failure
        return self.clients[name]

    def finds(self, *states: str) -> "Scripted":
        """Let the stack have the alarm, in one of these states."""
        self.answers["cloudformation"].add_response(
            "describe_stack_resource",
            RESOURCE,
            {"StackName": "bridge-dev", "LogicalResourceId": "UndecidedDecisionsAlarm"},
        )
        self.answers["cloudwatch"].add_response(
            "describe_alarms",
            {"MetricAlarms": [{"AlarmName": NAME, "StateValue": state} for state in states]},
            {"AlarmNames": [NAME], "AlarmTypes": ["MetricAlarm"]},
        )
        return self

    def refuses(self, code: str) -> "Scripted":
        """Let CloudFormation refuse."""
        self.answers["cloudformation"].add_client_error("describe_stack_resource", code)
        return self

    def alarms(self, stack_name: str | None = "bridge-dev") -> CloudWatchAlarms:
        """The source that asks it."""
        session: Callable[..., Any] = lambda _region, _profile: self  # noqa: E731 - one expression
        return CloudWatchAlarms(stack_name, session=session)


@pytest.mark.parametrize("state", AlarmState)
async def test_when_the_stack_has_the_alarm_then_its_state_is_told(state: AlarmState) -> None:
    """By the stack's resources, so that nobody has to know its name."""
    assert state is await Scripted().finds(state.value).alarms().undecided_alarm()


@pytest.mark.parametrize(
    ("scripted", "code"),
    [
        (lambda: Scripted().refuses("AccessDenied"), "aws_not_allowed"),
        (lambda: Scripted().refuses("ExpiredToken"), "aws_sign_in_missing"),
        (lambda: Scripted(NoCredentialsError()), "aws_sign_in_missing"),
        (lambda: Scripted(ProfileNotFound(profile="x")), "aws_sign_in_missing"),
        (lambda: Scripted(NoRegionError()), "target_incomplete"),
    ],
)
async def test_when_aws_cannot_be_asked_then_the_alarm_waits(
    scripted: Callable[[], Scripted], code: str
) -> None:
    """For a sign-in, a right, or a name."""
    with pytest.raises(CheckBlockedError) as raised:
        await scripted().alarms().undecided_alarm()

    assert code == raised.value.code


async def test_when_no_stack_is_named_then_the_alarm_waits() -> None:
    """Nothing is asked of AWS."""
    with pytest.raises(CheckBlockedError, match="--stack"):
        await Scripted().alarms(None).undecided_alarm()


@pytest.mark.parametrize(
    ("scripted", "code"),
    [
        (lambda: Scripted().refuses("ValidationError"), "alarm_missing"),
        (lambda: Scripted().finds(), "alarm_missing"),
        (lambda: Scripted(EndpointConnectionError(endpoint_url="x")), "unreachable"),
    ],
)
async def test_when_there_is_no_such_alarm_then_the_check_fails(
    scripted: Callable[[], Scripted], code: str
) -> None:
    """A deleted alarm is not a quiet one."""
    with pytest.raises(CheckFailedError) as raised:
        await scripted().alarms().undecided_alarm()

    assert (code, "failed") == (raised.value.code, raised.value.outcome)
