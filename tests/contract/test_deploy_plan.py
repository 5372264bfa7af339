"""The plan of a deployment: each command is one that az or sam takes, each value has its place."""

import re
import shutil
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from azure_function_app.declared_settings import (
    AZURE_CLIENT_ID,
    CREDENTIAL,
    SETTINGS,
    SYNC_SCHEDULE,
    TABLE_ENDPOINT,
)
from azure_function_app.telemetry.telemetry_settings import TELEMETRY_SETTINGS
from bridge_cli.main import app
from deployment.lines.line import Line
from deployment.parameters.bicep_parameters import (
    Layer,
    camel_case,
    layer_parameters,
    load_bicep_parameters,
)
from deployment.parameters.derived_settings import (
    DERIVED,
    NOT_DEPLOYABLE,
    function_app_settings,
)
from deployment.parameters.template_parameters import (
    DERIVED_PARAMETERS,
    GITHUB_TRUSTSTORE,
    KEPT,
    TEMPLATE,
    load_template_parameters,
    setting_parameters,
    stack_parameters,
)
from deployment.plan import known_values, lines_of, plan_of
from deployment.smoke.cloudwatch import ALARM
from deployment.steps.all_steps import STEPS
from deployment.steps.aws_steps import GITHUB_TEMPLATE, github_parameters
from deployment.steps.step import Context
from deployment.values import STAND_INS
from emulator.aws.template import load_template
from emulator.azure.bicep_syntax.parser import parse_bicep
from tests.support.azure_cli import complaints_of_azure_cli
from tests.support.bicep import app_settings, deploy
from tests.support.bridge_files import CHECKOUT, DECLARED, all_environments
from tests.support.sam_cli import complaints_of_sam

ENVIRONMENTS = all_environments()


def _lines(program: str) -> list[Line]:
    return [
        line
        for environment in ENVIRONMENTS.values()
        for line in lines_of(environment, DECLARED, known_values(environment))
        if line.argv[0] == program
    ]


def test_when_the_plan_has_az_lines_then_azure_cli_parses_each_of_them() -> None:
    """Of the example and of every variant."""
    lines = list(dict.fromkeys(line.argv for line in _lines("az")))

    complaints = complaints_of_azure_cli(lines)

    assert len(lines) > 25
    assert {} == {line: said for line, said in zip(lines, complaints, strict=True) if said}


def test_when_an_az_option_is_misspelt_then_it_is_seen() -> None:
    """In any of the lines, so that the test above would fail."""
    lines = list(dict.fromkeys(line.argv for line in _lines("az")))
    bent = [
        tuple("--subscripton" if word == "--subscription" else word for word in line)
        for line in lines
    ]

    assert None not in complaints_of_azure_cli(bent)


def _write_what_sam_reads(folder: Path) -> None:
    for environment in ENVIRONMENTS.values():
        for step in plan_of(environment, DECLARED, known_values(environment)):
            for file in step["files"]:
                path = folder / file["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(file["content"], encoding="utf-8")
        built = folder / f".bridge/deploy/{environment.name}/aws/template.yaml"
        built.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / TEMPLATE, built)
    for template in (TEMPLATE, GITHUB_TEMPLATE):
        (folder / template).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / template, folder / template)


def test_when_the_plan_has_sam_lines_then_sam_parses_each_of_them(tmp_path: Path) -> None:
    """With the templates and parameter files that the steps before have written."""
    _write_what_sam_reads(tmp_path)
    lines = list(dict.fromkeys(line.argv for line in _lines("sam")))

    complaints = complaints_of_sam(lines, tmp_path)

    assert len(lines) >= 5
    assert {} == {line: said for line, said in zip(lines, complaints, strict=True) if said}


def test_when_a_sam_option_is_misspelt_then_it_is_seen(tmp_path: Path) -> None:
    """In any of the lines, so that the test above would fail."""
    _write_what_sam_reads(tmp_path)
    lines = list(dict.fromkeys(line.argv for line in _lines("sam")))

    assert None not in complaints_of_sam([(*line, "--stcak") for line in lines], tmp_path)


