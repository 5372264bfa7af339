"""What a rollout does with the clouds: in order, nothing twice, on after a kill, and who waits."""

from collections.abc import Callable, Mapping
from copy import replace
from pathlib import Path

import pytest

from deployment.bridge_file import Environment
from deployment.clouds import DeployedLayer, Stack
from deployment.errors import BusyError, DeploymentError, NotSignedIn, RightsMissing
from deployment.parameters.bicep_parameters import Layer
from deployment.rollout import Rollout
from deployment.rollout_report import RolloutReport, Status, StepResult
from deployment.steps.step import Step, StepId
from deployment.values import Value
from tests.support.bridge_files import CHECKOUT, DECLARED, VARIANTS, environment_of
from tests.support.fake_clock import FakeClock
from tests.support.fake_clouds import API, DEFAULT_URL, IDENTITY, FakeClouds, Killed, revived

FIRST_RUN = [
    "deploy foundation",
    "grant",
    "deploy bridge-dev",
    "deploy bridge-dev",
    "deploy app",
    "publish",
]
"""Every change of a first run without GitHub and without a domain, in order."""


class Reporter:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def started(self, step: Step) -> None:
        self.told.append(f"> {step.id}")

    def said(self, line: str) -> None:
        self.told.append(line)

    def ended(self, result: StepResult) -> None:
        self.told.append(f"< {result.step.id} {result.status}")


@pytest.fixture
def world(tmp_path: Path) -> FakeClouds:
    """Two empty accounts, and a package."""
    package = tmp_path / "FunctionApp.zip"
    package.write_bytes(b"package")
    return FakeClouds(package)


def roll_out(
    world: FakeClouds,
    environment: Environment | None = None,
    *,
    again: bool = False,
    until: StepId | None = None,
    wait: Callable[[float], None] = lambda _seconds: None,
) -> RolloutReport:
    """Run every step, and return the report; nothing is waited for, and the clock goes on."""
    clock = FakeClock()

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        wait(clock.monotonic())

    return Rollout(
        environment or environment_of(),
        DECLARED,
        world.all(),
        CHECKOUT,
        Reporter(),
        again=again,
        until=until,
        clock=clock,
        sleep=sleep,
    ).run()


def statuses(report: RolloutReport) -> Mapping[str, str]:
    """Return how each step ended."""
    return {result.step.id.value: result.status.value for result in report.results}


def code_of(report: RolloutReport, step: StepId) -> str:
    """Return the code of a step."""
    (result,) = (result for result in report.results if result.step.id is step)
    return result.code


def test_when_both_accounts_are_empty_then_everything_is_made_in_order(world: FakeClouds) -> None:
    """The role is granted before the Function App is there to ask for a token."""
    report = roll_out(world)

    assert FIRST_RUN == world.calls
    assert 0 == report.exit_code
    assert report.has_changed
    assert {
        Value.IDENTITY_CLIENT_ID: IDENTITY,
        Value.API_CLIENT_ID: API,
        Value.API_URL: DEFAULT_URL,
        Value.PROXY_URL: "https://func.azurewebsites.net",
    }.items() <= report.values.items()


def test_when_it_runs_again_then_nothing_is_changed(world: FakeClouds) -> None:
    """And it says so."""
    roll_out(world)
    world.calls.clear()

    report = roll_out(world)

    assert [] == world.calls
    assert not report.has_changed
    assert {Status.UNCHANGED} == {result.status for result in report.results}


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("kill_at", range(1, len(FIRST_RUN) + 1))
def test_when_it_is_killed_then_the_next_run_completes_it(
    world: FakeClouds, kill_at: int, *, before: bool
) -> None:
    """At any change, before it or after it; then a further run changes nothing."""
    killed = replace(world, kill_at=kill_at, kills_before=before)
    with pytest.raises(Killed):
        roll_out(killed)

    resumed = revived(killed)
    report = roll_out(resumed)

    assert 0 == report.exit_code
    assert FIRST_RUN[kill_at - before :] == resumed.calls
    resumed.calls.clear()
    assert not roll_out(resumed).has_changed


