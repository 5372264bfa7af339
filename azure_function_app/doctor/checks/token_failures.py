"""Why no token came, and what to change, told from what Entra ID and the Azure SDK said."""

from typing import Final, assert_never

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.ways import (
    Failure,
    issuer_obstacle,
    other_tenant,
    tenant_fix,
    with_evidence,
)
from azure_function_app.doctor.evidence import (
    Evidence,
    own_scope_is_derived,
    published_contract,
)
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.probes.token_request import TokenFailed
from azure_function_app.doctor.report import Fix, Place
from azure_function_app.doctor.subject import Subject
from azure_function_app.identity.credential_kinds import (
    AzureCli,
    ClientCertificate,
    ClientSecret,
    ManagedIdentity,
    ManagedIdentityFederation,
    WorkloadIdentity,
)

_PORTAL: Final = "the Entra admin center, App registrations"
_IDENTITY_PAGE: Final = "the Function App's page Identity in the Azure portal"


def explain_failure(subject: Subject, evidence: Evidence) -> Failure | None:
    """Return why there is no token; None if that is not known to have failed."""
    failed = evidence.token
    if not isinstance(failed, TokenFailed):
        return None
    if failed.aadsts is not None:
        return _of_code(failed.aadsts, subject, evidence)
    if failed.is_file:
        return _of_file(subject)
    if failed.obstacle is not None:
        return _of_obstacle(failed, subject)
    return _of_refusal(failed, subject)


def _of_code(code: str, subject: Subject, evidence: Evidence) -> Failure:
    cause = _CAUSES.get(code) or _CAUSES.get(code[:-1]) or Cause.TOKEN_REFUSED
    fix = _fix_of(cause, subject, evidence)
    return Failure(cause, f"Entra ID refused with AADSTS{code}: {_lower(cause.meaning)}", fix)


_CAUSES: Final = {
    "50001": Cause.API_UNKNOWN_IN_TENANT,
    "500011": Cause.API_UNKNOWN_IN_TENANT,
    "70011": Cause.API_UNKNOWN_IN_TENANT,
    "1002012": Cause.API_UNKNOWN_IN_TENANT,
    "501051": Cause.MISSING_ROLE,
    "50105": Cause.CONSENT_MISSING,
    "65001": Cause.CONSENT_MISSING,
    "90002": Cause.TENANT_UNKNOWN,
    "900023": Cause.TENANT_UNKNOWN,
    "700016": Cause.APPLICATION_UNKNOWN,
    "7000215": Cause.SECRET_WRONG,
    "7000222": Cause.SECRET_EXPIRED,
    "7000112": Cause.APPLICATION_DISABLED,
    "700027": Cause.CERTIFICATE_UNREGISTERED,
    "7000214": Cause.CERTIFICATE_NOT_CURRENT,
    "700024": Cause.CERTIFICATE_NOT_CURRENT,
    "70021": Cause.FEDERATION_MISMATCH,
    "700211": Cause.FEDERATION_MISMATCH,
    "700212": Cause.FEDERATION_MISMATCH,
    "700213": Cause.FEDERATION_MISMATCH,
    "90033": Cause.ISSUER_THROTTLED,
    "50196": Cause.ISSUER_THROTTLED,
}
"""What Entra ID's codes mean; they choose words only.
https://learn.microsoft.com/entra/identity-platform/reference-error-codes"""


def _fix_of(cause: Cause, subject: Subject, evidence: Evidence) -> Fix:
    match cause:
        case Cause.TENANT_UNKNOWN:
            return tenant_fix(subject, evidence)
        case Cause.API_UNKNOWN_IN_TENANT:
            return _fix_of_scope(subject, evidence)
        case Cause.APPLICATION_UNKNOWN:
            return _fix_of_application(subject, evidence)
        case _:
            return _FIXES.get(cause, _FALLBACK)


def _fix_of_application(subject: Subject, evidence: Evidence) -> Fix:
    other = other_tenant(subject, evidence)
    if other is not None:
        return Fix(
            with_evidence("Set ENTRA_TENANT_ID to the API's tenant, which this one is not", other),
            Place.FUNCTION_APP,
            setting="ENTRA_TENANT_ID",
            value=other,
        )
    return Fix(
        "Set AZURE_CLIENT_ID to the client ID of the calling application, as this tenant has it.",
        Place.FUNCTION_APP,
        setting="AZURE_CLIENT_ID",
        value_from=f"{_PORTAL}: Application (client) ID",
    )


