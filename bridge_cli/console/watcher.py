"""Looks at the stack several times a second, and tells every open page what has changed."""

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bridge_cli.console.audience import Audience
from bridge_cli.console.authorizer_view import AuthorizerView
from bridge_cli.console.call_view import CallView
from bridge_cli.console.shown import Json
from bridge_cli.console.switches import Switches
from bridge_cli.console.sync_view import SyncView
from emulator.entra.local_entra import LocalEntra
from shared.clock import Clock

_LOOK_SECONDS: Final = 0.2
_STORE_EVERY: Final = 5
"""The store is looked at every so many times: it is asked for every run that it keeps."""


@dataclass(slots=True)
class Watcher:
    """Everything that a page shows, as it was last seen."""

    audience: Audience
    entra: LocalEntra
    authorizer: AuthorizerView
    calls: CallView
    sync: SyncView
    switches: Switches
    presses: Callable[[], list[Json]]
    clock: Clock
    fixed: Json
    """What does not change: where everything is, and which start of the console this is."""
    _sent: dict[str, object] = field(default_factory=dict, init=False)
    _trouble: str | None = field(default=None, init=False)
    """What kind of error the last look ended with."""

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        for number in itertools.count():
            try:
                if number % _STORE_EVERY == 0:
                    await self.sync.read_store(self.clock)
                self._trouble = None
                self.look()
            except Exception as fault:  # noqa: BLE001 - one look that fails must not be the last
                self._trouble = type(fault).__name__
                self._tell("trouble", self._trouble)
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Read what is new in the logs, and publish what has changed."""
        self.sync.read_log()
        self.authorizer.read_new()
        changed = self.calls.read_new()
        if changed is not None:
            self.audience.publish(encode_event("calls", changed))
        for name, section in self._sections().items():
            self._tell(name, section)

    def _tell(self, name: str, section: object) -> None:
        if name not in self._sent or self._sent[name] != section:
            self._sent[name] = section
            self.audience.publish(encode_event("section", {"name": name, "value": section}))

    def snapshot(self) -> bytes:
        """Return everything at once, for a page that has just come."""
        return encode_event(
            "snapshot",
            {
                "fixed": self.fixed,
                "now": self.clock.now(),
                "calls": self.calls.newest(),
                "sections": self._sections(),
            },
        )

    def _sections(self) -> dict[str, object]:
        return {
            "faults": dict(self.switches.state()),
            "keys": self.authorizer.key_set(self.entra),
            "decisions": self.authorizer.decisions(),
            "sync": self.sync.to_members(),
            "presses": self.presses(),
            "trouble": self._trouble,
        }


def encode_event(name: str, data: object) -> bytes:
    """Return one server-sent event; JSON has no line breaks, so the data is one line.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
