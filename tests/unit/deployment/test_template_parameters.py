"""The stack's parameters: from the checkout's template, and none that it does not declare."""

from copy import replace
from pathlib import Path

import pytest

from deployment.entra import registration
from deployment.errors import DeploymentError
from deployment.parameters.bicep_parameters import Layer, layer_parameters
from deployment.parameters.derived_settings import authorizer_settings
from deployment.parameters.template_parameters import (
    load_template_parameters,
    roles_boundary,
    stack_parameters,
    truststore_arn,
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


def test_when_the_registration_lends_something_else_then_so_does_the_authorizer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both follow from one place, so a developer is not let in by one and refused by the other."""
    environment = environment_of()
    told = {"ALLOWED_CLIENT_IDS": STAND_INS[Value.API_CLIENT_ID], "DELEGATED_SCOPES": "x=y"}
    monkeypatch.setattr(registration, "authorizer_settings", lambda _wanted: told)

    given = authorizer_settings(environment, STAND_INS)

    callers = [STAND_INS[Value.IDENTITY_CLIENT_ID], STAND_INS[Value.API_CLIENT_ID]]
    assert ",".join(callers) == given["ALLOWED_CLIENT_IDS"]
    assert "x=y" == given["DELEGATED_SCOPES"]


def test_when_tags_and_alerts_are_wanted_then_the_modules_get_them() -> None:
    """Tags everywhere, and nothing where none are wanted."""
    wanted = environment_of(VARIANTS["vnet"])
    app = layer_parameters(Layer.APP, wanted, STAND_INS)
    tags = {"team": "data", "cost center": "7"}

    assert [tags] * 3 == [layer_parameters(each, wanted, STAND_INS)["tags"] for each in Layer]
    assert wanted.azure.alert_action_group_id == app["alertActionGroupId"]
    assert "P1D" == app["syncAlertWindow"]
    for layer in Layer:
        given = layer_parameters(layer, environment_of(), STAND_INS)
        assert set() == {"tags", "alertActionGroupId", "syncAlertWindow"} & given.keys()


def test_when_a_truststore_is_named_then_github_may_read_that_object() -> None:
    """In the partition of the region; nothing where there is none."""
    environment = environment_of(VARIANTS["github"])
    govcloud = replace(environment, aws=replace(environment.aws, region="us-gov-west-1"))

    assert "arn:aws:s3:::bucket/authorities.pem" == truststore_arn(environment)
    assert "arn:aws-us-gov:s3:::bucket/authorities.pem" == truststore_arn(govcloud)
    assert "" == truststore_arn(environment_of())


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