def _fix_of_scope(subject: Subject, evidence: Evidence) -> Fix:
    api = subject.settings.api
    published = published_contract(evidence.metadata_document)
    other = published.app_id_uri if published.app_id_uri not in {None, api.app_id_uri} else None
    is_derived = not subject.is_set("API_APP_ID_URI") and own_scope_is_derived(api)
    if is_derived and published.client_id not in {None, api.client_id}:
        return Fix(
            with_evidence(
                "Set API_CLIENT_ID to the client ID of the API's registration, which the App ID URI"
                " follows from",
                published.client_id,
            ),
            Place.FUNCTION_APP,
            setting="API_CLIENT_ID",
            value=published.client_id,
        )
    if other is None and published.tenant_id not in {None, api.tenant_id}:
        return Fix(
            with_evidence("Set ENTRA_TENANT_ID to the API's tenant", published.tenant_id),
            Place.FUNCTION_APP,
            setting="ENTRA_TENANT_ID",
            value=published.tenant_id,
        )
    return Fix(
        with_evidence("Set API_APP_ID_URI to the API's Application ID URI", other),
        Place.FUNCTION_APP,
        setting="API_APP_ID_URI",
        value=other,
        value_from=None if other else f"{_PORTAL}: the API's Expose an API, Application ID URI",
    )


_FALLBACK: Final = Fix(
    "Look the AADSTS code up in Entra's sign-in logs, where the reason stands.",
    Place.ENTRA,
    value_from="the Entra admin center, Sign-in logs, service principal sign-ins",
)
_FIXES: Final = {
    Cause.MISSING_ROLE: Fix(
        "Assign the app role Records.Read of the API to this app's service principal.",
        Place.ENTRA,
        setting="appRoleAssignments",
        value="Records.Read",
    ),
    Cause.SECRET_WRONG: Fix(
        "Set AZURE_CLIENT_SECRET to the secret's value, not to its ID.",
        Place.FUNCTION_APP,
        setting="AZURE_CLIENT_SECRET",
        value_from=f"{_PORTAL}: Certificates & secrets, where it is shown once, when it is made",
    ),
    Cause.SECRET_EXPIRED: Fix(
        "Make a new secret, and set AZURE_CLIENT_SECRET to it; better, use a managed identity.",
        Place.FUNCTION_APP,
        setting="AZURE_CLIENT_SECRET",
        value_from=f"{_PORTAL}: Certificates & secrets",
    ),
    Cause.APPLICATION_DISABLED: Fix(
        "Enable the calling application's service principal (accountEnabled).",
        Place.ENTRA,
        setting="accountEnabled",
        value="true",
    ),
    Cause.CERTIFICATE_UNREGISTERED: Fix(
        "Upload the certificate's public part to the calling application, or set"
        " AZURE_CLIENT_CERTIFICATE_PATH to one that it has.",
        Place.ENTRA,
        setting="keyCredentials",
        value_from="the file that AZURE_CLIENT_CERTIFICATE_PATH names",
    ),
    Cause.CERTIFICATE_NOT_CURRENT: Fix(
        "Renew the certificate, or set this machine's clock, if the check clock says so.",
        Place.FUNCTION_APP,
        setting="AZURE_CLIENT_CERTIFICATE_PATH",
        value_from="the certificate's dates",
    ),
    Cause.FEDERATION_MISMATCH: Fix(
        "Give the calling application a federated credential with exactly the issuer, subject and"
        " audience of the token that vouches for it.",
        Place.ENTRA,
        setting="federatedIdentityCredentials",
        value_from="the claims iss, sub and aud of that token",
    ),
    Cause.CONSENT_MISSING: Fix(
        "Let an administrator grant the API's permission, or assign the user to the API.",
        Place.ENTRA,
        setting="appRoleAssignments",
    ),
    Cause.ISSUER_THROTTLED: Fix("Wait a minute, and ask Entra ID less often.", Place.ENTRA),
}


def _of_file(subject: Subject) -> Failure:
    credential = subject.settings.token_source.credential
    match credential:
        case ClientCertificate():
            return Failure(
                Cause.CERTIFICATE_UNUSABLE,
                "the certificate's file cannot be used",
                Fix(
                    "Set AZURE_CLIENT_CERTIFICATE_PATH to a readable PEM file with certificate and"
                    " private key, and AZURE_CLIENT_CERTIFICATE_PASSWORD if the key is encrypted.",
                    Place.FUNCTION_APP,
                    setting="AZURE_CLIENT_CERTIFICATE_PATH",
                    value_from="where the file is mounted",
                ),
            )
        case WorkloadIdentity():
            return Failure(
                Cause.FEDERATED_TOKEN_UNUSABLE,
                "the token's file cannot be read",
                Fix(
                    "Set AZURE_FEDERATED_TOKEN_FILE to the file that the platform keeps fresh.",
                    Place.FUNCTION_APP,
                    setting="AZURE_FEDERATED_TOKEN_FILE",
                    value_from="the platform, which sets it where workload identity is on",
                ),
            )
        case ClientSecret() | ManagedIdentity() | ManagedIdentityFederation() | AzureCli():
            return Failure(
                Cause.TOKEN_UNAVAILABLE,
                "the credential could not be built",
                Fix(
                    "Check REQUESTS_CA_BUNDLE and EXTRA_CA_FILE: a file that the credential needs"
                    " cannot be read.",
                    Place.FUNCTION_APP,
                    setting="EXTRA_CA_FILE",
                    value_from="where the file is mounted",
                ),
            )
        case _:
            assert_never(credential)