def test_when_both_sides_are_made_then_they_are_told_the_same(world: FakeClouds) -> None:
    """Tenant, registration, URI, versions, address and caller."""
    roll_out(world)
    stack = world.stacks["bridge-dev"].parameters
    app = world.given[Layer.APP]

    assert (
        stack["EntraTenantId"],
        stack["ApiClientId"],
        stack["ApiAppIdUri"],
        stack["AcceptedTokenVersions"],
    ) == (
        app["entraTenantId"],
        app["apiClientId"],
        app["apiAppIdUri"],
        app["acceptedTokenVersions"],
    )
    assert DEFAULT_URL == stack["PublicUrl"] == app["awsApiBaseUrl"]
    assert IDENTITY == stack["AllowedClientIds"]


def test_when_the_stack_has_set_the_log_role_then_it_goes_on_saying_so(world: FakeClouds) -> None:
    """The account has one from the second run on, because of this very stack."""
    roll_out(world)
    world.bundles = "bundles-2"
    world.calls.clear()

    roll_out(world)

    assert ["deploy bridge-dev"] == world.calls
    assert "true" == world.stacks["bridge-dev"].parameters["ManageGatewayLogRole"]


def test_when_code_changes_then_the_challenge_names_the_address_all_the_time(
    world: FakeClouds,
) -> None:
    """An update of the stack does not take the address away to set it anew."""
    roll_out(world)
    release = world.stacks["bridge-dev"].parameters["AuthorizerRelease"]
    world.bundles = "bundles-2"
    world.calls.clear()

    roll_out(world)

    assert ["deploy bridge-dev"] == world.calls
    assert DEFAULT_URL == world.stacks["bridge-dev"].parameters["PublicUrl"]
    assert release != world.stacks["bridge-dev"].parameters["AuthorizerRelease"]


def test_when_the_package_changes_then_only_it_is_published(world: FakeClouds) -> None:
    """Nothing else is touched."""
    roll_out(world)
    world.package.write_bytes(b"other")
    world.calls.clear()

    roll_out(world)

    assert ["publish"] == world.calls


def test_when_a_setting_changes_then_only_its_layer_is_deployed(world: FakeClouds) -> None:
    """A setting of the Function App is none of the foundation's or of AWS's."""
    roll_out(world)
    world.calls.clear()
    environment = replace(environment_of(), settings={"SYNC_PAGE_SIZE": "100"})

    roll_out(world, environment)

    assert ["deploy app"] == world.calls


def test_when_a_deployment_did_not_end_well_then_it_is_done_again(world: FakeClouds) -> None:
    """Whoever made it: the layer's digest is not told, the stack is not complete."""
    roll_out(world)
    world.calls.clear()
    world.layers[Layer.FOUNDATION] = DeployedLayer(None, world.layers[Layer.FOUNDATION].outputs)
    stack = world.stacks["bridge-dev"]
    world.stacks["bridge-dev"] = Stack("UPDATE_ROLLBACK_COMPLETE", stack.parameters, stack.outputs)

    roll_out(world)

    assert ["deploy foundation", "deploy bridge-dev"] == world.calls


def test_when_everything_is_to_be_deployed_again_then_it_is(world: FakeClouds) -> None:
    """Though nothing differs; what is granted stays granted."""
    roll_out(world)
    world.calls.clear()

    roll_out(world, again=True)

    assert ["deploy foundation", "deploy bridge-dev", "deploy app", "publish"] == world.calls


def test_when_there_is_a_domain_then_the_stack_is_deployed_once(world: FakeClouds) -> None:
    """The address was known from the start, and the template takes no PublicUrl beside it."""
    report = roll_out(world, environment_of(VARIANTS["custom domain"]))

    assert 1 == world.calls.count("deploy bridge-dev")
    assert "" == world.stacks["bridge-dev"].parameters["PublicUrl"]
    assert "https://api.example.com" == report.values[Value.API_URL]


def test_when_a_last_step_is_named_then_none_after_it_is_taken(world: FakeClouds) -> None:
    """As a pipeline does, in which no developer is."""
    report = roll_out(world, until=StepId.AWS_STACK)

    assert ["deploy foundation", "grant", "deploy bridge-dev"] == world.calls
    assert "aws-stack" == list(statuses(report))[-1]


# --- what somebody else must do --------------------------------------------------------------


