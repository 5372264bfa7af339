"""What it means that nobody answers on the way to a peer, and what to change."""

from typing import Final, NamedTuple

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.evidence import Evidence, guid_or_none, published_contract
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject
from shared import claims
from shared.entra import CLOUDS


class Failure(NamedTuple):
    """Why something is not to be had, and what to change."""

    cause: Cause
    found: str
    fix: Fix

    def failed(self, name: CheckName) -> Check:
        """Return the check that failed for this."""
        return Check.failed(name, self.found, self.cause, self.fix)


_ISSUER_CAUSES: Final = {
    Obstacle.NAME_UNKNOWN: Cause.ISSUER_NAME_UNKNOWN,
    Obstacle.UNREACHABLE: Cause.ISSUER_UNREACHABLE,
    Obstacle.TIMED_OUT: Cause.ISSUER_TIMEOUT,
    Obstacle.BROKEN: Cause.ISSUER_ANSWER,
    Obstacle.PROXY: Cause.ISSUER_PROXY,
    Obstacle.TLS_UNTRUSTED: Cause.ISSUER_TLS,
    Obstacle.TLS_NAME: Cause.ISSUER_TLS,
    Obstacle.TLS_DATES: Cause.ISSUER_TLS,
    Obstacle.TLS_FAILED: Cause.ISSUER_TLS,
    Obstacle.CLIENT_CERTIFICATE: Cause.ISSUER_TLS,
}
_BEHIND_PROXY: Final = frozenset({Obstacle.NAME_UNKNOWN, Obstacle.UNREACHABLE})
"""What is the proxy's own, where there is one: the server's it would have told in an answer."""


def behind_proxy(obstacle: Obstacle, *, has_proxy: bool) -> Obstacle:
    """Return the obstacle as it is told where a proxy is on the way."""
    return Obstacle.PROXY if has_proxy and obstacle in _BEHIND_PROXY else obstacle


def issuer_obstacle(subject: Subject, obstacle: Obstacle, detail: str, authority: str) -> Failure:
    """Return what it means that Entra ID could not be asked."""
    is_tls = authority.startswith("https")
    has_proxy = is_tls and subject.settings.network.token_proxy is not None
    cause = _ISSUER_CAUSES[behind_proxy(obstacle, has_proxy=has_proxy)]
    if cause is Cause.ISSUER_PROXY:
        fix = proxy_fix("TOKEN_HTTPS_PROXY", authority)
    elif cause is Cause.ISSUER_TLS:
        fix = authorities_fix()
    elif subject.settings.token_source.is_local_authority:
        setting = "AZURE_AUTHORITY_HOST" if is_tls else "ENTRA_AUTHORITY"
        fix = Fix(
            f"Start the local Entra ID, or set {setting} to where it is: nobody answers at its"
            " address.",
            Place.FUNCTION_APP,
            setting=setting,
            value_from="bridge up, which writes it into local.settings.json",
        )
    else:
        fix = Fix(
            f"Let this machine reach {authority}, over TOKEN_HTTPS_PROXY if only a proxy gets out.",
            Place.NETWORK,
            setting="TOKEN_HTTPS_PROXY",
            value_from="whoever runs the network",
        )
    return Failure(cause, f"{authority} gave no answer: {detail}", fix)


def proxy_fix(setting: str, target: str) -> Fix:
    """Return what to change where a proxy lets nothing through."""
    return Fix(
        f"Set {setting} to a proxy that answers, with its user and password if it wants them, and"
        f" let it allow {target}.",
        Place.FUNCTION_APP,
        setting=setting,
        value_from="whoever runs the proxy",
    )


def authorities_fix() -> Fix:
    """Return what to change where a certificate is not trusted."""
    return Fix(
        "Set EXTRA_CA_FILE to a PEM file with the authority that issued the certificate: where a"
        " company's proxy opens TLS, its own.",
        Place.FUNCTION_APP,
        setting="EXTRA_CA_FILE",
        value_from="whoever runs the network, or the server",
    )


def other_tenant(subject: Subject, evidence: Evidence) -> str | None:
    """Return the tenant that the API's metadata, or else the token, names beside this side's."""
    own = subject.settings.api.tenant_id
    named = (
        published_contract(evidence.metadata_document).tenant_id,
        guid_or_none(evidence.claims.get(claims.TENANT_ID)),
    )
    return next((each for each in named if each not in {None, own}), None)


def tenant_fix(subject: Subject, evidence: Evidence) -> Fix:
    """Return what to change where Entra ID knows no such tenant."""
    authority = published_contract(evidence.metadata_document).authority
    other = other_tenant(subject, evidence)
    if other is None and authority not in {None, subject.settings.api.cloud.authority}:
        cloud = cloud_name(authority)
        return Fix(
            with_evidence("Set ENTRA_CLOUD to the tenant's own cloud", authority),
            Place.FUNCTION_APP,
            setting="ENTRA_CLOUD",
            value=cloud,
            value_from=None if cloud else "the tenant's overview page",
        )
    return Fix(
        with_evidence("Set ENTRA_TENANT_ID to the tenant of the API's registration", other),
        Place.FUNCTION_APP,
        setting="ENTRA_TENANT_ID",
        value=other,
        value_from=None if other else "the Entra overview page, Tenant ID",
    )


def cloud_name(authority: str | None) -> str | None:
    """Return what ENTRA_CLOUD calls the cloud of that authority."""
    return next((cloud.name for cloud in CLOUDS.values() if cloud.authority == authority), None)


def with_evidence(sentence: str, value: str | None) -> str:
    """Return the sentence, with what the API says for evidence."""
    return f"{sentence}." if value is None else f"{sentence}: the API says {value}."
