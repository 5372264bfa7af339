"""The Bicep modules, evaluated for examples of every choice that they offer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from emulator.azure.bicep import Evaluated, Resource, ResourceGroup, evaluate

FOLDER: Final = Path(__file__).parents[2] / "infra" / "azure"
MODULES: Final = {path.stem: path for path in sorted(FOLDER.glob("*.bicep"))}
TENANT_ID: Final = "11111111-2222-4333-8444-555555555555"
IDENTITY_CLIENT_ID: Final = "1de00000-0000-4000-8000-000000000001"
GROUP: Final = ResourceGroup(
    subscription_id="5b5b5b5b-0000-4000-8000-000000000001",
    tenant_id=TENANT_ID,
    name="rg-bridge-dev",
    location="westeurope",
)
FOUNDATION: Final[Mapping[str, object]] = {
    "identityName": "id-bridge-dev",
    "storageAccountName": "stbridgedev123456",
    "planName": "plan-bridge-dev",
    "insightsName": "appi-bridge-dev",
    "workspaceName": "log-bridge-dev",
}
APP: Final[Mapping[str, object]] = {
    "functionAppName": "func-bridge-dev-123456",
    "identityName": "id-bridge-dev",
    "storageAccountName": "stbridgedev123456",
    "planName": "plan-bridge-dev",
    "insightsName": "appi-bridge-dev",
    "awsApiBaseUrl": "https://abc123.execute-api.eu-west-1.amazonaws.com/dev",
    "entraTenantId": TENANT_ID,
    "apiClientId": "aaaaaaaa-0000-4000-8000-000000000001",
    "apiAppIdUri": f"api://{TENANT_ID}/bridge-dev-api",
}
GITHUB: Final[Mapping[str, object]] = {
    "identityName": "id-bridge-dev-github",
    "subject": "repo:owner@1/name@2:environment:dev",
}
SECRET: Final = "@Microsoft.KeyVault(VaultName=kv-bridge;SecretName=api-key)"
SIGN_IN_CLIENT_ID: Final = "51600000-0000-4000-8000-000000000001"
ACTION_GROUP_ID: Final = f"{GROUP.id}/providers/Microsoft.Insights/actionGroups/on-call"
VARIANTS: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "foundation": ("foundation", FOUNDATION),
    "foundation in a network": ("foundation", {**FOUNDATION, "useVirtualNetwork": True}),
    "foundation over zones": ("foundation", {**FOUNDATION, "zoneRedundant": True}),
    "table": ("app", APP),
    "postgres": (
        "app",
        {
            **APP,
            "recordStore": "postgres",
            "postgresHost": "pg-bridge.postgres.database.azure.com",
            "postgresUser": "id-bridge-dev",
        },
    ),
    "easy auth": (
        "app",
        {
            **APP,
            "proxyAuthentication": "easy_auth",
            "proxySignInClientId": SIGN_IN_CLIENT_ID,
            "proxyCallerClientIds": ["ca110000-0000-4000-8000-000000000001"],
            "proxyCallerRoles": "Orders.Reader=Records.Read",
        },
    ),
    "fan-out": ("app", {**APP, "syncFanOut": "true"}),
    "in a network": ("app", {**APP, "subnetId": f"{GROUP.id}/providers/x/y/z"}),
    "always ready": ("app", {**APP, "alwaysReadyHttp": 2, "alwaysReadyTimer": 1}),
    "secrets": ("app", {**APP, "keyVaultName": "kv-bridge", "awsApiKey": SECRET}),
    "alerts": ("app", {**APP, "alertActionGroupId": ACTION_GROUP_ID}),
    "github": ("github", GITHUB),
}
"""A deployment for each choice that the modules offer."""


def state_of(resource: Resource) -> Mapping[str, object]:
    """What the resource would say of itself in Azure, as far as the modules ask."""
    workspace = f"{GROUP.id}/providers/Microsoft.OperationalInsights/workspaces/log"
    endpoints = {
        service: f"https://{resource.name}.{service}.{GROUP.storage_suffix}/"
        for service in ("blob", "queue", "table")
    }
    return {
        "properties": {
            "clientId": IDENTITY_CLIENT_ID,
            "principalId": "1de00000-0000-4000-8000-000000000002",
            "primaryEndpoints": endpoints,
            "ConnectionString": "InstrumentationKey=00000000-0000-4000-8000-000000000001;IngestionEndpoint=https://x.example/",
            "WorkspaceResourceId": workspace,
            "defaultHostName": f"{resource.name}.azurewebsites.net",
        }
    }


def deploy(module: str, parameters: Mapping[str, object]) -> Evaluated:
    """What the module comes to in the example's resource group."""
    return evaluate(MODULES[module], parameters, state_of, GROUP)


def deploy_variant(variant: str, **more: object) -> Evaluated:
    """What the variant comes to, with these parameters beside or in place of its own."""
    module, parameters = VARIANTS[variant]
    return deploy(module, {**parameters, **more})


def only(evaluated: Evaluated, symbol: str) -> Resource:
    """The resource of that symbol."""
    (resource,) = (each for each in evaluated.resources if each.symbol == symbol)
    return resource


def app_settings(evaluated: Evaluated) -> dict[str, str]:
    """The app settings that the site gets."""
    return {name: str(value) for name, value in only(evaluated, "appSettings").properties.items()}
