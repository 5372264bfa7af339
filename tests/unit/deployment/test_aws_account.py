"""What the preflight says of an account, with AWS's answers from a script."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from typer.testing import CliRunner

from bridge_cli.main import app
from deployment.aws_account import LogRole, Preflight, PreflightError, inspect_account

ACCOUNT = "123456789012"
ARN = f"arn:aws:iam::{ACCOUNT}:role/path/to/gateway-log"
IDENTITY = {"Account": ACCOUNT, "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/x/y", "UserId": "x"}
ROLE = {
    "Role": {
        "RoleName": "gateway-log",
        "RoleId": "AROAEXAMPLEEXAMPLE",
        "Arn": ARN,
        "Path": "/path/to/",
        "CreateDate": "2026-01-01T00:00:00Z",
    }
}


class Scripted:
    """A session whose clients answer from scripts."""

    region_name = "eu-west-1"

    def __init__(self) -> None:
        """Make the clients; nothing is answered yet."""
        self.clients: dict[str, Any] = {
            name: boto3.client(
                name, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
            )
            for name in ("sts", "apigateway", "iam")
        }
        self.answers = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.answers.values():
            stub.activate()

    def client(self, name: str, **_options: object) -> Any:
        """The client of one service."""
        return self.clients[name]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """Somebody who is signed in; the scripts must be used up."""
    scripted = Scripted()
    monkeypatch.setattr(boto3.session, "Session", lambda **_options: scripted)
    yield scripted
    for stub in scripted.answers.values():
        stub.assert_no_pending_responses()


def inspect() -> Preflight:
    """What is found with the caller's own configuration."""
    return inspect_account(region=None, profile=None)


def test_when_the_account_has_no_log_role_then_the_stack_must_set_it(session: Scripted) -> None:
    """A fresh account."""
    session.answers["sts"].add_response("get_caller_identity", IDENTITY)
    session.answers["apigateway"].add_response("get_account", {})
    found = inspect()

    assert (LogRole.UNSET, {"ManageGatewayLogRole": "true"}) == (found.log_role, found.parameters)
    assert {
        "account_id": ACCOUNT,
        "region": "eu-west-1",
        "gateway_log_role": "unset",
        "gateway_log_role_arn": None,
        "parameters": {"ManageGatewayLogRole": "true"},
    } == json.loads(found.to_json())
    assert found.to_text().endswith("ManageGatewayLogRole=true")


def test_when_the_account_has_a_log_role_then_the_stack_leaves_it_alone(session: Scripted) -> None:
    """It may be another stack's."""
    session.answers["sts"].add_response("get_caller_identity", IDENTITY)
    session.answers["apigateway"].add_response("get_account", {"cloudwatchRoleArn": ARN})
    session.answers["iam"].add_response("get_role", ROLE, {"RoleName": "gateway-log"})
    found = inspect()

    assert (LogRole.SET, {"ManageGatewayLogRole": "false"}) == (found.log_role, found.parameters)
    assert ARN in found.to_text()


def test_when_the_log_role_has_been_deleted_then_the_stack_must_set_it(session: Scripted) -> None:
    """The setting outlives its role; nothing is logged then."""
    session.answers["sts"].add_response("get_caller_identity", IDENTITY)
    session.answers["apigateway"].add_response("get_account", {"cloudwatchRoleArn": ARN})
    session.answers["iam"].add_client_error("get_role", "NoSuchEntity")
    found = inspect()

    assert (LogRole.GONE, {"ManageGatewayLogRole": "true"}) == (found.log_role, found.parameters)


def test_when_roles_may_not_be_looked_at_then_the_setting_counts(session: Scripted) -> None:
    """Reading roles is no right that a deployment needs."""
    session.answers["sts"].add_response("get_caller_identity", IDENTITY)
    session.answers["apigateway"].add_response("get_account", {"cloudwatchRoleArn": ARN})
    session.answers["iam"].add_client_error("get_role", "AccessDenied")

    assert LogRole.SET is inspect().log_role


