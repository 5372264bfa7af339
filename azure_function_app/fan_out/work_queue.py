"""Where work waits for a worker: Azure's queue in the cloud, memory in one process."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from azure_function_app.fan_out.shard_message import ShardMessage

QUEUE: Final = "sync-shards"
CONNECTION: Final = "AzureWebJobsStorage"
"""The app setting, or what the names of several begin with, that says where the queue is."""


class WorkQueue(Protocol):
    """Hands messages on, at least once, in whatever order."""

    @property
    def is_kept(self) -> bool:
        """Whether messages that nobody works on stay in it for days."""

    def send(self, messages: Sequence[ShardMessage]) -> None:
        """Hand these messages on. It may turn out later that they were not."""


@dataclass(frozen=True, slots=True)
class OutputBinding:
    """A queue of Azure Functions: its host sends what a function has set, once that has ended well.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-output
    """

    put: Callable[[list[str]], None]
    """The binding's `set`; what is set last counts."""
    texts: list[str] = field(default_factory=list[str], init=False)
    is_kept: bool = field(default=True, init=False)

    def send(self, messages: Sequence[ShardMessage]) -> None:
        """Set these messages beside those that were set before."""
        self.texts.extend(message.encode() for message in messages)
        if self.texts:
            self.put(self.texts)


@dataclass(frozen=True, slots=True)
class MemoryQueue:
    """A queue in memory, first in, first out."""

    waiting: deque[ShardMessage] = field(default_factory=deque[ShardMessage])
    is_kept: bool = field(default=False, init=False)

    def send(self, messages: Sequence[ShardMessage]) -> None:
        """Let these messages wait."""
        self.waiting.extend(messages)
