"""Does what a fix of the doctor says, as a person would who knows only what the fix says.

A value that the fix does not know is read where it says that the value is. A place that nobody here
has heard of, or a setting that nobody can set, ends with an error: such a fix is none.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from copy import replace
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from emulator.entra.directory import Application, FederatedCredential
from emulator.tenant import LocalCredentialKind
from tests.misconfigurations.devices import TABLE_WRITER_ROLE
from tests.misconfigurations.installation import Installation

type Fix = Mapping[str, Any]
type Reader = Callable[[Installation, str, "re.Match[str]"], Awaitable[str]]


class NotDoableError(Exception):
    """The fix does not say enough to be done by somebody who knows nothing else."""


async def apply(fix: Fix, on: Installation) -> None:
    """Do what the fix says.

    Raises:
        NotDoableError: nobody could do it.

    """
    setting = fix["setting"]
    if setting is None:
        raise NotDoableError(f"it names nothing to set: {fix}")
    match fix["where"]:
        case "function_app" | "machine" if setting in _OF_THE_MACHINE:
            _OF_THE_MACHINE[setting](on)
        case "function_app" | "machine":
            on.app_settings[setting] = await _value(fix, on)
        case "aws_stack":
            await _set_parameter(fix, on)
        case "entra" if setting in _IN_ENTRA:
            await _IN_ENTRA[setting](on, fix)
        case "storage" if setting in _IN_STORAGE:
            await _IN_STORAGE[setting](on, fix)
        case "aws_operations" | "network" if setting in _IN_OPERATION:
            await _IN_OPERATION[setting](on, fix)
        case _:
            raise NotDoableError(f"nobody sets {setting} at {fix['where']}: {fix}")


async def _value(fix: Fix, on: Installation) -> str:
    if fix["value"] is not None:
        return str(fix["value"])
    place = str(fix["value_from"])
    for pattern, read in _PLACES:
        if found := re.search(pattern, place):
            return await read(on, fix["setting"], found)
    raise NotDoableError(f"nobody knows the place {place!r}: {fix}")


# --- places -----------------------------------------------------------------------------------


async def _stack_output(on: Installation, _: str, found: "re.Match[str]") -> str:
    return on.stack_outputs()[found[1]]


async def _overview_page(on: Installation, *_: object) -> str:
    return on.stack.tenant.directory.tenant_id


async def _expose_an_api(on: Installation, *_: object) -> str:
    api = await on.graph("GET", f"/applications(appId='{on.stack_outputs()['ApiClientId']}')")
    return str(api["identifierUris"][0])


async def _client_id_of_the_registration(on: Installation, *_: object) -> str:
    return on.stack.tenant.service_principal.client_id


async def _new_secret(on: Installation, *_: object) -> str:
    application = _registration(on)
    secret = secrets.token_urlsafe(32)
    changed = replace(application, secrets=(*application.secrets, secret))
    on.stack.entra.replace_application(changed)
    return secret


async def _identity_page(on: Installation, setting: str, _: object) -> str:
    """The page shows no user-assigned identity, and the system-assigned one can be turned on."""
    entra = on.stack.entra
    on.app_settings["IDENTITY_ENDPOINT"] = entra.identity_endpoint
    on.app_settings["IDENTITY_HEADER"] = entra.identity_header
    return "managed_identity" if setting == "CREDENTIAL" else ""


async def _mounted_file(on: Installation, setting: str, _: object) -> str:
    """The files that this machine has: the service principal's own."""
    for kind in LocalCredentialKind:
        settings = on.stack.tenant.settings_by_credential[kind]
        if setting in settings:
            return settings[setting]
    raise NotDoableError(f"no file is there for {setting}")


def _fact(name: str) -> Reader:
    async def read(on: Installation, setting: str, _: object) -> str:
        if name not in on.facts:
            raise NotDoableError(f"nobody knows a {name} for {setting}")
        return on.facts[name]

    return read


async def _store_page(on: Installation, setting: str, _: object) -> str:
    facts = {"POSTGRES_HOST": "postgres_host", "TABLE_ENDPOINT": "table_endpoint"}
    if setting not in facts:
        raise NotDoableError(f"the store's page does not say {setting}")
    return on.facts[facts[setting]]


async def _writable_folder(on: Installation, *_: object) -> str:
    return str(on.folder / "data" / "records.sqlite3")


async def _api_key(on: Installation, *_: object) -> str:
    (key,) = on.aws("apigateway").get_api_keys(includeValues=True)["items"]
    return str(key["value"])


_PLACES: Final[tuple[tuple[str, Reader], ...]] = (
    (r"the stack's output (\w+)", _stack_output),
    (r"the Entra overview page", _overview_page),
    (r"Expose an API", _expose_an_api),
    (r"App registrations: Application \(client\) ID", _client_id_of_the_registration),
    (r"Certificates & secrets", _new_secret),
    (r"the Function App's page Identity", _identity_page),
    (r"where the file is mounted", _mounted_file),
    (r"the platform, which sets it where workload identity is on", _mounted_file),
    (r"whoever issues client certificates", _fact("client_certificate")),
    (r"a folder that the app may write", _writable_folder),
    (r"Endpoints: Table service", _fact("table_endpoint")),
    (r"the store's page in the Azure portal", _store_page),
    (r"the server's page Databases", _fact("postgres_database")),
    (r"Access keys", _fact("storage_connection")),
    (r"the API key's page in API Gateway", _api_key),
    (r"whoever runs the proxy", _fact("proxy")),
    (r"whoever runs the network, or the server", _fact("authority")),
)


