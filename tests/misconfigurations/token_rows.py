"""What can be wrong with who asks for a token, with the token, and with who may come with it."""

from copy import replace
from datetime import timedelta
from typing import Final

from aiohttp import web

from emulator.client_certificate import make_client_certificate
from emulator.loopback import LOOPBACK, find_free_port
from emulator.tenant import LocalCredentialKind
from shared.clock import SystemClock
from shared.routes import Role
from tests.misconfigurations.devices import company_proxy
from tests.misconfigurations.installation import Installation, free_identifier
from tests.misconfigurations.misconfiguration import row

_HOUR: Final = 3600


def _use(on: Installation, kind: LocalCredentialKind) -> None:
    """Have the app sign in in another way; nothing is wrong with that."""
    on.app_settings["CREDENTIAL"] = kind.value
    on.app_settings |= on.stack.tenant.settings_by_credential[kind]


async def _app_of_no_tenant(on: Installation) -> None:
    _use(on, LocalCredentialKind.CLIENT_SECRET)
    on.app_settings["ENTRA_TENANT_ID"] = free_identifier(1)


async def _tenant_by_its_domain(on: Installation) -> None:
    on.app_settings["ENTRA_TENANT_ID"] = "contoso.onmicrosoft.com"


async def _stack_of_another_tenant(on: Installation) -> None:
    on.parameters["EntraTenantId"] = free_identifier(1)
    await on.deploy()


async def _app_id_uri_of_nothing(on: Installation) -> None:
    on.app_settings["API_APP_ID_URI"] = "api://records-api-that-is-not"


async def _app_id_uri_of_another_api(on: Installation) -> None:
    uri = "api://somebody-elses"
    made = await on.graph(
        "POST",
        "/applications",
        {
            "displayName": "somebody else's API",
            "identifierUris": [uri],
            "api": {"requestedAccessTokenVersion": 2},
        },
    )
    await on.graph("POST", "/servicePrincipals", {"appId": made["appId"]})
    on.app_settings["API_APP_ID_URI"] = uri


async def _app_id_uri_of_graph(on: Installation) -> None:
    on.app_settings["API_APP_ID_URI"] = "https://graph.microsoft.com"


async def _stack_of_another_api(on: Installation) -> None:
    on.parameters["ApiClientId"] = free_identifier(2)
    await on.deploy()


async def _stack_of_another_uri(on: Installation) -> None:
    # Only v1.0 tokens name the API by its URI.
    await on.set_requested_version(1)
    on.app_settings["ACCEPTED_TOKEN_VERSIONS"] = "1.0"
    on.parameters["AcceptedTokenVersions"] = "1.0"
    on.parameters["ApiAppIdUri"] = "api://records"
    await on.deploy()


async def _registration_of_version_1(on: Installation) -> None:
    await on.set_requested_version(None)


async def _stack_takes_version_1(on: Installation) -> None:
    on.parameters["AcceptedTokenVersions"] = "1.0"
    await on.deploy()


async def _without_role(on: Installation) -> None:
    await on.unassign(on.stack.tenant.function_app.object_id)


async def _role_of_another_application(on: Installation) -> None:
    await on.unassign(on.stack.tenant.function_app.object_id)
    await on.assign(on.stack.tenant.without_role.object_id, Role.READ)


async def _role_that_only_writes(on: Installation) -> None:
    await on.unassign(on.stack.tenant.function_app.object_id)
    await on.assign(on.stack.tenant.function_app.object_id, Role.WRITE)


async def _unassigned_where_needed(on: Installation) -> None:
    await on.unassign(on.stack.tenant.function_app.object_id)
    api = await on.service_principal(on.stack.tenant.directory.api.client_id)
    path = f"/servicePrincipals/{api['id']}"
    await on.graph("PATCH", path, {"appRoleAssignmentRequired": True})


async def _not_on_the_list(on: Installation) -> None:
    own = on.stack.tenant.function_app.client_id
    listed = on.parameters["AllowedClientIds"].split(",")
    on.parameters["AllowedClientIds"] = ",".join(entry for entry in listed if entry != own)
    await on.deploy()


async def _object_id_on_the_list(on: Installation) -> None:
    own = on.stack.tenant.function_app
    listed = on.parameters["AllowedClientIds"]
    on.parameters["AllowedClientIds"] = listed.replace(own.client_id, own.object_id)
    await on.deploy()


async def _identity_of_another_app(on: Installation) -> None:
    on.app_settings["AZURE_CLIENT_ID"] = free_identifier(3)