def test_when_roles_may_not_be_granted_then_the_app_is_not_made(world: FakeClouds) -> None:
    """Its first token would be kept for a day without the role."""
    world.raising["grant"] = RightsMissing("graph_right_missing", "It may not assign app roles.")

    report = roll_out(world)

    assert ["deploy foundation"] == world.calls
    assert 3 == report.exit_code
    assert {
        "azure-foundation": "changed",
        "entra": "waiting",
        "aws-account": "unchanged",
        "aws-stack": "waiting",
        "aws-public-url": "waiting",
        "azure-app": "waiting",
        "azure-package": "waiting",
        "smoke": "waiting",
    }.items() <= statuses(report).items()
    assert "graph_right_missing" == code_of(report, StepId.ENTRA)


def test_when_a_step_waits_then_its_commands_are_told(world: FakeClouds) -> None:
    """With the values that are known by then."""
    world.raising["grant"] = RightsMissing("graph_right_missing", "It may not assign app roles.")

    report = roll_out(world)
    (entra,) = (result for result in report.results if result.step.id is StepId.ENTRA)

    assert "--principal-id 00000000-0000-4000-8000-00000000000b" in str(entra.lines[0])


def test_when_nobody_is_signed_in_to_aws_then_azure_goes_on(world: FakeClouds) -> None:
    """As far as it needs nothing of AWS."""
    world.raising["aws sign-in"] = NotSignedIn("aws_sign_in_needed", "Nobody is signed in to AWS.")

    report = roll_out(world)

    assert ["deploy foundation", "grant"] == world.calls
    assert 3 == report.exit_code
    assert "aws_sign_in_needed" == code_of(report, StepId.AWS_ACCOUNT)
    assert "step_waits" == code_of(report, StepId.AZURE_APP)


def test_when_nobody_is_signed_in_to_azure_then_aws_waits_for_what_azure_knows(
    world: FakeClouds,
) -> None:
    """The identity of the caller, and the registration."""
    world.raising["azure sign-in"] = NotSignedIn("azure_sign_in_needed", "Nobody is signed in.")

    report = roll_out(world)

    assert [] == world.calls
    assert {
        "azure-foundation": "waiting",
        "entra": "waiting",
        "aws-account": "unchanged",
    }.items() <= (statuses(report).items())


def test_when_nobody_is_signed_in_anywhere_then_it_fails(world: FakeClouds) -> None:
    """There is nothing that it could do."""
    for cloud in ("azure", "aws"):
        world.raising[f"{cloud} sign-in"] = NotSignedIn("x_sign_in_needed", "Nobody is signed in.")

    report = roll_out(world)

    assert 1 == report.exit_code
    assert {"failed", "not_reached"} == set(statuses(report).values())


def test_when_entra_may_not_be_read_then_the_file_can_say_the_registration(
    world: FakeClouds,
) -> None:
    """As for a pipeline, once the Function App is there."""
    roll_out(world)
    world.raising["inspect"] = RightsMissing("graph_right_missing", "It may not read.")
    world.calls.clear()
    told = replace(environment_of(), api_client_id=API)

    assert 3 == roll_out(world).exit_code
    report = roll_out(world, told)

    assert 0 == report.exit_code
    assert [] == world.calls


def test_when_nobody_has_seen_the_roles_then_the_app_does_not_start_first(
    world: FakeClouds,
) -> None:
    """A pipeline may not make the Function App, whatever the file says of the registration."""
    world.raising["inspect"] = RightsMissing("graph_right_missing", "It may not read.")

    report = roll_out(world, replace(environment_of(), api_client_id=API))

    assert "deploy app" not in world.calls
    assert "roles_not_seen" == code_of(report, StepId.AZURE_APP)
    assert 3 == report.exit_code


def test_when_the_file_names_another_registration_then_it_fails(world: FakeClouds) -> None:
    """Before anything rests on it."""
    world.registered = True
    other = "00000000-0000-4000-8000-0000000000ff"

    report = roll_out(world, replace(environment_of(), api_client_id=other))

    assert "api_client_id_differs" == code_of(report, StepId.ENTRA)
    assert 1 == report.exit_code


def test_when_the_file_names_a_registration_that_is_gone_then_no_other_is_made(
    world: FakeClouds,
) -> None:
    """Whose ID the next pipeline would not know: it would put the old one back."""
    report = roll_out(world, replace(environment_of(), api_client_id=API))

    assert "api_client_id_gone" == code_of(report, StepId.ENTRA)
    assert "grant" not in world.calls


