"""The real clouds of an environment: `az`, `sam`, boto3 and Graph, with whoever is signed in."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge_cli.deploying.graph_tenant import GraphTenant
from bridge_cli.deploying.smoke_options import SmokeOptions, smoke_result
from bundling.bundles import RECIPES
from deployment.aws_cloud import AwsAccount
from deployment.azure_cloud import AzureCli
from deployment.bridge_file import Environment
from deployment.clouds import Clouds, Packages, Report, SmokeResult
from deployment.digests import digest_of_bundles
from deployment.entra.administrator import fetch_administrator_token
from deployment.entra.graph_client import GRAPH_URLS
from deployment.errors import DeploymentError, ProgramError
from deployment.parameters.template_parameters import TemplateParameter
from deployment.programs.programs import Programs
from deployment.programs.refusals import refusal
from deployment.smoke.smoke_run import run_smoke
from deployment.smoke.target import TargetError
from deployment.steps.all_steps import build_line, bundle_line, check_line
from deployment.steps.aws_steps import build_folder
from deployment.steps.azure_steps import package_path
from deployment.steps.step import Context
from deployment.values import Value
from shared.clock import SystemClock
from shared.settings_reader import SettingsError

_BUILD_SECONDS: Final = 1800.0
_CHECK_SECONDS: Final = 120.0


def real_clouds(
    environment: Environment,
    declared: Mapping[str, TemplateParameter],
    checkout: Path,
    packages: str = "",
) -> Clouds:
    """Return the clouds that bridge.toml names; with the folder of a release, for its packages."""
    context = Context.of(environment, {}, declared, packages)
    programs = Programs(checkout)
    tenant = environment.entra.tenant_id
    return Clouds(
        AzureCli(environment, context, programs),
        AwsAccount(environment, context, programs),
        GraphTenant(
            GRAPH_URLS[environment.entra.cloud],
            lambda: fetch_administrator_token(tenant),
            SystemClock(),
        ),
        BuiltHere(context, programs),
        SmokeHere(environment),
    )


@dataclass(frozen=True, slots=True)
class BuiltHere:
    """Builds both clouds' packages in the checkout."""

    context: Context
    programs: Programs

    def build(self, report: Report) -> Packages:
        """Return what was built.

        Raises:
            NotSignedIn: `sam` is not installed, so that nobody can deploy to AWS from here.
            ProgramError: something could not be built; the message has what was said.

        """
        package = build_function_app(self.context, self.programs, report)
        folder = build_folder(self.context)
        line = build_line(self.context)
        done = self.programs.run(line, timeout=_BUILD_SECONDS, report=report)
        if done.exit_code:
            raise refusal(done, "building the Lambdas", cloud="build")
        # AWS takes bundles for another processor, whose functions then fail at every call.
        done = self.programs.run(check_line(self.context), timeout=_CHECK_SECONDS, report=report)
        if done.exit_code:
            raise refusal(done, "checking the Lambdas' bundles", cloud="build")
        return Packages(package, digest_of_bundles(self.programs.folder / folder, RECIPES))


def build_function_app(
    context: Context, programs: Programs, report: Report, *, is_local: bool = False
) -> Path:
    """Return the Function App's package as Azure gets it, or as this machine can run it.

    Raises:
        ProgramError: it could not be built; the message has what was said.

    """
    line = bundle_line(context, is_local=is_local)
    done = programs.run(line, timeout=_BUILD_SECONDS, report=report)
    if done.exit_code:
        raise refusal(done, "building the Function App's package", cloud="build")
    package = programs.folder / package_path(context)
    if not package.is_file():
        raise ProgramError("package_missing", f"The build left no {package_path(context)}.")
    return package


@dataclass(frozen=True, slots=True)
class SmokeHere:
    """Tries what was deployed as `bridge smoke` does, with whoever is signed in."""

    environment: Environment

    def run(self, api_url: str, api_client_id: str, proxy_url: str, report: Report) -> SmokeResult:
        """Return what the checks found."""
        values = {
            Value.API_URL: api_url,
            Value.API_CLIENT_ID: api_client_id,
            Value.PROXY_URL: proxy_url,
        }
        options = SmokeOptions.of(self.environment, values)
        try:
            target = options.target()
        except (SettingsError, TargetError) as error:
            raise DeploymentError("smoke_target_invalid", str(error)) from error
        return smoke_result(
            asyncio.run(
                run_smoke(target, options.sources(), clock=SystemClock(), reporter=Told(report))
            )
        )


@dataclass(frozen=True, slots=True)
class Told:
    """Passes on what is being checked."""

    report: Report

    def step(self, text: str) -> None:
        """Pass it on."""
        self.report(text)
