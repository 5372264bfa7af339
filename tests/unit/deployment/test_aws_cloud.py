"""AWS: looked at with answers from a script, deployed to by a small real program in sam's place."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.stub import Stubber

from deployment import aws_cloud
from deployment.aws_account import LogRole, Preflight, PreflightError
from deployment.aws_cloud import AwsAccount
from deployment.clouds import StackDeployment
from deployment.errors import (
    BusyError,
    DeploymentError,
    NotSignedIn,
    ProgramError,
    RightsMissing,
    SignedInElsewhere,
)
from deployment.programs.programs import Programs
from deployment.steps.step import Context
from tests.support.bridge_files import DECLARED, environment_of

ENVIRONMENT = environment_of()
DEPLOYMENT = StackDeployment("bridge-dev", "template.yaml", {"A": "b c"}, "CAPABILITY_IAM")


class Script:
    """The services' clients, which answer from scripts."""

    def __init__(self) -> None:
        """Make the clients; nothing is answered yet."""
        self.clients: dict[str, Any] = {
            name: boto3.client(
                name, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
            )
            for name in ("sts", "cloudformation", "iam")
        }
        self.answers = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.answers.values():
            stub.activate()

    def client(self, name: str, **_options: object) -> Any:
        """Return the client of one service."""
        return self.clients[name]

    def stack(self, status: str, **parts: object) -> None:
        """Answer the next look at the stack."""
        described = {"StackName": "bridge-dev", "CreationTime": "2026-01-01T00:00:00Z"}
        self.answers["cloudformation"].add_response(
            "describe_stacks", {"Stacks": [{**described, "StackStatus": status, **parts}]}
        )


def sign_in_to(script: Script, account: str = "123456789012") -> None:
    """Answer the next question who is signed in."""
    arn = f"arn:aws:sts::{account}:assumed-role/x/me"
    script.answers["sts"].add_response("get_caller_identity", {"Account": account, "Arn": arn})


@pytest.fixture
def script() -> Iterator[Script]:
    """Scripts, which must be used up."""
    scripted = Script()
    yield scripted
    for stub in scripted.answers.values():
        stub.assert_no_pending_responses()


@pytest.fixture
def aws(script: Script, tmp_path: Path) -> AwsAccount:
    """AWS by the scripts."""
    return AwsAccount(
        ENVIRONMENT,
        Context.of(ENVIRONMENT, {}, DECLARED),
        Programs(tmp_path),
        lambda _region, _profile: script,  # type: ignore[arg-type,return-value]
    )


@pytest.fixture
def sam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a shell script in sam's place, which keeps its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(body: str) -> Path:
        program = folder / "sam"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n{body}\n')
        program.chmod(0o755)
        return tmp_path / "arguments"

    return install


def test_when_somebody_is_signed_in_then_it_is_said_who(aws: AwsAccount, script: Script) -> None:
    """To the account that bridge.toml names."""
    script.answers["sts"].add_response(
        "get_caller_identity",
        {"Account": "123456789012", "Arn": "arn:aws:sts::123456789012:assumed-role/x/me"},
    )

    assert "assumed-role/x/me" == aws.sign_in()


def test_when_the_sign_in_is_to_another_account_then_both_are_named(
    aws: AwsAccount, script: Script
) -> None:
    """Before anything is deployed there."""
    script.answers["sts"].add_response(
        "get_caller_identity", {"Account": "999999999999", "Arn": "arn:aws:iam::9:user/me"}
    )

    with pytest.raises(
        SignedInElsewhere, match=r"999999999999, and bridge.toml names 123456789012"
    ):
        aws.sign_in()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ExpiredToken", NotSignedIn),
        ("AccessDenied", RightsMissing),
        ("Throttling", ProgramError),
    ],
)
def test_when_aws_refuses_to_say_then_the_kind_is_told(
    aws: AwsAccount, script: Script, code: str, kind: type[DeploymentError]
) -> None:
    """A sign-in that is over, a right that is missing, anything else."""
    script.answers["sts"].add_client_error("get_caller_identity", code)

    with pytest.raises(kind):
        aws.sign_in()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (botocore.exceptions.NoCredentialsError(), NotSignedIn),
        (botocore.exceptions.ProfileNotFound(profile="x"), NotSignedIn),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"), ProgramError),
    ],
)
def test_when_there_is_no_sign_in_then_it_is_told(
    aws: AwsAccount, error: Exception, kind: type[DeploymentError]
) -> None:
    """With what to do about it."""

    def refuse(_region: str, _profile: str | None) -> boto3.session.Session:
        raise error

    with pytest.raises(kind):
        AwsAccount(aws.environment, aws.context, aws.programs, refuse).sign_in()


def test_when_there_is_a_stack_then_it_is_read(aws: AwsAccount, script: Script) -> None:
    """Parameters, outputs and tag."""
    script.stack(
        "UPDATE_COMPLETE",
        Parameters=[{"ParameterKey": "AuthorizerRelease", "ParameterValue": "digest"}],
        Outputs=[{"OutputKey": "DefaultUrl", "OutputValue": "https://x"}],
        Tags=[{"Key": "bridge-digest", "Value": "tag"}],
    )

    stack = aws.find_stack("bridge-dev")

    assert stack is not None
    assert stack.is_complete
    assert {"AuthorizerRelease": "digest"} == stack.parameters
    assert {"DefaultUrl": "https://x"} == stack.outputs
    assert "tag" == stack.digest


