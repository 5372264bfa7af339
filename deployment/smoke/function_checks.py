"""The checks of the Function App in Azure: its health, its proxy, and one run of its sync."""

import json
from collections.abc import Mapping
from typing import Final, assert_never

from azure_function_app.sync.checkpoint_store import SyncStatus
from deployment.smoke.advice import ADVICE, unexpected
from deployment.smoke.api_checks import PAGE, page_problem
from deployment.smoke.outcome import (
    CheckBlockedError,
    CheckFailedError,
    NotApplicableError,
    SmokeCode,
    shown,
)
from deployment.smoke.target import ProxyCallers
from deployment.smoke.visit import POLL_SECONDS, Check, Visit

_HEALTH: Final = "/api/health"
_PROXY: Final = f"/api/aws{PAGE}"
_START: Final = "/admin/functions/sync_timer"
_KEY_HEADER: Final = "x-functions-key"
_OK: Final = 200
_ACCEPTED: Final = 202
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_START_AGAIN_SECONDS: Final = 5.0
_WRONG_APP: Final = (
    "Check that the URL is the Function App's, that its package is published and that it has"
    " started: its log says why not."
)
_READ_ITS_LOG: Final = (
    "Find the run in the Function App's log by its event sync_finished: it has the reason."
)


async def _function_health(visit: Visit) -> str:
    answer = await visit.function_app().ask("GET", _HEALTH)
    members = answer.members()
    if answer.status != _OK or members.get("status") != "ok":
        code = members.get("error_code")
        if isinstance(code, str) and code in ADVICE:
            raise CheckFailedError(code, f"HTTP {answer.status} {code}", ADVICE[code])
        raise unexpected(answer, _WRONG_APP)
    credential, store = members.get("credential"), members.get("record_store")
    return f"HTTP {_OK}, credential {shown(credential)}, record store {shown(store)}"


async def _proxy_without_key(visit: Visit) -> str:
    functions = visit.function_app()
    if visit.target.proxy_callers is ProxyCallers.UNCHECKED:
        raise NotApplicableError("a host on a laptop checks nobody's key, as `func start` does not")
    answer = await functions.ask("GET", _PROXY)
    if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
        return answer.summary()
    code = answer.code or ""
    if answer.status == _OK or code.startswith("backend_"):
        raise CheckFailedError(
            SmokeCode.PROXY_OPEN_TO_EVERYONE,
            answer.summary(),
            "ANYBODY GETS IN: the proxy forwards a call without a key or a sign-in. Stop the app"
            " now, and set PROXY_AUTHENTICATION to what the platform enforces.",
            lets_others_in=True,
        )
    raise unexpected(answer, _WRONG_APP)


async def _proxy(visit: Visit) -> str:
    functions = visit.function_app()
    answer = await functions.ask("GET", _PROXY, headers=await _proxy_headers(visit))
    if answer.status == _UNAUTHORIZED and answer.code is None:
        raise CheckFailedError(
            SmokeCode.KEY_REFUSED,
            answer.summary(),
            "The platform refuses the key or the sign-in before the app is asked: give a key of"
            " this app, or --proxy-scope of the registration that App Service signs in to.",
        )
    if answer.status != _OK:
        raise unexpected(
            answer, "Look at the Function App's log for the line proxy_failed or proxy_call."
        )
    problem = page_problem(answer)
    if problem is not None:
        raise CheckFailedError(
            SmokeCode.ANSWER_UNEXPECTED,
            f"{answer.summary()} with {problem}",
            "What answers is not the proxy of the records API: check AWS_API_BASE_URL.",
        )
    return f"HTTP {_OK} with a page"


async def _sync(visit: Visit) -> str:
    """Start a run and wait until a run reads the feed to its end.

    Without the master key, the timer's next run is waited for.
    """
    visit.function_app()
    before = _run_id(await _last_sync(visit))
    can_start = await _start(visit)
    visit.say("waiting for the sync's report" if can_start else "waiting for the sync's timer")
    seconds_since_start = 0.0
    while True:
        await visit.sleep(POLL_SECONDS)
        seconds_since_start += POLL_SECONDS
        report = await _last_sync(visit)
        if report is None or _run_id(report) == before:
            continue
        if _is_over(report):
            read, changed = report.get("records_read"), report.get("records_changed")
            return f"complete: {shown(read)} records read, {shown(changed)} changed"
        # More is to come: of a first load, or of a run that another one overtook.
        visit.if_late = _not_over(can_start=can_start, status=str(report.get("status")))
        if can_start and report.get("shard") is None:
            if seconds_since_start < _START_AGAIN_SECONDS:
                continue
            await _start(visit)
            seconds_since_start = 0.0
        before = _run_id(report)


