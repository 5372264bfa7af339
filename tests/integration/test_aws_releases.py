"""Releases of the authorizer, and what the template's rules refuse, on the local AWS."""

import pytest

from emulator.aws.deployment import DeploymentError, LocalAws
from emulator.aws.ministack import Ministack
from tests.support.local_aws import DeployProbes, ProbedStack

OTHER_CLIENT = "44444444-4444-4444-8444-444444444444"


def live_client_ids(ministack: Ministack, stack: ProbedStack) -> str:
    """Which clients the authorizer admits that API Gateway calls."""
    aws = LocalAws(ministack.endpoint_url)
    client = aws.session().client("lambda", endpoint_url=ministack.endpoint_url, config=aws.config)
    name = stack.deployment.functions["AuthorizerFunction"]
    configuration = client.get_function_configuration(FunctionName=name, Qualifier="live")
    return configuration["Environment"]["Variables"]["ALLOWED_CLIENT_IDS"]


def test_when_there_is_no_release_then_a_setting_takes_over_with_its_deployment(
    ministack: Ministack, deploy_probes: DeployProbes
) -> None:
    """The alias stands for what was deployed last."""
    deploy_probes("unreleased")
    stack = deploy_probes("unreleased", AllowedClientIds=OTHER_CLIENT)

    assert OTHER_CLIENT == live_client_ids(ministack, stack)
    assert 200 == stack.call(token=stack.token("allow")).status


def test_when_there_is_a_release_then_settings_take_over_with_the_next_one(
    ministack: Ministack, deploy_probes: DeployProbes
) -> None:
    """Neither before it, nor never: code and settings go together."""
    first = deploy_probes("released", AuthorizerRelease="1")
    before = live_client_ids(ministack, first)
    same = deploy_probes("released", AuthorizerRelease="1", AllowedClientIds=OTHER_CLIENT)
    between = live_client_ids(ministack, same)
    second = deploy_probes("released", AuthorizerRelease="2", AllowedClientIds=OTHER_CLIENT)

    assert before == between
    assert OTHER_CLIENT not in before
    assert OTHER_CLIENT == live_client_ids(ministack, second)
    assert 200 == second.call(token=second.token("allow")).status


def test_when_releases_end_then_the_alias_is_what_was_deployed_last(
    ministack: Ministack, deploy_probes: DeployProbes
) -> None:
    """There is a way back."""
    deploy_probes("ended", AuthorizerRelease="1")
    stack = deploy_probes("ended", AllowedClientIds=OTHER_CLIENT)

    assert OTHER_CLIENT == live_client_ids(ministack, stack)
    assert 200 == stack.call(token=stack.token("allow")).status


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"AuthorizerSnapStart": "true"}, "need AuthorizerRelease"),
        ({"CustomDomain": "api.example.com"}, "CustomDomain needs CertificateArn"),
    ],
)
def test_when_parameters_do_not_go_together_then_nothing_is_deployed(
    deploy_probes: DeployProbes, parameters: dict[str, str], says: str
) -> None:
    """CloudFormation itself refuses them, with the rule's own words."""
    with pytest.raises(DeploymentError, match=says):
        deploy_probes("refused-together", **parameters)


def test_when_a_rollout_is_gradual_then_the_local_aws_cannot_make_it(
    deploy_probes: DeployProbes,
) -> None:
    """It has no CodeDeploy (docs/local-aws-differences.md)."""
    with pytest.raises(DeploymentError, match="AWS::CodeDeploy::"):
        deploy_probes("gradual", AuthorizerRelease="1", AuthorizerRollout="Canary10Percent5Minutes")


def test_when_every_option_that_is_here_is_on_then_the_api_serves(
    deploy_probes: DeployProbes,
) -> None:
    """Tracing, dashboard, protected table, snapshots: none stands in a call's way."""
    stack = deploy_probes(
        "options",
        AuthorizerRelease="1",
        AuthorizerSnapStart="true",
        Tracing="true",
        Dashboard="true",
        TableDeletionProtection="true",
    )

    assert 200 == stack.call(token=stack.token("allow")).status
