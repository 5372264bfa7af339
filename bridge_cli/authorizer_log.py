"""Reads the authorizer's decisions from the local Lambdas' log."""

import asyncio
import json
from pathlib import Path

_WAIT_SECONDS = 2.0
_POLL_SECONDS = 0.02


class AuthorizerLog:
    """The decisions that are logged from some moment on."""

    def __init__(self, path: Path) -> None:
        """Take the file that all Lambdas write to."""
        self._path = path
        self._position = 0

    def skip_to_end(self) -> None:
        """Skip what has been logged so far."""
        self._position = self._path.stat().st_size

    async def reasons_before(self, last: str) -> list[str] | None:
        """Return the reason codes of the decisions before the next one whose reason is `last`.

        None if that one is not logged within two seconds: what is not in the log then proves
        nothing.
        """
        reasons: list[str] = []
        for _ in range(int(_WAIT_SECONDS / _POLL_SECONDS)):
            for line in self._new_lines():
                reason = reason_in(line)
                if reason == last:
                    return reasons
                if reason is not None:
                    reasons.append(reason)
            await asyncio.sleep(_POLL_SECONDS)
        return None

    def _new_lines(self) -> list[str]:
        with self._path.open("rb") as log:
            log.seek(self._position)
            # What stands behind the last line break is a line that is still being written.
            complete, line_break, _ = log.read().rpartition(b"\n")
        self._position += len(complete) + len(line_break)
        return complete.decode(errors="replace").split("\n")


def reason_in(line: str) -> str | None:
    """Return the reason code in a line of the log, or None if the line is not a decision."""
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, dict) or members.get("event") != "decision":
        return None
    # A decision without a reason is one all the same.
    return str(members.get("reason"))