@pytest.mark.parametrize(
    ("service", "operation", "code", "message"),
    [
        ("sts", "get_caller_identity", "ExpiredToken", "GetCallerIdentity.*ExpiredToken.*sign-in"),
        ("apigateway", "get_account", "AccessDeniedException", "apigateway:GET"),
        ("apigateway", "get_account", "TooManyRequestsException", "TooManyRequestsException"),
        ("iam", "get_role", "ServiceFailure", "GetRole"),
    ],
)
def test_when_a_call_is_refused_then_the_error_says_what_to_change(
    session: Scripted, service: str, operation: str, code: str, message: str
) -> None:
    """Nothing is guessed."""
    good: list[tuple[str, str, dict[str, Any]]] = [
        ("sts", "get_caller_identity", IDENTITY),
        ("apigateway", "get_account", {"cloudwatchRoleArn": ARN}),
    ]
    for name, call, answer in good:
        if name == service:
            break
        session.answers[name].add_response(call, answer)
    session.answers[service].add_client_error(operation, code)

    with pytest.raises(PreflightError, match=message):
        inspect()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
    """A machine without any AWS configuration."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.mark.usefixtures("nobody")
def test_when_no_region_is_named_then_the_error_says_how() -> None:
    """The setting is one per region."""
    with pytest.raises(PreflightError, match="--region"):
        inspect()


@pytest.mark.usefixtures("nobody")
def test_when_nobody_is_signed_in_then_the_error_says_how() -> None:
    """As the AWS command line does it."""
    with pytest.raises(PreflightError, match="aws configure"):
        inspect_account(region="eu-west-1", profile=None)


@pytest.mark.usefixtures("nobody")
def test_when_a_profile_is_unknown_then_the_error_names_it() -> None:
    """A misspelled one is not the default one."""
    with pytest.raises(PreflightError, match="elsewhere"):
        inspect_account(region="eu-west-1", profile="elsewhere")


def test_when_aws_cannot_be_reached_then_the_error_says_where(
    session: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop without a network."""

    def fail(_name: str, **_options: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://sts.eu-west-1.amazonaws.com")

    monkeypatch.setattr(session, "client", fail)

    with pytest.raises(PreflightError, match=r"sts\.eu-west-1"):
        inspect()


@pytest.mark.parametrize("address", ["nonsense", "https://"])
def test_when_an_endpoint_is_no_address_then_the_error_names_it(
    nobody: pytest.MonkeyPatch, address: str
) -> None:
    """A misspelled setting of boto3's own is no crash."""
    nobody.setenv("AWS_ENDPOINT_URL", address)
    nobody.setenv("AWS_ACCESS_KEY_ID", "x")
    nobody.setenv("AWS_SECRET_ACCESS_KEY", "x")

    with pytest.raises(PreflightError, match=address):
        inspect_account(region="eu-west-1", profile=None)


# --- the command --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "message"),
    [({}, "No AWS region"), ({"AWS_REGION": "eu-west-1"}, "Nobody is signed in")],
)
@pytest.mark.usefixtures("nobody")
def test_when_the_command_cannot_tell_then_it_fails_with_one_sentence(
    environment: dict[str, str], message: str
) -> None:
    """Programs see the exit code, people what to do. AWS_REGION names a region here too."""
    result = CliRunner().invoke(app, ["preflight", "--json"], env=environment)

    assert (1, "") == (result.exit_code, result.stdout)
    assert message in result.stderr


def test_when_the_command_can_tell_then_its_last_line_can_be_run(session: Scripted) -> None:
    """The parameters stand in it."""
    session.answers["sts"].add_response("get_caller_identity", IDENTITY)
    session.answers["apigateway"].add_response("get_account", {})
    result = CliRunner().invoke(app, ["preflight"])

    assert 0 == result.exit_code
    assert (
        "Deploy with: sam deploy --guided --parameter-overrides ManageGatewayLogRole=true"
        == result.stdout.splitlines()[-1]
    )