# --- settings ---------------------------------------------------------------------------------


def _set_clock(on: Installation) -> None:
    on.machine_clock_offset = 0


_OF_THE_MACHINE: Final[Mapping[str, Callable[[Installation], None]]] = {"clock": _set_clock}


async def _set_parameter(fix: Fix, on: Installation) -> None:
    name, value = fix["setting"], await _value(fix, on)
    # A list of who may call is added to, as the fix says; nobody would throw the others out.
    listed = on.parameters["AllowedClientIds"]
    on.parameters[name] = f"{listed},{value}" if name == "AllowedClientIds" else value
    await on.deploy()


def _registration(on: Installation) -> Application:
    application = on.stack.entra.directory.find_application(on.app_settings["AZURE_CLIENT_ID"])
    if application is None:
        raise NotDoableError("AZURE_CLIENT_ID names no registration")
    return application


def _content(on: Installation, setting: str) -> bytes:
    return Path(on.app_settings[setting]).read_bytes()


async def _assign_role(on: Installation, fix: Fix) -> None:
    client_id = on.app_settings.get("AZURE_CLIENT_ID")
    caller = _registration(on) if client_id else on.stack.tenant.function_app
    await on.assign(caller.object_id, str(fix["value"]))


async def _request_version(on: Installation, fix: Fix) -> None:
    await on.set_requested_version(int(fix["value"]))


async def _upload_certificate(on: Installation, _: Fix) -> None:
    application = _registration(on)
    file = _content(on, "AZURE_CLIENT_CERTIFICATE_PATH")
    (certificate, *_rest) = x509.load_pem_x509_certificates(file)
    public = certificate.public_bytes(serialization.Encoding.PEM)
    changed = replace(application, certificates=(*application.certificates, public))
    on.stack.entra.replace_application(changed)


async def _trust_the_token(on: Installation, _: Fix) -> None:
    application = _registration(on)
    token = _content(on, "AZURE_FEDERATED_TOKEN_FILE")
    claims = jwt.decode(token, options={"verify_signature": False})
    # Entra ID fetches the issuer's keys; the local one is handed them.
    key_sets = {trust.issuer: trust.key_set for trust in application.federated_credentials}
    trust = FederatedCredential(
        claims["iss"], claims["sub"], claims["aud"], key_sets.get(claims["iss"])
    )
    trusts = (*application.federated_credentials, trust)
    on.stack.entra.replace_application(replace(application, federated_credentials=trusts))


type Doing = Callable[[Installation, Fix], Awaitable[None]]
_IN_ENTRA: Final[Mapping[str, Doing]] = {
    "appRoleAssignments": _assign_role,
    "requestedAccessTokenVersion": _request_version,
    "keyCredentials": _upload_certificate,
    "federatedIdentityCredentials": _trust_the_token,
}


async def _give_data_role(on: Installation, fix: Fix) -> None:
    if on.storage is None or fix["value"] != TABLE_WRITER_ROLE:
        raise NotDoableError(f"no account takes such a role: {fix}")
    held = on.storage.roles.setdefault(on.stack.tenant.function_app.object_id, set())
    held.add(TABLE_WRITER_ROLE)


async def _make_database(on: Installation, fix: Fix) -> None:
    await on.run_sql(f'CREATE DATABASE "{on.app_settings[fix["setting"]]}"')


async def _make_role(on: Installation, fix: Fix) -> None:
    role = on.app_settings[fix["setting"]]
    # Who is a guest needs no password here; on Azure a token is it.
    await on.run_sql("CREATE ROLE guest")
    await on.run_sql(f'CREATE ROLE "{role}" LOGIN IN ROLE guest')
    await on.run_sql(
        f'GRANT CREATE ON DATABASE "{on.app_settings["POSTGRES_DATABASE"]}" TO "{role}"'
    )


_IN_STORAGE: Final[Mapping[str, Doing]] = {
    "roleAssignments": _give_data_role,
    "POSTGRES_DATABASE": _make_database,
    "POSTGRES_USER": _make_role,
}


async def _open_way_out(on: Installation, fix: Fix) -> None:
    if "the tenant's key set" not in f"{fix['value']} {fix['value_from']}":
        raise NotDoableError(f"nobody opens a way to anywhere: {fix}")
    on.stack.entra.lose(None)


async def _set_limits_of_the_stack(on: Installation, _: Fix) -> None:
    on.throttle(rate=200, burst=400)


async def _set_clock_of_entra(on: Installation, _: Fix) -> None:
    on.entra_clock.offset = 0.0


_IN_OPERATION: Final[Mapping[str, Doing]] = {
    "clock": _set_clock_of_entra,
    "egress": _open_way_out,
    "ThrottleRate": _set_limits_of_the_stack,
}
