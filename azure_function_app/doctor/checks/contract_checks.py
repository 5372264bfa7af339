"""The contract that three witnesses tell: this side's settings, the API's metadata, and the token.

Two sides that disagree cannot both be right, and the token, which Entra ID issued, tells which is:
what it agrees with stays, the other is to be changed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.evidence import (
    Broke,
    Evidence,
    PublishedContract,
    guid_or_none,
    is_our_health,
    own_scope_is_derived,
    published_contract,
)
from azure_function_app.doctor.probes.exchange import Answered, Unanswered
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


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One part of the contract of which the two sides say different things."""

    cause: Cause
    what: str
    own: str
    published: str
    token: str | None
    """What the token says of it; None if there is none, or it does not say."""
    own_setting: str
    stack_parameter: str


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
    first = min(findings, key=lambda finding: _ORDER.index(finding.code))
    found = f"{first.code}: expected {first.expected}, found {first.found}"
    others = [finding.code for finding in findings if finding is not first]
    if others:
        found += f" (also {', '.join(others)})"
    fix = _fix_of_token(first, subject, evidence)
    return Check.failed(name, found, Cause.of(first.code), fix)


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
    identity = subject.settings.api
    published = published_contract(evidence.metadata_document)
    unverified = evidence.claims
    match finding.code:
        case Reason.WRONG_TENANT:
            return _fix_of_tenant(identity, published, unverified)
        case Reason.WRONG_ISSUER:
            cloud = _cloud_of(unverified)
            return Fix(
                "Set ENTRA_CLOUD to the cloud that issues the tokens, on both sides.",
                Place.FUNCTION_APP,
                setting="ENTRA_CLOUD",
                value=cloud,
                value_from=None if cloud else "the token's issuer",
            )
        case Reason.UNACCEPTED_VERSION:
            return _fix_of_version(identity, published, unverified)
        case Reason.WRONG_AUDIENCE:
            return _fix_of_audience(identity, published, unverified)
        case Reason.EXPIRED | Reason.NOT_YET_VALID:
            return Fix(
                "Set the clock by a time server (NTP): the token's times are right by Entra ID's.",
                Place.MACHINE,
            )
        case Reason.DELEGATED_TOKEN:
            return Fix(
                "Set CREDENTIAL to one of an application (managed_identity, client_certificate):"
                " the token stands for a person; or name its scopes in DelegatedScopes.",
                Place.FUNCTION_APP,
                setting="CREDENTIAL",
                value_from="what the deployed app uses: managed_identity",
            )
        case Reason.MISSING_ROLE:
            return _fix_of_role(unverified, evidence)
        case _:
            return Fix(finding.advice, Place.ENTRA)


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


def _fix_of_role(unverified: Mapping[str, object], evidence: Evidence) -> Fix:
    client = client_of(unverified)
    issued = unverified.get(claims.ISSUED_AT)
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


def check_api_metadata(subject: Subject, evidence: Evidence) -> Check:
    """Return whether what the API publishes of the contract is what this side's settings say."""
    name = CheckName.API_METADATA
    if subject.broken_for_api() or subject.broken_for_contract():
        return Check.needs(name, CheckName.SETTINGS)
    found = evidence.metadata
    if (
        found is None
        or isinstance(found, (Unanswered, Broke))
        or not is_our_health(evidence.health)
    ):
        return Check.needs(name, CheckName.API_REACHABLE)
    published = published_contract(evidence.metadata_document)
    if published.tenant_id is None or published.app_id_uri is None:
        return _no_metadata(name, found)
    identity = subject.settings.api
    disagreements = tuple(_disagreements(identity, published, evidence.claims))
    if disagreements:
        return _judge(disagreements, subject, evidence)
    if published.resource != subject.settings.api_base_url and not _is_private(subject):
        return _other_resource(subject, published)
    known = "" if published.client_id else "; it says neither client ID nor token versions"
    return Check.passed(name, f"tenant, App ID URI and address agree{known}")


def _no_metadata(name: CheckName, found: Answered) -> Check:
    return Check.failed(
        name,
        f"no metadata that can be read (HTTP {found.status})",
        Cause.METADATA_MISSING,
        Fix(
            "Deploy the stack with its discovery function, and PublicUrl set to the API's address.",
            Place.AWS_STACK,
            setting="PublicUrl",
            value_from="the API's address as callers know it",
        ),
    )


def _is_private(subject: Subject) -> bool:
    """Return whether the API is called under another name than its own."""
    network = subject.settings.network
    return network.api_host is not None or network.api_id is not None


def _other_resource(subject: Subject, published: PublishedContract) -> Check:
    base_url = subject.settings.api_base_url
    return Check.warned(
        CheckName.API_METADATA,
        f"AWS_API_BASE_URL is {base_url}, and the API says that it is {shown(published.resource)}",
        Cause.PUBLIC_URL_MISMATCH,
        Fix(
            "Set PublicUrl of the stack to the address that callers use, or AWS_API_BASE_URL to the"
            " one that the API names: clients that go by RFC 9728 refuse an API whose metadata"
            " names another address.",
            Place.AWS_STACK,
            setting="PublicUrl",
            value=base_url,
        ),
    )


