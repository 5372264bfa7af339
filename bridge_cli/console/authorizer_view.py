"""The authorizer's last decisions and its key set, as its own log tells of them."""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bridge_cli.console.log_tail import LogTail
from bridge_cli.console.shown import (
    Json,
    number,
    short_id,
    shown,
    shown_or_none,
    what_to_change,
)
from emulator.entra.local_entra import LocalEntra

_DECISIONS_KEPT: Final = 40
_FETCHES_KEPT: Final = 10


class AuthorizerView:
    """Follows the log that all Lambdas write to."""

    def __init__(self, log: Path, names: Mapping[str, str]) -> None:
        """Take the log, and the names of the tenant's callers by their client ID."""
        self._tail = LogTail(log)
        self._names = names
        self._decisions: deque[Json] = deque(maxlen=_DECISIONS_KEPT)
        self._fetches: deque[Json] = deque(maxlen=_FETCHES_KEPT)
        self._held_since: float | None = None
        self._decided = 0

    def read_new(self) -> None:
        """Take in what has been logged since the last call."""
        for line in self._tail.read_new():
            match line.get("event"):
                case "decision":
                    self._take_decision(line)
                case "key_set_fetch":
                    self._fetches.appendleft(_fetch_of(line))
                case _:
                    pass

    def _take_decision(self, line: Mapping[str, Any]) -> None:
        at = _time_of(line)
        age = number(line, "KeySetAgeSeconds")
        if at is not None and age is not None:
            self._held_since = at - age
        self._decided += 1
        reason = shown(line.get("reason"))
        client = line.get("client_id")
        self._decisions.appendleft(
            {
                "id": self._decided,
                "at": at,
                "outcome": shown(line.get("outcome")),
                "reason": reason,
                "what_to_change": what_to_change(reason),
                # Of a caller whose signature has not passed nothing is known.
                "caller": self._names.get(client, short_id(client)) if client else None,
                "detail": shown_or_none(line.get("detail")),
                "request_id": shown(line.get("request_id")),
            }
        )

    def decisions(self) -> list[Json]:
        """Return the decisions, the newest first."""
        return list(self._decisions)

    def key_set(self, entra: LocalEntra) -> Json:
        """Return what the issuer publishes, and what the authorizer holds of it."""
        keys = entra.issuer.keys
        asked = entra.requests
        return {
            "published": [
                {"id": short_id(key.key_id), "signs": key is keys.current} for key in keys.published
            ],
            "held_since": self._held_since,
            "fetches": list(self._fetches),
            "asked": {name: asked.get(name, 0) for name in ("discovery", "key_set", "unavailable")},
        }


def _fetch_of(line: Mapping[str, Any]) -> Json:
    return {
        "at": _time_of(line),
        "result": shown(line.get("result")),
        "seconds": number(line, "KeySetFetchSeconds"),
    }


def _time_of(line: Mapping[str, Any]) -> float | None:
    """Return when the line was written, in seconds since 1970."""
    milliseconds = number(line, "time")
    return None if milliseconds is None else milliseconds / 1_000
