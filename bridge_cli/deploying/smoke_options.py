"""What `bridge smoke` tries and by whose sign-in: as its options say, or as bridge.toml does."""

from copy import replace
from dataclasses import asdict, dataclass
from typing import Self

from deployment.bridge_file import Environment
from deployment.clouds import AwsCloud, AzureCloud, SmokeResult
from deployment.errors import DeploymentError
from deployment.names import names_of
from deployment.parameters.bicep_parameters import Layer
from deployment.parameters.derived_settings import contract_settings
from deployment.parameters.template_parameters import camel_case, public_url
from deployment.plan import known_values
from deployment.smoke.azure_cli import AzureCliKeys, AzureCliTokens
from deployment.smoke.cloudwatch import CloudWatchAlarms
from deployment.smoke.outcome import SmokeReport
from deployment.smoke.sources import KeySource, SmokeSources
from deployment.smoke.target import ProxyCallers, SmokeTarget
from deployment.values import Value, Values
from shared import contract
from shared.contract import read_api_identity
from shared.settings_reader import reading_settings


@dataclass(frozen=True, slots=True)
class SmokeOptions:
    """The options of `bridge smoke` that say what is tried; an empty one is not given."""

    api_url: str = ""
    public_url: str = ""
    tenant: str = ""
    cloud: str = ""
    client_id: str = ""
    app_id_uri: str = ""
    token_versions: str = ""
    function_app_url: str = ""
    function_app: str = ""
    resource_group: str = ""
    subscription: str = ""
    proxy_scope: str = ""
    stack: str = ""
    region: str = ""
    profile: str = ""

    @classmethod
    def of(cls, environment: Environment, values: Values) -> Self:
        """Return what bridge.toml and the clouds say; `values` are those that only they know."""
        names = names_of(environment)
        settings = contract_settings(environment, values)
        sign_in = environment.proxy.sign_in_client_id
        return cls(
            api_url=values[Value.API_URL],
            public_url=values[Value.API_URL],
            tenant=settings[contract.ENTRA_TENANT_ID.name],
            cloud=settings[contract.ENTRA_CLOUD.name],
            client_id=settings[contract.API_CLIENT_ID.name],
            app_id_uri=settings[contract.API_APP_ID_URI.name],
            token_versions=settings[contract.ACCEPTED_TOKEN_VERSIONS.name],
            function_app_url=values[Value.PROXY_URL],
            function_app=names.function_app,
            resource_group=names.resource_group,
            subscription=environment.azure.subscription_id,
            proxy_scope=f"api://{sign_in}/.default" if sign_in else "",
            stack=names.stack,
            region=environment.aws.region,
            profile=environment.aws.profile,
        )

    def over(self, others: "SmokeOptions") -> "SmokeOptions":
        """Return the others with those that are given here in their place."""
        return replace(others, **{name: text for name, text in asdict(self).items() if text})

    def target(self) -> SmokeTarget:
        """Return what is to be tried.

        Raises:
            SettingsError: the options say no tenant, or no audience.
            TargetError: they say no address that a token may be sent to.

        """
        settings = {
            contract.ENTRA_TENANT_ID.name: self.tenant,
            contract.ENTRA_CLOUD.name: self.cloud,
            contract.API_CLIENT_ID.name: self.client_id,
            contract.API_APP_ID_URI.name: self.app_id_uri,
            contract.ACCEPTED_TOKEN_VERSIONS.name: self.token_versions,
        }
        with reading_settings(settings) as reader:
            identity = read_api_identity(reader)
        return SmokeTarget.checked(
            api_url=self.api_url,
            identity=identity,
            public_url=self.public_url or None,
            function_app_url=self.function_app_url or None,
            proxy_callers=ProxyCallers.EASY_AUTH if self.proxy_scope else ProxyCallers.FUNCTION_KEY,
            proxy_scope=self.proxy_scope or None,
        )

    def sources(self, keys: KeySource | None = None) -> SmokeSources:
        """Return who gives tokens, keys (unless they are given) and the alarm's state."""
        listed = AzureCliKeys(
            self.function_app or None, self.resource_group or None, self.subscription or None
        )
        return SmokeSources(
            AzureCliTokens(self.tenant),
            keys or listed,
            CloudWatchAlarms(self.stack or None, self.region or None, self.profile or None),
        )


def find_values(
    environment: Environment, azure: AzureCloud, aws: AwsCloud, given: SmokeOptions
) -> Values:
    """Return what only the clouds know of what was deployed; what is given is not asked for.

    Raises:
        DeploymentError: a cloud does not tell this sign-in, or has nothing of the environment.

    """
    told = {
        Value.API_URL: given.api_url,
        Value.API_CLIENT_ID: given.client_id,
        Value.PROXY_URL: given.function_app_url,
    }
    values = {**known_values(environment), **{name: text for name, text in told.items() if text}}
    if not {Value.API_URL, Value.API_CLIENT_ID} <= values.keys():
        stack = aws.find_stack(names_of(environment).stack)
        if stack is None:
            raise _missing(environment, f"the stack {names_of(environment).stack}")
        values.setdefault(
            Value.API_CLIENT_ID, stack.parameters[camel_case(contract.API_CLIENT_ID.name)]
        )
        default_url = {Value.DEFAULT_URL: stack.outputs["DefaultUrl"]}
        values.setdefault(Value.API_URL, public_url(environment, default_url))
    if Value.PROXY_URL not in values:
        app = azure.find_layer(Layer.APP)
        if app is None or not app.outputs.get("defaultHostName"):
            raise _missing(environment, "the Function App")
        values[Value.PROXY_URL] = f"https://{app.outputs['defaultHostName']}"
    return values


def _missing(environment: Environment, what: str) -> DeploymentError:
    return DeploymentError(
        "not_deployed",
        f"{environment.bridge_name}-{environment.name} has not been deployed whole: {what} is not"
        f" there. Run `bridge deploy --env {environment.name}` first.",
    )


def smoke_result(report: SmokeReport) -> SmokeResult:
    """Return the report as a rollout takes it."""
    return SmokeResult(
        report.exit_code, report.summary, report.findings, lets_others_in=report.lets_others_in
    )
