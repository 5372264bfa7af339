"""What to change where a token is of the wrong version, issuer, tenant, audience or caller."""

from collections.abc import Mapping
from typing import Final

from aws_authorizer.explanation.refused_token import RefusedToken, ask_for, client, registration
from aws_authorizer.explanation.shown_values import show, show_claim
from shared import claims
from shared.entra import CLOUDS, Cloud, TokenVersion
from shared.guid import is_guid

MICROSOFT_APIS: Final[Mapping[str, str]] = {
    "00000003-0000-0000-c000-000000000000": "Microsoft Graph",
    "https://graph.microsoft.com": "Microsoft Graph",
    "https://graph.microsoft.us": "Microsoft Graph",
    "https://microsoftgraph.chinacloudapi.cn": "Microsoft Graph",
    "00000002-0000-0000-c000-000000000000": "Azure AD Graph",
    "https://graph.windows.net": "Azure AD Graph",
    "797f4846-ba00-4fd7-ba43-dac1f8f63013": "Azure Resource Manager",
    "https://management.azure.com": "Azure Resource Manager",
    "https://management.core.windows.net": "Azure Resource Manager",
    "https://management.usgovcloudapi.net": "Azure Resource Manager",
    "https://management.chinacloudapi.cn": "Azure Resource Manager",
    "https://storage.azure.com": "Azure Storage",
    "https://vault.azure.net": "Azure Key Vault",
    "https://database.windows.net": "Azure SQL",
}
"""The audiences of APIs that a token is often for by mistake."""

_PERSONAL_ACCOUNTS: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
_ID_TOKEN_SIGNS: Final = ("nonce", "at_hash", "c_hash", "preferred_username")


def _find_other_api(token: RefusedToken) -> str | None:
    """Return the name of the Microsoft API that the token is for, if it is for one."""
    audience = token.claims.get(claims.AUDIENCE)
    if not isinstance(audience, str):
        return None
    return MICROSOFT_APIS.get(audience.rstrip("/").lower())


def advise_other_api(token: RefusedToken) -> str:
    """Return what to change where the token is for one of Microsoft's own APIs; else nothing."""
    name = _find_other_api(token)
    if name is None:
        return ""
    return (
        f"This token is for {name} (aud {show_claim(token.claims, claims.AUDIENCE)}), not for this"
        f" API: {ask_for(token)}."
    )


def _is_id_token(token: RefusedToken) -> bool:
    unverified = token.claims
    names_client = not unverified.keys().isdisjoint({claims.CLIENT_ID_V1, claims.CLIENT_ID_V2})
    if names_client or claims.SCOPES in unverified:
        return False
    return any(sign in unverified for sign in _ID_TOKEN_SIGNS)


def advise_id_token(token: RefusedToken) -> str:
    """Return what to change where the token is an ID token; else nothing."""
    if not _is_id_token(token):
        return ""
    return (
        "This is an ID token: it tells an application who has signed in, and opens no API. Send the"
        f" access token instead: {ask_for(token)}."
    )


# --- who issued it, and for whom


def advise_version(token: RefusedToken) -> str:
    """Return what to change where the version is not accepted."""
    other = advise_other_api(token)
    if other:
        return other
    try:
        version = TokenVersion(str(token.claims.get(claims.VERSION)))
    except ValueError:
        return "Send an access token that Entra ID issued: its ver is 1.0 or 2.0, as a text."
    accepted = sorted(token.api.token_versions)
    manifest = {TokenVersion.V1: "1 (or null)", TokenVersion.V2: "2"}[accepted[-1]]
    return (
        f"The token is of version {version} and the API accepts {' and '.join(accepted)}: set"
        f" api.requestedAccessTokenVersion to {manifest} in the manifest of {registration(token)}"
        f" and get a new token, or add {version} to ACCEPTED_TOKEN_VERSIONS on both sides. Which"
        " version a token has is up to the API's registration, not to who asks for it."
    )


def _take_issuer_apart(issuer: object, own: Cloud) -> tuple[Cloud | None, str]:
    """Return the cloud that an issuer belongs to and its tenant, where they can be told."""
    text = issuer if isinstance(issuer, str) else ""
    for cloud in (*CLOUDS.values(), own):
        for authority in (cloud.authority, cloud.v1_issuer_authority):
            tenant_id = text.removeprefix(f"{authority}/").partition("/")[0]
            if text.startswith(f"{authority}/") and is_guid(tenant_id):
                return cloud, tenant_id
    return None, ""


def advise_issuer(token: RefusedToken) -> str:
    """Return what to change where another cloud or tenant issued the token."""
    other = advise_other_api(token)
    if other:
        return other
    api, issuer = token.api, show_claim(token.claims, claims.ISSUER)
    if _is_other_versions(token, claims.ISSUER):
        return _FOLLOWS_FROM_VERSION
    cloud, tenant_id = _take_issuer_apart(token.claims.get(claims.ISSUER), api.cloud)
    if cloud is None:
        return (
            f"The token was issued by {issuer}, which is no tenant of Entra ID's workforce clouds:"
            f" {ask_for(token)} at {api.cloud.authority}/{api.tenant_id}."
        )
    is_same_cloud = api.cloud.authority in {cloud.authority, cloud.v1_issuer_authority} or (
        # Two clouds share it, so it does not tell which one.
        cloud.v1_issuer_authority == api.cloud.v1_issuer_authority
        and str(token.claims.get(claims.ISSUER)).startswith(cloud.v1_issuer_authority)
    )
    if not is_same_cloud:
        return (
            f"The token comes from another cloud: {issuer} is of ENTRA_CLOUD={cloud.name}, and the"
            f" API is in {api.cloud.name}. Sign in to {api.cloud.authority}, or correct ENTRA_CLOUD"
            " on both sides."
        )
    return _advise_tenant_id(token, tenant_id) or (
        f"The token names the issuer {issuer}, and the API expects {token.closest.issuer}, to the"
        " letter: send the access token exactly as Entra ID issued it."
    )


