"""The Lambda entry: reads the event, verifies its token, answers with a policy.

rejected     raises `Unauthorized`          401
denied       an explicit Deny               403
undecided    raises anything else           500, which API Gateway does not cache
"""

from aws_authorizer.authorizer_event import (
    AuthorizerRequest,
    parse_authorizer_event,
    parse_bearer_token,
)
from aws_authorizer.bootstrap import Authorizer, get_authorizer, write_to_stdout
from aws_authorizer.decision_log import write_settings_problem
from aws_authorizer.errors import AccessDenied, TokenRejected, Unauthorized, Undecided
from aws_authorizer.policy_document import Answer
from aws_authorizer.settings import load_trace_id
from shared.clock import SystemClock
from shared.principal import DECISION_ID, Principal
from shared.reasons import Reason
from shared.settings_reader import SettingsError

_MAX_REQUEST_ID_CHARACTERS = 64


def handler(event: object, context: object) -> Answer:
    """Return the answer for API Gateway.

    Raises:
        Unauthorized: there is no token, or not a good one.
        Undecided: the token could not be judged.

    """
    try:
        authorizer = get_authorizer()
    except SettingsError as error:
        write_settings_problem(
            write_to_stdout,
            [str(problem) for problem in error.problems],
            SystemClock().now(),
            trace_id=load_trace_id(),
            request_id=_read_request_id(context),
        )
        raise Undecided(Reason.SETTINGS_INVALID) from None
    return authorize(authorizer, event, _read_request_id(context))


def authorize(authorizer: Authorizer, event: object, request_id: str) -> Answer:
    """Return the answer of one authorizer to one event; each call writes one line to the log.

    Raises:
        Unauthorized: there is no token, or not a good one.
        Undecided: the token could not be judged.

    """
    log = authorizer.log
    try:
        request = parse_authorizer_event(event)
        token = parse_bearer_token(request)
        try:
            principal = authorizer.verifier.verify(token)
        except AccessDenied as denied:
            answer = _build_deny(authorizer, request, denied.principal)
            log.write_decision("denied", denied.reason, request_id, principal=denied.principal)
            return _with_decision_id(answer, request_id)
        answer = _build_allow(authorizer, request, principal)
    except TokenRejected as rejected:
        log.write_decision("rejected", rejected.reason, request_id)
        raise Unauthorized from None
    except Undecided as undecided:
        log.write_decision("undecided", undecided.reason, request_id, detail=undecided.detail)
        raise
    except Exception as fault:  # noqa: BLE001 - it goes on, without what it may tell
        # Its message may hold what the request said, so only its kind and place are told.
        detail = _describe(fault)
        log.write_decision("undecided", Reason.INTERNAL_ERROR, request_id, detail=detail)
        raise Undecided(Reason.INTERNAL_ERROR, detail) from None
    log.write_decision("allowed", Reason.ALLOWED, request_id, principal=principal)
    return _with_decision_id(answer, request_id)


def _build_allow(
    authorizer: Authorizer, request: AuthorizerRequest, principal: Principal
) -> Answer:
    policies, arn = authorizer.policies, request.method_arn
    if authorizer.has_simple_responses and request.is_payload_v2:
        return policies.build_simple_allow(principal, _read_cached_route_key(authorizer, request))
    answer = policies.build_allow(principal, arn.stage_arn, is_websocket=arn.is_websocket_connect)
    key = None if request.is_http_api else authorizer.api_keys.find(principal.client_id)
    # By the proven client ID only: nothing in the request can choose whose quota is used up.
    return answer if key is None else answer | {"usageIdentifierKey": key}


def _read_cached_route_key(authorizer: Authorizer, request: AuthorizerRequest) -> str | None:
    """Return the only route for which the gateway reuses the answer; None if it may be any."""
    if not authorizer.caches_by_route:
        return None
    route_key, is_cached = request.route_key, request.identity_sources is not None
    if is_cached and not (route_key and request.has_identity_source(route_key)):
        raise Undecided(Reason.IDENTITY_SOURCE, "the gateway does not cache by route")
    return route_key


def _build_deny(authorizer: Authorizer, request: AuthorizerRequest, principal: Principal) -> Answer:
    if authorizer.has_simple_responses and request.is_payload_v2:
        return authorizer.policies.build_simple_deny()
    return authorizer.policies.build_deny(principal, request.method_arn.stage_arn)


def _with_decision_id(answer: Answer, request_id: str) -> Answer:
    context = answer.get("context")
    # A plain no carries none.
    if isinstance(context, dict):
        context[DECISION_ID] = request_id
    return answer


def _read_request_id(context: object) -> str:
    request_id = getattr(context, "aws_request_id", "")
    return request_id[:_MAX_REQUEST_ID_CHARACTERS] if isinstance(request_id, str) else ""


def _describe(fault: Exception) -> str:
    place = fault.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place is not None else "?"
    return f"{type(fault).__name__} in {where}"
