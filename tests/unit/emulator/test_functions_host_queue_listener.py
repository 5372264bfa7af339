import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest

from emulator.functions_host.host_json import QueueOptions
from emulator.functions_host.queue_listener import PollingDelays, QueueListener, QueueTrigger
from emulator.functions_host.queue_message import QueueMessage
from emulator.functions_host.worker import IndexedFunction, TriggerMessage

if TYPE_CHECKING:
    from emulator.functions_host.storage_queue import StorageQueue

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGE = QueueMessage("id", "receipt", "dGV4dA==", 1, NOW, NOW, NOW)


class FakeQueue:
    """A queue with one message, which is handed out as soon as it is let go."""

    name = "work"

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.hidden: list[tuple[QueueMessage, int]] = []

    async def receive(self, _count: int, _lease: int) -> list[QueueMessage]:
        """The message, late."""
        self.asked.set()
        await self.answers.wait()
        return [MESSAGE]

    async def hide(self, message: QueueMessage, seconds: int) -> QueueMessage:
        """As it was."""
        self.hidden.append((message, seconds))
        return message


def listener_on(queue: FakeQueue, seen: list[TriggerMessage]) -> QueueListener:
    """A listener whose function breaks in a way that no function can."""

    async def invoke(_function: IndexedFunction, message: TriggerMessage) -> None:
        seen.append(message)
        raise AssertionError("a mistake of the host's own")

    function = IndexedFunction("work", "1", {"type": "queueTrigger", "name": "message"})
    trigger = QueueTrigger(function, cast("StorageQueue", queue), None, asyncio.Event())
    return QueueListener(trigger, invoke, QueueOptions(), 600)


async def test_when_messages_come_after_the_stop_then_they_are_given_back() -> None:
    """At once, so that another host has not to wait for the end of a lease."""
    queue, seen = FakeQueue(), list[TriggerMessage]()
    listener = listener_on(queue, seen)
    listening = listener.start()
    await queue.asked.wait()

    listener.stop()
    queue.answers.set()
    await listening

    assert [(MESSAGE, 0)] == queue.hidden
    assert [] == seen


async def test_when_the_host_itself_is_wrong_then_the_listener_ends() -> None:
    """The host then stops, rather than leave a message lying for no reason that is told."""
    queue, seen = FakeQueue(), list[TriggerMessage]()
    queue.answers.set()

    with pytest.raises(ExceptionGroup):
        await listener_on(queue, seen).start()
    assert [b"text"] == [message.body for message in seen][:1]


def middle(low: float, high: float) -> float:
    """No chance at all."""
    return (low + high) / 2


def test_when_a_queue_stays_empty_then_the_pauses_grow_to_the_longest() -> None:
    """From 100 ms, each some twice the last."""
    delays = PollingDelays(2.0, middle)

    pauses = [delays.next() for _ in range(8)]

    assert pytest.approx([0.1, 0.2, 0.3, 0.5, 0.9, 1.7, 2.0, 2.0]) == pauses


def test_when_a_message_came_then_the_pauses_begin_anew() -> None:
    """Also after the longest."""
    delays = PollingDelays(0.2, middle)
    for _ in range(5):
        delays.next()

    delays.after_message()

    assert pytest.approx([0.1, 0.2]) == [delays.next(), delays.next()]


def test_when_a_queue_stays_empty_for_days_then_the_pause_is_still_the_longest() -> None:
    """No power of two grows without end."""
    delays = PollingDelays(60.0, middle)
    for _ in range(10_000):
        delays.next()

    assert 60.0 == delays.next()
