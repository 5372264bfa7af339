"""What the Function App says of itself to anyone who asks: how it is set up, how it last synced.

It does not call the API in AWS: an anonymous request must cost neither a token nor a call.
"""

import json
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Final

from azure_function_app.errors import StoreUnavailable
from azure_function_app.http_response import HttpResponse
from azure_function_app.sync.checkpoint_store import CheckpointStore, SyncReport
from shared.clock import Clock

_FRESH_SECONDS: Final = 1.0
"""How long a report is served again, so that a flood of requests does not reach the store."""


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
    _last_sync: SyncReport | None = field(default=None, init=False)
    _read_at: float | None = field(default=None, init=False)

    async def answer(self, request_id: str) -> HttpResponse:
        """200 with the summary, or 503 if the store cannot be read."""
        status, last_sync, error_code = HTTPStatus.OK, None, None
        try:
            last_sync = await self._load_last_sync()
        except StoreUnavailable as error:
            status, error_code = HTTPStatus.SERVICE_UNAVAILABLE, error.code
        document = {
            "status": "ok" if status is HTTPStatus.OK else "degraded",
            "error_code": error_code,
            "version": self.version,
            "credential": self.credential,
            "record_store": self.record_store,
            "last_sync": asdict(last_sync) if last_sync else None,
        }
        headers = (
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Request-Id", request_id),
        )
        return HttpResponse(status, headers, json.dumps(document).encode())

    async def _load_last_sync(self) -> SyncReport | None:
        now = self.clock.monotonic()
        if self._read_at is None or now - self._read_at >= _FRESH_SECONDS:
            self._last_sync = await self.checkpoints.load_report()
            self._read_at = now
        return self._last_sync
