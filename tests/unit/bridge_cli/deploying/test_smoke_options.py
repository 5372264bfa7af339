"""What `bridge smoke --env` tries: bridge.toml says most of it, the clouds the rest."""

from copy import replace
from dataclasses import fields
from pathlib import Path

import pytest

from bridge_cli.deploying.smoke_options import SmokeOptions, find_values, smoke_result
from deployment.clouds import DeployedLayer, Stack
from deployment.errors import DeploymentError, RightsMissing
from deployment.parameters.bicep_parameters import Layer
from deployment.smoke.outcome import CheckResult, Outcome, SmokeReport
from deployment.smoke.target import ProxyCallers
from deployment.values import STAND_INS, Value
from tests.support.bridge_files import VARIANTS, all_environments, environment_of
from tests.support.fake_clouds import API, DEFAULT_URL, OUTPUTS, FakeClouds

FOUND = {
    Value.API_URL: DEFAULT_URL,
    Value.API_CLIENT_ID: API,
    Value.PROXY_URL: "https://func.azurewebsites.net",
}
NOT_ALWAYS = {"proxy_scope", "profile"}
NOTHING = SmokeOptions()


@pytest.fixture
def world(tmp_path: Path) -> FakeClouds:
    """Both clouds with what a whole deployment leaves."""
    stack = Stack("UPDATE_COMPLETE", {"ApiClientId": API}, {"DefaultUrl": DEFAULT_URL})
    return FakeClouds(
        tmp_path / "FunctionApp.zip",
        layers={Layer.APP: DeployedLayer("digest", OUTPUTS[Layer.APP])},
        stacks={"bridge-dev": stack},
    )


@pytest.mark.parametrize("name", all_environments())
def test_when_an_environment_is_tried_then_no_option_is_left_to_copy(name: str) -> None:
    """All of them, but for a profile and a sign-in that the environment has not."""
    options = SmokeOptions.of(all_environments()[name], STAND_INS)

    empty = {field.name for field in fields(options) if not getattr(options, field.name)}
    assert empty <= NOT_ALWAYS
    assert STAND_INS[Value.API_URL] == options.target().api_url


def test_when_callers_sign_in_then_the_proxy_is_tried_with_a_token() -> None:
    """For the registration that bridge.toml names."""
    options = SmokeOptions.of(environment_of(VARIANTS["sign-in"]), STAND_INS)

    assert ProxyCallers.EASY_AUTH is options.target().proxy_callers
    assert "api://77777777-7777-4777-8777-777777777777/.default" == options.proxy_scope


def test_when_an_option_is_given_then_it_counts_before_what_was_found() -> None:
    """That one only."""
    found = SmokeOptions.of(environment_of(), STAND_INS)

    assert replace(found, region="eu-north-1") == SmokeOptions(region="eu-north-1").over(found)


def test_when_it_was_deployed_then_the_clouds_tell_where(world: FakeClouds) -> None:
    """The API's address and registration by the stack, the Function App's by its layer."""
    clouds = world.all()

    assert FOUND == find_values(environment_of(), clouds.azure, clouds.aws, NOTHING)


def test_when_the_api_has_a_domain_then_that_is_its_address(world: FakeClouds) -> None:
    """The address that API Gateway made up is closed."""
    clouds = world.all()
    environment = environment_of(VARIANTS["custom domain"])

    values = find_values(environment, clouds.azure, clouds.aws, NOTHING)

    assert "https://api.example.com" == values[Value.API_URL]


def test_when_everything_is_given_then_no_cloud_is_asked(world: FakeClouds) -> None:
    """So a developer without a right in AWS or Azure can try all the same."""
    denied = RightsMissing("denied", "No.")
    world.raising |= {"find stack": denied, "find app": denied}
    clouds = world.all()
    given = SmokeOptions(api_url="https://a", client_id=API, function_app_url="https://f")

    values = find_values(environment_of(), clouds.azure, clouds.aws, given)

    assert ("https://a", API, "https://f") == (
        values[Value.API_URL],
        values[Value.API_CLIENT_ID],
        values[Value.PROXY_URL],
    )


@pytest.mark.parametrize("missing", ["stack", "app", "app without an address"])
def test_when_a_half_is_not_deployed_then_it_is_said_which(world: FakeClouds, missing: str) -> None:
    """And what to run."""
    if missing == "stack":
        world.stacks.clear()
    elif missing == "app":
        world.layers.clear()
    else:
        world.layers[Layer.APP] = DeployedLayer(None, {})
    clouds = world.all()

    with pytest.raises(DeploymentError, match=r"bridge deploy --env dev") as caught:
        find_values(environment_of(), clouds.azure, clouds.aws, NOTHING)

    assert "not_deployed" == caught.value.code
    assert ("the stack" if missing == "stack" else "the Function App") in str(caught.value)


def test_when_a_rollout_takes_a_report_then_nothing_that_matters_is_lost() -> None:
    """Not what to change, and not that somebody gets in."""
    loud = CheckResult(
        "no-token", "a", "e", "HTTP 200", Outcome.FAILED, 1.0, "c", "Close it.", lets_others_in=True
    )
    passed = CheckResult("health", "a", "e", "HTTP 200", Outcome.PASSED, 1.0)

    found = smoke_result(SmokeReport([passed, loud, passed]))

    assert (1, True) == (found.exit_code, found.lets_others_in)
    assert "3 checks: 2 passed, 1 failed" == found.summary
    assert ("no-token failed: HTTP 200. Close it. (c)",) == found.findings
