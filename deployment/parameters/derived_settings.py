"""Every deployable's settings in one environment: what follows from bridge.toml, and the given.

Both clouds take audience, issuer, client IDs and address from here, so they cannot disagree.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, cast

from aws_authorizer import settings as authorizer
from aws_backend import settings as backend
from azure_function_app import declared_settings as function_app
from azure_function_app.network_settings import (
    API_CLIENT_CERTIFICATE_KEY_PATH,
    API_CLIENT_CERTIFICATE_PATH,
    EXTRA_CA_FILE,
    TOKEN_HTTPS_PROXY,
)
from azure_function_app.telemetry.telemetry_settings import (
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING,
    APPLICATIONINSIGHTS_CONNECTION_STRING,
)
from deployment.bridge_file import Environment
from deployment.entra import registration
from deployment.entra.registration import WantedRegistration
from deployment.names import names_of
from deployment.values import Value, Values, show
from shared import contract
from shared.routes import Role
from shared.settings_reader import Setting

DECLARED: Final[Mapping[str, Setting[object]]] = {
    setting.name: setting
    for setting in (*function_app.SETTINGS, *authorizer.SETTINGS, *backend.SETTINGS)
}
"""Every declared setting of every deployable, by its name."""

DERIVED: Final[Mapping[str, str]] = {
    contract.ENTRA_TENANT_ID.name: "entra.tenant_id",
    contract.ENTRA_CLOUD.name: "entra.cloud",
    contract.API_CLIENT_ID.name: "the API's registration, which the step `entra` makes",
    contract.API_APP_ID_URI.name: "entra.tenant_id, name and the environment's name",
    function_app.AWS_API_BASE_URL.name: "aws.custom_domain, or the API that the stack makes",
    function_app.CREDENTIAL.name: "the Function App's identity",
    function_app.AZURE_CLIENT_ID.name: "the Function App's identity",
    function_app.TABLE_ENDPOINT.name: "the storage account",
    APPLICATIONINSIGHTS_CONNECTION_STRING.name: "the environment's own Application Insights",
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING.name: "the Function App's identity",
    function_app.PROXY_AUTHENTICATION.name: "proxy.authentication",
    authorizer.ALLOWED_CLIENT_IDS.name: "the Function App's identity, allowed_client_ids and"
    " developers",
    backend.PUBLIC_URL.name: "aws.custom_domain, or the API that the stack makes",
    backend.RECORDS_TABLE.name: "the stack's own table",
}
"""Settings that bridge.toml must not give, because they follow from what is named here."""

NOT_DEPLOYABLE: Final[Mapping[str, str]] = {
    contract.ENTRA_AUTHORITY.name: "it is the local Entra ID's",
    function_app.AZURE_AUTHORITY_HOST.name: "it is the local Entra ID's",
    function_app.SQLITE_PATH.name: "in Azure each instance would lose its own file",
    **{
        setting.name: "the Function App proves who it is by its managed identity, without a secret"
        for setting in (
            function_app.AZURE_CLIENT_SECRET,
            function_app.AZURE_CLIENT_CERTIFICATE_PATH,
            function_app.AZURE_CLIENT_CERTIFICATE_PASSWORD,
            function_app.AZURE_FEDERATED_TOKEN_FILE,
            function_app.MANAGED_IDENTITY_CLIENT_ID,
        )
    },
    TOKEN_HTTPS_PROXY.name: "a managed identity's endpoint is on the same machine",
    authorizer.KEY_SET_FILE.name: "the build puts the key set into the bundle",
    authorizer.USAGE_PLAN_KEYS.name: "its API keys are secrets; give the stack's parameter"
    " UsagePlanKeys once by hand, and every deployment from here keeps it",
}
"""Settings that no deployment from here sets, and why."""

FILES_IN_THE_APP: Final = tuple(
    setting.name
    for setting in (EXTRA_CA_FILE, API_CLIENT_CERTIFICATE_PATH, API_CLIENT_CERTIFICATE_KEY_PATH)
)
"""Settings that name files which are there in Azure only, so they cannot be looked at from here."""

SECRET_REFERENCE: Final = re.compile(
    r"@Microsoft\.KeyVault\(VaultName=([A-Za-z0-9-]+);SecretName=([A-Za-z0-9-]+)\)"
)
"""How a setting names a secret in a Key Vault: its groups are the vault and the secret."""

_TOKEN_VERSIONS: Final = {1: "1.0", 2: "2.0"}


def token_version_text(environment: Environment) -> str:
    """Return the registration's token version as a token's `ver` spells it."""
    return _TOKEN_VERSIONS[environment.entra.token_version]


def identity_roles(environment: Environment) -> frozenset[Role]:
    """Return the app roles that the Function App's identity needs.

    That is to read, and with a proxy that forwards writes, to write.
    """
    forwards = environment.settings.get(function_app.PROXY_FORWARDS.name)
    writes = forwards == function_app.ForwardedCalls.READ_AND_WRITE
    return frozenset({Role.READ, Role.WRITE} if writes else {Role.READ})


def wanted_registration(
    environment: Environment, identity_principal_id: str = ""
) -> WantedRegistration:
    """Return the registration that bridge.toml asks for."""
    names = names_of(environment)
    return WantedRegistration(
        tenant_id=environment.entra.tenant_id,
        name=names.registration,
        app_id_uri=names.app_id_uri,
        token_version=cast("Literal[1, 2]", environment.entra.token_version),
        identity_principal_id=identity_principal_id,
        identity_roles=identity_roles(environment),
        developers=environment.developers,
    )


def contract_settings(environment: Environment, values: Values) -> dict[str, str]:
    """Return the settings that both sides must be given alike."""
    return {
        contract.ENTRA_TENANT_ID.name: environment.entra.tenant_id,
        contract.ENTRA_CLOUD.name: environment.entra.cloud,
        contract.API_CLIENT_ID.name: show(values, Value.API_CLIENT_ID),
        contract.API_APP_ID_URI.name: names_of(environment).app_id_uri,
        contract.ACCEPTED_TOKEN_VERSIONS.name: environment.settings.get(
            contract.ACCEPTED_TOKEN_VERSIONS.name
        )
        or token_version_text(environment),
    }


def function_app_settings(environment: Environment, values: Values) -> dict[str, str]:
    """Return the Function App's settings, those without a value left out."""
    store = environment.settings.get(function_app.RECORD_STORE.name) or "table"
    derived = contract_settings(environment, values) | {
        function_app.AWS_API_BASE_URL.name: show(values, Value.API_URL),
        function_app.CREDENTIAL.name: "managed_identity",
        function_app.AZURE_CLIENT_ID.name: show(values, Value.IDENTITY_CLIENT_ID),
        function_app.RECORD_STORE.name: store,
        function_app.PROXY_AUTHENTICATION.name: environment.proxy.authentication,
    }
    if store == function_app.RecordStoreKind.TABLE:
        account = names_of(environment).storage_account
        derived[function_app.TABLE_ENDPOINT.name] = f"https://{account}.table.core.windows.net"
    return _given(environment, function_app.SETTINGS) | derived


def authorizer_settings(environment: Environment, values: Values) -> dict[str, str]:
    """Return the authorizer's settings, those without a value left out."""
    given = _given(environment, authorizer.SETTINGS)
    callers = [show(values, Value.IDENTITY_CLIENT_ID), *environment.allowed_client_ids]
    # What lets developers in follows from the registration, which is made of the same.
    for name, text in registration.authorizer_settings(wanted_registration(environment)).items():
        if not text:
            continue
        if name == authorizer.ALLOWED_CLIENT_IDS.name:
            callers += [text] * (text not in callers)
        else:
            others = given.get(name)
            given[name] = f"{text},{others}" if others else text
    return (
        given
        | contract_settings(environment, values)
        | {authorizer.ALLOWED_CLIENT_IDS.name: ",".join(callers)}
    )


def backend_settings(environment: Environment) -> dict[str, str]:
    """Return those of the backend's settings that are not in the contract, if they are given."""
    return _given(environment, backend.SETTINGS)


def _given(environment: Environment, declared: tuple[Setting[object], ...]) -> dict[str, str]:
    names = {setting.name for setting in declared}
    # To a deployable, nothing is the same as no setting; the templates take it as a value.
    return {name: value for name, value in environment.settings.items() if name in names and value}
