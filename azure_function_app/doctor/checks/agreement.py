"""Whether the two sides have one contract: this side's settings, and what the API publishes.

Two sides that disagree cannot both be right, and the token, which Entra ID issued, tells which is:
what it agrees with stays, and the other is to be changed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.ways import cloud_name
from azure_function_app.doctor.evidence import (
    Broke,
    Evidence,
    PublishedContract,
    guid_or_none,
    is_our_health,
    published_contract,
)
from azure_function_app.doctor.probes.exchange import Answered, Unanswered
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject
from azure_function_app.identity.token_diagnosis import GRAPH_AUDIENCES, shown
from shared import claims
from shared.contract import ApiIdentity
from shared.entra import TokenVersion


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
        return _judge(disagreements, evidence)
    if published.resource != subject.settings.api_base_url and not _is_private(subject):
        return _other_resource(subject, published)
    known = "" if published.client_id else "; it says neither client ID nor token versions"
    return Check.passed(name, f"tenant, App ID URI and address agree{known}")


def _no_metadata(name: CheckName, found: Answered) -> Check:
    # An older stack has none, and no call needs it: a refusal has another cause.
    return Check.warned(
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
    audience = _text_of(unverified, claims.AUDIENCE)
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
        is_graph = audience.rstrip("/") in GRAPH_AUDIENCES
        is_ours = audience in {identity.client_id, identity.app_id_uri} and not is_graph
        yield Disagreement(
            Cause.WRONG_SCOPE,
            "the App ID URI",
            identity.app_id_uri,
            published.app_id_uri or "",
            identity.app_id_uri if is_ours else None,
            "API_APP_ID_URI",
            "ApiAppIdUri",
        )


def _text_of(unverified: Mapping[str, object], claim: str) -> str:
    """Return the claim; an empty text where it is none."""
    value = unverified.get(claim)
    return value if isinstance(value, str) else ""


def _disagreement_on_versions(
    identity: ApiIdentity, published: frozenset[str], unverified: Mapping[str, object]
) -> Disagreement:
    own = frozenset(version.value for version in identity.token_versions)
    version = _text_of(unverified, claims.VERSION)
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


def _judge(disagreements: tuple[Disagreement, ...], evidence: Evidence) -> Check:
    name = CheckName.API_METADATA
    # What the token speaks to comes first.
    first = next(
        (each for each in disagreements if each.token in {each.own, each.published}),
        disagreements[0],
    )
    found = "; ".join(
        f"{each.what}: {each.own} here ({each.own_setting}), {shown(each.published)} there"
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
        # Nothing in a v2.0 token depends on the App ID URI; it is the audience of v1.0 ones.
        is_v2 = evidence.claims.get(claims.VERSION) == TokenVersion.V2
        is_harmless = (first.cause in _HARMLESS and is_v2) or _is_allowed(evidence)
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
        value = cloud_name(of.published)
    return Fix(
        f"Set {of.own_setting} to what the API says, {because}.",
        Place.FUNCTION_APP,
        setting=of.own_setting,
        value=value,
        value_from=None if value else "the stack's parameters",
    )
