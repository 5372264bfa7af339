"""Shows that a row breaks, what the doctor says of it, and that doing what it says is a repair."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final, assert_never

import httpx

from shared.clock import SystemClock
from tests.misconfigurations.installation import Installation
from tests.misconfigurations.misconfiguration import Misconfiguration
from tests.misconfigurations.repair import apply

_QUEUE_SECONDS: Final = 6.0
_POLL_SECONDS: Final = 0.1
_TRIES: Final = 3
"""After a repair: functions that start anew are slow on a busy machine, as they are in AWS."""
_SECRETS: Final = ("AZURE_CLIENT_SECRET", "IDENTITY_HEADER", "AWS_API_KEY")


@dataclass(frozen=True, slots=True)
class Proof:
    """What was said of a row that was then repaired."""

    name: str
    check: str
    cause: str
    fix: str
    """The sentence of the first fix; a second one follows only where a row has two steps."""
    doctor_milliseconds: float
    milliseconds: float


async def prove(installation: Installation, row: Misconfiguration) -> Proof:
    """Return what the doctor said, once it was right.

    Raises:
        AssertionError: nothing was broken, the doctor named no or another cause, or what it said
            did not put it right.
        NotDoableError: nobody could do what it said.

    """
    clock = SystemClock()
    began = clock.monotonic()
    async with installation.trial(row.name) as on:
        await row.set_up(on)
        before, report = await _break_and_ask(on, row)
        assert before is not None, f"{row.wrong} And yet it works."
        check = _root(report)
        named = check["cause"]
        assert named in row.causes, f"{named}, not {' or '.join(row.causes)}: {_told(report)}"
        fixes = [check["fix"]]
        await apply(check["fix"], on)
        after = await works(on, row, tries=_TRIES)
        while after is not None and len(fixes) < row.steps:
            further = _root((await _break_and_ask(on, row))[1])
            fixes.append(further["fix"])
            await apply(further["fix"], on)
            after = await works(on, row, tries=_TRIES)
        assert after is None, f"it is as before, {after}, after: {fixes}"
    return Proof(
        row.name,
        check["check"],
        named,
        fixes[0]["sentence"],
        report["seconds"] * 1000,
        (clock.monotonic() - began) * 1000,
    )


async def _break_and_ask(
    on: Installation, row: Misconfiguration
) -> tuple[str | None, dict[str, Any]]:
    match row.asked:
        case "command":
            broken, report = await asyncio.gather(works(on, row), _ask_by_command(on))
            return broken, report
        case "command_with_log":
            log = ("--authorizer-log", str(on.stack.log_folder / "lambda.log"))
            # One after the other: the log's newest decision is then the doctor's own.
            broken = await works(on, row)
            return broken, await _ask_by_command(on, *log)
        case "route":
            broken = await works(on, row)
            if on.app is None:
                await on.start_app()
            report = await on.doctor_route()
            _check_for_secrets(on, json.dumps(report))
            return broken, report
        case _:
            assert_never(row.asked)


async def _ask_by_command(on: Installation, *options: str) -> dict[str, Any]:
    code, output, errors = await on.run_bridge("doctor", "--json", *options)
    _check_for_secrets(on, output + errors)
    assert code == 1 and output, f"the doctor ended with {code}: {output}{errors}"  # noqa: PT018 - said together
    report: dict[str, Any] = json.loads(output)
    return report


def _check_for_secrets(on: Installation, shown: str) -> None:
    """Raise if what was shown has a secret of the app's, or a part of a token."""
    connection = on.app_settings.get("AzureWebJobsStorage", "")
    secrets = {on.app_settings.get(name, "") for name in _SECRETS}
    secrets |= {part for part in connection.split(";") if part.startswith("AccountKey=")}
    for secret in secrets - {""}:
        assert secret not in shown
    # What every JSON Web Token begins with.
    assert "eyJ" not in shown


def _root(report: dict[str, Any]) -> dict[str, Any]:
    """The one check that failed; the others wait for it."""
    failed = find_failures(report)
    assert len(failed) == 1, f"{len(failed)} checks failed: {_told(report)}"
    return failed[0]


def find_failures(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the checks of a report that failed."""
    return [check for check in report["checks"] if check["status"] == "failed"]


def _told(report: dict[str, Any]) -> str:
    return "; ".join(
        f"{check['check']} {check['status']}: {check['found']}"
        + (f" [{check['cause']}, {check['fix']}]" if check["cause"] else "")
        for check in report["checks"]
        if check["status"] != "passed"
    )


async def works(on: Installation, row: Misconfiguration, *, tries: int = 1) -> str | None:
    """None if what the row breaks works, else what came instead."""
    match row.breaks:
        case "call":
            await on.start_app()
            told = ""
            for _ in range(tries):
                answer = await on.call()
                if httpx.codes.OK == answer.status_code and '"items"' in answer.text:
                    return None
                told = f"{answer.status_code} {answer.text}"
            return told
        case "store":
            code, output, errors = await on.run_bridge("sync", "--json")
            return None if code == 0 else f"{code} {output}{errors}"
        case "queue":
            return await _sync_by_queue(on)
        case _:
            assert_never(row.breaks)


async def _sync_by_queue(on: Installation) -> str | None:
    app = await on.start_app()
    await on.sync_tick()
    clock = SystemClock()
    until = clock.monotonic() + _QUEUE_SECONDS
    health = ""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        while clock.monotonic() < until:
            health = (await client.get(f"{app.url}/api/health")).text
            # A plan is reported, too; only what came over the queue is of a shard.
            run = json.loads(health).get("last_sync") or {}
            if run.get("status") == "complete" and run.get("shard") is not None:
                return None
            await asyncio.sleep(_POLL_SECONDS)
    return f"no run was complete: {health}"
