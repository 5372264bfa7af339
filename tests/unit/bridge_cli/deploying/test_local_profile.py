"""The local clouds as a rollout asks them: what they refuse, and what goes on there already."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import httpx
import pytest

from bridge_cli.deploying import local_profile
from bridge_cli.deploying.clouds_file import CloudsFile, read_local_clouds
from bridge_cli.deploying.local_profile import LocalClouds, local_environment
from deployment.bridge_file import Environment
from deployment.clouds import Clouds, StackDeployment
from deployment.errors import BusyError, DeploymentError
from deployment.parameters.bicep_parameters import Layer
from emulator.aws.deployment import DeploymentError as StackError
from tests.support.bridge_files import CHECKOUT, DECLARED, EXAMPLE, SMALL, environment_of

DEVELOPER = "de7e1000-0000-4000-8000-000000000001"
TENANT = "5e6f0000-0000-4000-8000-000000000001"
SUBSCRIPTION = "50b50000-0000-4000-8000-000000000001"
CLOUDS = CloudsFile(
    {
        "authority": "http://127.0.0.1:1",
        "graph_url": "http://127.0.0.1:1",
        "administrator_token": "secret",
        "tenant_id": TENANT,
        "developer_id": DEVELOPER,
    },
    {"endpoint_url": "http://127.0.0.1:2"},
    {"url": "http://127.0.0.1:3", "subscription_id": SUBSCRIPTION},
    Path("clouds"),
)
DEPLOYMENT = StackDeployment("bridge-dev", "template.yaml", {"StageName": "dev"}, "")

type Answering = Callable[[httpx.Request], httpx.Response]


def rehearsed(text: str = SMALL) -> Environment:
    """The environment as it is rehearsed."""
    return local_environment(environment_of(text), CLOUDS)


def clouds() -> Clouds:
    """All local clouds."""
    return LocalClouds(CLOUDS, rehearsed(), DECLARED, CHECKOUT).all()


def said(_line: str) -> None:
    """Hear nothing."""


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answering], list[tuple[str, str]]]:
    """Let the local Azure answer like this; what it was asked."""
    client = httpx.Client

    def answer_by(answering: Answering) -> list[tuple[str, str]]:
        asked: list[tuple[str, str]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append((request.method, request.url.path))
            return answering(request)

        monkeypatch.setattr(
            httpx, "Client", lambda **_options: client(transport=httpx.MockTransport(answer))
        )
        return asked

    return answer_by


class FakeCloudFormation:
    """CloudFormation with one stack, which has these statuses, one a look; the last one stays."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)

    def session(self) -> "FakeCloudFormation":
        """The client's own maker."""
        return self

    endpoint_url = ""
    config = None

    def client(self, _service: str, **_options: object) -> "FakeCloudFormation":
        """Itself."""
        return self

    def describe_stacks(self, **_names: str) -> dict[str, Any]:
        """The stack, or that there is none."""
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if not status:
            error: Any = {"Error": {"Code": "ValidationError", "Message": "does not exist"}}
            raise botocore.exceptions.ClientError(error, "DescribeStacks")
        outputs = {"ApiId": "abc", "StageName": "dev"}
        return {
            "Stacks": [
                {
                    "StackStatus": status,
                    "Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in outputs.items()],
                    "Parameters": [{"ParameterKey": "PublicUrl"}],
                }
            ]
        }


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the stack have these statuses."""

    def with_statuses(*statuses: str) -> None:
        formation = FakeCloudFormation(*statuses)
        monkeypatch.setattr(local_profile, "LocalAws", lambda _url: formation)

    return with_statuses


def test_when_an_environment_is_rehearsed_then_it_is_of_the_local_tenant() -> None:
    """Whoever bridge.toml names is not there: the local tenant's one user stands for them."""
    with_developers = rehearsed(EXAMPLE)

    assert (TENANT, SUBSCRIPTION) == (
        with_developers.entra.tenant_id,
        with_developers.azure.subscription_id,
    )
    assert (DEVELOPER,) == with_developers.developers
    assert () == rehearsed(SMALL).developers


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"entra": {}, "aws": {}}'])
def test_when_the_file_is_none_of_ours_then_there_are_no_clouds(tmp_path: Path, text: str) -> None:
    """One code for everything that it can be."""
    (tmp_path / "clouds.json").write_text(text)

    with pytest.raises(DeploymentError, match="run `bridge clouds`") as refused:
        read_local_clouds(tmp_path)

    assert "local_clouds_missing" == refused.value.code


