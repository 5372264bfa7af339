"""The authorizer's own decision about the doctor's call, from its log.

A bare 401 or 500 says nothing to its caller, on purpose. The log does, to who may read it: in the
local stack a file, in AWS a log group. The call is found by its trace where the line has one, and
otherwise by when it was made.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import replace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import botocore.exceptions
from botocore.config import Config

from aws_authorizer.settings import SETTINGS
from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.report import CallMark, Check, CheckName, Fix, Place, Report, Status
from shared.contract import ENTRA_AUTHORITY
from shared.reasons import Reason

_MOST_BYTES: Final = 1 << 20
"""Of a log file, from its end: some thousand decisions."""
_SLACK_SECONDS: Final = 2.0
"""How far the clocks of the two machines are taken to differ; the doctor checks them too."""
_MOST_EVENTS: Final = 500
_WAIT_SECONDS: Final = 15.0
"""CloudWatch shows a line some seconds after it was written."""
_POLL_SECONDS: Final = 2.0
_CONFIG: Final = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
_LOG_GROUP: Final = "AuthorizerLogGroup"
"""The log group's logical ID in infra/aws/template.yaml."""
_EVENTS: Final = ("decision", "settings_invalid")
"""The lines that say what became of a call; the second stands in place of the first where the
authorizer's own settings are not valid."""
FILTER_PATTERN: Final = "{ " + " || ".join(f'($.event = "{event}")' for event in _EVENTS) + " }"
"""Those lines, as CloudWatch Logs selects them."""
_UNEXPLAINED: Final = frozenset({Cause.TOKEN_REJECTED, Cause.AUTHORIZER_UNDECIDED})
"""What only the log can explain; a denial explains itself by the token's roles."""


class LogUnreadableError(Exception):
    """The log cannot be read; the message says why, and what to change."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Why the authorizer decided as it did."""

    reason: Reason
    at: float
    """Seconds since 1970, by the authorizer's clock."""
    trace_id: str | None
    settings: tuple[str, ...] = ()
    """Those of the authorizer's own settings that are not valid, if that is the reason."""


def needs_the_log(report: Report) -> bool:
    """Return whether the authorizer's log can say more than the report does."""
    check = report.check(CheckName.API_CALL)
    return report.call is not None and check.cause in _UNEXPLAINED


def decisions_in(lines: Iterable[str]) -> list[Decision]:
    """Return the decisions in these lines of a log; what is none is left out."""
    found = []
    for line in lines:
        try:
            members = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(members, dict) or members.get("event") not in _EVENTS:
            continue
        decision = _decision(members)
        if decision is not None:
            found.append(decision)
    return found


def _decision(members: dict[str, Any]) -> Decision | None:
    metrics = members.get("_aws")
    written = metrics.get("Timestamp") if isinstance(metrics, dict) else members.get("time")
    trace_id = members.get("trace_id")
    try:
        reason = Reason._value2member_map_[members["reason"]]
        at = float(written) / 1_000 if isinstance(written, (int, float)) else None
    except (KeyError, TypeError, OverflowError):
        return None
    if at is None or not isinstance(reason, Reason):
        return None
    trace_id = trace_id if isinstance(trace_id, str) and trace_id else None
    return Decision(reason, at, trace_id, _settings_in(members.get("problems")))


def _settings_in(problems: object) -> tuple[str, ...]:
    """Return which settings these problems, each `NAME: what is wrong`, are of."""
    if not isinstance(problems, list):
        return ()
    names = (each.partition(":")[0] for each in problems if isinstance(each, str))
    return tuple(dict.fromkeys(name for name in names if name in PARAMETERS))


def decision_of(call: CallMark, decisions: Sequence[Decision]) -> Decision | None:
    """Return the decision on this call; None if the log does not tell for sure."""
    traced = {each.reason: each for each in decisions if each.trace_id == call.trace_id}
    if traced:
        return _only(traced)
    # A line with another trace may be of this call: where the stage has no X-Ray, Lambda makes a
    # trace of its own.
    return _only(
        {
            each.reason: each
            for each in decisions
            if call.began_at - _SLACK_SECONDS <= each.at <= call.ended_at + _SLACK_SECONDS
            and each.reason is not Reason.ALLOWED
        }
    )


def _only(by_reason: Mapping[Reason, Decision]) -> Decision | None:
    # Others call too: two reasons at one time are no answer.
    return next(iter(by_reason.values())) if len(by_reason) == 1 else None