def test_when_the_plan_has_bridge_lines_then_the_command_has_their_options() -> None:
    """Those that stand for what we do ourselves among them."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    unknown = {
        (line.argv[1], word)
        for line in _lines("bridge")
        if line.argv[1] in group.commands
        for word in line.argv
        if word.startswith("--")
        and word
        not in {
            option for parameter in group.commands[line.argv[1]].params for option in parameter.opts
        }
    }

    assert {"smoke", "preflight"} <= {line.argv[1] for line in _lines("bridge")} & set(
        group.commands
    )
    assert set() == unknown


@pytest.mark.parametrize("layer", Layer)
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_when_a_layer_is_given_parameters_then_its_module_declares_them(
    name: str, layer: Layer
) -> None:
    """And what the module must be given is given."""
    declared = load_bicep_parameters(CHECKOUT / layer.module)
    given = layer_parameters(layer, ENVIRONMENTS[name], STAND_INS)

    assert set() == given.keys() - declared.keys()
    assert set() == {parameter for parameter, is_needed in declared.items() if is_needed} - set(
        given
    )


def test_when_a_module_has_a_parameter_then_bridge_toml_can_give_it() -> None:
    """But for the settings, which a test of their own looks at, and what is named here."""
    settings = {camel_case(name) for name in (*DERIVED, *(each.name for each in SETTINGS))}
    left_at_their_defaults = {
        "virtualNetworkName",
        "virtualNetworkPrefix",
        "functionSubnetPrefix",
        "endpointSubnetPrefix",
        "logRetentionDays",
        "blobRetentionDays",
    }
    never_given = {
        parameter
        for layer in Layer
        for parameter in load_bicep_parameters(CHECKOUT / layer.module)
        if not any(
            parameter in layer_parameters(layer, environment, STAND_INS)
            for environment in ENVIRONMENTS.values()
        )
    }

    assert left_at_their_defaults == never_given - settings


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_when_the_module_is_deployed_then_the_app_gets_what_bridge_toml_gives_it(name: str) -> None:
    """Each setting with the same value, references to secrets among them, and none besides."""
    environment = ENVIRONMENTS[name]
    wanted = function_app_settings(environment, STAND_INS)
    deployed = app_settings(deploy("app", layer_parameters(Layer.APP, environment, STAND_INS)))
    ours = {setting.name for setting in SETTINGS} & deployed.keys()
    by_the_module = {AZURE_CLIENT_ID.name, CREDENTIAL.name, TABLE_ENDPOINT.name}
    of_the_host = {each.name for each in TELEMETRY_SETTINGS[:2]}

    assert 8 < len(wanted)
    assert {SYNC_SCHEDULE.name} | of_the_host >= ours - wanted.keys()
    assert {each: wanted[each] for each in wanted.keys() - by_the_module} == {
        each: deployed.get(each) for each in wanted.keys() - by_the_module
    }


def test_when_the_function_app_has_a_setting_then_it_is_derived_given_or_refused() -> None:
    """So that no new setting is forgotten by the deployment."""
    given = load_bicep_parameters(CHECKOUT / Layer.APP.module).keys()
    forgotten = {
        setting.name
        for setting in SETTINGS
        if camel_case(setting.name) not in given
        and setting.name not in DERIVED
        and setting.name not in NOT_DEPLOYABLE
    }

    assert set() == forgotten


def test_when_a_setting_is_refused_then_the_module_has_no_parameter_for_it() -> None:
    """What bridge.toml refuses, nobody else can give either."""
    given = load_bicep_parameters(CHECKOUT / Layer.APP.module).keys()

    assert set() == {name for name in NOT_DEPLOYABLE if camel_case(name) in given}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_when_the_stack_is_given_values_then_the_template_takes_each(name: str) -> None:
    """By the parameter's own pattern, choices and bounds."""
    given = stack_parameters(ENVIRONMENTS[name], STAND_INS, DECLARED)

    assert {} == {
        parameter: refusal
        for parameter, value in given.items()
        if (refusal := DECLARED[parameter].refusal(value))
    }


def test_when_the_stack_is_given_values_then_none_of_its_parameters_is_forgotten() -> None:
    """CloudFormation keeps what an update does not name."""
    given = stack_parameters(ENVIRONMENTS["small"], STAND_INS, DECLARED)

    assert DECLARED.keys() - given.keys() == {"PublicUrl", "AuthorizerRelease", *KEPT}


def test_when_a_parameter_is_called_derived_then_the_template_has_it() -> None:
    """A renamed one would silently be free to be given."""
    assert set() == (DERIVED_PARAMETERS.keys() | KEPT) - DECLARED.keys()
    assert len(setting_parameters().keys() & DECLARED.keys()) > 15


def test_when_github_gets_a_role_then_its_template_declares_what_it_is_given() -> None:
    """And takes each value, by the parameter's own pattern."""
    declared = load_template_parameters(CHECKOUT, GITHUB_TEMPLATE)
    context = Context.of(ENVIRONMENTS["github"], STAND_INS, DECLARED)
    given = github_parameters(context)

    # What is not given is the bucket that SAM makes by itself.
    assert ({"PackageBucket"}, set()) == (declared.keys() - given, given.keys() - declared)
    assert "arn:aws:s3:::bucket/authorities.pem" == given["TruststoreArn"]
    assert (
        f"({GITHUB_TRUSTSTORE.pattern})?"
        == (declared["TruststoreArn"].declaration["AllowedPattern"])
    )
    assert {} == {
        name: refusal for name, value in given.items() if (refusal := declared[name].refusal(value))
    }
    assert set() == {name for name, each in declared.items() if each.default is None} - set(given)


def test_when_steps_are_ordered_then_each_comes_after_those_that_it_needs() -> None:
    """And each value is given before it is needed."""
    taken: set[str] = set()
    given: set[str] = set()
    for step in STEPS:
        assert set(step.after) <= taken, step.id
        assert set(step.needs) <= given, step.id
        taken.add(step.id)
        given |= set(step.gives)


def test_when_a_rollout_reads_an_output_then_a_module_or_a_template_has_it() -> None:
    """Else a run ends half-way, after a cloud was changed."""
    code = (CHECKOUT / "deployment/rollout.py").read_text(encoding="utf-8")
    read = set(re.findall(r'outputs(?:, |\.get\()"(\w+)"', code))
    of_modules = {
        name
        for layer in Layer
        for name in parse_bicep((CHECKOUT / layer.module).read_text("utf-8"), layer.module).outputs
    }
    of_templates = {
        name
        for template in (TEMPLATE, GITHUB_TEMPLATE)
        for name in load_template(CHECKOUT / template)["Outputs"]
    }

    assert {"identityClientId", "DefaultUrl", "DeployRoleArn", "githubClientId"} <= read
    assert set() == read - of_modules - of_templates


def test_when_the_smoke_test_looks_at_an_alarm_then_the_template_has_it() -> None:
    """By its logical ID."""
    assert (
        "AWS::CloudWatch::Alarm" == load_template(CHECKOUT / TEMPLATE)["Resources"][ALARM]["Type"]
    )
