"""Makes the checks one after the other, each within its time, and returns what they found."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from deployment.smoke.alarm_check import ALARM_CHECKS
from deployment.smoke.api_checks import API_CHECKS
from deployment.smoke.function_checks import FUNCTION_CHECKS
from deployment.smoke.http_caller import callers_to
from deployment.smoke.outcome import (
    CheckFailedError,
    CheckResult,
    NotApplicableError,
    Outcome,
    SmokeCode,
    SmokeReport,
)
from deployment.smoke.sources import SmokeSources
from deployment.smoke.target import SmokeTarget
from deployment.smoke.visit import Check, Visit
from shared.clock import Clock

CHECKS: Final = (*API_CHECKS, *FUNCTION_CHECKS, *ALARM_CHECKS)
CHECK_IDS: Final = tuple(check.id for check in CHECKS)


@dataclass(frozen=True, slots=True)
class SmokeLimits:
    """How long it may take."""

    total_seconds: float = 300.0
    check_seconds: float = 60.0
    """For a check that waits for nothing: twice what API Gateway waits for a backend."""


class SmokeReporter(Protocol):
    """Shows a person what is being checked."""

    def step(self, text: str) -> None:
        """Show that a new step begins."""


async def run_smoke(  # noqa: PLR0913 - each is a thing of the caller's that it must hand in
    target: SmokeTarget,
    sources: SmokeSources,
    *,
    clock: Clock,
    reporter: SmokeReporter,
    limits: SmokeLimits | None = None,
    only: Collection[str] = CHECK_IDS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> SmokeReport:
    """Return what each of the checks found. Writes nothing that stays, and is over in time.

    A check that fails does not keep the next from being made. What is not looked at: other routes
    than those of the template, other tenants' tokens, load.

    Raises:
        ValueError: `only` names a check that there is not.

    """
    limits = limits or SmokeLimits()
    unknown = sorted(set(only) - set(CHECK_IDS))
    if unknown or not only:
        raise ValueError(f"there is no check {', '.join(unknown)}" if unknown else "no check")
    give_up_at = clock.monotonic() + limits.total_seconds
    results: list[CheckResult] = []
    async with callers_to(target) as (api, functions):
        visit = Visit(target, api, functions, sources, sleep, reporter.step)
        for check in (check for check in CHECKS if check.id in only):
            reporter.step(f"{check.id}: {check.asked}")
            left = give_up_at - clock.monotonic()
            seconds = left if check.waits else min(left, limits.check_seconds)
            results.append(await _make(check, visit, max(0.0, seconds), clock))
    return SmokeReport(tuple(_without_secrets(results, visit)))


async def _make(check: Check, visit: Visit, seconds: float, clock: Clock) -> CheckResult:
    began = clock.monotonic()
    visit.if_late = None
    late = CheckFailedError(
        SmokeCode.NO_ANSWER_IN_TIME,
        f"nothing within {seconds:.1f} seconds",
        "What was asked does not answer: check its address and what stands before it, or give more"
        " time by --timeout.",
    )

    def result(came: str, outcome: Outcome, error: CheckFailedError | None = None) -> CheckResult:
        return CheckResult(
            check.id,
            check.asked,
            check.expected,
            came,
            outcome,
            clock.monotonic() - began,
            error.code if error else None,
            error.advice if error else None,
            lets_others_in=error.lets_others_in if error else False,
        )

    try:
        async with asyncio.timeout(seconds):
            return result(await check.make(visit), Outcome.PASSED)
    except NotApplicableError as error:
        return result(str(error), Outcome.NOT_APPLICABLE)
    except CheckFailedError as error:
        return result(error.came, error.outcome, error)
    except TimeoutError:
        late = visit.late(otherwise=late)
        return result(late.came, late.outcome, late)


def _without_secrets(results: Sequence[CheckResult], visit: Visit) -> list[CheckResult]:
    return [result.without(visit.secrets) for result in results]