async def _unknown_application(on: Installation) -> None:
    _use(on, LocalCredentialKind.CLIENT_SECRET)
    on.app_settings["AZURE_CLIENT_ID"] = free_identifier(3)


async def _object_id_of_the_application(on: Installation) -> None:
    _use(on, LocalCredentialKind.CLIENT_SECRET)
    on.app_settings["AZURE_CLIENT_ID"] = on.stack.tenant.service_principal.object_id


async def _id_of_the_secret(on: Installation) -> None:
    _use(on, LocalCredentialKind.CLIENT_SECRET)
    on.app_settings["AZURE_CLIENT_SECRET"] = free_identifier(4)


async def _expired_secret(on: Installation) -> None:
    _use(on, LocalCredentialKind.CLIENT_SECRET)
    principal = on.stack.tenant.service_principal
    on.stack.entra.replace_application(
        replace(principal, secrets=(), expired_secrets=principal.secrets)
    )


async def _certificate_of_nobody(on: Installation) -> None:
    _use(on, LocalCredentialKind.CLIENT_CERTIFICATE)
    another = make_client_certificate("another", timedelta(days=1), SystemClock())
    file = on.folder / "another.pem"
    file.write_bytes(another.with_private_key)
    on.app_settings["AZURE_CLIENT_CERTIFICATE_PATH"] = str(file)


async def _certificate_file_missing(on: Installation) -> None:
    _use(on, LocalCredentialKind.CLIENT_CERTIFICATE)
    on.app_settings["AZURE_CLIENT_CERTIFICATE_PATH"] = str(on.folder / "not-there.pem")


async def _federation_of_another_subject(on: Installation) -> None:
    _use(on, LocalCredentialKind.WORKLOAD_IDENTITY)
    principal = on.stack.tenant.service_principal
    trusts = tuple(
        replace(trust, subject="system:serviceaccount:bridge:other")
        for trust in principal.federated_credentials
    )
    on.stack.entra.replace_application(replace(principal, federated_credentials=trusts))


async def _federated_token_missing(on: Installation) -> None:
    _use(on, LocalCredentialKind.WORKLOAD_IDENTITY)
    on.app_settings["AZURE_FEDERATED_TOKEN_FILE"] = str(on.folder / "not-there")


async def _no_identity_here(on: Installation) -> None:
    del on.app_settings["IDENTITY_ENDPOINT"], on.app_settings["IDENTITY_HEADER"]


async def _secret_left_over(on: Installation) -> None:
    on.app_settings["AZURE_CLIENT_SECRET"] = "made-up-left-over-secret"


async def _proxy_to_entra_is_off(on: Installation) -> None:
    _use(on, LocalCredentialKind.CLIENT_SECRET)
    proxy = await on.exits.enter_async_context(company_proxy({}))
    on.facts["proxy"] = f"http://{LOOPBACK}:{proxy.port}"
    on.app_settings["TOKEN_HTTPS_PROXY"] = f"http://{LOOPBACK}:{find_free_port()}"


async def _authorizer_without_way_to_entra(on: Installation) -> None:
    # The functions' fetch is the only request here that says no User-Agent.
    on.stack.entra.lose(_comes_from_the_authorizer)
    # New processes, which have no key set yet.
    on.parameters["KeySetMaxAgeSeconds"] = "3599"
    await on.deploy()


def _comes_from_the_authorizer(request: web.Request) -> bool:
    return request.path.endswith("/keys") and "User-Agent" not in request.headers


async def _key_set_file_missing(on: Installation) -> None:
    on.parameters["KeySetFile"] = "keys/not-there.json"
    await on.deploy()


async def _clock_of_entra(on: Installation) -> None:
    on.entra_clock.offset = _HOUR


async def _clock_of_the_machine(on: Installation) -> None:
    _use(on, LocalCredentialKind.CLIENT_CERTIFICATE)
    on.machine_clock_offset = _HOUR


