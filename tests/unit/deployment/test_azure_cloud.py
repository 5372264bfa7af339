"""Azure by `az`, with a small real program in its place that keeps what it is told."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from deployment.azure_cloud import AzureCli
from deployment.clouds import DeployedLayer
from deployment.errors import (
    BusyError,
    DeploymentError,
    NotSignedIn,
    ProgramError,
    RightsMissing,
    SignedInElsewhere,
)
from deployment.parameters.bicep_parameters import Layer, layer_parameters
from deployment.programs.programs import Programs
from deployment.steps.step import Context
from deployment.values import STAND_INS
from tests.support.bridge_files import CHECKOUT, DECLARED, environment_of

ENVIRONMENT = environment_of()
PARAMETERS = layer_parameters(Layer.FOUNDATION, ENVIRONMENT, STAND_INS)
TENANT = ENVIRONMENT.entra.tenant_id


class Az:
    """The stand-in's state."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "az.json"
        self.set(
            account={"tenantId": TENANT, "user": {"name": "somebody@example.com"}},
            group={},
            deployments={},
            site={},
            resources=[],
            refuse={},
            calls=[],
        )

    def get(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.file.read_text())
        return state

    def set(self, **parts: object) -> None:
        state = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.file.write_text(json.dumps(state | parts))


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Az:
    """`az` on the PATH, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "az"
    shutil.copyfile(CHECKOUT / "tests/support/az_stand_in.py", folder / "az_stand_in.py")
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/az_stand_in.py "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return Az(folder)


@pytest.fixture
def azure(az: Az, tmp_path: Path) -> AzureCli:
    """Azure by the stand-in."""
    assert az.get()["calls"] == []
    return AzureCli(ENVIRONMENT, Context.of(ENVIRONMENT, {}, DECLARED), Programs(tmp_path))


def deploy(azure: AzureCli, digest: str = "digest") -> None:
    """Deploy the foundation."""
    azure.deploy_layer(Layer.FOUNDATION, PARAMETERS, digest, lambda _line: None)


def test_when_somebody_is_signed_in_then_it_is_said_who(azure: AzureCli) -> None:
    """To the tenant that bridge.toml names."""
    assert "somebody@example.com" == azure.sign_in()


def test_when_nothing_is_there_then_nothing_is_found(azure: AzureCli, az: Az) -> None:
    """Neither without the resource group nor with an empty one."""
    assert azure.find_layer(Layer.FOUNDATION) is None
    az.set(group={"tags": {}})

    assert azure.find_layer(Layer.FOUNDATION) is None
    assert azure.find_package() is None


def test_when_a_layer_is_deployed_then_it_is_found_with_its_digest(azure: AzureCli, az: Az) -> None:
    """And its outputs; the resource group is made first, and once."""
    deploy(azure)
    deploy(azure, "second")

    outputs = {"given": str(len(PARAMETERS))}
    assert DeployedLayer("second", outputs) == azure.find_layer(Layer.FOUNDATION)
    assert 1 == sum(call[:2] == ["group", "create"] for call in az.get()["calls"])


def test_when_a_run_is_killed_before_the_tag_then_the_layer_counts_as_not_deployed(
    azure: AzureCli, az: Az
) -> None:
    """Also where the tag has the digest of an earlier deployment that is wanted again."""
    deploy(azure, "first")
    az.set(refuse={"tag update": "killed"})
    with pytest.raises(ProgramError):
        deploy(azure, "second")

    found = azure.find_layer(Layer.FOUNDATION)

    assert found is not None
    assert found.digest is None


def test_when_somebody_deploys_by_hand_then_the_layer_counts_as_not_deployed(
    azure: AzureCli, az: Az
) -> None:
    """The same deployment by another hand has another ID."""
    deploy(azure)
    deployments = az.get()["deployments"]
    deployments["bridge-foundation"]["properties"]["correlationId"] = "another"
    az.set(deployments=deployments)

    found = azure.find_layer(Layer.FOUNDATION)

    assert found is not None
    assert found.digest is None


@pytest.mark.parametrize(("state", "is_busy"), [("Failed", False), ("Running", True)])
def test_when_the_last_deployment_has_not_ended_well_then_it_is_seen(
    azure: AzureCli, az: Az, state: str, *, is_busy: bool
) -> None:
    """A failed one is done again; one that goes on is waited for."""
    deploy(azure)
    deployments = az.get()["deployments"]
    deployments["bridge-foundation"]["properties"]["provisioningState"] = state
    az.set(deployments=deployments)

    if is_busy:
        with pytest.raises(BusyError, match="Somebody else, or an earlier run"):
            azure.find_layer(Layer.FOUNDATION)
    else:
        found = azure.find_layer(Layer.FOUNDATION)
        assert found is not None
        assert found.digest is None


def test_when_the_package_is_published_then_its_digest_is_with_the_site(
    azure: AzureCli, az: Az, tmp_path: Path
) -> None:
    """The path is given from the checkout; nothing is built in Azure."""
    az.set(site={"tags": {"other": "kept"}})
    azure.publish(tmp_path / "FunctionApp.zip", "digest", lambda _line: None)

    assert "digest" == azure.find_package()
    assert "FunctionApp.zip" == az.get()["published"]
    assert "kept" == az.get()["site"]["tags"]["other"]
    (publication,) = (call for call in az.get()["calls"] if "config-zip" in call)
    assert "false" == publication[publication.index("--build-remote") + 1]


def test_when_publishing_is_broken_off_then_no_digest_is_told(
    azure: AzureCli, az: Az, tmp_path: Path
) -> None:
    """It may go on in Azure, so neither the old nor the new one is certain."""
    az.set(
        site={"tags": {"bridge-digest": "old"}},
        refuse={"functionapp deployment source config-zip": "Gateway Timeout"},
    )
    with pytest.raises(ProgramError, match="Gateway Timeout"):
        azure.publish(tmp_path / "FunctionApp.zip", "digest", lambda _line: None)

    assert azure.find_package() is None


@pytest.mark.parametrize(
    ("command", "said", "kind", "code"),
    [
        (
            "deployment group create",
            "(AuthorizationFailed) The client 'x' does not have authorization to perform action",
            RightsMissing,
            "azure_rights_missing",
        ),
        (
            "deployment group create",
            "(DeploymentActive) Unable to edit or replace deployment",
            BusyError,
            "azure_busy",
        ),
        ("deployment group create", "(InvalidTemplate) mistake", ProgramError, "azure_refused"),
        (
            "group show",
            "Please run 'az login' to setup account.",
            NotSignedIn,
            "azure_sign_in_needed",
        ),
        ("group show", "(AuthorizationFailed) no", RightsMissing, "azure_rights_missing"),
    ],
)
def test_when_azure_refuses_then_the_kind_of_refusal_is_told(
    azure: AzureCli, az: Az, command: str, said: str, kind: type[DeploymentError], code: str
) -> None:
    """What waits for somebody else, what waits for some time, and what is wrong."""
    az.set(refuse={command: said})

    with pytest.raises(kind) as raised:
        deploy(azure)

    assert code == raised.value.code


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ("Please run 'az login' to setup account.", NotSignedIn, "azure_sign_in_needed"),
        (
            "The subscription of '2222' doesn't exist in cloud 'AzureCloud'.",
            SignedInElsewhere,
            "azure_other_subscription",
        ),
    ],
)
def test_when_the_sign_in_is_not_good_then_it_is_said_how_to_sign_in(
    azure: AzureCli, az: Az, said: str, kind: type[DeploymentError], code: str
) -> None:
    """With the tenant to sign in to."""
    az.set(refuse={"account show": said})

    with pytest.raises(kind, match=f"az login --tenant {TENANT}") as raised:
        azure.sign_in()

    assert code == raised.value.code


def test_when_the_sign_in_is_to_another_tenant_then_nothing_goes_on(
    azure: AzureCli, az: Az
) -> None:
    """Both tenants are named."""
    az.set(account={"tenantId": "99999999-9999-4999-8999-999999999999", "user": None})

    with pytest.raises(SignedInElsewhere, match="99999999") as raised:
        azure.sign_in()

    assert "azure_other_tenant" == raised.value.code


def test_when_az_is_not_there_then_it_is_said_what_to_install(
    azure: AzureCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can be signed in by it, so somebody else may go on."""
    monkeypatch.setenv("PATH", "")

    with pytest.raises(NotSignedIn, match="install the Azure CLI") as raised:
        azure.sign_in()

    assert "program_missing" == raised.value.code


