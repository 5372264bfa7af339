"""What the host and the worker's process tell each other, over a pair of connected sockets.

Both ends are ours and one user's, so values travel as Python pickles them.
"""

import asyncio
import pickle
from typing import Any, Final, NamedTuple

_LENGTH_BYTES: Final = 8


class Ready(NamedTuple):
    """The app is loaded."""

    functions: tuple[Any, ...]
    """Each as `IndexedFunction`."""


class Refused(NamedTuple):
    """The app cannot be loaded."""

    reason: str


class Invocation(NamedTuple):
    """A call that the host asks for."""

    number: int
    kind: str
    """The method of `Worker`."""
    function_id: str
    arguments: tuple[Any, ...]


class Succeeded(NamedTuple):
    """How an invocation ended."""

    number: int
    result: Any
    outputs: tuple[Any, ...]
    """Each as `SetOutput`, for the host to write."""


class Failed(NamedTuple):
    """How an invocation ended."""

    number: int
    reason: str


async def read_frame(reader: asyncio.StreamReader) -> Any:  # noqa: ANN401 - one of the above
    """Return the next value.

    Raises:
        EOFError: the other end is gone.

    """
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
        return pickle.loads(await reader.readexactly(length))  # noqa: S301 - our own process wrote it
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise EOFError from error


def write_frame(writer: asyncio.StreamWriter, value: object) -> None:
    """Send a value, whole, whatever else is being sent.

    Raises:
        Exception: it cannot be pickled; nothing was sent then.

    """
    content = pickle.dumps(value)
    writer.write(len(content).to_bytes(_LENGTH_BYTES) + content)
