"""The clouds of `bridge clouds`, as a rollout asks them: the same steps, in the same order.

What is not rehearsed: sign-ins, rights, Azure's and Amazon's own refusals, `az` and `sam`, and
the challenge that names `PublicUrl`: MiniStack makes a new API, at another address, at each update.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from copy import replace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import botocore.exceptions
import httpx

from bridge_cli.deploying.graph_tenant import GraphTenant
from bridge_cli.deploying.local_smoke import LocalAlarms
from bridge_cli.deploying.real_clouds import Told, build_function_app
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
from deployment.errors import DeploymentError
from deployment.parameters.bicep_parameters import Layer, Parameters
from deployment.parameters.derived_settings import SECRET_REFERENCE, contract_settings
from deployment.parameters.template_parameters import (
    PUBLIC_URL,
    TEMPLATE,
    TemplateParameter,
)
from deployment.programs.programs import Programs
from deployment.smoke.outcome import CheckBlockedError, SmokeCode
from deployment.smoke.smoke_run import run_smoke
from deployment.smoke.sources import FunctionKeys, SmokeSources
from deployment.smoke.target import SmokeTarget
from deployment.steps.azure_steps import PACKAGE_TAG
from deployment.steps.step import Context
from deployment.values import Value
from emulator.aws.deployment import DeploymentError as StackError
from emulator.aws.deployment import LocalAws, deploy
from emulator.aws.local_bundles import Bundles, build_local_bundles
from shared.clock import SystemClock
from shared.contract import read_api_identity
from shared.settings_reader import reading_settings

CLOUDS_FILE: Final = "clouds.json"
_DEPLOY_SECONDS: Final = 180.0
_OK: Final = 200
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class CloudsFile:
    """Where the local clouds are. The token is a secret of theirs."""

    entra: Mapping[str, str] = field(repr=False)
    aws: Mapping[str, str]
    azure: Mapping[str, str]
    folder: Path


def read_local_clouds(folder: Path) -> CloudsFile:
    """Return where the local clouds of the folder are.

    Raises:
        DeploymentError: there are none.

    """
    try:
        document = json.loads((folder / CLOUDS_FILE).read_text(encoding="utf-8"))
        return CloudsFile(document["entra"], document["aws"], document["azure"], folder)
    except (OSError, ValueError, KeyError, TypeError):
        raise DeploymentError(
            "local_clouds_missing",
            f"There are no local clouds in {folder}: run `bridge clouds` and leave it running.",
        ) from None


def local_environment(environment: Environment, clouds: CloudsFile) -> Environment:
    """Return the environment as it is rehearsed: in the local tenant, without what is not there.

    That is a domain, a virtual network, GitHub, a Key Vault, alerts, and the real tenant's users
    and applications.
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
        developers=(),
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
            _LocalAwsAccount(
                self.clouds.aws["endpoint_url"], entra["authority"], packages, self.checkout
            ),
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
        return None if found is None else DeployedLayer(found["digest"], found["outputs"])

    def deploy_layer(
        self, layer: Layer, parameters: Parameters, digest: str, report: Report
    ) -> Mapping[str, str]:
        report(f"deploying {layer.module}")
        deployed = self._tell(
            "PUT",
            f"/deployments/{layer}",
            json={"module": layer.value, "parameters": parameters, "digest": digest},
        )
        outputs: Mapping[str, str] = deployed["outputs"]
        return outputs

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
    endpoint_url: str
    authority: str
    packages: _LocalPackages
    checkout: Path

    def sign_in(self) -> str:
        return "whoever is at this machine"

    def lacks_log_role(self) -> bool:
        aws = LocalAws(self.endpoint_url)
        client = aws.session().client(
            "apigateway", endpoint_url=self.endpoint_url, config=aws.config
        )
        return not client.get_account().get("cloudwatchRoleArn")

    def github_provider(self) -> str:
        return ""

    def find_stack(self, name: str) -> Stack | None:
        aws = LocalAws(self.endpoint_url)
        client = aws.session().client(
            "cloudformation", endpoint_url=self.endpoint_url, config=aws.config
        )
        try:
            (described,) = client.describe_stacks(StackName=name)["Stacks"]
        except botocore.exceptions.ClientError:
            return None
        outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
        if "ApiId" in outputs:
            # The address of AWS's own form needs a name that resolves, and a port.
            path = f"{outputs['ApiId']}/{outputs['StageName']}"
            outputs["DefaultUrl"] = f"{self.endpoint_url}/_aws/execute-api/{path}"
        parameters = {
            each["ParameterKey"]: each.get("ParameterValue", "")
            for each in described.get("Parameters", [])
        }
        # An update would give the API another address, so the function is told without one.
        parameters[PUBLIC_URL] = self._told_url(name)
        return Stack(described["StackStatus"], parameters, outputs)

    def deploy_stack(self, deployment: StackDeployment, report: Report) -> Stack:
        present = self.find_stack(deployment.name)
        if present is not None and present.is_complete:
            wanted = {**deployment.parameters, PUBLIC_URL: present.parameters[PUBLIC_URL]}
            if wanted.items() <= present.parameters.items():
                self._tell_url(deployment.name, deployment.parameters[PUBLIC_URL])
                told = {**present.parameters, PUBLIC_URL: deployment.parameters[PUBLIC_URL]}
                return replace(present, parameters=told)
        try:
            deploy(
                self.endpoint_url,
                self.checkout / TEMPLATE,
                self.packages.bundles,
                {**deployment.parameters, PUBLIC_URL: ""},
                self.authority,
                clock=SystemClock(),
                sleep=time.sleep,
                report=report,
                stack_name=deployment.name,
            )
        except StackError as error:
            raise DeploymentError(error.code, str(error)) from error
        stack = self.find_stack(deployment.name)
        if stack is None:
            raise DeploymentError("local_stack_gone", f"There is no stack {deployment.name}.")
        return stack

    def _told_url(self, stack: str) -> str:
        try:
            configuration = self._client("lambda").get_function_configuration(
                FunctionName=self._discovery(stack)
            )
        except botocore.exceptions.ClientError:
            return ""
        variables = configuration.get("Environment", {}).get("Variables", {})
        return str(variables.get("PUBLIC_URL", ""))

    def _tell_url(self, stack: str, url: str) -> None:
        client, name = self._client("lambda"), self._discovery(stack)
        configuration = client.get_function_configuration(FunctionName=name)
        variables = configuration.get("Environment", {}).get("Variables", {})
        client.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**variables, "PUBLIC_URL": url}}
        )

    def _discovery(self, stack: str) -> str:
        detail = self._client("cloudformation").describe_stack_resource(
            StackName=stack, LogicalResourceId="DiscoveryFunction"
        )
        return str(detail["StackResourceDetail"]["PhysicalResourceId"])

    def _client(self, service: Literal["cloudformation", "lambda"]) -> Any:  # noqa: ANN401
        aws = LocalAws(self.endpoint_url)
        return aws.session().client(service, endpoint_url=self.endpoint_url, config=aws.config)