def read_file(path: Path) -> list[Decision]:
    """Return the last decisions in the local stack's log.

    Raises:
        LogUnreadableError: there is no such file, or it cannot be read.

    """
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - _MOST_BYTES))
            text = log.read(_MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise LogUnreadableError(
            f"The authorizer's log cannot be read ({type(error).__name__}): give --authorizer-log"
            " the lambda.log of the stack's folder."
        ) from error
    return decisions_in(text.split("\n"))


@dataclass(frozen=True, slots=True)
class CloudWatchDecisions:
    """The authorizer's log group of a stack, read with the caller's own AWS sign-in."""

    stack_name: str
    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    """Where the AWS is that is asked; None means Amazon's."""
    wait_seconds: float = _WAIT_SECONDS
    sleep: Callable[[float], None] = time.sleep

    def read(self, call: CallMark) -> list[Decision]:
        """Return the decisions at the time of the call; waits a while for them to show.

        Raises:
            LogUnreadableError: nobody is signed in, a right or the stack is missing.

        """
        try:
            return self._read(call)
        except botocore.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            raise LogUnreadableError(
                f"AWS refused {error.operation_name} ({code}): the authorizer's log needs"
                " cloudformation:DescribeStackResource and logs:FilterLogEvents, and --stack-name,"
                " --region and --profile must name the stack."
            ) from error
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise LogUnreadableError(
                f"AWS cannot be asked for the authorizer's log ({type(error).__name__}): sign in,"
                " or check --region and --profile."
            ) from error

    def _read(self, call: CallMark) -> list[Decision]:
        session = boto3.session.Session(region_name=self.region, profile_name=self.profile)
        where = {"endpoint_url": self.endpoint_url, "config": _CONFIG}
        stacks: Any = session.client("cloudformation", **where)  # type: ignore[call-overload]  # the names of its arguments
        detail = stacks.describe_stack_resource(
            StackName=self.stack_name, LogicalResourceId=_LOG_GROUP
        )
        logs: Any = session.client("logs", **where)  # type: ignore[call-overload]  # the same
        waited = 0.0
        while True:
            events = logs.filter_log_events(
                logGroupName=detail["StackResourceDetail"]["PhysicalResourceId"],
                startTime=int(1_000 * (call.began_at - _SLACK_SECONDS)),
                endTime=int(1_000 * (call.ended_at + _SLACK_SECONDS)) + 1,
                filterPattern=FILTER_PATTERN,
                limit=_MOST_EVENTS,
            )["events"]
            found = decisions_in(event.get("message", "") for event in events)
            if decision_of(call, found) is not None or waited >= self.wait_seconds:
                return found
            self.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS


def with_decision(report: Report, decision: Decision | None) -> Report:
    """Return the report with the authorizer's reason for what happened to the call."""
    check = report.check(CheckName.API_CALL)
    if decision is None:
        found = f"{check.found}; the authorizer's log has no one decision for this call"
        return report.with_check(replace(check, found=found))
    reason = decision.reason
    found = f"{check.found}; the authorizer's log says {reason.value}"
    if reason is Reason.SETTINGS_INVALID:
        cause, fix = Cause.AUTHORIZER_SETTINGS_INVALID, _fix_of_settings(decision.settings)
        if decision.settings:
            found += f" of {', '.join(decision.settings)}"
    else:
        cause = Cause.of(reason.value)
        place, setting = _PLACES.get(reason, (Place.AWS_OPERATIONS, None))
        fix = Fix(reason.what_to_change, place, setting=setting, value_from=_FROM.get(place))
    changed = Check(check.name, Status.FAILED, found, cause, fix, check.milliseconds)
    return report.with_check(changed)


def _fix_of_settings(names: Sequence[str]) -> Fix:
    """Return what to change in the stack, where the log names settings that are not valid."""
    sentence = Reason.SETTINGS_INVALID.what_to_change
    if not names:
        where = _FROM[Place.AWS_OPERATIONS]
        return Fix(sentence, Place.AWS_OPERATIONS, value_from=where)
    parameters = ", ".join(PARAMETERS[name] for name in names)
    default = _DEFAULTS.get(names[0])
    return Fix(
        f"Set the stack's {parameters} as the authorizer's log says, and deploy again."
        + (f" {PARAMETERS[names[0]]} may be left empty." if default == "" else ""),
        Place.AWS_STACK,
        setting=PARAMETERS[names[0]],
        value=default,
        value_from=None if default is not None else "the problems in the authorizer's log",
    )


PARAMETERS: Final = {
    setting.name: "".join(map(str.capitalize, setting.name.split("_")))
    for setting in SETTINGS
    if setting is not ENTRA_AUTHORITY
}
"""The parameter of infra/aws/template.yaml behind each of the authorizer's settings; of the local
authority there is none."""
_DEFAULTS: Final = {
    "KEY_SET_FILE": "",
    "KEY_SET_FILE_MAX_AGE_SECONDS": "",
}
"""What such a parameter is by default, where that is right for everybody."""
_PLACES: Final = {
    Reason.WRONG_TENANT: (Place.AWS_STACK, "EntraTenantId"),
    Reason.WRONG_ISSUER: (Place.AWS_STACK, "EntraCloud"),
    Reason.WRONG_AUDIENCE: (Place.AWS_STACK, "ApiClientId"),
    Reason.UNACCEPTED_VERSION: (Place.AWS_STACK, "AcceptedTokenVersions"),
    Reason.UNKNOWN_CLIENT: (Place.AWS_STACK, "AllowedClientIds"),
    Reason.UNCLEAR_IDENTITY: (Place.ENTRA, "optionalClaims"),
    Reason.ENCRYPTED_TOKEN: (Place.ENTRA, "tokenEncryptionKeyId"),
    Reason.UNAUTHENTICATED_CLIENT: (Place.ENTRA, "keyCredentials"),
    Reason.KEY_SET_UNAVAILABLE: (Place.NETWORK, "egress"),
}
_FROM: Final = {
    Place.AWS_STACK: "the app's own settings",
    Place.ENTRA: "the API's registration",
    Place.NETWORK: "the tenant's key set, at the issuer's address",
    Place.AWS_OPERATIONS: "the authorizer's log, where the line has the detail",
}