def test_when_somebody_else_may_call_too_then_it_is_said(world: FakeClouds) -> None:
    """Who was taken out of `developers`, for one, keeps his role until somebody takes it away."""
    world.registered = True
    world.notices = ("User 1 is assigned Records.Read, which bridge.toml does not say",)

    report = roll_out(world)
    (entra,) = (result for result in report.results if result.step.id is StepId.ENTRA)

    assert world.notices[0] in entra.message


def test_when_a_parameter_was_given_by_hand_then_it_is_not_taken_back_silently(
    world: FakeClouds,
) -> None:
    """As in an emergency, by the runbook; not even when something else is to be deployed."""
    roll_out(world)
    stack = world.stacks["bridge-dev"]
    other = {"RestoredTable": "restored", "KeySetFileMaxAgeSeconds": "0"}
    by_hand = {**stack.parameters, **other}
    world.stacks["bridge-dev"] = replace(stack, parameters=by_hand)
    world.calls.clear()
    world.bundles = "bundles-2"

    report = roll_out(world)
    (stopped,) = (result for result in report.results if result.step.id is StepId.AWS_STACK)

    assert "aws_stack_changed_by_hand" == stopped.code
    assert "KeySetFileMaxAgeSeconds, RestoredTable" in stopped.message
    assert [] == world.calls


def test_when_a_parameter_of_by_hand_is_wanted_then_the_stack_goes_on(world: FakeClouds) -> None:
    """Written into bridge.toml, or taken back by `--again`."""
    roll_out(world)
    stack = world.stacks["bridge-dev"]
    by_hand = replace(stack, parameters={**stack.parameters, "RestoredTable": "restored"})
    environment = environment_of()
    kept = replace(
        environment, aws=replace(environment.aws, parameters={"RestoredTable": "restored"})
    )

    world.stacks["bridge-dev"] = by_hand
    assert 0 == roll_out(world, kept).exit_code
    assert "restored" == world.stacks["bridge-dev"].parameters["RestoredTable"]

    world.stacks["bridge-dev"] = by_hand
    assert 0 == roll_out(world, again=True).exit_code
    assert "" == world.stacks["bridge-dev"].parameters["RestoredTable"]


def test_when_a_stack_was_made_by_hand_then_it_is_taken_over(world: FakeClouds) -> None:
    """Nothing says what it was told, so nothing differs from that."""
    roll_out(world)
    stack = world.stacks["bridge-dev"]
    foreign = {**stack.parameters, "RestoredTable": "x", "AuthorizerRelease": "mine"}
    world.stacks["bridge-dev"] = replace(stack, parameters=foreign)

    assert 0 == roll_out(world).exit_code
    assert "" == world.stacks["bridge-dev"].parameters["RestoredTable"]


def test_when_somebody_else_is_deploying_then_it_waits_and_goes_on(world: FakeClouds) -> None:
    """Also after a kill: what the killed run has begun goes on in its cloud."""
    world.raising["find foundation"] = BusyError("azure_busy", "Somebody else is deploying.")
    waited: list[float] = []

    def wait(now: float) -> None:
        waited.append(now)
        if len(waited) == 3:
            del world.raising["find foundation"]

    report = roll_out(world, wait=wait)

    assert (0, 3) == (report.exit_code, len(waited))


def test_when_somebody_else_deploys_for_long_then_it_stops_with_a_sentence(
    world: FakeClouds,
) -> None:
    """After a quarter of an hour; and harms nothing."""
    world.raising["find foundation"] = BusyError("azure_busy", "Somebody else is deploying.")

    report = roll_out(world)

    assert [] == world.calls
    assert "azure_busy" == code_of(report, StepId.AZURE_FOUNDATION)
    assert 1 == report.exit_code


def test_when_a_step_fails_then_no_later_one_is_taken(world: FakeClouds) -> None:
    """Until it is mended, and the same command is run again."""
    world.raising["deploy bridge-dev"] = DeploymentError("aws_refused", "It failed.")

    failed = roll_out(world)
    world.raising.clear()
    mended = roll_out(world)

    assert 1 == failed.exit_code
    assert "not_reached" == statuses(failed)["azure-app"]
    assert 0 == mended.exit_code
    assert FIRST_RUN == world.calls


