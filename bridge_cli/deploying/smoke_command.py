"""`bridge smoke`: tries a deployed pair, or the local stack, and says what to change."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bridge_cli.complaint import complain
from bridge_cli.deploying.clouds_file import CLOUDS_FILE, read_local_clouds
from bridge_cli.deploying.local_smoke import LocalAlarms, LocalTokens, NoKeys, aws_endpoint_of
from bridge_cli.deploying.real_clouds import real_clouds
from bridge_cli.deploying.rehearsed_pair import read_rehearsed_pair
from bridge_cli.deploying.smoke_options import SmokeOptions, find_values
from bridge_cli.progress import progress_on
from deployment.bridge_file import load_bridge_file
from deployment.contradictions import check_bridge_file
from deployment.errors import BridgeFileError, DeploymentError, NotSignedIn, RightsMissing
from deployment.parameters.template_parameters import load_template_parameters
from deployment.smoke.azure_cli import GivenKeys
from deployment.smoke.outcome import FAILED, WAITS, Outcome, SmokeReport
from deployment.smoke.smoke_run import CHECK_IDS, SmokeLimits, run_smoke
from deployment.smoke.sources import FunctionKeys, SmokeSources
from deployment.smoke.target import ProxyCallers, SmokeTarget, TargetError
from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.settings import LOCAL_SETTINGS, load_local_settings
from shared.clock import SystemClock
from shared.contract import read_api_identity
from shared.settings_reader import SettingsError, reading_settings

_MARKS: Final = {
    Outcome.PASSED: "[green]✓[/]",
    Outcome.FAILED: "[bold red]✗[/]",
    Outcome.BLOCKED: "[yellow]?[/]",
    Outcome.NOT_APPLICABLE: "[dim]-[/]",
}
_MOST_KEY_BYTES: Final = 65_536
_INTERRUPTED: Final = 130
_UP: Final = Path(".bridge/up")
_CLOUDS: Final = Path(".bridge/clouds")
_CHECKOUT: Final = Path(__file__).resolve().parents[2]


def smoke(
    *,
    env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The environment of bridge.toml to try: what is not given here is taken from"
            " there and from what was deployed.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="The bridge.toml, where it is another one.", show_default="bridge.toml"),
    ] = None,
    is_local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Try the stack that `bridge up` keeps running, or what was deployed to the clouds"
            " of `bridge clouds`.",
        ),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="With --local: the folder of that stack, or of those clouds; .bridge/clouds if"
            " clouds run there, otherwise .bridge/up."
        ),
    ] = None,
    api_url: Annotated[
        str,
        typer.Option(help="Where callers reach the API, stage included (output AwsApiBaseUrl)."),
    ] = "",
    public_url: Annotated[
        str, typer.Option(help="The stack's PublicUrl, if it is set: the 401 must name it.")
    ] = "",
    tenant: Annotated[str, typer.Option(help="The tenant's GUID (output EntraTenantId).")] = "",
    cloud: Annotated[str, typer.Option(help="The Entra ID cloud (output EntraCloud).")] = "",
    client_id: Annotated[
        str, typer.Option(help="The API's own registration (output ApiClientId).")
    ] = "",
    app_id_uri: Annotated[
        str, typer.Option(help="The API's Application ID URI (output ApiAppIdUri).")
    ] = "",
    token_versions: Annotated[
        str, typer.Option(help="The token versions that the API accepts.")
    ] = "",
    function_app_url: Annotated[
        str, typer.Option(help="The Function App: https://APP.azurewebsites.net.")
    ] = "",
    function_app: Annotated[
        str, typer.Option(help="The Function App's name, to list its keys by `az`.")
    ] = "",
    resource_group: Annotated[str, typer.Option(help="The Function App's resource group.")] = "",
    subscription: Annotated[
        str, typer.Option(help="Its subscription, unless it is the Azure CLI's own.")
    ] = "",
    keys: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="The app's keys as `az functionapp keys list` prints them; - reads them from"
            " standard input, so that no file has to hold them.",
        ),
    ] = "",
    proxy_scope: Annotated[
        str,
        typer.Option(
            help="Where App Service signs the proxy's callers in: what to ask a token for, in place"
            " of a key."
        ),
    ] = "",
    stack: Annotated[str, typer.Option(help="The CloudFormation stack, for its alarm.")] = "",
    region: Annotated[str, typer.Option(envvar="AWS_REGION", help="The stack's AWS region.")] = "",
    profile: Annotated[
        str, typer.Option(help="The profile of your AWS configuration to sign in with.")
    ] = "",
    only: Annotated[
        str,
        typer.Option(
            metavar="CHECK,...", help=f"Make only these checks, of: {', '.join(CHECK_IDS)}."
        ),
    ] = "",
    timeout: Annotated[
        float, typer.Option(min=1.0, max=7200.0, help="Seconds for all checks together.")
    ] = 300.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Try a deployed pair from outside: it lets in whom it must, and nobody else.

    With --env it finds what to try by itself. Signs in as the Azure and AWS command lines do,
    writes nothing that stays (it starts one run of the sync), and shows no token and no key.

    Exits with 0 if all is well, 1 if a check failed, 2 for wrong options, and 3 if nothing failed
    and a right, a key or a sign-in was missing for a check; it says which.
    """
    only_ids = [each.strip() for each in only.split(",") if each.strip()] or list(CHECK_IDS)
    for unknown in sorted(set(only_ids) - set(CHECK_IDS)):
        raise typer.BadParameter(f"there is no check {unknown}.", param_hint="--only")
    if is_local and (env is not None or file is not None):
        raise typer.BadParameter(
            "--local tries what runs on this machine, --env and --file what bridge.toml names:"
            " leave out one or the other.",
            param_hint="--env",
        )
    if is_local:
        if folder is None:
            folder = _CLOUDS if (_CLOUDS / CLOUDS_FILE).is_file() else _UP
        if (folder / CLOUDS_FILE).is_file():
            target, sources = _rehearsed(folder)
        else:
            target, sources = _local(folder, function_app_url or "http://127.0.0.1:7071")
    else:
        options = SmokeOptions(
            api_url=api_url,
            public_url=public_url,
            tenant=tenant,
            cloud=cloud,
            client_id=client_id,
            app_id_uri=app_id_uri,
            token_versions=token_versions,
            function_app_url=function_app_url,
            function_app=function_app,
            resource_group=resource_group,
            subscription=subscription,
            proxy_scope=proxy_scope,
            stack=stack,
            region=region,
            profile=profile,
        )
        given = GivenKeys(read_keys(keys)) if keys else None
        if env is not None or file is not None:
            options = _completed(options, file or Path("bridge.toml"), env, as_json=as_json)
        advice = "" if env or file else ". With --env all of it is taken from bridge.toml."
        target, sources = _checked(options.target, advice), options.sources(given)
    sys.exit(_try(target, sources, only_ids, SmokeLimits(timeout), as_json=as_json))


