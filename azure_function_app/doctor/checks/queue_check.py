"""Whether the sync by shards can use its queue."""

from typing import Final

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.evidence import Evidence
from azure_function_app.doctor.probes.exchange import Answered, Unanswered
from azure_function_app.doctor.probes.queue_connection import (
    ConnectionProblem,
    Identity,
    QueueConnection,
)
from azure_function_app.doctor.probes.queue_trial import NoQueueToken, QueueOutcome
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject
from azure_function_app.fan_out.work_queue import CONNECTION

_REFUSED: Final = frozenset({401, 403})
_OK: Final = 200
_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500
_ROLE: Final = "Storage Queue Data Contributor"
_KEYS_PAGE: Final = "the storage account's page Access keys: Connection string"
_ENDPOINTS_PAGE: Final = "the storage account's page Endpoints: Queue service"
_FIREWALL: Final = "AuthorizationFailure"
"""How an account says that its network rules do not admit the caller
(learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes)."""
_NO_KEYS: Final = "KeyBasedAuthenticationNotPermitted"


def check_queue(subject: Subject, evidence: Evidence, *, is_clock_off: bool) -> Check:
    """Return whether the queue of the sync by shards answers.

    Whether messages may be sent and received is not tried: that would wake the app.
    """
    name = CheckName.QUEUE
    if broken := subject.broken_for_queue():
        return Check.without_settings(name, broken)
    if not subject.settings.sync.fans_out:
        return Check.passed(name, "not used, because SYNC_FAN_OUT is off")
    seen = evidence.queue
    if isinstance(seen, ConnectionProblem):
        return _failed(f"{seen.setting} {seen}", _fix(seen.setting))
    if not isinstance(seen, QueueOutcome):
        return Check.broke(name, None if seen is None else seen.kind)
    if isinstance(seen.answer, Answered):
        return _judged(seen.connection, seen.answer, is_clock_off=is_clock_off)
    return _unanswered(seen.connection, seen.answer)


def _unanswered(connection: QueueConnection, answer: Unanswered | NoQueueToken) -> Check:
    if isinstance(answer, Unanswered):
        found = f"{connection.url} gave no answer: {answer.detail}"
        return _failed(found, _fix(connection.setting))
    found = "no token for the storage account could be had; "
    return Check.needs(CheckName.QUEUE, CheckName.CREDENTIAL, found=found)


def _judged(connection: QueueConnection, answer: Answered, *, is_clock_off: bool) -> Check:
    name = CheckName.QUEUE
    code = answer.headers.get("x-ms-error-code", "")
    if answer.status == _OK:
        return Check.passed(name, f"the queue answered in {1_000 * answer.seconds:.0f} ms")
    if (answer.status, code) == (_NOT_FOUND, "QueueNotFound"):
        return Check.passed(name, "the account answers, and the host makes the queue on first use")
    found = f"{connection.url} answered HTTP {answer.status}"
    if answer.status not in _REFUSED:
        is_broken = answer.status >= _SERVER_ERROR
        return _failed(
            found if is_broken else f"{found}, as no queue service does",
            _METRICS if is_broken else _fix(connection.setting),
        )
    if is_clock_off:
        # What is signed for another time is refused like what is signed with another key.
        return Check.needs(name, CheckName.CLOCK, found=f"{found}; ")
    why, fix = _refused(connection, code)
    return _failed(f"{found}: {why}", fix)


def _refused(connection: QueueConnection, code: str) -> tuple[str, Fix]:
    """Return why the account refused, and what to change."""
    if code == _FIREWALL:
        return "its network rules do not admit this machine", _ADMIT
    if isinstance(connection.by, Identity):
        return "it refused the app's identity", _ASSIGN
    if code == _NO_KEYS:
        return "it takes no keys", _USE_IDENTITY
    return "it does not take the key or signature", _NEW_KEY


_METRICS: Final = Fix("Look at the storage account's metrics.", Place.STORAGE)
_ADMIT: Final = Fix(
    "Let the storage account's firewall admit the app, or connect the app to the account's"
    " network.",
    Place.STORAGE,
    setting="networkAcls",
    value_from="the storage account's page Networking",
)
_ASSIGN: Final = Fix(
    f"Assign {_ROLE} on the storage account to the app's identity.",
    Place.STORAGE,
    setting="roleAssignments",
    value=_ROLE,
)
_USE_IDENTITY: Final = Fix(
    f"Remove {CONNECTION}, and set {CONNECTION}__queueServiceUri for the app's identity instead.",
    Place.FUNCTION_APP,
    setting=f"{CONNECTION}__queueServiceUri",
    value_from=_ENDPOINTS_PAGE,
)
_NEW_KEY: Final = Fix(
    f"Set {CONNECTION} to the storage account's connection string as it is now: keys are replaced.",
    Place.FUNCTION_APP,
    setting=CONNECTION,
    value_from=_KEYS_PAGE,
)


def _failed(found: str, fix: Fix) -> Check:
    return Check.failed(CheckName.QUEUE, found, Cause.QUEUE_UNAVAILABLE, fix)


def _fix(setting: str) -> Fix:
    if setting == CONNECTION:
        what, where = "connection string", _KEYS_PAGE
    elif setting.endswith("__accountName"):
        what, where = "name", "the storage account's overview page"
    else:
        what, where = "queue service", _ENDPOINTS_PAGE
    return Fix(
        f"Set {setting} to the storage account's {what}, and let the app's network reach it.",
        Place.FUNCTION_APP,
        setting=setting,
        value_from=where,
    )
