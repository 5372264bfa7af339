"""Whether the API lets a real call with a real token through."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from azure_function_app.aws_api.token_refusal import RefusedBy, explain_refusal
from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.api_answers import (
    FIREWALL_FIX,
    KEY_FIX,
    ONE_VERSION_FIX,
    look_up,
    named,
    what_it_means,
)
from azure_function_app.doctor.checks.token_contract import client_of
from azure_function_app.doctor.checks.ways import Failure
from azure_function_app.doctor.evidence import Broke, Evidence, guid_or_none
from azure_function_app.doctor.probes.exchange import Answered, Unanswered
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.report import Check, CheckName, Fix, Place, Status
from azure_function_app.identity.token_diagnosis import shown
from shared import claims
from shared.routes import ROUTES, Role

_LOG: Final = "the authorizer's log, which bridge doctor reads with --stack-name NAME"
_CALL: Final = next(
    route for route in ROUTES if (route.method, route.path) == ("GET", "/v1/records")
)
_REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_EXPLAINING: Final = (
    CheckName.TOKEN_CONTRACT,
    CheckName.API_METADATA,
    CheckName.CLOCK,
    CheckName.KEY_SET,
)
"""The checks whose failure is why a token is refused, the likeliest first."""


def check_api_call(evidence: Evidence, earlier: Mapping[CheckName, Check]) -> Check:
    """Return whether the API lets a real call with a real token through.

    `earlier` are the other checks: a refusal that one of them explains is no failure of its own.
    """
    name = CheckName.API_CALL
    outcome = evidence.call
    if outcome is None:
        ways = (CheckName.TOKEN, CheckName.API_REACHABLE)
        return Check.needs(name, *(w for w in ways if earlier[w].status is not Status.PASSED))
    if isinstance(outcome, Broke):
        return Check.broke(name, outcome.kind)
    if isinstance(outcome, Unanswered):
        return _unanswered(outcome).failed(name)
    found = f"GET {_CALL.path} answered {named(outcome)}"
    if outcome.status == HTTPStatus.OK and isinstance(outcome.members.get("items"), list):
        return Check.passed(name, f"{found} in {1_000 * outcome.seconds:.0f} ms: it is allowed")
    explaining = next((e for e in _EXPLAINING if earlier[e].status is Status.FAILED), None)
    if outcome.status in _REFUSALS and explaining is not None:
        return Check.needs(name, explaining, found=f"{found}; ")
    return _failure_of(found, outcome, evidence).failed(name)


def _unanswered(outcome: Unanswered) -> Failure:
    is_late = outcome.obstacle is Obstacle.TIMED_OUT
    return Failure(
        Cause.BACKEND_TIMEOUT if is_late else Cause.BACKEND_PROTOCOL,
        f"GET {_CALL.path}: {outcome.detail}, though the API answers otherwise",
        Fix(
            "Look at the durations of the authorizer and the backend: one of them takes too long.",
            Place.AWS_OPERATIONS,
            value_from="the stack's log groups in CloudWatch",
        ),
    )


def _failure_of(found: str, outcome: Answered, evidence: Evidence) -> Failure:
    known = what_it_means(found, outcome)
    if known is not None:
        return known
    if outcome.status in _REFUSALS:
        return _refused(found, outcome, evidence)
    if outcome.problem_code == "authorizer_undecided":
        sentence = (
            "Read why the authorizer cannot judge: it cannot reach the tenant's key set, or its"
            " settings are not valid"
        )
        return Failure(Cause.AUTHORIZER_UNDECIDED, found, look_up(sentence, outcome, _LOG))
    if outcome.problem_code == "feed_missing":
        fix = Fix(
            "Import the records with `bridge import`, or restore the table's backup.",
            Place.AWS_OPERATIONS,
            value_from="docs/scale.md",
        )
        return Failure(Cause.FEED_MISSING, found, fix)
    if outcome.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        fix = look_up("Look the request up in the backend's log", outcome)
        return Failure(Cause.BACKEND_UNAVAILABLE, found, fix)
    return Failure(Cause.BACKEND_CONTRACT, found, ONE_VERSION_FIX)


def _refused(found: str, outcome: Answered, evidence: Evidence) -> Failure:
    refusal = explain_refusal(_SentCall(outcome, evidence), outcome.problem_code, _CALL)
    refused_by = RefusedBy(str(refusal.evidence["refused_by"]))
    match refused_by:
        case RefusedBy.AUTHORIZER:
            sentence = (
                "Read the authorizer's reason: the token fits all that the API publishes, so look"
                " at the authorizer's key set, clock and settings"
            )
            return Failure(Cause.TOKEN_REJECTED, found, look_up(sentence, outcome, _LOG))
        case RefusedBy.POLICY | RefusedBy.BACKEND:
            return _denied(found, evidence)
        case RefusedBy.API_KEY:
            return Failure(Cause.BACKEND_API_KEY, found, KEY_FIX)
        case RefusedBy.FIREWALL:
            return Failure(Cause.BACKEND_FIREWALL, found, FIREWALL_FIX)
        case RefusedBy.ELSEWHERE if outcome.error_type == "ForbiddenException":
            return Failure(Cause.BACKEND_API_KEY, found, KEY_FIX)
        case RefusedBy.ELSEWHERE:
            fix = Fix(
                f"Look at what stands before the API: {refusal.evidence['advice']}.",
                Place.AWS_OPERATIONS,
                value_from="the gateway's access log",
            )
            return Failure(Cause.BACKEND_FORBIDDEN, found, fix)


class _SentCall:
    """The refused call, as `explain_refusal` looks at it."""

    def __init__(self, outcome: Answered, evidence: Evidence) -> None:
        self.status_code = outcome.status
        self.headers = outcome.headers
        self.content = outcome.content
        roles = evidence.claims.get(claims.ROLES, [])
        self.token_roles = (
            frozenset(role for role in roles if isinstance(role, str))
            if isinstance(roles, list)
            else None
        )


def _denied(found: str, evidence: Evidence) -> Failure:
    roles = evidence.claims.get(claims.ROLES)
    client = client_of(evidence.claims)
    if not isinstance(roles, list) or Role.READ not in roles:
        # The contract is met by any role, and this route is not opened by each.
        return Failure(
            Cause.MISSING_ROLE,
            f"{found}, and the token has no {Role.READ}",
            Fix(
                f"Assign the app role {Role.READ} of the API to the caller {shown(client)}.",
                Place.ENTRA,
                setting="appRoleAssignments",
                value=Role.READ,
            ),
        )
    return Failure(
        Cause.UNKNOWN_CLIENT,
        f"{found}, though the token has {Role.READ}: its client {shown(client)} is not let in",
        Fix(
            "Add the caller's client ID to AllowedClientIds of the stack.",
            Place.AWS_STACK,
            setting="AllowedClientIds",
            value=guid_or_none(client),
        ),
    )
