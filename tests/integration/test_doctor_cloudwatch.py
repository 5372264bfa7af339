"""The authorizer's decisions as `bridge doctor` reads them from a stack's log group."""

import json
from collections.abc import Callable
from copy import replace
from typing import Any

import boto3
import pytest

from azure_function_app.doctor.report import CallMark
from bridge_cli.diagnosing.decisions import CloudWatchDecisions, LogUnreadableError, decision_of
from emulator.loopback import LOOPBACK, find_free_port
from shared.clock import SystemClock
from shared.reasons import Reason
from tests.support.local_aws import DeployProbes, ProbedStack

STACK = "cloudwatch-of-doctor"
REGION = "eu-west-1"


@pytest.fixture(scope="module")
def probed(deploy_probes: DeployProbes) -> ProbedStack:
    """A stack of the project's template, with its log groups."""
    return deploy_probes(STACK)


@pytest.fixture(autouse=True)
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operator is, by the environment, and by no profile of this machine's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call() -> CallMark:
    """A call of a second's length, just now."""
    now = SystemClock().now()
    return CallMark(now - 1, now, None, f"{int(now * 1_000_000):032x}")


@pytest.fixture
def write(probed: ProbedStack, call: CallMark) -> Callable[..., None]:
    """Writes a line into the authorizer's log group, as Lambda does."""
    endpoint_url = probed.ministack.endpoint_url
    stacks: Any = boto3.client("cloudformation", region_name=REGION, endpoint_url=endpoint_url)
    logs: Any = boto3.client("logs", region_name=REGION, endpoint_url=endpoint_url)
    detail = stacks.describe_stack_resource(StackName=STACK, LogicalResourceId="AuthorizerLogGroup")
    group = detail["StackResourceDetail"]["PhysicalResourceId"]
    logs.create_log_stream(logGroupName=group, logStreamName=call.trace_id)

    def put(*, after: float = 0.5, **members: object) -> None:
        at = int(1_000 * (call.began_at + after))
        line = json.dumps({"time": at, "event": "decision"} | members)
        logs.put_log_events(
            logGroupName=group,
            logStreamName=call.trace_id,
            logEvents=[{"timestamp": at, "message": line}],
        )

    return put


def reader(
    probed: ProbedStack, sleep: Callable[[float], None] = lambda _: None
) -> CloudWatchDecisions:
    """What reads the stack's log, and waits by that."""
    return CloudWatchDecisions(
        STACK, REGION, endpoint_url=probed.ministack.endpoint_url, sleep=sleep
    )


def test_when_the_line_is_there_then_its_reason_is_the_calls(
    probed: ProbedStack, call: CallMark, write: Callable[..., None]
) -> None:
    """By its trace, whoever else was refused at that time, and without waiting."""
    write(reason="expired", trace_id="b" * 32)
    write(reason="unknown_key", trace_id=call.trace_id)
    waits: list[float] = []

    decision = decision_of(call, reader(probed, waits.append).read(call))

    assert decision is not None
    assert (Reason.UNKNOWN_KEY, []) == (decision.reason, waits)


def test_when_the_line_shows_late_then_it_is_waited_for(
    probed: ProbedStack, call: CallMark, write: Callable[..., None]
) -> None:
    """As CloudWatch shows what was just written."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            problems = ["KEY_SET_FILE: cannot be read"]
            write(
                event="settings_invalid",
                reason="settings_invalid",
                trace_id=call.trace_id,
                problems=problems,
            )

    decision = decision_of(call, reader(probed, sleep).read(call))

    assert decision is not None
    assert (Reason.SETTINGS_INVALID, ("KEY_SET_FILE",)) == (decision.reason, decision.settings)
    assert 2 == len(waits)


def test_when_no_line_comes_then_the_wait_ends(
    probed: ProbedStack, call: CallMark, write: Callable[..., None]
) -> None:
    """After some fifteen seconds; lines of another time are none of the call's."""
    write(reason="expired", after=-3_600)
    waits: list[float] = []
    earlier = CallMark(call.began_at - 1_800, call.ended_at - 1_800, None, call.trace_id)

    decisions = reader(probed, waits.append).read(earlier)

    assert [] == decisions
    assert 15 <= sum(waits) <= 17


def test_when_the_stack_is_unknown_then_the_options_are_named(
    probed: ProbedStack, call: CallMark
) -> None:
    """AWS's own code stands beside them."""
    unknown = replace(reader(probed), stack_name="no-such-stack")

    with pytest.raises(LogUnreadableError, match=r"DescribeStackResource.*--stack-name"):
        unknown.read(call)


def test_when_there_is_no_region_then_the_option_is_named(
    probed: ProbedStack, call: CallMark
) -> None:
    """Before anything is sent."""
    with pytest.raises(LogUnreadableError, match="--region"):
        replace(reader(probed), region=None).read(call)


def test_when_the_profile_is_unknown_then_the_option_is_named(
    probed: ProbedStack, call: CallMark
) -> None:
    """Before anything is sent."""
    with pytest.raises(LogUnreadableError, match="--profile"):
        replace(reader(probed), profile="no-such-profile").read(call)


def test_when_nobody_answers_for_aws_then_it_is_said(probed: ProbedStack, call: CallMark) -> None:
    """The report stays as it was."""
    nowhere = f"http://{LOOPBACK}:{find_free_port()}"

    with pytest.raises(LogUnreadableError, match="cannot be asked"):
        replace(reader(probed), endpoint_url=nowhere).read(call)
