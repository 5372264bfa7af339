"""The timer of the sync, whose schedule is the app setting SYNC_SCHEDULE.

It runs the sync job; where the sync fans out, it plans what each shard's message asks for.
"""

import logging
import typing

import azure.functions as func

from azure_function_app.bootstrap import ServicesPerLoop
from azure_function_app.functions.invocation import trace_headers
from azure_function_app.functions.sync_shards import CONNECTION, QUEUE, sharded_sync_of
from shared.log import log_event

_logger = logging.getLogger(__name__)


def build_sync_timer(services: ServicesPerLoop) -> func.Blueprint:
    """Return the blueprint with the one function `sync_timer`."""
    return _planning(services) if services.fans_out else _running(services)


def _running(services: ServicesPerLoop) -> func.Blueprint:
    blueprint = func.Blueprint()

    @blueprint.timer_trigger(arg_name="timer", schedule="%SYNC_SCHEDULE%")
    async def sync_timer(timer: func.TimerRequest, context: func.Context) -> None:
        """Run the sync job once. A failed run fails the invocation, so that Azure shows it."""
        with services.tracer.serving(context.invocation_id, trace_headers(context)):
            _tell_if_late(timer)
            await (await services.get()).sync_job.run()

    return blueprint


def _planning(services: ServicesPerLoop) -> func.Blueprint:
    blueprint = func.Blueprint()

    @blueprint.timer_trigger(arg_name="timer", schedule="%SYNC_SCHEDULE%")
    @blueprint.queue_output(arg_name="following", queue_name=QUEUE, connection=CONNECTION)
    async def sync_timer(
        timer: func.TimerRequest,
        following: func.Out[typing.List[str]],  # noqa: UP006 - the worker library refuses list[str]
        context: func.Context,
    ) -> None:
        """Plan what is to be read; the host sends the messages if that ends well."""
        with services.tracer.serving(context.invocation_id, trace_headers(context)):
            _tell_if_late(timer)
            await (await sharded_sync_of(services)).tick(following.set)

    return blueprint


def _tell_if_late(timer: func.TimerRequest) -> None:
    if timer.past_due:
        log_event(_logger, logging.WARNING, "sync_past_due")
