"""The app settings that the Bicep deploys, against those that the Function App reads."""

import json
import re
from pathlib import Path

import pytest

from azure_function_app.declared_settings import (
    SETTINGS,
    CallerAuthentication,
    ForwardedCalls,
    RecordStoreKind,
)
from azure_function_app.identity.credential_kinds import ManagedIdentity
from azure_function_app.settings import PostgresSettings, Settings, TableSettings, load_settings
from azure_function_app.telemetry.telemetry_settings import EntraSignIn, read_telemetry_settings
from emulator.azure.bicep import BicepError
from emulator.azure.bicep_syntax.parser import parse_bicep
from emulator.azure.bicep_syntax.tree import ArrayLiteral, Literal, ObjectLiteral
from shared.entra import CLOUDS, TokenVersion
from shared.settings_reader import Setting, SettingsError, reading_settings
from tests.support.bicep import (
    APP,
    IDENTITY_CLIENT_ID,
    MODULES,
    SECRET,
    SIGN_IN_CLIENT_ID,
    TENANT_ID,
    VARIANTS,
    app_settings,
    deploy_variant,
    only,
)

CHECKOUT = Path(__file__).parents[2]
TREE = parse_bicep(MODULES["app"].read_text("utf-8"), "app.bicep")
APP_VARIANTS = [name for name, (module, _) in VARIANTS.items() if module == "app"]
DECLARED: dict[str, Setting[object]] = {setting.name: setting for setting in SETTINGS}

HOST_SETTINGS = {
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
}
"""What only the host reads; everything else is ours."""
DERIVED = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AZURE_CLIENT_ID",
    "TABLE_ENDPOINT",
}
"""What follows from the identity, the storage account and Application Insights."""
NOT_SET = {
    "CREDENTIAL": "the app's identity is what is deployed, and the code's default",
    "AZURE_CLIENT_SECRET": "no secret is stored",
    "AZURE_CLIENT_CERTIFICATE_PATH": "Flex Consumption has no certificates",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD": "the same",
    "AZURE_FEDERATED_TOKEN_FILE": "nobody writes such a file there",
    "MANAGED_IDENTITY_CLIENT_ID": "the identity itself is let in, and vouches for nobody",
    "TOKEN_HTTPS_PROXY": "a managed identity uses none, and the app refuses to start with one",
    "AZURE_AUTHORITY_HOST": "the local Entra ID's",
    "ENTRA_AUTHORITY": "the local Entra ID's",
    "SQLITE_PATH": "each instance would have the file for itself",
}
"""Why no deployment sets it."""
NOT_LEFT_OUT = {
    "SYNC_SCHEDULE": "the host reads it too, and it does not know the code's default",
    "RECORD_STORE": "the code's default is refused in Azure",
    "PROXY_AUTHENTICATION": "App Service is told the same",
}
"""Settings that have a value where nobody chooses one."""
SECRETS = {name for name, setting in DECLARED.items() if setting.is_secret} - set(NOT_SET)
FORBIDDEN_ON_FLEX = re.compile(
    "FUNCTIONS_WORKER_RUNTIME(_VERSION)?|FUNCTIONS_EXTENSION_VERSION|FUNCTIONS_MAX_HTTP_CONCURRENCY"
    "|FUNCTIONS_WORKER_PROCESS_COUNT|WEBSITE_.*|ENABLE_ORYX_BUILD|SCM_DO_BUILD_DURING_DEPLOYMENT|TZ"
    "|AzureWebJobsStorage|AzureWebJobsDashboard|APPINSIGHTS_INSTRUMENTATIONKEY"
)
"""What Flex Consumption does not take, and what would bring a key in."""


def chosen() -> set[str]:
    """The settings that the module takes from parameters."""
    value = TREE.variables["chosenSettings"].value
    assert isinstance(value, ObjectLiteral)
    return {str(key.value) for key, _ in value.members if isinstance(key, Literal)}


