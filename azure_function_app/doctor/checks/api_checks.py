"""The way to the API, and a real call with a real token."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, assert_never

from azure_function_app.aws_api.token_refusal import explain_refusal
from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.contract_checks import client_of
from azure_function_app.doctor.checks.identity_checks import authorities_fix, proxy_fix
from azure_function_app.doctor.evidence import Broke, Evidence, is_our_health
from azure_function_app.doctor.probes.exchange import Answered, Unanswered
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.report import Check, CheckName, Fix, Place, Status
from azure_function_app.doctor.subject import Subject
from azure_function_app.identity.token_diagnosis import shown
from shared.routes import ROUTES, Role

_OUTPUT: Final = "the stack's output AwsApiBaseUrl"
_LOG: Final = "the authorizer's log, or bridge doctor --stack-name NAME, which reads it"
_CALL: Final = next(
    route for route in ROUTES if (route.method, route.path) == ("GET", "/v1/records")
)
_TLS: Final = frozenset(
    {Obstacle.TLS_UNTRUSTED, Obstacle.TLS_DATES, Obstacle.TLS_FAILED, Obstacle.TLS_NAME}
)
_REDIRECTS: Final = range(300, 400)
_ROUTELESS: Final = frozenset(
    {"MissingAuthenticationTokenException", "IncompleteSignatureException"}
)


def check_api_reachable(subject: Subject, evidence: Evidence) -> Check:
    """Return whether the API answers at the address that the app calls."""
    name = CheckName.API_REACHABLE
    if broken := subject.broken_for_api():
        return Check.needs(
            name, CheckName.SETTINGS, found=f"{', '.join(broken)} is not set right; "
        )
    outcome = evidence.health
    if isinstance(outcome, Unanswered):
        return _unanswered(name, subject, outcome)
    if not isinstance(outcome, Answered):
        kind = outcome.kind if isinstance(outcome, Broke) else "nothing was asked"
        return Check.needs(name, "the doctor to work", found=f"it failed ({kind}); ")
    if is_our_health(outcome):
        return Check.passed(
            name,
            f"{subject.settings.api_base_url} answered in {1_000 * outcome.seconds:.0f} ms",
        )
    return _not_ours(name, subject, evidence, outcome)


def _unanswered(name: CheckName, subject: Subject, outcome: Unanswered) -> Check:
    settings = subject.settings
    base_url, proxy = settings.api_base_url, settings.network.api_proxy
    found = f"{base_url}: {outcome.detail}"
    obstacle = outcome.obstacle
    if obstacle is Obstacle.PROXY or (
        proxy is not None and obstacle in {Obstacle.NAME_UNKNOWN, Obstacle.UNREACHABLE}
    ):
        return Check.failed(
            name, found, Cause.BACKEND_PROXY, proxy_fix("API_HTTPS_PROXY", base_url)
        )
    address = Fix(
        "Set AWS_API_BASE_URL to the API's address: nobody answers at the present one.",
        Place.FUNCTION_APP,
        setting="AWS_API_BASE_URL",
        value_from=_OUTPUT,
    )
    match obstacle:
        case Obstacle.NAME_UNKNOWN:
            return Check.failed(name, found, Cause.BACKEND_NAME_UNKNOWN, address)
        case Obstacle.UNREACHABLE:
            return Check.failed(name, found, Cause.BACKEND_UNREACHABLE, address)
        case Obstacle.TIMED_OUT:
            return Check.failed(
                name,
                found,
                Cause.BACKEND_TIMEOUT,
                Fix(
                    "Let this machine reach the API: check API_HTTPS_PROXY, the network's rules,"
                    " and for a private API its VPC endpoint.",
                    Place.NETWORK,
                    setting="API_HTTPS_PROXY",
                    value_from="whoever runs the network",
                ),
            )
        case Obstacle.TLS_NAME:
            return Check.failed(
                name,
                found,
                Cause.BACKEND_TLS_NAME,
                Fix(
                    "Set AWS_API_BASE_URL to the name in the server's certificate; a private API's"
                    " own name belongs into AWS_API_HOST.",
                    Place.FUNCTION_APP,
                    setting="AWS_API_BASE_URL",
                    value_from=_OUTPUT,
                ),
            )
        case Obstacle.TLS_UNTRUSTED | Obstacle.TLS_DATES:
            return Check.failed(name, found, Cause.BACKEND_TLS, authorities_fix())
        case Obstacle.CLIENT_CERTIFICATE:
            return _wants_certificate(name, found)
        case Obstacle.TLS_FAILED:
            return Check.failed(
                name,
                found,
                Cause.BACKEND_TLS,
                Fix(
                    "Set AWS_API_BASE_URL to an address that speaks TLS 1.2 or later.",
                    Place.FUNCTION_APP,
                    setting="AWS_API_BASE_URL",
                    value_from=_OUTPUT,
                ),
            )
        case Obstacle.BROKEN:
            if base_url.startswith("https") and settings.network.api_certificate is None:
                return _wants_certificate(name, found, "perhaps ")
            return Check.failed(name, found, Cause.BACKEND_PROTOCOL, address)
        case _:
            assert_never(obstacle)


def _wants_certificate(name: CheckName, found: str, doubt: str = "") -> Check:
    return Check.failed(
        name,
        found,
        Cause.CLIENT_CERTIFICATE_REFUSED,
        Fix(
            "Set API_CLIENT_CERTIFICATE_PATH to a certificate that the API's trust store accepts:"
            f" {doubt}its domain wants one (mutual TLS).",
            Place.FUNCTION_APP,
            setting="API_CLIENT_CERTIFICATE_PATH",
            value_from="whoever issues client certificates for the API",
        ),
    )


def _not_ours(name: CheckName, subject: Subject, evidence: Evidence, outcome: Answered) -> Check:
    found = _came(subject, outcome)
    base_url = Fix(
        "Set AWS_API_BASE_URL to the API's address, stage included.",
        Place.FUNCTION_APP,
        setting="AWS_API_BASE_URL",
        value=evidence.answers_at,
        value_from=None if evidence.answers_at else _OUTPUT,
    )
    if evidence.answers_at is not None:
        found += f"; the API answers at {evidence.answers_at}"
        return Check.failed(name, found, Cause.ROUTE_UNKNOWN, base_url)
    status = outcome.status
    if status in _REDIRECTS:
        return Check.failed(name, found, Cause.API_REDIRECTS, base_url)
    if "record_store" in outcome.members and "last_sync" in outcome.members:
        return Check.failed(
            name, f"{found}, which is this Function App itself", Cause.NOT_THE_API, base_url
        )
    if (common := _common(name, found, outcome)) is not None:
        return common
    if outcome.error_type in _ROUTELESS or outcome.problem_code == "route_unknown":
        return Check.failed(name, found, Cause.ROUTE_UNKNOWN, base_url)
    if outcome.error_type == "ForbiddenException":
        return Check.failed(
            name,
            f"{found}: no such API or stage here",
            Cause.API_UNKNOWN,
            Fix(
                "Set AWS_API_BASE_URL to an API and stage that are there: API ID, region and stage"
                " must be the stack's; for a private API check AWS_API_HOST or AWS_API_ID.",
                Place.FUNCTION_APP,
                setting="AWS_API_BASE_URL",
                value_from=_OUTPUT,
            ),
        )
    if status == HTTPStatus.NOT_FOUND and not outcome.is_html:
        return Check.failed(name, found, Cause.ROUTE_UNKNOWN, base_url)
    return Check.failed(name, found, Cause.NOT_THE_API, base_url)


def _came(subject: Subject, outcome: Answered) -> str:
    named = outcome.problem_code or outcome.error_type
    kind = "a page of HTML" if outcome.is_html else shown(named) if named else ""
    return f"{subject.settings.api_base_url} answered HTTP {outcome.status}" + (
        f" with {kind}" if kind else ""
    )


def _common(name: CheckName, found: str, outcome: Answered) -> Check | None:
    """Return what an answer means whoever asked for what; None if nothing in particular."""
    code = outcome.problem_code
    if code == "api_key_refused":
        return Check.failed(name, found, Cause.BACKEND_API_KEY, _KEY_FIX)
    if code == "request_filtered" or outcome.error_type == "WafFilteredException":
        return Check.failed(name, found, Cause.BACKEND_FIREWALL, _FIREWALL_FIX)
    if code == "quota_exceeded" or outcome.error_type == "LimitExceededException":
        return Check.failed(
            name,
            found,
            Cause.QUOTA_EXCEEDED,
            Fix(
                "Raise the quota of the usage plan that AWS_API_KEY belongs to, or wait for its"
                " next period.",
                Place.AWS_STACK,
                setting="UsagePlanQuota",
                value_from="the usage plan's page in API Gateway",
            ),
        )
    if outcome.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Check.failed(
            name,
            found,
            Cause.THROTTLED,
            Fix(
                "Wait a minute; if it stays so, raise the stage's throttling limits, or find who"
                " else calls.",
                Place.AWS_OPERATIONS,
                value_from="the stage's metrics Count and 4XXError",
            ),
        )
    if outcome.status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT} and (
        code in {"backend_failed", "backend_timed_out"} or outcome.error_type
    ):
        is_late = outcome.status == HTTPStatus.GATEWAY_TIMEOUT
        return Check.failed(
            name,
            found,
            Cause.BACKEND_TIMED_OUT if is_late else Cause.BACKEND_FAILED,
            _request_fix("Look the request up in the backend's log", outcome),
        )
    return None


_KEY_FIX: Final = Fix(
    "Set AWS_API_KEY to a key of a usage plan that has the API's stage.",
    Place.FUNCTION_APP,
    setting="AWS_API_KEY",
    value_from="the API key's page in API Gateway; best as a Key Vault reference",
)
_FIREWALL_FIX: Final = Fix(
    "Let the web ACL before the API pass this app's calls: look the request up in its log.",
    Place.AWS_OPERATIONS,
    value_from="the web ACL's log (AWS WAF)",
)


def _request_fix(sentence: str, outcome: Answered) -> Fix:
    request_id = outcome.headers.get("x-amzn-requestid")
    return Fix(
        f"{sentence}{f', by request ID {shown(request_id)}' if request_id else ''}.",
        Place.AWS_OPERATIONS,
        value_from="the stack's log groups in CloudWatch",
    )


def check_api_call(
    subject: Subject, evidence: Evidence, earlier: Mapping[CheckName, Check]
) -> Check:
    """Return whether the API lets a real call with a real token through.

    `earlier` are the other checks: a refusal that one of them explains is no failure of its own.
    """
    name = CheckName.API_CALL
    outcome = evidence.call
    if outcome is None:
        missing = [
            each
            for each in (CheckName.TOKEN, CheckName.API_REACHABLE)
            if earlier[each].status is not Status.PASSED
        ]
        return Check.needs(name, *(missing or [CheckName.TOKEN]))
    if isinstance(outcome, Unanswered):
        return Check.failed(
            name,
            f"GET {_CALL.path}: {outcome.detail}, though the API answers otherwise",
            Cause.BACKEND_TIMEOUT
            if outcome.obstacle is Obstacle.TIMED_OUT
            else Cause.BACKEND_PROTOCOL,
            Fix(
                "Look at the authorizer's and the backend's durations in CloudWatch: one of them"
                " takes too long.",
                Place.AWS_OPERATIONS,
                value_from="the stack's log groups in CloudWatch",
            ),
        )
    if isinstance(outcome, Broke):
        return Check.needs(name, "the doctor to work", found=f"it failed ({outcome.kind}); ")
    found = f"GET {_CALL.path} answered HTTP {outcome.status}"
    if outcome.status == HTTPStatus.OK:
        items = outcome.members.get("items")
        if isinstance(items, list):
            return Check.passed(
                name, f"{found} in {1_000 * outcome.seconds:.0f} ms: the call is allowed"
            )
        return Check.failed(
            name,
            f"{found}, and no page of records",
            Cause.BACKEND_CONTRACT,
            Fix("Deploy the stack and the app from one version.", Place.AWS_STACK),
        )
    if outcome.problem_code or outcome.error_type:
        found += f" ({shown(outcome.problem_code or outcome.error_type)})"
    if (common := _common(name, found, outcome)) is not None:
        return common
    if outcome.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return _refused(name, found, evidence, outcome, earlier)
    return _failed(name, found, outcome)


def _refused(
    name: CheckName,
    found: str,
    evidence: Evidence,
    outcome: Answered,
    earlier: Mapping[CheckName, Check],
) -> Check:
    for each in (
        CheckName.TOKEN_CONTRACT,
        CheckName.API_METADATA,
        CheckName.CLOCK,
        CheckName.KEY_SET,
    ):
        if earlier[each].status is Status.FAILED:
            return Check.needs(name, each, found=f"{found}; ")
    refusal = explain_refusal(_SentCall(outcome, evidence), outcome.problem_code, _CALL)
    match refusal.evidence["refused_by"]:
        case "authorizer":
            fix = _request_fix(
                "Read the authorizer's reason: the token fits all that the API publishes, so look"
                " at its key set, its clock and its settings",
                outcome,
            )
            return Check.failed(
                name,
                found,
                Cause.TOKEN_REJECTED,
                Fix(fix.sentence, Place.AWS_OPERATIONS, value_from=_LOG),
            )
        case "policy" | "backend":
            return _denied(name, found, evidence)
        case "api_key":
            return Check.failed(name, found, Cause.BACKEND_API_KEY, _KEY_FIX)
        case "firewall":
            return Check.failed(name, found, Cause.BACKEND_FIREWALL, _FIREWALL_FIX)
        case _:
            if outcome.error_type == "ForbiddenException":
                return Check.failed(name, found, Cause.BACKEND_API_KEY, _KEY_FIX)
            return Check.failed(
                name,
                found,
                Cause.BACKEND_FORBIDDEN,
                Fix(
                    f"Look at what stands before the API: {refusal.evidence['advice']}.",
                    Place.AWS_OPERATIONS,
                    value_from="the gateway's access log",
                ),
            )


class _SentCall:
    """The refused call, as `explain_refusal` looks at it."""

    def __init__(self, outcome: Answered, evidence: Evidence) -> None:
        self.status_code = outcome.status
        self.headers = outcome.headers
        self.content = outcome.content
        roles = evidence.claims.get("roles", [])
        self.token_roles = (
            frozenset(role for role in roles if isinstance(role, str))
            if isinstance(roles, list)
            else None
        )


def _denied(name: CheckName, found: str, evidence: Evidence) -> Check:
    roles = evidence.claims.get("roles")
    has_role = isinstance(roles, list) and Role.READ in roles
    client = client_of(evidence.claims)
    if not has_role:
        # With only Records.Write the contract is met, and this route is not open.
        return Check.failed(
            name,
            f"{found}, and the token has no {Role.READ}",
            Cause.MISSING_ROLE,
            Fix(
                f"Assign the app role {Role.READ} of the API to the caller {shown(client)}.",
                Place.ENTRA,
                setting="appRoleAssignments",
                value=Role.READ,
            ),
        )
    return Check.failed(
        name,
        f"{found}, though the token has {Role.READ}: its client {shown(client)} is not let in",
        Cause.UNKNOWN_CLIENT,
        Fix(
            "Add the caller's client ID to AllowedClientIds of the stack.",
            Place.AWS_STACK,
            setting="AllowedClientIds",
            value=client,
        ),
    )


def _failed(name: CheckName, found: str, outcome: Answered) -> Check:
    match outcome.problem_code:
        case "authorizer_undecided":
            fix = _request_fix(
                "Read why the authorizer cannot judge: it cannot reach the tenant's key set, or"
                " its settings are not valid",
                outcome,
            )
            return Check.failed(
                name,
                found,
                Cause.AUTHORIZER_UNDECIDED,
                Fix(fix.sentence, Place.AWS_OPERATIONS, value_from=_LOG),
            )
        case "feed_missing" | "feed_absent":
            return Check.failed(
                name,
                found,
                Cause.FEED_MISSING,
                Fix(
                    "Import the records, with `bridge import`, or restore the table's backup.",
                    Place.AWS_OPERATIONS,
                    value_from="docs/scale.md",
                ),
            )
        case _:
            pass
    if outcome.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Check.failed(
            name,
            found,
            Cause.BACKEND_UNAVAILABLE,
            _request_fix("Look the request up in the backend's log", outcome),
        )
    return Check.failed(
        name,
        found,
        Cause.BACKEND_CONTRACT,
        Fix("Deploy the stack and the app from one version.", Place.AWS_STACK),
    )
