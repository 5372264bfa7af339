"""`bridge deploy`: from bridge.toml to a running bridge, or the plan of it."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from bridge_cli.complaint import complain
from bridge_cli.deploying.clouds_file import read_local_clouds
from bridge_cli.deploying.local_profile import LocalClouds, local_environment
from bridge_cli.deploying.plan_view import print_plan
from bridge_cli.deploying.real_clouds import real_clouds
from bridge_cli.deploying.rollout_view import print_end, rollout_on
from deployment.bridge_file import BridgeFile, Environment, load_bridge_file
from deployment.contradictions import check_bridge_file
from deployment.errors import BridgeFileError, DeploymentError
from deployment.parameters.template_parameters import load_template_parameters
from deployment.plan import known_values, plan_of
from deployment.rollout import Rollout
from deployment.steps.step import StepId

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_FAILED: Final = 1
_INTERRUPTED: Final = 130
_EXAMPLE: Final = "bridge.toml.example"


def deploy(
    *,
    env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The environment; needed where there are several."),
    ] = None,
    plans: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Only show the steps, with every value and command. Needs no sign-in and no"
            " network. Without --env, for every environment.",
        ),
    ] = False,
    file: Annotated[Path, typer.Option(help="What to deploy.")] = Path("bridge.toml"),
    packages: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Deploy the packages of the release in this folder in place of building them. Its"
            " checksums are looked at; who published it, `gh attestation verify` says.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Deploy each step even where nothing differs.")
    ] = False,
    until: Annotated[
        StepId | None,
        typer.Option(metavar="STEP", help="Take no step after this one, such as azure-package."),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Rehearse it on the clouds of `bridge clouds`.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="With --local: the folder of those clouds.")] = Path(
        ".bridge/clouds"
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
) -> None:
    """Deploy the bridge to both clouds, as far as this sign-in may, or show how.

    Every step looks first at what is there and changes only what differs. Killed at any step, run
    it again: it goes on. It asks for no secret, prints none and stores none.

    Exits with 0 if everything is there, 1 if a step failed, 2 for wrong options, and 3 if a step
    waits for somebody else.
    """
    if packages is not None and local:
        raise typer.BadParameter(
            "a rehearsal builds packages for this machine.", param_hint="--packages"
        )
    # `bridge` may have been called from anywhere; what is run is run in the checkout.
    release = "" if packages is None else str(packages.resolve())
    try:
        declared = load_template_parameters(_CHECKOUT)
        clouds = read_local_clouds(folder) if local else None
        bridge_file = _load(file, is_local=local)
        check_bridge_file(bridge_file, declared)
        environments = _choose(bridge_file, env, all_of_them=plans)
    except BridgeFileError as error:
        _refuse_file(error, file, as_json=as_json)
    except DeploymentError as error:
        _refuse(error, as_json=as_json)
    if clouds is not None:
        environments = [local_environment(each, clouds) for each in environments]
    if plans:
        planned = {
            each.name: plan_of(each, declared, known_values(each), release) for each in environments
        }
        if as_json:
            print(json.dumps({"environments": planned}))  # noqa: T201 - its output
            return
        for each in environments:
            print_plan(each, planned[each.name], declared, Console())
        return
    (environment,) = environments
    console = Console(stderr=as_json)
    try:
        with _ended_in_order(), rollout_on(console) as reporter:
            report = Rollout(
                environment,
                declared,
                real_clouds(environment, declared, _CHECKOUT, release)
                if clouds is None
                else LocalClouds(clouds, environment, declared, _CHECKOUT).all(),
                _CHECKOUT,
                reporter,
                again=again,
                until=until,
                packages=release,
            ).run()
    except KeyboardInterrupt:
        complain("Interrupted. Run the same command again: it goes on where it was.")
        sys.exit(_INTERRUPTED)
    if as_json:
        print(json.dumps(report.to_json()))  # noqa: T201 - its output
    else:
        print_end(report, console)
    sys.exit(report.exit_code)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """End the block as Ctrl-C does where somebody ends this process, or closes its terminal.

    Else `az` or `sam` would go on alone.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # Under nohup, the terminal's end is to be ignored.
    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _load(file: Path, *, is_local: bool) -> BridgeFile:
    if is_local and not file.exists():
        return load_bridge_file(_CHECKOUT / _EXAMPLE)
    return load_bridge_file(file)


def _choose(bridge_file: BridgeFile, env: str | None, *, all_of_them: bool) -> list[Environment]:
    if env is None and all_of_them:
        return list(bridge_file.environments.values())
    return [bridge_file.environment(env)]


def _refuse_file(error: BridgeFileError, file: Path, *, as_json: bool) -> NoReturn:
    if as_json:
        problems = [
            {"code": each.code, "place": each.place, "message": each.message}
            for each in error.problems
        ]
        print(json.dumps({"exit_code": _FAILED, "code": error.code, "problems": problems}))  # noqa: T201
    for problem in error.problems:
        complain(f"{file}: {problem}")
    sys.exit(_FAILED)


def _refuse(error: DeploymentError, *, as_json: bool) -> NoReturn:
    if as_json:
        found = {"exit_code": _FAILED, "code": error.code, "message": str(error)}
        print(json.dumps(found))  # noqa: T201 - its output
    complain(f"{error} ({error.code})")
    sys.exit(_FAILED)