def parameter_of(setting: str) -> str:
    """The setting's name in camel case."""
    first, *others = setting.lower().split("_")
    return first + "".join(map(str.capitalize, others))


def allowed(parameter: str) -> set[object]:
    """The values that a parameter can have."""
    values = TREE.parameters[parameter].decorators["allowed"]
    assert isinstance(values, ArrayLiteral)
    return {each.value for each in values.items if isinstance(each, Literal)}


def started(variant: str, **more: object) -> Settings:
    """The settings of the app, started with what the variant deploys."""
    return load_settings(app_settings(deploy_variant(variant, **more)))


# --- one list of settings -------------------------------------------------------------------------


def test_when_the_app_reads_a_setting_then_a_deployment_can_set_it() -> None:
    """Or it is said why none does; and none is set that nothing reads."""
    assert 40 <= len(DECLARED)
    assert set(DECLARED) - set(NOT_SET) == chosen() | DERIVED
    assert set() == set(NOT_SET) - set(DECLARED)


@pytest.mark.parametrize("setting", sorted(set(DECLARED) - set(NOT_SET) - DERIVED))
def test_when_a_setting_is_given_then_the_app_gets_it_under_its_name(setting: str) -> None:
    """Its parameter is its name in camel case; without a value the code's default holds."""
    parameter = TREE.parameters[parameter_of(setting)]
    declared = DECLARED[setting]
    value = SECRET if setting in SECRETS else declared.default or declared.example or "given"
    if "allowed" in parameter.decorators:
        value = str(max(map(str, allowed(parameter.name))))
    deployed = app_settings(deploy_variant("table", **{parameter.name: value}))

    assert value == deployed[setting]
    if parameter.name not in APP:
        default = parameter.default
        assert isinstance(default, Literal)
        assert (setting in NOT_LEFT_OUT) is bool(default.value)
        assert (setting in NOT_LEFT_OUT) is (setting in app_settings(deploy_variant("table")))


def test_when_a_setting_is_never_left_out_then_its_value_is_the_codes_default() -> None:
    """But that of the store, which is refused in Azure."""
    deployed = app_settings(deploy_variant("table"))
    same = set(NOT_LEFT_OUT) - {"RECORD_STORE"}

    assert {name: DECLARED[name].default for name in same} == {
        name: deployed[name] for name in same
    }
    assert RecordStoreKind.TABLE == deployed["RECORD_STORE"]


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("recordStore", set(RecordStoreKind) - {RecordStoreKind.SQLITE}),
        ("proxyAuthentication", set(CallerAuthentication)),
        ("proxyForwards", {"", *ForwardedCalls}),
        ("entraCloud", {"", *CLOUDS} - {"usgov"}),
        ("syncFanOut", {"", "true", "false"}),
        ("proxyAdmitsGuests", {"", "true", "false"}),
    ],
)
def test_when_a_setting_has_choices_then_its_parameter_has_the_same(
    parameter: str, values: set[object]
) -> None:
    """But for SQLite, and for a cloud that has no Flex Consumption."""
    assert values == allowed(parameter)


def test_when_a_choice_is_none_then_nothing_is_deployed() -> None:
    """As Resource Manager has it."""
    with pytest.raises(BicepError, match="'recordStore' is none of table, postgres"):
        deploy_variant("table", recordStore="sqlite")


@pytest.mark.parametrize("variant", APP_VARIANTS)
def test_when_settings_are_deployed_then_flex_takes_them_and_nobody_else_has_any(
    variant: str,
) -> None:
    """The host's are complete, and no key comes in."""
    names = set(app_settings(deploy_variant(variant)))

    assert names - set(DECLARED) == HOST_SETTINGS
    assert [] == [name for name in names if FORBIDDEN_ON_FLEX.fullmatch(name)]