def _of_refusal(failed: TokenFailed, subject: Subject) -> Failure:
    credential = subject.settings.token_source.credential
    match credential:
        case ManagedIdentity() | ManagedIdentityFederation():
            return _of_identity_endpoint(subject)
        case AzureCli():
            tenant_id = subject.settings.api.tenant_id
            return Failure(
                Cause.AZURE_CLI_UNUSABLE,
                "the Azure CLI gave no token",
                Fix(
                    f"Run az login --tenant {tenant_id}, or install the Azure CLI.",
                    Place.MACHINE,
                ),
            )
        case ClientSecret() | ClientCertificate() | WorkloadIdentity():
            return Failure(
                Cause.ISSUER_ANSWER,
                "what came is no answer of Entra ID's"
                + (f" (HTTP {failed.status})" if failed.status else ""),
                Fix(
                    "Look at what answers in the place of Entra ID: a proxy, or a page to sign in"
                    " to the network.",
                    Place.NETWORK,
                    setting=_authority_setting(subject),
                    value_from="the tenant's overview page",
                ),
            )
        case _:
            assert_never(credential)


def _of_identity_endpoint(subject: Subject) -> Failure:
    source = subject.settings.token_source.credential
    if not subject.is_set("IDENTITY_ENDPOINT"):
        return _no_endpoint(subject)
    if isinstance(source, ManagedIdentityFederation):
        setting, client_id = "MANAGED_IDENTITY_CLIENT_ID", source.managed_identity_client_id
    else:
        assert isinstance(source, ManagedIdentity)  # noqa: S101 - the caller's match
        setting, client_id = "AZURE_CLIENT_ID", source.client_id or ""
    if client_id:
        return Failure(
            Cause.MANAGED_IDENTITY_UNKNOWN,
            f"the app has no managed identity of the client ID that {setting} says",
            Fix(
                f"Set {setting} to the client ID of an identity that is assigned to this Function"
                " App, or to nothing for the system-assigned one.",
                Place.FUNCTION_APP,
                setting=setting,
                value_from=f"{_IDENTITY_PAGE}, User assigned: Client ID",
            ),
        )
    return Failure(
        Cause.MANAGED_IDENTITY_UNKNOWN,
        "the app has no system-assigned managed identity",
        Fix(
            "Set AZURE_CLIENT_ID to the client ID of an identity that is assigned to this Function"
            " App, or turn its system-assigned one on.",
            Place.FUNCTION_APP,
            setting=setting,
            value_from=f"{_IDENTITY_PAGE}, User assigned: Client ID",
        ),
    )


def _no_endpoint(subject: Subject) -> Failure:
    is_laptop = subject.at == "laptop"
    return Failure(
        Cause.MANAGED_IDENTITY_MISSING,
        "no managed identity endpoint answers here",
        Fix(
            "Set CREDENTIAL to azure_cli (or client_secret, client_certificate): only Azure gives"
            " an app a managed identity."
            if is_laptop
            else "Turn a managed identity on for this Function App, and restart it.",
            Place.FUNCTION_APP,
            setting="CREDENTIAL",
            value="azure_cli" if is_laptop else None,
            value_from=None if is_laptop else _IDENTITY_PAGE,
        ),
    )


def _authority_setting(subject: Subject) -> str:
    is_local = subject.settings.token_source.is_local_authority
    return "AZURE_AUTHORITY_HOST" if is_local else "ENTRA_CLOUD"


def _of_obstacle(failed: TokenFailed, subject: Subject) -> Failure:
    settings = subject.settings
    credential = settings.token_source.credential
    if isinstance(credential, ManagedIdentity):
        return _no_endpoint(subject) if not subject.is_set("IDENTITY_ENDPOINT") else _silent(failed)
    if isinstance(credential, AzureCli):
        return _of_refusal(failed, subject)
    return issuer_obstacle(
        subject, failed.obstacle or Obstacle.BROKEN, failed.detail, settings.token_source.authority
    )


def _silent(failed: TokenFailed) -> Failure:
    is_late = failed.obstacle is Obstacle.TIMED_OUT
    return Failure(
        Cause.ISSUER_TIMEOUT if is_late else Cause.MANAGED_IDENTITY_MISSING,
        f"the managed identity endpoint gives no answer: {failed.detail}",
        Fix(
            "Restart the Function App, whose platform sets IDENTITY_ENDPOINT and answers there;"
            " do not set it yourself.",
            Place.FUNCTION_APP,
            setting="IDENTITY_ENDPOINT",
            value_from="the platform",
        ),
    )


def _lower(sentence: str) -> str:
    text = sentence.rstrip(".")
    return text if text[:2].isupper() or text.startswith("Entra") else text[:1].lower() + text[1:]