@pytest.mark.parametrize(
    ("code", "status", "exit_code"), [(0, "unchanged", 0), (1, "failed", 1), (3, "waiting", 3)]
)
def test_when_the_smoke_test_ends_then_so_does_the_rollout(
    world: FakeClouds, code: int, status: str, exit_code: int
) -> None:
    """With the same exit code."""
    world.smoke_code = code

    report = roll_out(world)

    assert status == statuses(report)["smoke"]
    assert exit_code == report.exit_code


@pytest.mark.parametrize(
    ("code", "named"),
    [(1, "smoke_lets_others_in"), (1, "smoke_failed"), (3, "smoke_blocked")],
)
def test_when_the_smoke_test_finds_something_then_the_report_has_what_to_change(
    world: FakeClouds, code: int, named: str
) -> None:
    """Each finding as it stands, and by its own code that somebody gets in who must not."""
    lets_others_in = named == "smoke_lets_others_in"
    world.smoke_code, world.lets_others_in = code, lets_others_in
    world.smoke_findings = ("no-token failed: HTTP 200. Close it. (open_to_everyone)",)

    report = roll_out(world).to_json()

    assert lets_others_in is report["lets_others_in"]
    assert list(world.smoke_findings) == report["steps"][-1]["details"]
    assert named == report["steps"][-1]["code"]


def test_when_an_output_is_missing_then_it_is_said(world: FakeClouds) -> None:
    """Rather than that a later step is given nothing."""
    roll_out(world)
    digest = world.layers[Layer.FOUNDATION].digest
    world.layers[Layer.FOUNDATION] = DeployedLayer(digest, {})

    report = roll_out(world)

    assert "output_missing" == code_of(report, StepId.AZURE_FOUNDATION)


# --- GitHub ----------------------------------------------------------------------------------


def test_when_there_is_a_repository_then_its_ways_are_made_before_the_stack(
    world: FakeClouds,
) -> None:
    """The boundary of the stack's roles is made with GitHub's role."""
    environment = environment_of(VARIANTS["github"])
    report = roll_out(world, environment)

    assert ["deploy foundation", "deploy github", "grant", "deploy bridge-dev-github"] == (
        world.calls[:4]
    )
    assert (
        "arn:aws:iam::123456789012:policy/github-boundary-bridge-dev"
        == (world.stacks["bridge-dev"].parameters["RolesBoundary"])
    )
    assert 0 == report.exit_code
    world.calls.clear()
    assert not roll_out(world, environment).has_changed


def test_when_the_account_has_githubs_provider_then_it_is_not_made_again(
    world: FakeClouds,
) -> None:
    """An account has one; the stack that has made it goes on owning it."""
    provider = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    environment = environment_of(VARIANTS["github"])
    first = roll_out(world, environment)
    world.provider = provider
    second = roll_out(world, environment)
    del world.stacks["bridge-dev-github"]
    third = roll_out(world, environment)

    assert ["", "", provider] == [
        report.values[Value.GITHUB_PROVIDER] for report in (first, second, third)
    ]


# --- what it tells ---------------------------------------------------------------------------


def test_when_it_runs_then_each_step_is_told_as_it_goes(world: FakeClouds) -> None:
    """Its beginning, what its programs say, its end."""
    reporter = Reporter()
    Rollout(environment_of(), DECLARED, world.all(), CHECKOUT, reporter).run()

    start = reporter.told.index("> azure-foundation")
    assert ["deploying foundation", "< azure-foundation changed"] == (
        reporter.told[start + 1 : start + 3]
    )


def test_when_it_is_for_programs_then_every_step_is_in_the_json(world: FakeClouds) -> None:
    """With its code and the values that were found."""
    world.raising["grant"] = RightsMissing("graph_right_missing", "It may not assign app roles.")

    document = roll_out(world).to_json()

    assert (3, True, "dev") == (document["exit_code"], document["changed"], document["environment"])
    entra = next(step for step in document["steps"] if step["id"] == "entra")
    assert ("waiting", "graph_right_missing") == (entra["status"], entra["code"])
    assert "bridge" == entra["commands"][0][0]
    assert IDENTITY == document["values"]["identity_client_id"]