def test_when_the_host_stores_something_then_as_the_identity() -> None:
    """A user-assigned identity is no default: each reader of the environment must name it."""
    settings = app_settings(deploy_variant("table"))

    assert "managedidentity" == settings["AzureWebJobsStorage__credential"]
    assert IDENTITY_CLIENT_ID == settings["AzureWebJobsStorage__clientId"]
    assert IDENTITY_CLIENT_ID == settings["AZURE_CLIENT_ID"]
    assert (
        f"ClientId={IDENTITY_CLIENT_ID};Authorization=AAD"
        == (settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"])
    )


@pytest.mark.parametrize("variant", APP_VARIANTS)
def test_when_settings_are_deployed_then_log_lines_are_left_to_the_host(variant: str) -> None:
    """With either of these the worker says that it exports them itself, and the host drops them."""
    names = set(app_settings(deploy_variant(variant)))

    assert (
        not {
            "PYTHON_ENABLE_OPENTELEMETRY",
            "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY",
        }
        & names
    )


@pytest.mark.parametrize("variant", APP_VARIANTS)
def test_when_the_app_is_deployed_then_its_spans_are_signed_in_by_its_identity(
    variant: str,
) -> None:
    """The connection string by itself opens nothing: local authentication is off."""
    settings = app_settings(deploy_variant(variant))
    with reading_settings(settings) as reader:
        telemetry = read_telemetry_settings(reader, settings)

    assert telemetry.is_on
    assert EntraSignIn(IDENTITY_CLIENT_ID) == telemetry.sign_in


# --- secrets --------------------------------------------------------------------------------------


def test_when_a_setting_is_a_secret_then_its_parameter_is_kept_out_of_the_history() -> None:
    """And so is no other, for what is kept is what a deployment is understood by."""
    secure = {name for name, each in TREE.parameters.items() if "secure" in each.decorators}

    assert {"AWS_API_KEY", "API_HTTPS_PROXY", "API_CLIENT_CERTIFICATE_PASSWORD"} == SECRETS
    assert {parameter_of(name) for name in SECRETS} == secure


@pytest.mark.parametrize("setting", sorted(SECRETS))
def test_when_a_secret_itself_is_given_then_it_gets_nowhere(setting: str) -> None:
    """In its place is a text that says what was expected."""
    made_up = "made-up-secret-of-more-than-20"

    deployed = deploy_variant("table", **{parameter_of(setting): made_up})

    assert made_up not in json.dumps([each.body for each in deployed.resources], default=str)
    assert "expected a Key Vault reference" == app_settings(deployed)[setting]


@pytest.mark.parametrize("setting", ["AWS_API_KEY", "API_HTTPS_PROXY"])
def test_when_a_secret_itself_was_given_then_the_app_does_not_start(setting: str) -> None:
    """It says which setting it is."""
    with pytest.raises(SettingsError, match=f"{setting}: is not valid"):
        started("table", **{parameter_of(setting): "made-up-secret-of-more-than-20"})


def test_when_app_service_has_no_such_secret_then_the_app_does_not_start() -> None:
    """App Service leaves the reference in its place."""
    with pytest.raises(SettingsError, match="AWS_API_KEY: is a reference that"):
        started("secrets")


def test_when_secrets_are_references_then_the_identity_reads_them() -> None:
    """The site says as whom, because the identity is no default here either."""
    site = only(deploy_variant("secrets"), "site")
    assigned = site.body["identity"]

    assert isinstance(assigned, dict)
    assert [site.properties["keyVaultReferenceIdentity"]] == list(
        assigned["userAssignedIdentities"]
    )


# --- the app starts with what is deployed ---------------------------------------------------------


def test_when_the_table_variant_is_deployed_then_the_app_starts_with_it() -> None:
    """As its identity, against the API that was named."""
    settings = started("table")

    assert APP["awsApiBaseUrl"] == settings.api_base_url
    assert f"{APP['apiAppIdUri']}/.default" == settings.api.scope
    assert ManagedIdentity(IDENTITY_CLIENT_ID) == settings.token_source.credential
    assert TableSettings("https://stbridgedev123456.table.core.windows.net") == settings.record_sink
    assert CallerAuthentication.FUNCTION_KEY is settings.proxy_authentication
    assert not settings.sync.fans_out


def test_when_postgres_is_chosen_then_the_app_starts_with_it() -> None:
    """It signs in there by what its identity was named."""
    expected = PostgresSettings(
        "pg-bridge.postgres.database.azure.com", 5432, "postgres", "id-bridge-dev"
    )

    assert expected == started("postgres").record_sink
    assert "TABLE_ENDPOINT" not in app_settings(deploy_variant("postgres"))


def test_when_callers_sign_in_then_the_app_starts_where_app_service_says_that_they_do() -> None:
    """App Service adds WEBSITE_AUTH_ENABLED itself; without it the app refuses to start."""
    deployed = app_settings(deploy_variant("easy auth"))

    settings = load_settings({**deployed, "WEBSITE_AUTH_ENABLED": "True"})

    assert CallerAuthentication.EASY_AUTH is settings.proxy_authentication
    assert {"Orders.Reader": frozenset({"Records.Read"})} == settings.sign_in.caller_roles
    with pytest.raises(SettingsError, match="PROXY_AUTHENTICATION: is easy_auth, but"):
        load_settings(deployed)


def test_when_the_sync_fans_out_then_the_app_starts_with_it() -> None:
    """And the host finds the queue service."""
    settings = app_settings(deploy_variant("fan-out"))

    assert load_settings(settings).sync.fans_out
    assert settings["AzureWebJobsStorage__queueServiceUri"].startswith("https://")


@pytest.mark.parametrize("variant", ["in a network", "always ready"])
def test_when_only_the_place_is_another_then_the_app_starts_the_same(variant: str) -> None:
    """Neither a network nor instances kept ready are the app's business."""
    assert app_settings(deploy_variant("table")) == app_settings(deploy_variant(variant))


# --- callers --------------------------------------------------------------------------------------


def test_when_callers_sign_in_then_app_service_takes_their_tokens_and_no_others() -> None:
    """Of the app's own tenant, for the registration that they sign in to."""
    properties = only(deploy_variant("easy auth"), "authentication").properties
    health = json.loads((CHECKOUT / "host.json").read_text())["extensions"]["http"]["routePrefix"]
    source = (CHECKOUT / "azure_function_app/functions/health.py").read_text("utf-8")

    assert 'route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS' in source
    assert {"enabled": True} == properties["platform"]
    assert {
        "requireAuthentication": True,
        "unauthenticatedClientAction": "Return401",
        "excludedPaths": [f"/{health}/health"],
    } == properties["globalValidation"]
    assert {
        "azureActiveDirectory": {
            "enabled": True,
            "registration": {
                "clientId": SIGN_IN_CLIENT_ID,
                "openIdIssuer": CLOUDS["public"].issuer(TENANT_ID, TokenVersion.V2),
            },
            "validation": {
                "allowedAudiences": [SIGN_IN_CLIENT_ID, f"api://{SIGN_IN_CLIENT_ID}"],
                "defaultAuthorizationPolicy": {
                    "allowedApplications": ["ca110000-0000-4000-8000-000000000001"]
                },
            },
        }
    } == properties["identityProviders"]
    assert {"requireHttps": True} == properties["httpSettings"]


def test_when_callers_are_of_another_tenant_then_it_issues_their_tokens() -> None:
    """The setting says so to the app, and this to App Service."""
    other = "99999999-2222-4333-8444-555555555555"

    properties = only(
        deploy_variant("easy auth", proxyCallerTenantId=other), "authentication"
    ).properties

    assert CLOUDS["public"].issuer(other, TokenVersion.V2) in json.dumps(properties)


def test_when_callers_have_keys_then_app_service_signs_nobody_in() -> None:
    """Said in any case, or it would stay on after it had been chosen once."""
    properties = only(deploy_variant("table"), "authentication").properties

    assert {"enabled": False} == properties["platform"]
    assert {} == properties["identityProviders"]