def test_when_azure_does_not_answer_then_the_clouds_are_gone(
    azure: Callable[[Answering], list[tuple[str, str]]],
) -> None:
    """Ended while we were deploying."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    azure(refuse)

    with pytest.raises(DeploymentError) as gone:
        clouds().azure.find_layer(Layer.APP)

    assert "local_clouds_gone" == gone.value.code


def test_when_azure_answers_no_json_then_the_clouds_are_gone(
    azure: Callable[[Answering], list[tuple[str, str]]],
) -> None:
    """Somebody else has the port now."""
    azure(lambda _request: httpx.Response(200, text="hello"))

    with pytest.raises(DeploymentError) as gone:
        clouds().azure.find_layer(Layer.APP)

    assert "local_clouds_gone" == gone.value.code


def test_when_azure_refuses_then_its_own_code_and_sentence_are_told(
    azure: Callable[[Answering], list[tuple[str, str]]],
) -> None:
    """It says what to change."""
    refusal = {"code": "easy_auth_not_local", "message": "Nobody signs in here."}
    azure(lambda _request: httpx.Response(400, json=refusal))

    with pytest.raises(DeploymentError, match="Nobody signs in here") as refused:
        clouds().azure.deploy_layer(Layer.APP, {}, "d", said)

    assert "easy_auth_not_local" == refused.value.code


def test_when_nothing_is_there_then_looking_finds_nothing_and_publishing_fails(
    azure: Callable[[Answering], list[tuple[str, str]]], tmp_path: Path
) -> None:
    """A site that nobody has deployed takes no package."""
    azure(lambda _request: httpx.Response(404, json={"code": "x", "message": "y"}))
    package = tmp_path / "FunctionApp.zip"
    package.touch()

    assert clouds().azure.find_layer(Layer.APP) is None
    assert clouds().azure.find_package() is None
    with pytest.raises(DeploymentError) as refused:
        clouds().azure.publish(package, "d", said)
    assert "local_azure_lacks" == refused.value.code


def test_when_the_app_does_not_start_then_the_digest_is_not_kept(
    azure: Callable[[Answering], list[tuple[str, str]]], tmp_path: Path
) -> None:
    """So the next run publishes again."""
    package = tmp_path / "FunctionApp.zip"
    package.touch()
    asked = azure(lambda _request: httpx.Response(200, json={"problem": "it did not start"}))

    with pytest.raises(DeploymentError, match="it did not start") as failed:
        clouds().azure.publish(package, "d", said)

    assert "local_app_failed" == failed.value.code
    assert ["PATCH", "PUT"] == [method for method, _path in asked]


def test_when_a_site_tells_its_host_then_it_is_one_without_tls(
    azure: Callable[[Answering], list[tuple[str, str]]],
) -> None:
    """In Azure a host without a scheme has https; whoever copies the address must get there."""
    outputs = {"functionAppName": "func", "defaultHostName": "127.0.0.1:4"}
    azure(lambda _request: httpx.Response(200, json={"digest": "d", "outputs": outputs}))

    found = clouds().azure.find_layer(Layer.APP)
    deployed = clouds().azure.deploy_layer(Layer.APP, {}, "d", said)

    assert found is not None
    assert "http://127.0.0.1:4" == found.outputs["defaultHostName"]
    assert found.outputs == deployed


def test_when_a_stack_is_there_then_its_address_is_the_local_one(
    aws: Callable[..., None],
) -> None:
    """AWS's own form needs a name that resolves."""
    aws("CREATE_COMPLETE")

    found = clouds().aws.find_stack("bridge-dev")

    assert found is not None
    assert found.is_complete
    assert "http://127.0.0.1:2/_aws/execute-api/abc/dev" == found.outputs["DefaultUrl"]


def test_when_a_stack_is_being_changed_then_somebody_else_deploys(
    aws: Callable[..., None],
) -> None:
    """Or a killed run has begun it; the rollout waits for either."""
    aws("UPDATE_IN_PROGRESS")

    with pytest.raises(BusyError) as busy:
        clouds().aws.find_stack("bridge-dev")

    assert "aws_busy" == busy.value.code


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("the template was refused: Stack is in UPDATE_IN_PROGRESS state", "aws_busy"),
        ("the template was refused: Stack [bridge-dev] already exists", "aws_busy"),
        ("RecordsTable could not be made: no", "deployment_failed"),
    ],
)
def test_when_a_stack_cannot_be_deployed_then_the_code_says_whether_somebody_else_does(
    aws: Callable[..., None], monkeypatch: pytest.MonkeyPatch, refusal: str, code: str
) -> None:
    """Then the same command is right a moment later."""
    aws("UPDATE_COMPLETE")

    def refuse(*_arguments: object, **_options: object) -> None:
        raise StackError(refusal)

    monkeypatch.setattr(local_profile, "deploy", refuse)

    with pytest.raises(DeploymentError) as failed:
        clouds().aws.deploy_stack(DEPLOYMENT, said)

    assert code == failed.value.code


def test_when_a_stack_is_gone_as_soon_as_it_was_deployed_then_it_is_said(
    aws: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clouds were started anew."""
    aws("")
    monkeypatch.setattr(local_profile, "deploy", lambda *_arguments, **_options: None)

    with pytest.raises(DeploymentError) as gone:
        clouds().aws.deploy_stack(DEPLOYMENT, said)

    assert "local_stack_gone" == gone.value.code
