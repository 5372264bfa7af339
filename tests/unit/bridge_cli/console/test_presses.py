"""Presses of buttons, and what is kept of them."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from bridge_cli.console import presses as presses_module
from bridge_cli.console.buttons import BUTTONS, Button, Controls
from bridge_cli.console.outcome import Outcome, outcome_of
from bridge_cli.console.presses import BusyError, Presses
from bridge_cli.refusals import REFUSAL_CASES
from tests.support.fake_clock import FakeClock

NOTHING: Controls = None  # type: ignore[assignment]  # the buttons of these tests work on nothing


def _presses(
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Controls], Awaitable[Outcome]],
    *,
    waits_its_turn: bool = True,
) -> Presses:
    """Presses of two buttons that both do this."""
    buttons = {
        name: Button(name, "g", name.upper(), "s", "p", work, waits_its_turn) for name in ("a", "b")
    }
    monkeypatch.setattr(presses_module, "BUTTONS_BY_ID", buttons)
    return Presses(NOTHING, FakeClock())


async def test_when_a_button_is_pressed_then_what_came_of_it_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """First as running, then with its verdict; each change is told."""

    async def work(_controls: Controls) -> Outcome:
        return outcome_of(True, "200.", "r1")  # noqa: FBT003 - as read in a sentence

    presses = _presses(monkeypatch, work)
    changes: list[object] = []
    presses.on_change = lambda: changes.append(presses.newest()[0]["verdict"])
    async with presses.open():
        presses.press("a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        (entry,) = presses.newest()

    assert [None, "kept"] == changes
    assert ("a", "A", "200.", ["r1"]) == (
        entry["button"],
        entry["label"],
        entry["sentence"],
        entry["request_ids"],
    )


async def test_when_a_button_is_pressed_twice_then_the_second_press_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page that presses without end starts nothing without end."""
    gate = asyncio.Event()

    async def work(_controls: Controls) -> Outcome:
        await gate.wait()
        return outcome_of(True, "done")  # noqa: FBT003

    presses = _presses(monkeypatch, work)
    async with presses.open():
        presses.press("a")
        with pytest.raises(BusyError):
            presses.press("a")
        gate.set()

    assert 1 == len(presses.newest())


@pytest.mark.parametrize(("waits_its_turn", "most_at_once"), [(True, 1), (False, 2)])
async def test_when_two_buttons_are_pressed_then_only_what_waits_its_turn_waits(
    monkeypatch: pytest.MonkeyPatch, *, waits_its_turn: bool, most_at_once: int
) -> None:
    """What mends must not wait for what hangs."""
    running: list[int] = []

    async def work(_controls: Controls) -> Outcome:
        running.append(1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen.append(len(running))
        running.pop()
        return outcome_of(True, "done")  # noqa: FBT003

    seen: list[int] = []
    presses = _presses(monkeypatch, work, waits_its_turn=waits_its_turn)
    async with presses.open():
        presses.press("a")
        presses.press("b")
        while len(seen) < 2:  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)

    assert most_at_once == max(seen)


async def test_when_a_part_is_gone_then_the_press_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a traceback, and the button can be pressed again."""

    async def work(_controls: Controls) -> Outcome:
        raise httpx.ConnectError("All connection attempts failed")

    presses = _presses(monkeypatch, work)
    async with presses.open():
        presses.press("a")
        while presses.newest()[0]["verdict"] is None:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0)
        presses.press("a")

    assert (
        "It could not be done: All connection attempts failed" == (presses.newest()[-1]["sentence"])
    )


async def test_when_the_console_ends_then_what_still_runs_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing holds up the end of `bridge up`."""

    async def work(_controls: Controls) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    presses = _presses(monkeypatch, work)
    async with presses.open():
        presses.press("a")
        await asyncio.sleep(0)

    assert presses.newest()[0]["verdict"] is None


def test_when_the_buttons_are_declared_then_each_says_what_is_seen_and_what_it_shows() -> None:
    """None is there twice, and each of the refusals has one."""
    ids = [button.id for button in BUTTONS]

    assert len(ids) == len(set(ids)) >= 21
    assert {f"refuse_{case.name}" for case in REFUSAL_CASES} <= set(ids)
    for button in BUTTONS:
        assert button.seen.endswith("."), button.id
        assert button.promise.endswith("."), button.id
        assert {"id", "group", "label", "seen", "promise"} == set(button.to_members())
