"""The stack's parameters: from the checkout's template, and none that it does not declare."""

from pathlib import Path

import pytest

from deployment.errors import DeploymentError
from deployment.parameters.bicep_parameters import Layer, layer_parameters
from deployment.parameters.template_parameters import (
    load_template_parameters,
    roles_boundary,
    stack_parameters,
)
from deployment.values import STAND_INS, Value
from tests.support.bridge_files import DECLARED, VARIANTS, environment_of


def test_when_there_is_no_template_then_the_checkout_is_incomplete(tmp_path: Path) -> None:
    """It is no matter of bridge.toml."""
    with pytest.raises(DeploymentError, match="from a checkout") as raised:
        load_template_parameters(tmp_path)

    assert "checkout_incomplete" == raised.value.code


def test_when_the_template_lacks_a_parameter_then_nothing_is_left_out_silently() -> None:
    """What the environment needs would be missing in the stack."""
    fewer = {name: each for name, each in DECLARED.items() if name != "Architecture"}

    with pytest.raises(DeploymentError, match="no parameter Architecture") as raised:
        stack_parameters(environment_of(), STAND_INS, fewer)

    assert "template_lacks_parameter" == raised.value.code


def test_when_developers_may_call_then_their_scope_stands_beside_the_given_ones() -> None:
    """And the Azure CLI, which they sign in with, among the callers."""
    given = stack_parameters(environment_of(VARIANTS["sign-in"]), STAND_INS, DECLARED)

    assert "access_as_user=Records.Read,Records.View=Records.Read" == given["DelegatedScopes"]
    assert "04b07795-8ddb-461a-bbee-02f9e1bf7b46" in given["AllowedClientIds"]
    assert "55555555-5555-4555-8555-555555555555" in given["AllowedClientIds"]


def test_when_a_setting_is_a_reference_then_the_app_gets_it_as_it_stands() -> None:
    """App Service resolves it, in the vault whose secrets the identity may read."""
    given = layer_parameters(Layer.APP, environment_of(VARIANTS["vnet"]), STAND_INS)

    assert "@Microsoft.KeyVault(VaultName=vault;SecretName=api-key)" == given["awsApiKey"]
    assert "vault" == given["keyVaultName"]
    assert "true" == given["syncFanOut"]
    assert STAND_INS[Value.SUBNET_ID] == given["subnetId"]


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_when_github_deploys_then_the_boundary_is_in_the_regions_partition(
    region: str, partition: str
) -> None:
    """IAM takes no policy of another one."""
    environment = environment_of(VARIANTS["github"].replace("eu-west-1", region))
    expected = f"arn:{partition}:iam::123456789012:policy/github-boundary-bridge-dev"

    assert expected == roles_boundary(environment)