def _try(
    target: SmokeTarget,
    sources: SmokeSources,
    only: list[str],
    limits: SmokeLimits,
    *,
    as_json: bool,
) -> int:
    try:
        with progress_on(Console(stderr=True)) as reporter:
            report = asyncio.run(
                run_smoke(
                    target,
                    sources,
                    clock=SystemClock(),
                    reporter=reporter,
                    limits=limits,
                    only=only,
                )
            )
    except KeyboardInterrupt:
        return _INTERRUPTED
    if as_json:
        print(report.to_json())  # noqa: T201 - the one line that programs read
    else:
        print_report(report, Console())
    for finding in report.findings:
        complain(finding)
    return report.exit_code


def print_report(report: SmokeReport, console: Console) -> None:
    """Print a line for each check: what was asked, what was expected, what came."""
    table = Table(box=None, title_justify="left")
    for name in ("", "check", "asked", "expected", "came", "seconds"):
        table.add_column(name, overflow="fold", justify="right" if name == "seconds" else "left")
    for result in report.results:
        row = (result.id, result.asked, result.expected, result.came, f"{result.seconds:.1f}")
        table.add_row(_MARKS[result.outcome], *map(escape, row))
    console.print(table)


def _completed(given: SmokeOptions, file: Path, env: str | None, *, as_json: bool) -> SmokeOptions:
    """Return the options with what bridge.toml and the clouds say in place of those not given."""
    try:
        declared = load_template_parameters(_CHECKOUT)
        bridge_file = load_bridge_file(file)
        check_bridge_file(bridge_file, declared)
        environment = bridge_file.environment(env)
        clouds = real_clouds(environment, declared, _CHECKOUT)
        values = find_values(environment, clouds.azure, clouds.aws, given)
    except DeploymentError as error:
        _refuse(error, as_json=as_json)
    return given.over(SmokeOptions.of(environment, values))


