"""Turns what Entra ID says into the sentence that names the setting to change.

The codes choose words and nothing else: Microsoft may change them, so no behavior hangs on them.
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

import re
from typing import Final, assert_never

from azure_function_app.identity.credential_kinds import (
    AzureCli,
    ClientCertificate,
    ClientSecret,
    CredentialSettings,
    ManagedIdentity,
    ManagedIdentityFederation,
    TokenSource,
    WorkloadIdentity,
)

_CODE = re.compile(r"\bAADSTS(\d{4,9})\b")

_ADVICE: Final[dict[str, str]] = {
    "50001": "Entra ID knows no API {app_id_uri} in this tenant: check API_APP_ID_URI and"
    " ENTRA_TENANT_ID, and that the API's service principal exists",
    "500011": "Entra ID knows no API {app_id_uri} in this tenant: check API_APP_ID_URI and"
    " ENTRA_TENANT_ID, and that the API's service principal exists",
    "501051": "the caller has no app role on the API, which demands one: assign Records.Read"
    " (or Records.Write) to its service principal",
    "50105": "the signed-in user is not assigned to the API: assign a role to the user",
    "65001": "nobody has consented to the API's permission: let an administrator grant it",
    "70011": "Entra ID refuses the scope {app_id_uri}/.default: check API_APP_ID_URI",
    "1002012": "Entra ID refuses the scope {app_id_uri}/.default: check API_APP_ID_URI",
    "90002": "Entra ID knows no tenant {tenant_id}: check ENTRA_TENANT_ID and ENTRA_CLOUD",
    "900023": "Entra ID knows no tenant {tenant_id}: check ENTRA_TENANT_ID and ENTRA_CLOUD",
    "700016": "Entra ID knows no application {client_id} in this tenant: check AZURE_CLIENT_ID"
    " and ENTRA_TENANT_ID",
    "7000215": "the secret is wrong: AZURE_CLIENT_SECRET must be the secret's value, not its ID",
    "7000222": "the secret has expired: make a new one and set AZURE_CLIENT_SECRET to it",
    "7000112": "the application {client_id} is disabled: enable its service principal",
    "700027": "the certificate is not one of the application's: upload its public part, or correct"
    " AZURE_CLIENT_CERTIFICATE_PATH",
    "7000214": "the certificate is not valid now: check its dates and the machine's clock",
    "700024": "the assertion is not valid now: check the machine's clock",
    "700213": "no federated credential of {client_id} matches the presented token: its issuer,"
    " subject and audience must be exactly what the application trusts",
    "70021": "no federated credential of {client_id} matches the presented token: its issuer,"
    " subject and audience must be exactly what the application trusts",
    "700211": "no federated credential of {client_id} trusts the presented token's issuer",
    "700212": "no federated credential of {client_id} trusts the presented token's audience",
}


def _unavailable_advice(credential: CredentialSettings) -> str:
    """Return what to look at when the far end gave no code."""
    match credential:
        case ManagedIdentity():
            return (
                "the managed identity endpoint gave no token: check that the app has an identity,"
                " and that AZURE_CLIENT_ID names it if it is a user-assigned one; on a laptop"
                " choose another CREDENTIAL"
            )
        case ClientSecret():
            return "Entra ID gave no token: check that {authority} can be reached"
        case ClientCertificate():
            return (
                "the certificate could not be used: check AZURE_CLIENT_CERTIFICATE_PATH and"
                " AZURE_CLIENT_CERTIFICATE_PASSWORD, that the file holds the private key too, and"
                " that {authority} can be reached"
            )
        case WorkloadIdentity():
            return (
                "the federated token could not be used: check that AZURE_FEDERATED_TOKEN_FILE names"
                " a file that the platform keeps fresh, and that {authority} can be reached"
            )
        case ManagedIdentityFederation():
            return (
                "the managed identity that vouches for the application gave no token: check that"
                " MANAGED_IDENTITY_CLIENT_ID names a user-assigned identity of this app"
            )
        case AzureCli():
            return "the Azure CLI gave no token: run az login --tenant {tenant_id}"
        case _:
            assert_never(credential)


def aadsts_code(text: str) -> str | None:
    """The digits of the first AADSTS code in the text."""
    match = _CODE.search(text)
    return match[1] if match else None


def explain_token_failure(text: str, source: TokenSource) -> tuple[str, str]:
    """A stable code and one sentence that says what to change, for what the Azure SDK reported.

    The text itself is not quoted: it can hold whatever the far end chose to send.
    """
    code = aadsts_code(text)
    if code is None:
        advice = _unavailable_advice(source.credential)
        stable = "token_unavailable"
    else:
        # A code may carry further digits, as 700213 does in 7002131.
        fallback = _ADVICE.get(code[:-1], "Entra ID refused to give a token")
        advice = f"{_ADVICE.get(code, fallback)} (AADSTS{code})"
        stable = "token_refused"
    credential = source.credential
    client_id = None if isinstance(credential, AzureCli) else credential.client_id
    sentence = (
        advice.replace("{app_id_uri}", source.api.app_id_uri)
        .replace("{tenant_id}", source.api.tenant_id)
        .replace("{client_id}", client_id or "this identity")
        .replace("{authority}", source.authority)
    )
    return stable, f"No access token: {sentence}."