TOKEN_ROWS: Final = (
    row("app-of-no-tenant", "ENTRA_TENANT_ID is no tenant's, for a service principal.",
        _app_of_no_tenant, "tenant_unknown"),
    row("tenant-by-its-domain", "ENTRA_TENANT_ID is the tenant's domain, not its GUID.",
        _tenant_by_its_domain, "settings_invalid", asked="route"),
    row("stack-of-another-tenant", "EntraTenantId of the stack is another tenant's.",
        _stack_of_another_tenant, "wrong_tenant"),
    row("app-id-uri-of-nothing", "API_APP_ID_URI is misspelt, so that Entra ID knows no such API.",
        _app_id_uri_of_nothing, "api_unknown_in_tenant", asked="route"),
    row("app-id-uri-of-another-api", "API_APP_ID_URI is that of another API of the tenant.",
        _app_id_uri_of_another_api, "wrong_audience", "wrong_scope"),
    row("app-id-uri-of-graph", "API_APP_ID_URI is Microsoft Graph's.",
        _app_id_uri_of_graph, "wrong_audience", "wrong_scope", asked="route"),
    row("stack-of-another-api", "ApiClientId of the stack is another registration's.",
        _stack_of_another_api, "wrong_audience", asked="route"),
    row("stack-of-another-uri", "ApiAppIdUri of the stack is another one, and tokens are v1.0.",
        _stack_of_another_uri, "wrong_audience", "wrong_scope", asked="route"),
    row("registration-of-version-1", "The API's registration issues v1.0 tokens; 2.0 is accepted.",
        _registration_of_version_1, "unaccepted_version", asked="route"),
    row("stack-takes-version-1", "AcceptedTokenVersions of the stack is 1.0; tokens are 2.0.",
        _stack_takes_version_1, "unaccepted_version", asked="route"),
    row("without-role", "Nobody has assigned Records.Read to the app's identity.",
        _without_role, "missing_role", asked="route"),
    row("role-of-another-application", "Records.Read was assigned to another application.",
        _role_of_another_application, "missing_role"),
    row("role-that-only-writes", "The app's identity has Records.Write only, and is to read.",
        _role_that_only_writes, "missing_role", asked="route"),
    row("unassigned-where-needed", "Only assigned callers get a token for the API; the app is not.",
        _unassigned_where_needed, "missing_role", asked="route"),
    row("not-on-the-list", "AllowedClientIds of the stack does not name the app.",
        _not_on_the_list, "unknown_client", asked="route"),
    row("object-id-on-the-list", "AllowedClientIds names the app by its object ID.",
        _object_id_on_the_list, "unknown_client"),
    row("identity-of-another-app", "AZURE_CLIENT_ID names an identity that the app does not have.",
        _identity_of_another_app, "managed_identity_unknown", asked="route"),
    row("unknown-application", "AZURE_CLIENT_ID is no application of the tenant.",
        _unknown_application, "application_unknown", asked="route"),
    row("object-id-of-the-application", "AZURE_CLIENT_ID is the service principal's object ID.",
        _object_id_of_the_application, "application_unknown", asked="route"),
    row("id-of-the-secret", "AZURE_CLIENT_SECRET is the secret's ID, not its value.",
        _id_of_the_secret, "secret_wrong"),
    row("expired-secret", "The client secret has expired.",
        _expired_secret, "secret_expired", asked="route"),
    row("certificate-of-nobody", "The certificate was not uploaded to the registration.",
        _certificate_of_nobody, "certificate_unregistered"),
    row("certificate-file-missing", "AZURE_CLIENT_CERTIFICATE_PATH names no file.",
        _certificate_file_missing, "certificate_unusable", asked="route"),
    row("federation-of-another-subject", "The federated credential trusts another subject.",
        _federation_of_another_subject, "federation_mismatch"),
    row("federated-token-missing", "AZURE_FEDERATED_TOKEN_FILE names no file.",
        _federated_token_missing, "federated_token_unusable", asked="route"),
    row("no-identity-here", "CREDENTIAL is managed_identity, and the app has none.",
        _no_identity_here, "managed_identity_missing", asked="route"),
    row("secret-left-over", "AZURE_CLIENT_SECRET is set, though the identity is a managed one.",
        _secret_left_over, "settings_invalid", asked="route"),
    row("proxy-to-entra-is-off", "Nobody listens at TOKEN_HTTPS_PROXY.",
        _proxy_to_entra_is_off, "issuer_proxy"),
    row("authorizer-without-way-to-entra", "The authorizer cannot reach the tenant's key set.",
        _authorizer_without_way_to_entra, "key_set_unavailable", asked="command_with_log"),
    row("key-set-file-missing", "KeySetFile of the stack names no file of the bundle.",
        _key_set_file_missing, "authorizer_settings_invalid", asked="command_with_log"),
    row("clock-of-entra", "Entra ID's clock is an hour ahead of the authorizer's.",
        _clock_of_entra, "issuer_clock_off"),
    row("clock-of-the-machine", "The machine's clock is an hour ahead, and it signs assertions.",
        _clock_of_the_machine, "machine_clock_off"),
)  # fmt: skip