def test_when_there_is_no_stack_then_none_is_found(aws: AwsAccount, script: Script) -> None:
    """Nor where only the intention to make it is there, of a run that was killed."""
    script.answers["cloudformation"].add_client_error(
        "describe_stacks", "ValidationError", "Stack with id bridge-dev does not exist"
    )
    script.stack("REVIEW_IN_PROGRESS")

    assert aws.find_stack("bridge-dev") is None
    assert aws.find_stack("bridge-dev") is None


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        ("UPDATE_IN_PROGRESS", BusyError, "aws_busy"),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", BusyError, "aws_busy"),
        ("ROLLBACK_COMPLETE", ProgramError, "aws_stack_given_up"),
        ("UPDATE_ROLLBACK_FAILED", ProgramError, "aws_stack_stuck"),
    ],
)
def test_when_the_stack_cannot_be_updated_then_it_is_said_why(
    aws: AwsAccount, script: Script, status: str, kind: type[DeploymentError], code: str
) -> None:
    """Somebody else is at it, or its first deployment failed and it must go."""
    script.stack(status)

    with pytest.raises(kind) as raised:
        aws.find_stack("bridge-dev")

    assert code == raised.value.code


def test_when_the_stack_may_not_be_looked_at_then_a_right_is_missing(
    aws: AwsAccount, script: Script
) -> None:
    """As for any other refusal."""
    script.answers["cloudformation"].add_client_error("describe_stacks", "AccessDenied")

    with pytest.raises(RightsMissing):
        aws.find_stack("bridge-dev")


def test_when_a_stack_is_deployed_then_sam_gets_its_parameters_in_a_file(
    aws: AwsAccount, script: Script, sam: Callable[[str], Path], tmp_path: Path
) -> None:
    """So that no value is read as more than it is; and it asks for no confirmation."""
    arguments = sam("echo deployed")
    sign_in_to(script)
    script.stack("CREATE_COMPLETE")
    told: list[str] = []

    stack = aws.deploy_stack(DEPLOYMENT, told.append)

    assert stack.is_complete
    assert ["deployed"] == told
    given = arguments.read_text().splitlines()
    file = given[given.index("--parameter-overrides") + 1].removeprefix("file://")
    assert '{\n  "A": "b c"\n}\n' == (tmp_path / file).read_text()
    assert {"--no-confirm-changeset", "--no-fail-on-empty-changeset"} <= set(given)


def test_when_the_sign_in_becomes_another_accounts_then_nothing_is_deployed_there(
    aws: AwsAccount, script: Script, sam: Callable[[str], Path]
) -> None:
    """A build takes minutes, in which somebody can sign in elsewhere."""
    arguments = sam("echo deployed")
    sign_in_to(script, "999999999999")

    with pytest.raises(SignedInElsewhere):
        aws.deploy_stack(DEPLOYMENT, lambda _line: None)

    assert not arguments.exists()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("User: x is not authorized to perform: cloudformation:CreateChangeSet", RightsMissing),
        ("Stack:x is in UPDATE_IN_PROGRESS state and can not be updated.", BusyError),
        ("Error: Failed to create/update the stack", ProgramError),
    ],
)
def test_when_sam_fails_then_the_kind_is_told(
    aws: AwsAccount,
    script: Script,
    sam: Callable[[str], Path],
    said: str,
    kind: type[DeploymentError],
) -> None:
    """By what it says."""
    sign_in_to(script)
    sam(f"echo '{said}' >&2; exit 1")

    with pytest.raises(kind):
        aws.deploy_stack(DEPLOYMENT, lambda _line: None)


def test_when_sam_ends_well_and_the_stack_is_not_there_then_it_fails(
    aws: AwsAccount, script: Script, sam: Callable[[str], Path]
) -> None:
    """What is deployed is looked at, and not what the program says."""
    sam("exit 0")
    sign_in_to(script)
    script.stack("UPDATE_ROLLBACK_COMPLETE")

    with pytest.raises(ProgramError, match="UPDATE_ROLLBACK_COMPLETE") as raised:
        aws.deploy_stack(DEPLOYMENT, lambda _line: None)

    assert "aws_stack_incomplete" == raised.value.code


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (["arn:aws:iam::1:oidc-provider/token.actions.githubusercontent.com"], True),
        (["arn:aws:iam::1:oidc-provider/other.example.com"], False),
        ([], False),
    ],
)
def test_when_the_account_has_githubs_provider_then_it_is_found(
    aws: AwsAccount, script: Script, listed: list[str], *, found: bool
) -> None:
    """And no other's."""
    script.answers["iam"].add_response(
        "list_open_id_connect_providers",
        {"OpenIDConnectProviderList": [{"Arn": arn} for arn in listed]},
    )

    assert found == bool(aws.github_provider())


@pytest.mark.parametrize(("role", "lacks"), [(LogRole.SET, False), (LogRole.GONE, True)])
def test_when_the_account_is_looked_at_then_it_is_known_whether_a_role_lacks(
    aws: AwsAccount, monkeypatch: pytest.MonkeyPatch, role: LogRole, *, lacks: bool
) -> None:
    """As `bridge preflight` says it."""
    found = Preflight("1", "eu-west-1", role, "arn")
    monkeypatch.setattr(aws_cloud, "inspect_account", lambda **_options: found)

    assert lacks == aws.lacks_log_role()


def test_when_the_account_may_not_be_looked_at_then_a_right_is_missing(
    aws: AwsAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has it can go on."""

    def refuse(**_options: object) -> Preflight:
        raise PreflightError("GetAccount is not allowed.")

    monkeypatch.setattr(aws_cloud, "inspect_account", refuse)

    with pytest.raises(RightsMissing, match="GetAccount"):
        aws.lacks_log_role()


def test_when_no_session_is_handed_in_then_one_of_the_developers_own_is_made(
    aws: AwsAccount,
) -> None:
    """With the region that bridge.toml names."""
    own = AwsAccount(aws.environment, aws.context, aws.programs)

    assert "eu-west-1" == own.make_session("eu-west-1", None).region_name
