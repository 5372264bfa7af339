"""One examination of an app, from its settings to the report."""

from collections.abc import Iterable, Mapping
from copy import replace
from typing import Final

from azure_function_app import __version__
from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.agreement import check_api_metadata
from azure_function_app.doctor.checks.api_call import check_api_call
from azure_function_app.doctor.checks.api_reach import check_api_reachable
from azure_function_app.doctor.checks.app_checks import (
    check_clock,
    check_settings,
    check_versions,
)
from azure_function_app.doctor.checks.identity_checks import check_credential, check_token
from azure_function_app.doctor.checks.issuer_checks import check_discovery, check_key_set
from azure_function_app.doctor.checks.queue_check import check_queue
from azure_function_app.doctor.checks.store_check import check_store
from azure_function_app.doctor.checks.token_contract import check_token_contract
from azure_function_app.doctor.evidence import Evidence
from azure_function_app.doctor.observation import ProbeLimits, observe
from azure_function_app.doctor.report import Check, CheckName, Report, Status, without_repeats
from azure_function_app.doctor.subject import Subject
from azure_function_app.settings import inspect_settings
from shared.clock import Clock


async def examine(
    environment: Mapping[str, str],
    *,
    at: str,
    clock: Clock,
    limits: ProbeLimits | None = None,
) -> Report:
    """Return what is found of the app that these settings make, in less than five seconds.

    Args:
        environment: where the settings are read from; they may be wrong.
        at: `laptop` or `function_app`.
        clock: tells the time that is compared with Entra ID's and the API's.
        limits: how long each probe may take.

    """
    begun = clock.monotonic()
    subject = Subject(inspect_settings(environment), environment, at, clock)
    evidence = await observe(subject, limits=limits)
    checks = judge(subject, evidence)
    return Report(
        version=__version__,
        at=at,
        seconds=clock.monotonic() - begun,
        checks=checks,
        call=evidence.mark,
    )


_OF_CLOCKS: Final = frozenset({Cause.EXPIRED, Cause.NOT_YET_VALID, Cause.CERTIFICATE_NOT_CURRENT})


def _behind_the_clock(checks: list[Check]) -> list[Check]:
    """Return the checks, with what a clock that is off brings about told as its consequence."""
    is_off = _is_clock_off(checks)
    return [
        Check.needs(check.name, CheckName.CLOCK, found=f"{check.found}; ")
        if is_off and check.status is Status.FAILED and check.cause in _OF_CLOCKS
        else check
        for check in checks
    ]


def _is_clock_off(checks: Iterable[Check]) -> bool:
    return any(c.name is CheckName.CLOCK and c.status is Status.FAILED for c in checks)


def _beside_an_allowed_call(checks: list[Check]) -> list[Check]:
    """Return the checks, with a token that the API takes all the same told as a warning.

    It can take more than this side's settings say: tokens of users whose scopes it lends roles to,
    those of further tenants and audiences. Not where its metadata says that a setting is wrong.
    """
    status_of = {check.name: check.status for check in checks}
    if status_of[CheckName.API_CALL] is not Status.PASSED:
        return checks
    contradicts = status_of[CheckName.API_METADATA] is Status.FAILED
    return [
        replace(check, status=Status.WARNED, found=f"{check.found}; the API takes it all the same")
        if check.name is CheckName.TOKEN_CONTRACT
        and check.status is Status.FAILED
        and (check.cause is Cause.DELEGATED_TOKEN or not contradicts)
        else check
        for check in checks
    ]


def judge(subject: Subject, evidence: Evidence) -> tuple[Check, ...]:
    """Return every check, in the report's order."""
    made = [
        check_settings(subject),
        check_versions(),
        check_clock(evidence),
        check_credential(subject, evidence),
        check_token(subject, evidence),
        check_token_contract(subject, evidence),
        check_discovery(subject, evidence),
        check_key_set(subject, evidence),
        check_api_reachable(subject, evidence),
        check_api_metadata(subject, evidence),
    ]
    made = _behind_the_clock(made)
    by_name = {check.name: check for check in without_repeats(made)}
    made.append(check_api_call(evidence, by_name))
    made = _beside_an_allowed_call(made)
    made.append(check_store(subject, evidence))
    made.append(check_queue(subject, evidence, is_clock_off=_is_clock_off(made)))
    timed = [
        replace(check, milliseconds=evidence.milliseconds.get(check.name, 0.0)) for check in made
    ]
    assert [check.name for check in timed] == list(CheckName)  # noqa: S101 - each is made, once
    return without_repeats(timed)
