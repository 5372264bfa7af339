"""The queue functions of the sync by shards, in apps whose SYNC_FAN_OUT is on."""

import typing
from typing import Final

import azure.functions as func

from azure_function_app.bootstrap import ServicesPerLoop
from azure_function_app.fan_out import work_queue
from azure_function_app.fan_out.sharded_sync import ShardedSync, tell_poisoned
from azure_function_app.functions.invocation import trace_headers

QUEUE: Final = work_queue.QUEUE
POISON_QUEUE: Final = f"{QUEUE}-poison"
"""Where the host puts a message after `maxDequeueCount` attempts."""
CONNECTION: Final = work_queue.CONNECTION


def build_sync_shards(services: ServicesPerLoop) -> func.Blueprint:
    """Return the blueprint with the functions `sync_shard` and `sync_shards_poison`."""
    blueprint = func.Blueprint()

    @blueprint.queue_trigger(arg_name="message", queue_name=QUEUE, connection=CONNECTION)
    @blueprint.queue_output(arg_name="following", queue_name=QUEUE, connection=CONNECTION)
    async def sync_shard(
        message: func.QueueMessage,
        following: func.Out[typing.List[str]],  # noqa: UP006 - the worker library refuses list[str]
        context: func.Context,
    ) -> None:
        """Work on one message. A failed run fails the invocation: the host tries it again."""
        with services.tracer.serving(context.invocation_id, trace_headers(context)):
            await (await sharded_sync_of(services)).work(message.get_body(), following.set)

    @blueprint.queue_trigger(arg_name="message", queue_name=POISON_QUEUE, connection=CONNECTION)
    async def sync_shards_poison(message: func.QueueMessage, context: func.Context) -> None:
        """Log a message that was given up, for an alert; the next tick plans its shard anew."""
        with services.tracer.serving(context.invocation_id, trace_headers(context)):
            tell_poisoned(message.get_body())

    return blueprint


async def sharded_sync_of(services: ServicesPerLoop) -> ShardedSync:
    """Return the sync by shards of an app that fans out."""
    sharded_sync = (await services.get()).sharded_sync
    if sharded_sync is None:
        raise LookupError("The functions of the queue are there only where SYNC_FAN_OUT is on.")
    return sharded_sync
