"""What the Function App says of itself to anyone who asks: how it is set up, how it last synced.

It does not call the API in AWS: an anonymous request must cost neither a token nor a call. It waits
for the store only for a moment, and never twice at once: who asks is a probe that gives up soon.
"""

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from azure_function_app.deadline import Deadline
from azure_function_app.errors import StoreUnavailable
from azure_function_app.http_response import HttpResponse
from azure_function_app.sync.checkpoint_store import (
    MAX_SHARDS,
    CheckpointStore,
    SyncReport,
    SyncStatus,
)
from shared.clock import Clock

_FRESH_SECONDS: Final = 1.0
"""How long what the store said is served again, so that a flood does not reach the store."""
_STALE_SECONDS: Final = 10.0
"""How old the report may get while the store is slow, before that counts as not answering."""
_READ_SECONDS: Final = 10.0
"""How long one read of the store may go on, whoever still waits for it."""
NOT_ANSWERING: Final = "store_not_answering"


@dataclass(slots=True)
class Health:
    """Answers how the app is; knows no secret, so it cannot tell one."""

    version: str
    credential: str
    """The kind of credential, as the setting names it."""
    record_store: str
    """The kind of store, as the setting names it."""
    checkpoints: CheckpointStore
    clock: Clock
    wait_seconds: float = 0.5
    """How long a request waits for the store: half of the second within which health answers."""
    _reports: Sequence[SyncReport] = field(default=(), init=False)
    """Of the newest runs, the last one first."""
    _read_at: float = field(default=-math.inf, init=False)
    """When the store last gave the reports, or said that there is none."""
    _error_code: str | None = field(default=None, init=False)
    """Why the store did not give them when it was last asked."""
    _asked_at: float = field(default=-math.inf, init=False)
    _reading: asyncio.Task[None] | None = field(default=None, init=False)

    async def answer(self, request_id: str) -> HttpResponse:
        """Return 200 with the summary, or 503 if the store cannot be read or does not answer.

        Either comes within a second. Where the store is slow or failing, the report is the one that
        was last read, and its age says how old it is.
        """
        error_code = await self._error_of_store()
        is_well = error_code is None
        failing = _failing_shards(self._reports)
        # While a shard fails, the others' successes say nothing.
        successes = [_last_success(runs) for runs in failing.values() or [self._reports]]
        document = {
            "status": "ok" if is_well else "degraded",
            "error_code": error_code,
            "version": self.version,
            "credential": self.credential,
            "record_store": self.record_store,
            "last_sync": self._reports[0].to_members() if self._reports else None,
            "last_success_at": _last_of_all(successes),
            "none_succeeded_since": min(map(_failing_since, failing.values()), default=None),
            "failing_shards": sorted(shard for shard in failing if shard is not None),
            "last_sync_age_seconds": (
                round(self._age_seconds, 1) if math.isfinite(self._age_seconds) else None
            ),
        }
        headers = [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Request-Id", request_id),
        ]
        if not is_well:
            headers.append(("Retry-After", str(math.ceil(_FRESH_SECONDS))))
        status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
        return HttpResponse(status, tuple(headers), json.dumps(document).encode())

    @property
    def _age_seconds(self) -> float:
        return self.clock.monotonic() - self._read_at

    async def _error_of_store(self) -> str | None:
        """Ask the store unless it was asked just now, and return the code of what is wrong."""
        if self._reading is None:
            if self.clock.monotonic() - self._asked_at < _FRESH_SECONDS:
                return self._error_code
            self._asked_at = self.clock.monotonic()
            self._reading = asyncio.create_task(self._read())
        reading = self._reading
        # A read that hangs is waited for once; whoever comes later is told at once.
        seconds = self._asked_at + self.wait_seconds - self.clock.monotonic()
        await asyncio.wait([reading], timeout=max(0.0, seconds))
        if reading.done():
            reading.result()
            return self._error_code
        return self._error_code if self._age_seconds <= _STALE_SECONDS else NOT_ANSWERING

    async def _read(self) -> None:
        try:
            deadline = Deadline.after(_READ_SECONDS, self.clock)
            self._reports = await self.checkpoints.load_reports(deadline=deadline)
        except StoreUnavailable as error:
            self._error_code = error.code
        except BaseException:
            # Nobody foresaw it, so it is no answer that could be served again.
            self._asked_at = -math.inf
            raise
        else:
            self._error_code = None
            self._read_at = self.clock.monotonic()
        finally:
            self._reading = None


def _failing_shards(newest_first: Sequence[SyncReport]) -> dict[int | None, list[SyncReport]]:
    """Return the runs of each shard whose last run that says anything failed.

    None stands for the runs that were not for one shard. A failure of a shard counts until a run
    finds every shard read to its end, or plans for a feed that has no such shard any more.
    """
    runs: dict[int | None, list[SyncReport]] = {}
    for report in newest_first:
        if report.status is not SyncStatus.SUPERSEDED:
            runs.setdefault(report.shard, []).append(report)
    complete = next(
        (run.started_at for run in runs.get(None, ()) if run.status is SyncStatus.COMPLETE), ""
    )
    shards = next((run.shards for run in runs.get(None, ()) if run.shards is not None), MAX_SHARDS)
    return {
        shard: found
        for shard, found in runs.items()
        if not found[0].status.is_success
        and (shard is None or (shard < shards and found[0].finished_at > complete))
    }


def _failing_since(runs: Sequence[SyncReport]) -> str:
    """Return since when none of the runs, the newest first, has succeeded.

    Without a success among them it is since the first of them at least.
    """
    since = runs[0].started_at
    for report in runs:
        if report.status.is_success:
            break
        since = report.started_at
    return since


def _last_success(runs: Sequence[SyncReport]) -> str | None:
    return next((run.finished_at for run in runs if run.status.is_success), None)


def _last_of_all(successes: Sequence[str | None]) -> str | None:
    """Return the first of these moments; None if there is one that never was."""
    known = [success for success in successes if success is not None]
    return min(known) if len(known) == len(successes) else None
