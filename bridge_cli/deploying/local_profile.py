"""The clouds of `bridge clouds`, as a rollout asks them: the same steps, in the same order.

What is not rehearsed: sign-ins, rights, Azure's and Amazon's own refusals, `az` and `sam`.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from copy import replace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import botocore.exceptions
import httpx

from bridge_cli.deploying.clouds_file import CloudsFile
from bridge_cli.deploying.graph_tenant import GraphTenant
from bridge_cli.deploying.real_clouds import Told, build_function_app
from bridge_cli.deploying.rehearsed_pair import api_url_of, make_sources, make_target
from bridge_cli.deploying.smoke_options import smoke_result
from bundling.errors import BundleError
from deployment.bridge_file import Environment
from deployment.clouds import (
    Clouds,
    DeployedLayer,
    Packages,
    Report,
    SmokeResult,
    Stack,
    StackDeployment,
)
from deployment.digests import digest_of
from deployment.errors import BusyError, DeploymentError
from deployment.parameters.bicep_parameters import Layer, Parameters
from deployment.parameters.derived_settings import SECRET_REFERENCE, contract_settings
from deployment.parameters.template_parameters import (
    TEMPLATE,
    TemplateParameter,
)
from deployment.programs.programs import Programs
from deployment.smoke.smoke_run import run_smoke
from deployment.steps.azure_steps import PACKAGE_TAG
from deployment.steps.step import Context
from deployment.values import Value
from emulator.aws.deployment import DeploymentError as StackError
from emulator.aws.deployment import LocalAws, deploy
from emulator.aws.local_bundles import Bundles, build_local_bundles
from shared.clock import SystemClock

_DEPLOY_SECONDS: Final = 180.0
_UNDER_WAY: Final = ("_IN_PROGRESS", "already exists")
_OK: Final = 200
_NOT_FOUND: Final = 404


def local_environment(environment: Environment, clouds: CloudsFile) -> Environment:
    """Return the environment as it is rehearsed: in the local tenant, without what is not there.

    That is a domain, a virtual network, GitHub, a Key Vault, alerts, and the real tenant's
    applications. For its users, if bridge.toml names any, stands the one user whom the local tenant
    has.
    """
    return replace(
        environment,
        entra=replace(environment.entra, tenant_id=clouds.entra["tenant_id"]),
        azure=replace(
            environment.azure,
            subscription_id=clouds.azure["subscription_id"],
            vnet=False,
            key_vault="",
            alert_action_group_id="",
        ),
        aws=replace(
            environment.aws,
            custom_domain="",
            certificate_arn="",
            hosted_zone_id="",
            alarm_topic_arn="",
            parameters={},
        ),
        github=None,
        developers=(clouds.entra["developer_id"],) if environment.developers else (),
        api_client_id="",
        settings={
            name: value
            for name, value in environment.settings.items()
            if not SECRET_REFERENCE.fullmatch(value)
        },
    )


@dataclass(frozen=True, slots=True)
class LocalClouds:
    """Everything that a rollout works with, on this machine."""

    clouds: CloudsFile
    environment: Environment
    declared: Mapping[str, TemplateParameter]
    checkout: Path

    def all(self) -> Clouds:
        """Return the local clouds."""
        context = Context.of(self.environment, {}, self.declared)
        entra = self.clouds.entra
        packages = _LocalPackages(context, self.checkout)
        return Clouds(
            _LocalAzure(self.clouds.azure["url"], context),
            _LocalAwsAccount(self.clouds, packages, self.checkout),
            GraphTenant(entra["graph_url"], lambda: entra["administrator_token"], SystemClock()),
            packages,
            _LocalSmoke(self.clouds, context),
        )


@dataclass(frozen=True, slots=True)
class _LocalAzure:
    url: str
    context: Context

    def sign_in(self) -> str:
        return "whoever is at this machine"

    def find_layer(self, layer: Layer) -> DeployedLayer | None:
        found = self._ask("GET", f"/deployments/{layer}")
        return None if found is None else DeployedLayer(found["digest"], _outputs(found))

    def deploy_layer(
        self, layer: Layer, parameters: Parameters, digest: str, report: Report
    ) -> Mapping[str, str]:
        report(f"deploying {layer.module}")
        deployed = self._tell(
            "PUT",
            f"/deployments/{layer}",
            json={"module": layer.value, "parameters": parameters, "digest": digest},
        )
        return _outputs(deployed)

    def find_package(self) -> str | None:
        site = self._ask("GET", f"/sites/{self.context.names.function_app}")
        digest = ((site or {}).get("tags") or {}).get(PACKAGE_TAG)
        return None if digest is None else str(digest)

    def publish(self, package: Path, digest: str, report: Report) -> None:
        site = f"/sites/{self.context.names.function_app}"
        report(f"publishing {package.name}")
        self._tell("PATCH", f"{site}/tags", json={PACKAGE_TAG: None})
        published = self._tell("PUT", f"{site}/package", content=package.read_bytes())
        if published.get("problem"):
            raise DeploymentError("local_app_failed", str(published["problem"]))
        self._tell("PATCH", f"{site}/tags", json={PACKAGE_TAG: digest})

    def _tell(self, method: str, path: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own
        answer = self._ask(method, path, **body)
        if answer is None:
            raise DeploymentError("local_azure_lacks", f"The local Azure has no {path}.")
        return answer

    def _ask(self, method: str, path: str, **body: Any) -> dict[str, Any] | None:  # noqa: ANN401 - httpx's own
        try:
            with httpx.Client(trust_env=False, timeout=_DEPLOY_SECONDS) as http:
                response = http.request(method, f"{self.url}{path}", **body)
                document = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise DeploymentError(
                "local_clouds_gone",
                f"The local Azure does not answer ({type(error).__name__}): is `bridge clouds`"
                " still running?",
            ) from error
        if response.status_code == _NOT_FOUND:
            return None
        if response.status_code != _OK:
            raise DeploymentError(str(document["code"]), str(document["message"]))
        return dict(document)


def _outputs(deployed: Mapping[str, Any]) -> dict[str, str]:
    outputs: dict[str, str] = dict(deployed["outputs"])
    if host := outputs.get("defaultHostName"):
        # On Azure a host has https; without a scheme, whoever reads it takes it for that.
        outputs["defaultHostName"] = f"http://{host}"
    return outputs


@dataclass(slots=True)
class _LocalPackages:
    context: Context
    checkout: Path
    bundles: Bundles = field(default_factory=dict)

    def build(self, report: Report) -> Packages:
        programs = Programs(self.checkout)
        package = build_function_app(self.context, programs, report, is_local=True)
        try:
            self.bundles = build_local_bundles(self.checkout)
        except BundleError as error:
            raise DeploymentError(error.code, str(error)) from error
        contents = {
            function: hashlib.sha256(bundle.read_bytes()).hexdigest()
            for function, bundle in self.bundles.items()
        }
        return Packages(package, digest_of(contents))


@dataclass(frozen=True, slots=True)
class _LocalAwsAccount:
    clouds: CloudsFile
    packages: _LocalPackages
    checkout: Path

    def sign_in(self) -> str:
        return "whoever is at this machine"

    def lacks_log_role(self) -> bool:
        aws = LocalAws(self.clouds.aws["endpoint_url"])
        client = aws.session().client(
            "apigateway", endpoint_url=aws.endpoint_url, config=aws.config
        )
        return not client.get_account().get("cloudwatchRoleArn")

    def github_provider(self) -> str:
        return ""

    def find_stack(self, name: str) -> Stack | None:
        aws = LocalAws(self.clouds.aws["endpoint_url"])
        client = aws.session().client(
            "cloudformation", endpoint_url=aws.endpoint_url, config=aws.config
        )
        try:
            (described,) = client.describe_stacks(StackName=name)["Stacks"]
        except botocore.exceptions.ClientError:
            return None
        if (status := described["StackStatus"]).endswith("_IN_PROGRESS"):
            raise _busy(name, status)
        outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
        if "ApiId" in outputs:
            outputs["DefaultUrl"] = api_url_of(self.clouds, outputs)
        parameters = {
            each["ParameterKey"]: each.get("ParameterValue", "")
            for each in described.get("Parameters", [])
        }
        return Stack(status, parameters, outputs)

    def deploy_stack(self, deployment: StackDeployment, report: Report) -> Stack:
        try:
            deploy(
                self.clouds.aws["endpoint_url"],
                self.checkout / TEMPLATE,
                self.packages.bundles,
                deployment.parameters,
                self.clouds.entra["authority"],
                clock=SystemClock(),
                sleep=time.sleep,
                report=report,
                stack_name=deployment.name,
            )
        except StackError as error:
            if any(sign in str(error) for sign in _UNDER_WAY):
                raise _busy(deployment.name, "in progress") from error
            raise DeploymentError(error.code, str(error)) from error
        stack = self.find_stack(deployment.name)
        if stack is None:
            raise DeploymentError("local_stack_gone", f"There is no stack {deployment.name}.")
        return stack


def _busy(stack: str, status: str) -> BusyError:
    return BusyError(
        "aws_busy",
        f"Somebody else, or an earlier run, is deploying the stack {stack} at the moment"
        f" ({status}): wait until that has ended, and run the same command again.",
    )


@dataclass(frozen=True, slots=True)
class _LocalSmoke:
    clouds: CloudsFile
    context: Context

    def run(self, api_url: str, api_client_id: str, proxy_url: str, report: Report) -> SmokeResult:
        environment, names = self.context.environment, self.context.names
        target = make_target(
            self.clouds,
            contract_settings(environment, {Value.API_CLIENT_ID: api_client_id}),
            api_url=api_url,
            proxy_url=proxy_url,
        )
        sources = make_sources(self.clouds, names.function_app, names.stack)
        return smoke_result(
            asyncio.run(run_smoke(target, sources, clock=SystemClock(), reporter=Told(report)))
        )
