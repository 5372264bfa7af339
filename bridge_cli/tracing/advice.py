"""Says what to change, for a call that did not go well."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from bridge_cli.tracing.traced_call import TracedCall
from shared.reasons import Reason

_ADVICE: Final = ("what_to_change", "advice")
_BY_GATEWAY_ERROR: Final[Mapping[str, str]] = {
    # Where the authorizer was asked, its own line says more.
    "UNAUTHORIZED": Reason.NO_TOKEN.what_to_change,
    "ACCESS_DENIED": Reason.MISSING_ROLE.what_to_change,
    "MISSING_AUTHENTICATION_TOKEN": "Ask for a path and a method that the API has.",
    "THROTTLED": "Call less often, or raise ThrottleRate and ThrottleBurst of the AWS stack.",
    "QUOTA_EXCEEDED": "Call less often, or raise the usage plan's quota.",
    "REQUEST_TOO_LARGE": "Send less: API Gateway takes 10 MB.",
    "INTEGRATION_TIMEOUT": "See the backend's lines: it took longer than API Gateway waits.",
}
"""By the access log's `gateway_error`."""


def is_well(call: TracedCall) -> bool:
    """Return whether nothing in the call was refused or failed, as far as its lines tell."""
    if call.status is not None:
        return call.status < HTTPStatus.BAD_REQUEST
    # A run of the sync has no status; what goes wrong in it has a code.
    return call.reason in {None, Reason.ALLOWED.value}


def what_to_change(call: TracedCall) -> str | None:
    """Return the sentence for whoever can change it, or None where no line tells."""
    if is_well(call):
        return None
    for name in _ADVICE:
        for step in call.steps:
            advice = step.fields.get(name)
            if isinstance(advice, str):
                return advice if advice.endswith(".") else f"{advice[0].upper()}{advice[1:]}."
    errors = [str(step.fields.get("gateway_error")) for step in call.steps]
    return next((_BY_GATEWAY_ERROR[each] for each in errors if each in _BY_GATEWAY_ERROR), None)