@pytest.mark.parametrize("answer", ["[]", "no JSON"])
def test_when_az_is_another_program_then_it_is_said(
    azure: AzureCli, tmp_path: Path, answer: str
) -> None:
    """Its answer is no JSON object."""
    (tmp_path / "bin" / "az").write_text(f"#!/bin/sh\necho '{answer}'\n")

    with pytest.raises(ProgramError, match="is `az` the Azure CLI") as raised:
        azure.sign_in()

    assert "azure_answer_unreadable" == raised.value.code


def test_when_somebody_deletes_a_resource_then_the_layer_counts_as_not_deployed(
    azure: AzureCli, az: Az
) -> None:
    """The deployment and its tag are still there; the next run makes the resource again."""
    deploy(azure)
    kept = [each for each in az.get()["resources"] if "storageAccounts" in each]
    az.set(resources=[each.upper() for each in kept])

    found = azure.find_layer(Layer.FOUNDATION)

    assert found is not None
    assert found.digest is None


def test_when_resources_are_listed_in_other_letters_then_they_are_there(
    azure: AzureCli, az: Az
) -> None:
    """Azure's IDs differ in case from one list to the next."""
    deploy(azure)
    az.set(resources=[each.upper() for each in az.get()["resources"]])

    found = azure.find_layer(Layer.FOUNDATION)

    assert found is not None
    assert "digest" == found.digest


@pytest.mark.parametrize("deployment", [{}, {"properties": []}, {"properties": None}])
def test_when_az_prints_no_deployment_then_it_is_said(
    azure: AzureCli, az: Az, deployment: dict[str, Any]
) -> None:
    """It is no crash."""
    az.set(group={"tags": {}}, deployments={"bridge-foundation": deployment})

    with pytest.raises(ProgramError) as raised:
        azure.find_layer(Layer.FOUNDATION)

    assert "azure_answer_unreadable" == raised.value.code


@pytest.mark.parametrize(
    "properties",
    [
        {"outputs": [], "provisioningState": "Succeeded"},
        {"outputs": {"a": 1, "b": {}}, "outputResources": [1]},
    ],
)
def test_when_a_deployment_is_of_another_form_then_it_counts_as_not_deployed(
    azure: AzureCli, az: Az, properties: dict[str, Any]
) -> None:
    """Tags, outputs and resources of a kind that nobody knows are none."""
    az.set(group={"tags": []}, deployments={"bridge-foundation": {"properties": properties}})

    assert DeployedLayer(None, {}) == azure.find_layer(Layer.FOUNDATION)