def _disagreements(
    identity: ApiIdentity, published: PublishedContract, unverified: Mapping[str, object]
) -> Iterator[Disagreement]:
    if published.authority not in {None, identity.cloud.authority}:
        yield Disagreement(
            Cause.WRONG_ISSUER,
            "the Entra ID cloud",
            identity.cloud.authority,
            published.authority or "",
            _authority_of(unverified),
            "ENTRA_CLOUD",
            "EntraCloud",
        )
    if published.tenant_id != identity.tenant_id:
        yield Disagreement(
            Cause.WRONG_TENANT,
            "the tenant",
            identity.tenant_id,
            published.tenant_id or "",
            guid_or_none(unverified.get(claims.TENANT_ID)),
            "ENTRA_TENANT_ID",
            "EntraTenantId",
        )
    audience = unverified.get(claims.AUDIENCE)
    if published.client_id not in {None, identity.client_id}:
        yield Disagreement(
            Cause.WRONG_AUDIENCE,
            "the API's client ID",
            identity.client_id,
            published.client_id or "",
            guid_or_none(audience),
            "API_CLIENT_ID",
            "ApiClientId",
        )
    if published.token_versions is not None and published.token_versions != frozenset(
        version.value for version in identity.token_versions
    ):
        yield _disagreement_on_versions(identity, published.token_versions, unverified)
    if published.app_id_uri != identity.app_id_uri:
        # A token came for what was asked for, if it is for this API at all.
        is_ours = audience in {identity.client_id, identity.app_id_uri}
        yield Disagreement(
            Cause.WRONG_SCOPE,
            "the App ID URI",
            identity.app_id_uri,
            published.app_id_uri or "",
            identity.app_id_uri if is_ours else None,
            "API_APP_ID_URI",
            "ApiAppIdUri",
        )


def _disagreement_on_versions(
    identity: ApiIdentity, published: frozenset[str], unverified: Mapping[str, object]
) -> Disagreement:
    own = frozenset(version.value for version in identity.token_versions)
    version = unverified.get(claims.VERSION)
    own_text, published_text = ",".join(sorted(own)), ",".join(sorted(published))
    token = None
    if version in own and version not in published:
        token = own_text
    elif version in published and version not in own:
        token = published_text
    return Disagreement(
        Cause.UNACCEPTED_VERSION,
        "the accepted token versions",
        own_text,
        published_text,
        token,
        "ACCEPTED_TOKEN_VERSIONS",
        "AcceptedTokenVersions",
    )


def _authority_of(unverified: Mapping[str, object]) -> str | None:
    issuer = unverified.get(claims.ISSUER)
    if not isinstance(issuer, str) or not issuer.endswith("/v2.0"):
        return None
    return issuer.removesuffix("/v2.0").rpartition("/")[0]


def _judge(disagreements: tuple[Disagreement, ...], subject: Subject, evidence: Evidence) -> Check:
    name = CheckName.API_METADATA
    # What the token speaks to comes first.
    first = next(
        (each for each in disagreements if each.token in {each.own, each.published}),
        disagreements[0],
    )
    found = "; ".join(
        f"{each.what} is {each.own} here ({each.own_setting}) and {shown(each.published)} there"
        f" ({each.stack_parameter})"
        for each in disagreements
    )
    if first.token is not None and first.token == first.published:
        return _make(name, first, found, _own_fix(first, "which the token agrees with"))
    if first.token is not None and first.token == first.own:
        stack_fix = Fix(
            f"Set {first.stack_parameter} of the stack to {first.own}: the token agrees with"
            f" {first.own_setting}.",
            Place.AWS_STACK,
            setting=first.stack_parameter,
            value=first.own,
        )
        is_harmless = first.cause in _HARMLESS or _is_allowed(evidence)
        if is_harmless:
            return Check.warned(name, found, first.cause, stack_fix)
        return Check.failed(name, found, first.cause, stack_fix)
    if _is_allowed(evidence):
        return Check.warned(name, found, first.cause, _own_fix(first, "or the stack's to ours"))
    is_refused = evidence.token_failure is not None
    because = (
        "since Entra ID gives no token for the present one"
        if is_refused
        else f"or set {first.stack_parameter} of the stack to {first.own}: there is no token to"
        " tell which side is right"
    )
    return _make(name, first, found, _own_fix(first, because))


_HARMLESS: Final = frozenset({Cause.WRONG_SCOPE})
"""Nothing in a v2.0 token depends on it."""


def _is_allowed(evidence: Evidence) -> bool:
    return isinstance(evidence.call, Answered) and evidence.call.status == 200  # noqa: PLR2004 - OK


def _make(name: CheckName, of: Disagreement, found: str, fix: Fix) -> Check:
    return Check.failed(name, found, of.cause, fix)


def _own_fix(of: Disagreement, because: str) -> Fix:
    value: str | None = of.published
    if of.own_setting == "ENTRA_CLOUD":
        value = next((c.name for c in CLOUDS.values() if c.authority == of.published), None)
    return Fix(
        f"Set {of.own_setting} to what the API says, {because}.",
        Place.FUNCTION_APP,
        setting=of.own_setting,
        value=value,
        value_from=None if value else "the stack's parameters",
    )
