"""What open pages are told, and when."""

import asyncio
import json
from typing import Any

import pytest

from bridge_cli.console import watcher as watcher_module
from bridge_cli.console.audience import Audience, Member
from bridge_cli.console.watcher import Watcher, encode_event
from tests.support.fake_clock import FakeClock


class _Part:
    """Each of the parts that a watcher looks at; it says what it is told to."""

    def __init__(self) -> None:
        self.decided: list[str] = []
        self.changed: dict[str, Any] | None = None
        self.faults: list[Exception] = []

    def read_log(self) -> None:
        if self.faults:
            raise self.faults.pop()

    async def read_store(self, _clock: object) -> None:
        """Nothing."""

    def read_new(self) -> dict[str, Any] | None:
        return self.changed

    def newest(self) -> list[str]:
        return ["a call"]

    def decisions(self) -> list[str]:
        return list(self.decided)

    def key_set(self, _entra: object) -> dict[str, str]:
        return {}

    def state(self) -> dict[str, str]:
        return {"store": "well"}

    def to_members(self) -> dict[str, str]:
        return {}


def _watcher(part: Any) -> Watcher:
    return Watcher(
        Audience(), part, part, part, part, part, list, FakeClock(), fixed={"start": "1"}
    )


async def _heard(member: Member) -> tuple[str, Any]:
    event, data = (await member.next()).decode().rstrip("\n").split("\n")
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_when_something_changes_then_only_that_is_told() -> None:
    """A page that is open hears each change once."""
    part = _Part()
    watcher = _watcher(part)
    watcher.look()
    with watcher.audience.join() as member:
        watcher.look()
        part.decided.append("x")
        watcher.look()
        watcher.look()
        part.changed = {"changed": [], "ids": []}
        watcher.look()
        heard = [await _heard(member), await _heard(member)]

    assert [
        ("section", {"name": "decisions", "value": ["x"]}),
        ("calls", {"changed": [], "ids": []}),
    ] == heard


async def test_when_a_page_comes_then_it_gets_everything_at_once() -> None:
    """Also what was told before it came."""
    part = _Part()
    watcher = _watcher(part)
    part.decided.append("x")
    _, snapshot = watcher.snapshot().decode().rstrip("\n").split("\n")
    told = json.loads(snapshot.removeprefix("data: "))

    assert ({"start": "1"}, ["a call"]) == (told["fixed"], told["calls"])
    assert ["x"] == told["sections"]["decisions"]


async def test_when_a_look_fails_then_it_is_told_and_the_next_one_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page that shows nothing new any more would look as if nothing happened."""
    monkeypatch.setattr(watcher_module, "_LOOK_SECONDS", 0.0)
    part = _Part()
    watcher = _watcher(part)
    watcher.look()
    part.faults.append(RuntimeError("with what it must not say"))
    with watcher.audience.join() as member:
        watching = asyncio.create_task(watcher.watch())
        failed = await _heard(member)
        part.decided.append("x")
        went_on, is_well = await _heard(member), await _heard(member)
        watching.cancel()

    assert ("section", {"name": "trouble", "value": "RuntimeError"}) == failed
    assert ("section", {"name": "decisions", "value": ["x"]}) == went_on
    assert ("section", {"name": "trouble", "value": None}) == is_well


def test_when_an_event_holds_line_breaks_then_it_is_one_event_all_the_same() -> None:
    """Else a value of a log could end an event, and begin one of its own."""
    event = encode_event("section", {"value": "a\n\nevent: snapshot\r\ndata: {}\u2028"})

    assert b"\n\n" == event[-2:]
    assert 3 == event.count(b"\n")
    assert b"\r" not in event
