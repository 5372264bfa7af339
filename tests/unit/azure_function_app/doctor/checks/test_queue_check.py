"""What it means that the queue of the sync by shards does not answer."""

from typing import Any

import httpx
import pytest

from azure_function_app.doctor.evidence import Broke
from azure_function_app.doctor.probes.exchange import Answered
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.probes.queue_connection import (
    AccountKey,
    ConnectionProblem,
    Identity,
    QueueConnection,
    SharedAccess,
)
from azure_function_app.doctor.probes.queue_trial import NoQueueToken, QueueOutcome
from azure_function_app.doctor.report import CheckName, Status
from azure_function_app.doctor.subject import Subject
from tests.support.doctor_evidence import (
    LOGIN,
    NOW,
    TENANT,
    answered,
    failures,
    judged,
    subject,
    unanswered,
)

URL = "https://account.queue.core.windows.net"
KEY = AccountKey("account", b"made-up-key")
SIGNATURE = SharedAccess("sig=made-up-signature")
IDENTITY = Identity(is_managed=True, client_id=None)


def fanned_out(**environment: str) -> Subject:
    """An app whose sync has a queue."""
    return subject(SYNC_FAN_OUT="true", **environment)


def seen(
    status: int, code: str = "", by: AccountKey | SharedAccess | Identity = KEY
) -> QueueOutcome:
    """An answer of the account's."""
    headers = httpx.Headers({"x-ms-error-code": code} if code else {})
    setting = "AzureWebJobsStorage"
    if isinstance(by, Identity):
        setting += "__queueServiceUri"
    return QueueOutcome(
        QueueConnection(setting, URL, by), Answered(status, headers, b"", 0.02, NOW)
    )


CONNECTION = seen(200).connection


@pytest.mark.parametrize("outcome", [seen(200), seen(404, "QueueNotFound")])
def test_when_the_account_answers_then_the_check_passes(outcome: QueueOutcome) -> None:
    """Whether or not the host has made the queue yet."""
    assert Status.PASSED is judged(fanned_out(), queue=outcome)[CheckName.QUEUE].status


REFUSED: list[tuple[Any, str, str]] = [
    (seen(403, "AuthenticationFailed"), "function_app", "AzureWebJobsStorage"),
    (seen(403, "AuthenticationFailed", SIGNATURE), "function_app", "AzureWebJobsStorage"),
    (
        seen(403, "KeyBasedAuthenticationNotPermitted"),
        "function_app",
        "AzureWebJobsStorage__queueServiceUri",
    ),
    (seen(403, "AuthorizationFailure"), "storage", "networkAcls"),
    (seen(403, "AuthorizationFailure", IDENTITY), "storage", "networkAcls"),
    (seen(403, "AuthorizationPermissionMismatch", IDENTITY), "storage", "roleAssignments"),
    (seen(401, "InvalidAuthenticationInfo", IDENTITY), "storage", "roleAssignments"),
    (seen(404, "ResourceNotFound"), "function_app", "AzureWebJobsStorage"),
    (seen(404), "function_app", "AzureWebJobsStorage"),
    (seen(307), "function_app", "AzureWebJobsStorage"),
    (seen(400, by=IDENTITY), "function_app", "AzureWebJobsStorage__queueServiceUri"),
    (
        QueueOutcome(CONNECTION, unanswered(Obstacle.NAME_UNKNOWN)),
        "function_app",
        "AzureWebJobsStorage",
    ),
    (
        ConnectionProblem("AzureWebJobsStorage", "is not set"),
        "function_app",
        "AzureWebJobsStorage",
    ),
]


@pytest.mark.parametrize(("outcome", "place", "setting"), REFUSED)
def test_when_the_queue_cannot_be_used_then_what_to_set_is_named(
    outcome: Any, place: str, setting: str
) -> None:
    """By who was asked, as whom, and what the account said; no key is in it."""
    checks = judged(fanned_out(), queue=outcome)

    fix = checks[CheckName.QUEUE].fix
    assert [("queue", "queue_unavailable")] == failures(checks)
    assert fix is not None
    assert (place, setting) == (fix.where, fix.setting)
    assert "made-up" not in f"{outcome}{checks[CheckName.QUEUE]}"


def test_when_the_account_is_broken_then_nothing_is_to_be_set() -> None:
    """It is for who runs the account."""
    fix = judged(fanned_out(), queue=seen(503))[CheckName.QUEUE].fix

    assert fix is not None
    assert fix.setting is None


def test_when_no_token_came_then_the_credential_is_needed() -> None:
    """The credential's own check says why."""
    checks = judged(
        fanned_out(), queue=QueueOutcome(seen(200, by=IDENTITY).connection, NoQueueToken())
    )

    assert [] == failures(checks)
    assert "needs credential" in checks[CheckName.QUEUE].found


def test_when_the_clock_is_off_then_a_refusal_follows_from_it() -> None:
    """A signature is of its time."""
    ahead: dict[str, Any] = {
        "discovery": answered({"issuer": f"{LOGIN}/{TENANT}/v2.0"}, at=NOW + 3_600),
        "health": answered({"status": "ok"}, at=NOW + 3_600),
    }
    checks = judged(fanned_out(), queue=seen(403, "AuthenticationFailed"), **ahead)

    assert "clock" == failures(checks)[0][0]
    assert "needs clock" in checks[CheckName.QUEUE].found


def test_when_the_sync_has_no_queue_then_none_is_looked_at() -> None:
    """Whatever AzureWebJobsStorage says."""
    check = judged(queue=None)[CheckName.QUEUE]

    assert (Status.PASSED, "not used, because SYNC_FAN_OUT is off") == (check.status, check.found)


@pytest.mark.parametrize("outcome", [None, Broke("KeyError")])
def test_when_the_probe_breaks_then_it_is_the_doctors_fault(outcome: Broke | None) -> None:
    """Nothing is held against the app."""
    checks = judged(fanned_out(), queue=outcome)

    assert [] == failures(checks)
    assert "probe_failed" == str(checks[CheckName.QUEUE].cause)


def test_when_two_roles_are_missing_then_both_are_named() -> None:
    """Each is assigned by itself."""
    checks = judged(fanned_out(), queue=seen(403, by=IDENTITY))
    one = checks[CheckName.QUEUE].fix

    assert one is not None
    assert ("storage", "roleAssignments", "Storage Queue Data Contributor") == one.target
