"""What it means that nobody answers on the way to a peer, and what to change."""

from typing import Final, NamedTuple

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject


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
