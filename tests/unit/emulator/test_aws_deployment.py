from collections.abc import Callable
from typing import Any

import pytest
from botocore.stub import Stubber

from emulator.aws.deployment import DeploymentError, LocalAws, _wait
from tests.support.fake_clock import FakeClock

ENDPOINT = "http://127.0.0.1:9"


def stubbed_client() -> Any:
    """A CloudFormation client that sends nothing."""
    aws = LocalAws(ENDPOINT)
    return aws.session().client("cloudformation", endpoint_url=ENDPOINT, config=aws.config)


def stack(status: str) -> dict[str, object]:
    """The answer to DescribeStacks."""
    named = {"StackName": "s", "CreationTime": "2026-01-01T00:00:00Z", "StackStatus": status}
    return {"Stacks": [named]}


def resources(done: int) -> dict[str, object]:
    """The answer to ListStackResources, with one resource still being made."""
    statuses = ["CREATE_COMPLETE"] * done + ["CREATE_IN_PROGRESS"]
    common = {"ResourceType": "T", "LastUpdatedTimestamp": "2026-01-01T00:00:00Z"}
    return {
        "StackResourceSummaries": [
            {"LogicalResourceId": f"R{number}", "ResourceStatus": status, **common}
            for number, status in enumerate(statuses)
        ]
    }


def event(resource: str, status: str, reason: str) -> dict[str, object]:
    """One event of a stack."""
    return {
        "StackId": "s",
        "EventId": f"{resource}-{status}",
        "StackName": "s",
        "LogicalResourceId": resource,
        "ResourceType": "AWS::Some::Thing",
        "Timestamp": "2026-01-01T00:00:00Z",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def wait(client: Any, clock: FakeClock, report: Callable[[str], None] = print) -> Any:
    """Wait for the stack; sleeping moves the clock."""
    return _wait(client, "s", clock, clock.advance, report)


def test_when_the_stack_makes_no_progress_then_the_wait_ends() -> None:
    """A minute is the most; the error names the state that it hung in."""
    client, clock = stubbed_client(), FakeClock()
    with Stubber(client) as answers:
        for _ in range(1300):
            answers.add_response("describe_stacks", stack("CREATE_IN_PROGRESS"))
            answers.add_response("list_stack_resources", resources(0))

        with pytest.raises(DeploymentError, match="still CREATE_IN_PROGRESS after 60 seconds"):
            wait(client, clock)

    assert 1_060.0 == pytest.approx(clock.monotonic(), abs=0.1)


def test_when_resources_get_ready_then_each_step_is_reported_once() -> None:
    """Progress, not a line for every look."""
    client, lines = stubbed_client(), list[str]()
    with Stubber(client) as answers:
        for done in (1, 1, 3):
            answers.add_response("describe_stacks", stack("CREATE_IN_PROGRESS"))
            answers.add_response("list_stack_resources", resources(done))
        answers.add_response("describe_stacks", stack("CREATE_COMPLETE"))
        answers.add_response("list_stack_resources", resources(3))

        wait(client, FakeClock(), lines.append)

    assert ["1 resources ready", "3 resources ready"] == lines


def test_when_several_resources_failed_then_the_first_cause_is_named() -> None:
    """Events come newest first; what was cancelled because of another failure is no cause."""
    client = stubbed_client()
    events = [
        event("s", "ROLLBACK_COMPLETE", "done"),
        event("Late", "CREATE_FAILED", "Resource creation cancelled"),
        event("s", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Cause]"),
        event("Second", "CREATE_FAILED", "also wrong"),
        event("Cause", "CREATE_FAILED", "no such bucket"),
    ]
    with Stubber(client) as answers:
        answers.add_response("describe_stacks", stack("ROLLBACK_COMPLETE"))
        answers.add_response("list_stack_resources", resources(0))
        answers.add_response("describe_stack_events", {"StackEvents": events})

        with pytest.raises(
            DeploymentError, match=r"^Cause \(AWS::Some::Thing\) .*: no such bucket"
        ):
            wait(client, FakeClock())


def test_when_no_event_tells_the_cause_then_the_state_is_named() -> None:
    """Better than nothing."""
    client = stubbed_client()
    with Stubber(client) as answers:
        answers.add_response("describe_stacks", stack("ROLLBACK_COMPLETE"))
        answers.add_response("list_stack_resources", resources(0))
        answers.add_response("describe_stack_events", {"StackEvents": []})

        with pytest.raises(DeploymentError, match="the stack ended as ROLLBACK_COMPLETE"):
            wait(client, FakeClock())


def test_when_the_developer_has_an_aws_profile_then_the_local_aws_ignores_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of the machine's AWS configuration decides where a local deployment goes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-developers-own")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-gov-west-1")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    aws = LocalAws(ENDPOINT)

    session = aws.session()
    credentials = session.get_credentials()
    assert credentials is not None
    assert "local" == credentials.access_key
    assert "eu-west-1" == session.region_name
    assert {} == vars(aws.config)["proxies"]