def _is_over(report: Mapping[str, object]) -> bool:
    """Return whether the feed was read to its end; False while more is to come.

    Raises:
        CheckFailedError: the run failed or is held, or its status is unknown.

    """
    try:
        status = SyncStatus(str(report.get("status")))
    except ValueError:
        raise CheckFailedError(
            SmokeCode.ANSWER_UNEXPECTED,
            f"a run with the status {shown(report.get('status'))}",
            "The Function App is of another version than this command: use the same.",
        ) from None
    match status:
        case SyncStatus.COMPLETE:
            # A shard's end is not the feed's.
            return report.get("shard") is None
        case SyncStatus.PAUSED | SyncStatus.SUPERSEDED:
            return False
        case SyncStatus.FAILED | SyncStatus.HELD:
            code = report.get("error_code")
            known = code if isinstance(code, str) and code in ADVICE else None
            held = "deletions_held" if status is SyncStatus.HELD else None
            raise CheckFailedError(
                known or held or f"sync_{status.value}",
                f"a run that ended as {status.value} ({shown(code)})",
                ADVICE[known or held] if known or held else _READ_ITS_LOG,  # type: ignore[index]  # one of them, as the condition says
            )
        case _:
            assert_never(status)


async def _start(visit: Visit) -> bool:
    """Start the timer's function, and return whether that could be asked for at all.

    Raises:
        CheckFailedError: the host refused.

    """
    headers = {"Content-Type": "application/json"}
    is_unchecked = visit.target.proxy_callers is ProxyCallers.UNCHECKED
    if not is_unchecked:
        try:
            master = (await visit.keys()).master
        except CheckBlockedError:
            master = None
        if master is None:
            visit.if_late = _not_over(can_start=False, status="")
            return False
        headers |= await _sign_in_headers(visit) | {_KEY_HEADER: master}
    visit.if_late = _not_over(can_start=True, status="")
    answer = await visit.function_app().ask(
        "POST", _START, headers=headers, content=json.dumps({"input": ""}).encode()
    )
    if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
        raise CheckFailedError(
            SmokeCode.KEY_REFUSED,
            answer.summary(),
            "The host refuses to start the run: give the master key of this app, which"
            " `az functionapp keys list` prints as masterKey.",
        )
    if answer.status != _ACCEPTED:
        raise unexpected(answer, _WRONG_APP)
    return True


def _not_over(*, can_start: bool, status: str) -> CheckFailedError:
    if status:
        return CheckFailedError(
            SmokeCode.SYNC_NOT_FINISHED,
            f"a run that ended as {shown(status)}, and none after it that read to the end",
            "The first load may take longer than this: see `bridge sync status`, and run this again"
            " when it is through; if every run is paused, raise SYNC_RUN_SECONDS.",
        )
    if can_start:
        return CheckFailedError(
            SmokeCode.SYNC_NOT_FINISHED,
            "no report of the run in time",
            f"The run has started and left no report. {_READ_ITS_LOG}",
        )
    return CheckBlockedError(
        SmokeCode.TIMER_NOT_SEEN,
        "no run of the timer in time",
        "The master key is missing, so the timer was waited for: let whoever signs in list the"
        " app's keys (Microsoft.Web/sites/host/listkeys/action), give them by --keys, or wait"
        " longer by --timeout.",
    )


async def _last_sync(visit: Visit) -> Mapping[str, object] | None:
    answer = await visit.function_app().ask("GET", _HEALTH)
    members = answer.members()
    if "last_sync" not in members:
        raise unexpected(answer, _WRONG_APP)
    report = members["last_sync"]
    return report if isinstance(report, dict) else None


def _run_id(report: Mapping[str, object] | None) -> object:
    return None if report is None else report.get("run_id")


async def _proxy_headers(visit: Visit) -> dict[str, str]:
    match visit.target.proxy_callers:
        case ProxyCallers.UNCHECKED:
            return {}
        case ProxyCallers.EASY_AUTH:
            return await _sign_in_headers(visit)
        case ProxyCallers.FUNCTION_KEY:
            keys = await visit.keys()
            key = keys.function or keys.master
            if key is None:
                raise CheckBlockedError(
                    SmokeCode.KEYS_NOT_READABLE,
                    "no key among those listed",
                    "Give the app's keys by --keys, as `az functionapp keys list` prints them.",
                )
            return {_KEY_HEADER: key}
        case _:
            assert_never(visit.target.proxy_callers)


async def _sign_in_headers(visit: Visit) -> dict[str, str]:
    """Return what App Service asks of every caller, of the host's own API too."""
    if visit.target.proxy_callers is not ProxyCallers.EASY_AUTH or not visit.target.proxy_scope:
        return {}
    return {"Authorization": f"Bearer {await visit.token(visit.target.proxy_scope)}"}


FUNCTION_CHECKS: Final = (
    Check(
        "function-health", f"GET {_HEALTH} of the Function App", "200, status ok", _function_health
    ),
    Check("proxy-no-key", f"GET {_PROXY} without a key", "401", _proxy_without_key),
    Check("proxy", f"GET {_PROXY} with a key or a sign-in", "200 with a page", _proxy),
    Check("sync", "one run of the sync", "a report that says complete", _sync, waits=True),
)
