"""Whether the token is what this side's contract says that the API takes."""

from collections.abc import Callable, Mapping
from typing import Final

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.evidence import (
    Evidence,
    PublishedContract,
    guid_or_none,
    own_scope_is_derived,
    published_contract,
)
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject
from azure_function_app.identity.token_diagnosis import GRAPH_AUDIENCES, Finding, diagnose, shown
from shared import claims
from shared.contract import ApiIdentity
from shared.entra import CLOUDS, TokenVersion
from shared.reasons import Reason
from shared.routes import Role

_STACK_PARAMETERS: Final = "the stack's parameters, in bridge.toml or samconfig.toml"
_ORDER: Final = (
    Reason.MALFORMED_TOKEN,
    Reason.EXPIRED,
    Reason.NOT_YET_VALID,
    Reason.WRONG_TENANT,
    Reason.UNACCEPTED_VERSION,
    Reason.WRONG_ISSUER,
    Reason.WRONG_AUDIENCE,
    Reason.DELEGATED_TOKEN,
    Reason.MISSING_ROLE,
)
"""Of several findings the first one here is the cause; the later ones can follow from it."""
_HOUR: Final = 3_600


def check_token_contract(subject: Subject, evidence: Evidence) -> Check:
    """Return whether the token is what this side's contract says that the API takes."""
    name = CheckName.TOKEN_CONTRACT
    if subject.broken_for_contract():
        return Check.needs(name, CheckName.SETTINGS)
    obtained = evidence.obtained
    if obtained is None:
        return Check.needs(name, CheckName.TOKEN)
    identity = subject.settings.api
    findings = diagnose(obtained.token.value, identity, now=evidence.now)
    if not findings:
        return Check.passed(name, describe_token(evidence.claims))
    # What a token for Graph says of its version and its roles is of another API's contract.
    if is_for_graph(evidence.claims):
        return Check.failed(
            name,
            "the token is for Microsoft Graph",
            Cause.WRONG_AUDIENCE,
            _fix_of_audience(
                identity, published_contract(evidence.metadata_document), evidence.claims
            ),
        )
    first = min(findings, key=lambda finding: _ORDER.index(finding.code))
    found = f"expected {first.expected}, found {first.found}"
    others = [finding.code for finding in findings if finding is not first]
    if others:
        found += f" (also {', '.join(others)})"
    fix = _fix_of_token(first, subject, evidence)
    return Check.failed(name, found, Cause.of(first.code), fix)


def is_for_graph(unverified: Mapping[str, object]) -> bool:
    """Return whether the token's audience is Microsoft Graph."""
    audience = unverified.get(claims.AUDIENCE)
    return isinstance(audience, str) and audience.rstrip("/") in GRAPH_AUDIENCES


def describe_token(unverified: Mapping[str, object]) -> str:
    """Return in one line what the token says, of the claims that may be shown."""
    roles = unverified.get(claims.ROLES)
    return (
        f"version {shown(unverified.get(claims.VERSION))}, of tenant"
        f" {shown(unverified.get(claims.TENANT_ID))}, for {shown(unverified.get(claims.AUDIENCE))},"
        f" client {shown(client_of(unverified))}, roles {shown(roles)}"
    )


def client_of(unverified: Mapping[str, object]) -> str | None:
    """Return the calling application's ID, by the token's version."""
    name = (
        claims.CLIENT_ID_V1
        if unverified.get(claims.VERSION) == TokenVersion.V1
        else claims.CLIENT_ID_V2
    )
    value = unverified.get(name)
    return value if isinstance(value, str) else None


def _fix_of_token(finding: Finding, subject: Subject, evidence: Evidence) -> Fix:
    fixed = _FIXES.get(finding.code)
    if fixed is not None:
        return fixed
    if finding.code is Reason.MISSING_ROLE:
        return _fix_of_role(evidence)
    published = published_contract(evidence.metadata_document)
    choose = _BY_WITNESSES[finding.code]
    return choose(subject.settings.api, published, evidence.claims)


def _fix_of_tenant(
    identity: ApiIdentity, published: PublishedContract, unverified: Mapping[str, object]
) -> Fix:
    tenant = guid_or_none(unverified.get(claims.TENANT_ID))
    if published.tenant_id is not None and published.tenant_id == identity.tenant_id:
        return Fix(
            f"Run the app as an identity of the tenant {identity.tenant_id}: the API and"
            f" ENTRA_TENANT_ID name that one, and the identity is of {tenant or 'another'}.",
            Place.ENTRA,
            setting="CREDENTIAL",
            value_from="an application of that tenant, by managed_identity_federation",
        )
    both = (
        ""
        if published.tenant_id == tenant
        else " Set EntraTenantId of the stack to the same, if it differs."
    )
    return Fix(
        f"Set ENTRA_TENANT_ID to the tenant that issued the token.{both}",
        Place.FUNCTION_APP,
        setting="ENTRA_TENANT_ID",
        value=tenant,
        value_from=None if tenant else "the Entra overview page, Tenant ID",
    )


