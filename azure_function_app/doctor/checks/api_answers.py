"""What an answer of the API, or of what stands before it, means whoever asked for what."""

import re
from http import HTTPStatus
from typing import Final

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.ways import Failure
from azure_function_app.doctor.evidence import guid_or_none
from azure_function_app.doctor.probes.exchange import Answered
from azure_function_app.doctor.report import Fix, Place
from azure_function_app.identity.token_diagnosis import shown

KEY_FIX: Final = Fix(
    "Set AWS_API_KEY to a key of a usage plan that has the API's stage.",
    Place.FUNCTION_APP,
    setting="AWS_API_KEY",
    value_from="the API key's page in API Gateway; best as a Key Vault reference",
)
FIREWALL_FIX: Final = Fix(
    "Let the web ACL before the API pass this app's calls: look the request up in its log.",
    Place.AWS_OPERATIONS,
    value_from="the web ACL's log (AWS WAF)",
)
ONE_VERSION_FIX: Final = Fix(
    "Deploy the stack and the app from one version.",
    Place.AWS_STACK,
    value_from="docs/deploy.md",
)
_QUOTA_FIX: Final = Fix(
    "Raise the quota of the usage plan that AWS_API_KEY belongs to, or wait for its next period.",
    Place.AWS_OPERATIONS,
    value_from="the usage plan's page in API Gateway",
)
_THROTTLED_FIX: Final = Fix(
    "Wait a minute; if it stays so, raise the stage's throttling limits, or find who else calls.",
    Place.AWS_OPERATIONS,
    setting="ThrottleRate",
    value_from="the stack's parameters ThrottleRate and ThrottleBurst",
)
_BY_CODE: Final = {
    "api_key_refused": (Cause.BACKEND_API_KEY, KEY_FIX),
    "request_filtered": (Cause.BACKEND_FIREWALL, FIREWALL_FIX),
    "WafFilteredException": (Cause.BACKEND_FIREWALL, FIREWALL_FIX),
    "quota_exceeded": (Cause.QUOTA_EXCEEDED, _QUOTA_FIX),
    "LimitExceededException": (Cause.QUOTA_EXCEEDED, _QUOTA_FIX),
    "throttled": (Cause.THROTTLED, _THROTTLED_FIX),
}
"""By the code in the template's gateway responses, or the gateway's own name for them."""
_WORD: Final = re.compile(r"[A-Za-z_]{1,64}")
_BY_STATUS: Final = {
    HTTPStatus.BAD_GATEWAY: Cause.BACKEND_FAILED,
    HTTPStatus.GATEWAY_TIMEOUT: Cause.BACKEND_TIMED_OUT,
}


def what_it_means(found: str, outcome: Answered) -> Failure | None:
    """Return what a refusal or a failure of the gateway's own means; None if it is none."""
    by_code = _BY_CODE.get(outcome.problem_code or "") or _BY_CODE.get(outcome.error_type)
    if by_code is not None:
        return Failure(by_code[0], found, by_code[1])
    if outcome.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Failure(Cause.THROTTLED, found, _THROTTLED_FIX)
    cause = _BY_STATUS.get(HTTPStatus(outcome.status)) if outcome.status in _BY_STATUS else None
    # Without the gateway's mark it is somebody else's: a proxy's, a load balancer's.
    if cause is not None and (outcome.problem_code or outcome.error_type):
        return Failure(cause, found, look_up("Look the request up in the backend's log", outcome))
    return None


def look_up(sentence: str, outcome: Answered, value_from: str = "") -> Fix:
    """Return that a request is to be looked up in AWS, by its ID if it has one."""
    request_id = guid_or_none(outcome.headers.get("x-amzn-requestid"))
    return Fix(
        f"{sentence}{f' (request {request_id})' if request_id else ''}.",
        Place.AWS_OPERATIONS,
        value_from=value_from or "the stack's log groups in CloudWatch",
    )


def named(outcome: Answered) -> str:
    """Return the status, and the code or name that the answer has.

    Whoever answers has been sent an API key or a token, and could say it back: a name is a word.
    """
    name = outcome.problem_code or outcome.error_type
    word = shown(name) if _WORD.fullmatch(name) else "a name that is no word"
    kind = "a page of HTML" if outcome.is_html else word if name else ""
    return f"HTTP {outcome.status}" + (f" with {kind}" if kind else "")
