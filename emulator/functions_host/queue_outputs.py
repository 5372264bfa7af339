"""Queue outputs: what a function set is written after it has succeeded, and not before."""

from collections.abc import Mapping, Sequence

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.host_json import MessageEncoding
from emulator.functions_host.queue_message import encode_body, output_bodies, parse_queue_name
from emulator.functions_host.settings import resolve_indirection
from emulator.functions_host.storage_queue import QueueConnections, QueueUnavailable
from emulator.functions_host.worker import IndexedFunction, InvocationFailed, SetOutput


class QueueOutputs:
    """Writes the outputs of every function. As in the real host, a queue is made when missing."""

    def __init__(
        self,
        connections: QueueConnections,
        environment: Mapping[str, str],
        encoding: MessageEncoding,
    ) -> None:
        """Take the connections, the app settings and how messages are encoded."""
        self._connections = connections
        self._environment = environment
        self._encoding = encoding

    async def write(self, function: IndexedFunction, outputs: Sequence[SetOutput]) -> None:
        """Write what the function set, in that order; one after the other, not all or none.

        Raises:
            InvocationFailed: the output, its connection or the queue is at fault. What was written
                before that stays.

        """
        for output in outputs:
            binding = function.outputs[output.name]
            try:
                name = parse_queue_name(
                    resolve_indirection(binding["queueName"], self._environment)
                )
                queue = self._connections.queue(binding.get("connection"), name)
                texts = [
                    encode_body(body, self._encoding)
                    for body in output_bodies(output.kind, output.value)
                ]
                for text in texts:
                    await queue.send(text)
            except (ValueError, FunctionsHostError, QueueUnavailable) as error:
                raise InvocationFailed(
                    f"the output {output.name} of {function.name} cannot be written to"
                    f" {binding['queueName']}: {error}"
                ) from error