def _fix_of_version(
    identity: ApiIdentity, published: PublishedContract, unverified: Mapping[str, object]
) -> Fix:
    version = str(unverified.get(claims.VERSION))
    if published.token_versions is not None and version in published.token_versions:
        return Fix(
            f"Set ACCEPTED_TOKEN_VERSIONS to what the API accepts: it takes version {version}.",
            Place.FUNCTION_APP,
            setting="ACCEPTED_TOKEN_VERSIONS",
            value=",".join(sorted(published.token_versions)),
        )
    wanted = max(identity.token_versions)
    return Fix(
        "Set requestedAccessTokenVersion in the manifest of the API's registration"
        f" {identity.client_id}, and ask for a new token.",
        Place.ENTRA,
        setting="requestedAccessTokenVersion",
        value="2" if wanted is TokenVersion.V2 else "1",
    )


def _fix_of_audience(
    identity: ApiIdentity, published: PublishedContract, unverified: Mapping[str, object]
) -> Fix:
    audience = unverified.get(claims.AUDIENCE)
    client_id = guid_or_none(audience)
    is_graph = isinstance(audience, str) and audience.rstrip("/") in GRAPH_AUDIENCES
    if client_id is not None and not is_graph and published.client_id in {None, client_id}:
        return Fix(
            "Set API_CLIENT_ID to the client ID of the API that the token is for.",
            Place.FUNCTION_APP,
            setting="API_CLIENT_ID",
            value=client_id,
        )
    # The API and this side agree on who it is, so what was asked for is another one.
    derived = f"api://{identity.client_id}"
    wanted = published.app_id_uri
    if wanted in {None, identity.app_id_uri} and not own_scope_is_derived(identity):
        wanted = derived
    return Fix(
        "Set API_APP_ID_URI to the API's own Application ID URI: tokens are asked for"
        f" {'Microsoft Graph' if is_graph else 'another API'} with the present one.",
        Place.FUNCTION_APP,
        setting="API_APP_ID_URI",
        value=wanted,
        value_from=None if wanted else "the API's registration, Expose an API",
    )


def _fix_of_role(evidence: Evidence) -> Fix:
    client = client_of(evidence.claims)
    issued = evidence.claims.get(claims.ISSUED_AT)
    age = evidence.now - issued if isinstance(issued, int) and 0 < issued < evidence.now else 0.0
    cached = (
        f" If it is assigned: this token was issued {age / _HOUR:.0f} h ago, and a managed"
        " identity's is kept for up to 24 hours."
        if age > _HOUR
        else " A managed identity's tokens show it within 24 hours only."
    )
    return Fix(
        f"Assign the app role {Role.READ} of the API to the caller {shown(client)}.{cached}",
        Place.ENTRA,
        setting="appRoleAssignments",
        value=Role.READ,
    )


def _cloud_of(unverified: Mapping[str, object]) -> str | None:
    issuer = unverified.get(claims.ISSUER)
    if not isinstance(issuer, str):
        return None
    # The issuer of v1.0 tokens is the same host for two clouds.
    found = [cloud.name for cloud in CLOUDS.values() if issuer.startswith(f"{cloud.authority}/")]
    return found[0] if len(found) == 1 else None


def _fix_of_issuer(
    _identity: ApiIdentity, _published: PublishedContract, unverified: Mapping[str, object]
) -> Fix:
    cloud = _cloud_of(unverified)
    return Fix(
        "Set ENTRA_CLOUD to the cloud that issues the tokens, on both sides.",
        Place.FUNCTION_APP,
        setting="ENTRA_CLOUD",
        value=cloud,
        value_from=None if cloud else "the token's issuer",
    )


_CLOCK_FIX: Final = Fix(
    "Set this machine's clock by a time server (NTP): Entra ID wrote the token's times by its own.",
    Place.MACHINE,
    setting="clock",
    value_from="a time server",
)
_FIXES: Final[Mapping[Reason, Fix]] = {
    Reason.MALFORMED_TOKEN: Fix(
        "Ask for a token of an API of one's own: what came is encrypted, or opaque.",
        Place.ENTRA,
        setting="API_APP_ID_URI",
        value_from="the API's registration, Expose an API",
    ),
    Reason.EXPIRED: _CLOCK_FIX,
    Reason.NOT_YET_VALID: _CLOCK_FIX,
    Reason.DELEGATED_TOKEN: Fix(
        "Set CREDENTIAL to one of an application, since the token stands for a person; or name its"
        " scopes in DelegatedScopes of the stack.",
        Place.FUNCTION_APP,
        setting="CREDENTIAL",
        value_from="what the deployed app uses: managed_identity",
    ),
}
type _Choose = Callable[[ApiIdentity, PublishedContract, Mapping[str, object]], Fix]
_BY_WITNESSES: Final[Mapping[Reason, _Choose]] = {
    Reason.WRONG_TENANT: _fix_of_tenant,
    Reason.WRONG_ISSUER: _fix_of_issuer,
    Reason.UNACCEPTED_VERSION: _fix_of_version,
    Reason.WRONG_AUDIENCE: _fix_of_audience,
}