def _advise_tenant_id(token: RefusedToken, tenant_id: str) -> str:
    if tenant_id in token.contract.tenant_ids:
        return ""
    if tenant_id == _PERSONAL_ACCOUNTS:
        return (
            "The token is of a personal Microsoft account, which is in no tenant of yours: sign in"
            f" to the tenant {token.api.tenant_id}."
        )
    return (
        f"The token is of the tenant {show(tenant_id)}, and the API is in {token.api.tenant_id}:"
        " ask that one for it (ENTRA_TENANT_ID, AZURE_TENANT_ID, or az login --tenant), or add the"
        " other one to ADDITIONAL_TENANT_IDS, if its applications may call too."
    )


def advise_tenant(token: RefusedToken) -> str:
    """Return what to change where `tid` names another tenant."""
    if claims.ISSUER in token.failed:
        return "Follows from iss: who issues the token says its tenant."
    tenant_id = token.claims.get(claims.TENANT_ID)
    if isinstance(tenant_id, str) and tenant_id != token.closest.tenant_id:
        return _advise_tenant_id(token, tenant_id)
    return ""


def advise_audience(token: RefusedToken) -> str:
    """Return what to change where the token is for something else."""
    other = advise_other_api(token) or advise_id_token(token)
    if other:
        return other
    if _is_other_versions(token, claims.AUDIENCE):
        return _FOLLOWS_FROM_VERSION
    audience = token.claims.get(claims.AUDIENCE)
    if isinstance(audience, str):
        return _advise_audience_text(token, audience)
    shown = show_claim(token.claims, claims.AUDIENCE)
    return (
        f"The token's aud is {shown}, and must be one text: Entra ID writes one audience into each"
        f" token, so {ask_for(token)}."
    )


def _advise_audience_text(token: RefusedToken, audience: str) -> str:
    api, shown = token.api, show(audience)
    if audience == api.app_id_uri:
        return (
            f"The token names the App ID URI {shown} as its audience, as v1.0 tokens do; a v2.0"
            f" token of Entra ID's names the client ID {api.client_id}: send it as it was issued,"
            " or accept v1.0 tokens (ACCEPTED_TOKEN_VERSIONS)."
        )
    accepted = " or ".join(token.closest.audiences)
    for right in token.closest.audiences:
        if audience.rstrip("/").lower() == right.rstrip("/").lower():
            return (
                f"The token is for {shown}, and the API is {right}: they differ in case or in a"
                " slash at the end only, and must agree to the letter. Correct API_APP_ID_URI on"
                " both sides."
            )
    if audience == token.claims.get(token.closest.client_claim):
        return f"The caller has asked for a token for itself ({shown}): {ask_for(token)}."
    return (
        f"The token is for {shown}, and the API is {accepted}: {ask_for(token)}; or, if that is"
        " this API under another name, correct API_CLIENT_ID and API_APP_ID_URI, or add it to"
        " ADDITIONAL_AUDIENCES."
    )


_FOLLOWS_FROM_VERSION: Final = (
    "Follows from ver: this is what a token of its version has; it comes right with the version."
)


def _is_other_versions(token: RefusedToken, claim: str) -> bool:
    """Return whether the claim is as this API's tokens of the token's own version have it."""
    if claims.VERSION not in token.failed:
        return False
    api = token.api
    for version in TokenVersion:
        if token.claims.get(claims.VERSION) == version:
            right = {
                claims.ISSUER: {api.issuer(version)},
                claims.AUDIENCE: api.audiences(version),
            }
            return show_claim(token.claims, claim) in right[claim]
    return False


# --- who calls


def advise_subject(token: RefusedToken) -> str:
    """Return what to change where no service principal is named."""
    if claims.OBJECT_ID in token.claims:
        return ""
    return (
        f"The calling application {client(token)} has no service principal in the tenant"
        f" {token.closest.tenant_id}, so its token names none (oid): make one with"
        f" az ad sp create --id {client(token)}."
    )


def advise_client(token: RefusedToken) -> str:
    """Return what to change where no calling application is named."""
    if claims.VERSION in token.failed:
        return (
            "Follows from ver: v1.0 tokens name the calling application in appid, v2.0 tokens in"
            " azp."
        )
    return advise_id_token(token)


def advise_unauthenticated(token: RefusedToken) -> str:
    """Return what to change where the application has proved nothing."""
    return (
        f"The application {client(token)} proved nothing when it asked for the token: anyone who"
        " knows its client ID can do the same. Give it a managed identity, a certificate or a"
        " federated credential, and let it sign in with that."
    )


def advise_unclear(token: RefusedToken) -> str:
    """Return what to change where the token does not say who calls."""
    return (
        "The token does not tell whether a person stands behind it: add the optional claim idtyp to"
        f" the access tokens of {registration(token)}, and get a new token."
    )
