"""Whether the API answers at the address that the app calls."""

from http import HTTPStatus
from typing import Final

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.api_answers import named, what_it_means
from azure_function_app.doctor.checks.ways import (
    Failure,
    authorities_fix,
    behind_proxy,
    proxy_fix,
)
from azure_function_app.doctor.evidence import Broke, Evidence, is_our_health
from azure_function_app.doctor.probes.exchange import Answered, Unanswered
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject

_OUTPUT: Final = "the stack's output AwsApiBaseUrl"
_REDIRECTS: Final = range(300, 400)
_ROUTELESS: Final = frozenset(
    {"MissingAuthenticationTokenException", "IncompleteSignatureException"}
)
"""What the gateway calls a path that it has not."""
_CAUSES: Final = {
    Obstacle.NAME_UNKNOWN: Cause.BACKEND_NAME_UNKNOWN,
    Obstacle.UNREACHABLE: Cause.BACKEND_UNREACHABLE,
    Obstacle.TIMED_OUT: Cause.BACKEND_TIMEOUT,
    Obstacle.PROXY: Cause.BACKEND_PROXY,
    Obstacle.TLS_NAME: Cause.BACKEND_TLS_NAME,
    Obstacle.TLS_UNTRUSTED: Cause.BACKEND_TLS,
    Obstacle.TLS_DATES: Cause.BACKEND_TLS,
    Obstacle.TLS_FAILED: Cause.BACKEND_PROTOCOL,
    Obstacle.CLIENT_CERTIFICATE: Cause.CLIENT_CERTIFICATE_REFUSED,
    Obstacle.BROKEN: Cause.BACKEND_PROTOCOL,
}


def check_api_reachable(subject: Subject, evidence: Evidence) -> Check:
    """Return whether the API answers at the address that the app calls."""
    name = CheckName.API_REACHABLE
    if broken := subject.broken_for_api():
        return Check.without_settings(name, broken)
    outcome = evidence.health
    if isinstance(outcome, Unanswered):
        return _unanswered(subject, outcome).failed(name)
    if not isinstance(outcome, Answered):
        return Check.broke(name, outcome.kind if isinstance(outcome, Broke) else None)
    if is_our_health(outcome):
        return Check.passed(
            name,
            f"{subject.settings.api_base_url} answered in {1_000 * outcome.seconds:.0f} ms",
        )
    return _not_ours(subject, evidence, outcome).failed(name)


def _unanswered(subject: Subject, outcome: Unanswered) -> Failure:
    settings = subject.settings
    has_certificate = settings.network.api_certificate is not None
    obstacle = behind_proxy(outcome.obstacle, has_proxy=settings.network.api_proxy is not None)
    if obstacle is Obstacle.BROKEN and settings.api_base_url.startswith("https"):
        # API Gateway ends the connection of a caller who shows no certificate where it wants one.
        obstacle = obstacle if has_certificate else Obstacle.CLIENT_CERTIFICATE
    cause = _CAUSES[obstacle]
    found = f"{settings.api_base_url}: {outcome.detail}"
    return Failure(cause, found, _fix_of(cause, settings.api_base_url))


def _fix_of(cause: Cause, base_url: str) -> Fix:
    match cause:
        case Cause.BACKEND_PROXY:
            return proxy_fix("API_HTTPS_PROXY", base_url)
        case Cause.BACKEND_TLS:
            return authorities_fix()
        case Cause.CLIENT_CERTIFICATE_REFUSED:
            return Fix(
                "Set API_CLIENT_CERTIFICATE_PATH to a certificate that the API's trust store"
                " accepts: its domain wants one (mutual TLS).",
                Place.FUNCTION_APP,
                setting="API_CLIENT_CERTIFICATE_PATH",
                value_from="whoever issues client certificates for the API",
            )
        case Cause.BACKEND_TIMEOUT:
            return Fix(
                "Let this machine reach the API: check API_HTTPS_PROXY, the network's rules, and"
                " for a private API its VPC endpoint.",
                Place.NETWORK,
                setting="API_HTTPS_PROXY",
                value_from="whoever runs the network",
            )
        case Cause.BACKEND_TLS_NAME:
            sentence = (
                "Set AWS_API_BASE_URL to the name in the server's certificate; a private API's own"
                " name belongs into AWS_API_HOST."
            )
        case _:
            sentence = "Set AWS_API_BASE_URL to the API's address: it is not the present one."
    return Fix(sentence, Place.FUNCTION_APP, setting="AWS_API_BASE_URL", value_from=_OUTPUT)


def _not_ours(subject: Subject, evidence: Evidence, outcome: Answered) -> Failure:
    found = f"{subject.settings.api_base_url} answered {named(outcome)}"
    known = what_it_means(found, outcome)
    if known is not None and evidence.answers_at is None:
        return known
    cause, remark = _who_answers(evidence, outcome)
    sentence = "Set AWS_API_BASE_URL to the API's address, stage included."
    if cause is Cause.API_UNKNOWN:
        sentence = (
            "Set AWS_API_BASE_URL to an API and stage that are there: API ID, region and stage must"
            " be the stack's; for a private API check AWS_API_HOST or AWS_API_ID."
        )
    return Failure(
        cause,
        found + remark,
        Fix(
            sentence,
            Place.FUNCTION_APP,
            setting="AWS_API_BASE_URL",
            value=evidence.answers_at,
            value_from=None if evidence.answers_at else _OUTPUT,
        ),
    )


def _who_answers(evidence: Evidence, outcome: Answered) -> tuple[Cause, str]:
    is_routeless = outcome.error_type in _ROUTELESS or outcome.problem_code == "route_unknown"
    is_nowhere = outcome.status == HTTPStatus.NOT_FOUND and not outcome.is_html
    if evidence.answers_at is not None:
        cause, remark = Cause.ROUTE_UNKNOWN, f"; the API answers at {evidence.answers_at}"
    elif outcome.status in _REDIRECTS:
        cause, remark = Cause.API_REDIRECTS, ""
    elif "record_store" in outcome.members and "last_sync" in outcome.members:
        cause, remark = Cause.NOT_THE_API, ", and is this Function App itself"
    elif outcome.error_type == "ForbiddenException":
        cause, remark = Cause.API_UNKNOWN, ": no such API or stage is there"
    elif is_routeless or is_nowhere:
        cause, remark = Cause.ROUTE_UNKNOWN, ": no such path is there"
    else:
        cause, remark = Cause.NOT_THE_API, ", which is not the API's answer"
    return cause, remark
