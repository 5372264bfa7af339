"""Queue triggers: takes messages, runs the function on each, and deletes what succeeded.

It does what the Storage Queues extension of the real host does, whose manual is "Azure Queue
storage trigger for Azure Functions". A message belongs to its host for a lease, which is renewed
while the function runs, so that the message of a host that died comes back by itself. What the
manual leaves open was read in the extension's source: the lease of ten minutes, that a text which
cannot be decoded goes to the poison queue at once, that a poison queue has no poison queue of its
own, and that a queue which is not there is waited for.
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.host_json import SHORTEST_POLLING_INTERVAL, QueueOptions
from emulator.functions_host.queue_message import (
    QueueMessage,
    decode_body,
    parse_queue_name,
    poison_queue_name,
)
from emulator.functions_host.settings import resolve_indirection
from emulator.functions_host.storage_queue import (
    MessageLost,
    QueueConnections,
    QueueMissing,
    QueueUnavailable,
    StorageQueue,
)
from emulator.functions_host.worker import IndexedFunction, InvocationFailed, TriggerMessage

_LOG = logging.getLogger("host")
_SPREAD: Final = 0.2
_RENEWALS_A_LEASE: Final = 2
_HURRIED_RENEWALS_A_LEASE: Final = 10
_SHORTEST_RENEWAL: Final = 0.1

Invoke = Callable[[IndexedFunction, TriggerMessage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """A queue-triggered function with its queues."""

    function: IndexedFunction
    queue: StorageQueue
    poison_queue: StorageQueue | None
    sent: asyncio.Event
    """Set whenever this host has put a message into the queue."""


def connect_trigger(
    function: IndexedFunction, connections: QueueConnections, environment: Mapping[str, str]
) -> QueueTrigger:
    """Return the function's trigger, with every `%SETTING%` in the queue's name resolved.

    Raises:
        FunctionsHostError: the name or the connection is wrong; the message names the setting.

    """
    trigger = function.trigger
    connection = trigger.get("connection")
    try:
        name = parse_queue_name(resolve_indirection(trigger["queueName"], environment))
    except ValueError as error:
        raise FunctionsHostError(f"the queue of {function.name} is wrong: {error}.") from None
    try:
        queue = connections.queue(connection, name)
    except FunctionsHostError as error:
        raise FunctionsHostError(f"{function.name} has a queue trigger: {error}") from None
    poison = poison_queue_name(name)
    return QueueTrigger(
        function,
        queue,
        None if poison is None else connections.queue(connection, poison),
        connections.sent(connection, name),
    )


class PollingDelays:
    """The pauses between two looks: 100 ms after a message, then each some twice the last."""

    def __init__(self, longest: float, draw: Callable[[float, float], float]) -> None:
        """Take the longest pause in seconds, and what draws a number between two others."""
        self._longest = longest
        self._draw = draw
        self._doublings = 0
        self._is_longest = False

    def after_message(self) -> None:
        """Begin with the shortest pause again."""
        self._doublings = 0
        self._is_longest = False

    def next(self) -> float:
        """Return the next pause in seconds."""
        pause = SHORTEST_POLLING_INTERVAL
        if self._doublings:
            spread = self._draw(1 - _SPREAD, 1 + _SPREAD)
            pause += spread * SHORTEST_POLLING_INTERVAL * 2 ** (self._doublings - 1)
        if self._is_longest or pause >= self._longest:
            self._is_longest = True
            return self._longest
        self._doublings += 1
        return pause


class QueueListener:
    """Listens to one function's queue until it is stopped.

    A function that outlives functionTimeout is canceled, and its message comes again. A thread
    cannot be canceled, though, so a synchronous function then runs on beside its successor; the
    real host ends the whole worker process there.
    """

    def __init__(
        self, trigger: QueueTrigger, invoke: Invoke, options: QueueOptions, lease: int
    ) -> None:
        """Take the trigger, how its function is invoked, and for how many seconds a lease holds."""
        self._trigger = trigger
        self._invoke = invoke
        self._options = options
        self._lease = lease
        self._delays = PollingDelays(options.max_polling_interval, random.uniform)
        self._processing: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._trouble = logging.NOTSET

    def start(self) -> asyncio.Task[None]:
        """Start listening, and return the task that does it."""
        return asyncio.create_task(self.listen())

    def stop(self) -> None:
        """Take no more messages; the task ends when those that are being processed have ended."""
        self._is_stopping = True
        self._trigger.sent.set()

    async def listen(self) -> None:
        """Process what is in the queue, until it is stopped.

        Raises:
            ExceptionGroup: something went wrong that is no message's and no storage's fault.

        """
        # A group, so that a task that fails for no known reason ends the listener, and is heard of.
        async with asyncio.TaskGroup() as processing:
            while not self._is_stopping:
                self._trigger.sent.clear()
                messages = await self._receive()
                if self._is_stopping:
                    await asyncio.gather(*map(self._give_back, messages))
                elif messages:
                    self._delays.after_message()
                    await self._begin(messages, processing)
                else:
                    await _is_set_within(self._trigger.sent, self._delays.next())

    async def _begin(self, messages: list[QueueMessage], processing: asyncio.TaskGroup) -> None:
        for message in messages:
            task = processing.create_task(self._process(message))
            self._processing.add(task)
            task.add_done_callback(self._processing.discard)
        while len(self._processing) > self._options.new_batch_threshold:
            await asyncio.wait(self._processing, return_when=asyncio.FIRST_COMPLETED)

    async def _receive(self) -> list[QueueMessage]:
        try:
            messages = await self._trigger.queue.receive(self._options.batch_size, self._lease)
        except QueueMissing:
            self._note("it does not exist yet", logging.INFO)
            return []
        except QueueUnavailable as error:
            self._note(str(error), logging.ERROR)
            return []
        if self._trouble:
            self._trouble = logging.NOTSET
            _LOG.info("The queue %s can be read", self._trigger.queue.name)
        return messages

    def _note(self, trouble: str, level: int) -> None:
        # Once for each kind of trouble, however often it is met: its words may differ each time.
        if level != self._trouble:
            _LOG.log(
                level,
                "The queue %s cannot be read: %s; %s goes on listening",
                self._trigger.queue.name,
                trouble,
                self._trigger.function.name,
            )
        self._trouble = level

    async def _give_back(self, message: QueueMessage) -> None:
        try:
            await self._trigger.queue.hide(message, 0)
        except (MessageLost, QueueUnavailable) as error:
            _LOG.info("The message %s was not given back: %s", message.id, error)

    async def _process(self, message: QueueMessage) -> None:
        try:
            await self._process_once(message)
        except MessageLost as error:
            _LOG.warning("The message %s is no longer this host's: %s", message.id, error)
        except QueueUnavailable as error:
            _LOG.error(
                "What became of the message %s of %s could not be written: %s; it comes again",
                message.id,
                self._trigger.queue.name,
                error,
            )

    async def _process_once(self, message: QueueMessage) -> None:
        options = self._options
        if message.dequeue_count > options.max_dequeue_count:
            # Its last host died of it, or with it.
            await self._set_aside(message)
            return
        try:
            body = decode_body(message.text, options.message_encoding)
        except ValueError as error:
            _LOG.warning(
                "The message %s is not %s (messageEncoding in host.json): %s",
                message.id,
                options.message_encoding,
                error,
            )
            await self._set_aside(message)
            return
        message, has_succeeded = await self._run(message, body)
        if has_succeeded:
            await self._trigger.queue.delete(message)
        elif self._trigger.poison_queue is None:
            # It stays invisible for the rest of the lease, so that it does not come around at once.
            return
        elif message.dequeue_count >= options.max_dequeue_count:
            await self._set_aside(message)
        else:
            await self._trigger.queue.hide(message, int(options.visibility_timeout))

    async def _set_aside(self, message: QueueMessage) -> None:
        poison_queue = self._trigger.poison_queue
        if poison_queue is None:
            return
        _LOG.warning(
            "Message has reached MaxDequeueCount of %d. Moving message to queue '%s'.",
            self._options.max_dequeue_count,
            poison_queue.name,
        )
        await poison_queue.send(message.text)
        await self._trigger.queue.delete(message)

    async def _run(self, message: QueueMessage, body: bytes) -> tuple[QueueMessage, bool]:
        has_ended = asyncio.Event()
        renewing = asyncio.create_task(self._renew(message, has_ended))
        try:
            has_succeeded = await run_on_message(
                self._trigger.function, self._invoke, describe(message, body)
            )
        finally:
            # Not canceled: a renewal under way brings the receipt that the message is deleted by.
            has_ended.set()
            message = await renewing
        return message, has_succeeded

    async def _renew(self, message: QueueMessage, has_ended: asyncio.Event) -> QueueMessage:
        pause = self._lease / _RENEWALS_A_LEASE
        while True:
            if await _is_set_within(has_ended, pause):
                return message
            pause = self._lease / _RENEWALS_A_LEASE
            try:
                message = await self._trigger.queue.hide(message, self._lease)
            except MessageLost as error:
                _LOG.warning(
                    "The message %s was lost while it was processed: %s", message.id, error
                )
                return message
            except QueueUnavailable as error:
                _LOG.warning("The lease of the message %s was not renewed: %s", message.id, error)
                pause = max(self._lease / _HURRIED_RENEWALS_A_LEASE, _SHORTEST_RENEWAL)


def describe(message: QueueMessage, body: bytes) -> TriggerMessage:
    """Return the message as the function gets it, with the metadata that the real host sends."""
    return TriggerMessage(
        body,
        {
            "DequeueCount": message.dequeue_count,
            "ExpirationTime": _moment(message.expires_on),
            "Id": message.id,
            "InsertionTime": _moment(message.inserted_on),
            "NextVisibleTime": _moment(message.visible_on),
            "PopReceipt": message.pop_receipt,
        },
    )


def describe_input(value: object) -> TriggerMessage:
    """Return what a run on request gets: the text, or the JSON, that the caller gave as input."""
    text = value if isinstance(value, str) else json.dumps(value)
    return TriggerMessage(text.encode(), {"DequeueCount": 0, "Id": ""})


async def run_on_message(
    function: IndexedFunction, invoke: Invoke, message: TriggerMessage
) -> bool:
    """Run the function on a message, and return whether it succeeded; a failure is logged."""
    _LOG.info(
        "Executing 'Functions.%s' (message %s, attempt %s)",
        function.name,
        message.metadata["Id"],
        message.metadata["DequeueCount"],
    )
    try:
        await invoke(function, message)
    except InvocationFailed as failure:
        _LOG.error("Executed 'Functions.%s' (Failed): %s", function.name, failure)
        return False
    _LOG.info("Executed 'Functions.%s' (Succeeded)", function.name)
    return True


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _moment(moment: datetime) -> str:
    return moment.isoformat()