@dataclass(frozen=True, slots=True)
class _IdentityTokens:
    """Tokens of the Function App's own identity, which may only read."""

    endpoint: str
    header: str = field(repr=False)
    client_id: str

    async def token(self, scope: str) -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            response = await http.get(
                self.endpoint,
                params={
                    "api-version": "2019-08-01",
                    "resource": scope.removesuffix("/.default"),
                    "client_id": self.client_id,
                },
                headers={"X-IDENTITY-HEADER": self.header},
            )
        if response.status_code != _OK:
            raise CheckBlockedError(
                SmokeCode.SIGN_IN_MISSING,
                f"no token of the local Entra ID (HTTP {response.status_code})",
                "Look whether `bridge clouds` still runs.",
            )
        token: str = response.json()["access_token"]
        return token


@dataclass(frozen=True, slots=True)
class _SiteKeys:
    """The keys of a site of the local Azure."""

    url: str
    site: str

    async def keys(self) -> FunctionKeys:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = (await http.get(f"{self.url}/sites/{self.site}/keys")).json()
        return FunctionKeys(answer.get("function"), answer.get("master"))


@dataclass(frozen=True, slots=True)
class _LocalSmoke:
    clouds: CloudsFile
    context: Context

    def run(self, api_url: str, api_client_id: str, proxy_url: str, report: Report) -> SmokeResult:
        environment, names = self.context.environment, self.context.names
        settings = contract_settings(environment, {Value.API_CLIENT_ID: api_client_id})
        settings["ENTRA_AUTHORITY"] = self.clouds.entra["authority"]
        with reading_settings(settings) as reader:
            identity = read_api_identity(reader)
        target = SmokeTarget.checked(
            api_url=api_url,
            identity=identity,
            public_url=None,
            function_app_url=self._site_url() or proxy_url,
        )
        entra = self.clouds.entra
        lambda_log = self.clouds.aws.get("lambda_log") or self.clouds.folder / "logs/lambda.log"
        sources = SmokeSources(
            _IdentityTokens(entra["identity_endpoint"], entra["identity_header"], self._identity()),
            _SiteKeys(self.clouds.azure["url"], names.function_app),
            LocalAlarms(self.clouds.aws["endpoint_url"], Path(lambda_log), names.stack),
        )
        return smoke_result(
            asyncio.run(run_smoke(target, sources, clock=SystemClock(), reporter=Told(report)))
        )

    def _identity(self) -> str:
        layer = f"{self.clouds.azure['url']}/deployments/{Layer.FOUNDATION}"
        with httpx.Client(trust_env=False) as http:
            return str(http.get(layer).json()["outputs"]["identityClientId"])

    def _site_url(self) -> str:
        name = self.context.names.function_app
        with httpx.Client(trust_env=False) as http:
            site = http.get(f"{self.clouds.azure['url']}/sites/{name}").json()
        return str(site.get("url") or "")