def _refuse(error: DeploymentError, *, as_json: bool) -> NoReturn:
    waits = isinstance(error, RightsMissing | NotSignedIn)
    exit_code = WAITS if waits else FAILED
    if as_json:
        found = {"exit_code": exit_code, "code": error.code, "message": str(error)}
        print(json.dumps(found))  # noqa: T201 - its output
    advice = (
        " Or say by --api-url, --client-id and --function-app-url what the clouds would tell."
        if waits
        else ""
    )
    problems = error.problems if isinstance(error, BridgeFileError) else ()
    for problem in problems:
        complain(f"{problem}")
    if not problems:
        complain(f"{error}{advice} ({error.code})")
    sys.exit(exit_code)


def _checked(make_target: Callable[[], SmokeTarget], advice: str = "") -> SmokeTarget:
    try:
        return make_target()
    except (SettingsError, TargetError) as error:
        raise typer.BadParameter(f"{error}{advice}") from None


def _rehearsed(folder: Path) -> tuple[SmokeTarget, SmokeSources]:
    try:
        return read_rehearsed_pair(read_local_clouds(folder))
    except DeploymentError as error:
        complain(f"{error} ({error.code})")
        sys.exit(FAILED)


def _local(folder: Path, function_app_url: str) -> tuple[SmokeTarget, SmokeSources]:
    try:
        values = load_local_settings(folder / LOCAL_SETTINGS)
    except FunctionsHostError as error:
        raise typer.BadParameter(
            f"{error} Does `bridge up` or `bridge clouds` run in that folder?",
            param_hint="--folder",
        ) from None

    def local_target() -> SmokeTarget:
        with reading_settings(values) as reader:
            identity = read_api_identity(reader)
        return SmokeTarget.checked(
            api_url=values.get("AWS_API_BASE_URL", ""),
            identity=identity,
            function_app_url=function_app_url,
            proxy_callers=ProxyCallers.UNCHECKED,
        )

    target = _checked(local_target)
    return target, SmokeSources(
        LocalTokens(values.get("IDENTITY_ENDPOINT", ""), values.get("IDENTITY_HEADER", "")),
        NoKeys(),
        LocalAlarms(aws_endpoint_of(target.api_url), folder / "logs" / "lambda.log"),
    )


def read_keys(file: str) -> FunctionKeys:
    """Return the keys that the file holds.

    Raises:
        typer.BadParameter: it cannot be read, or holds none.

    """
    try:
        if file == "-":
            text = sys.stdin.read(_MOST_KEY_BYTES)
        else:
            with Path(file).open(encoding="utf-8") as lines:
                text = lines.read(_MOST_KEY_BYTES)
        document = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        # The content is not shown: it may be a key.
        raise typer.BadParameter(
            f"no keys can be read from there ({type(error).__name__}).", param_hint="--keys"
        ) from None
    found = FunctionKeys.of_listing(document if isinstance(document, dict) else {})
    if found.function is None and found.master is None:
        raise typer.BadParameter(
            "there are no keys as `az functionapp keys list` prints them.", param_hint="--keys"
        )
    return found
