"""The timer that runs the sync job. Its schedule is the app setting SYNC_SCHEDULE."""

import logging

import azure.functions as func

from azure_function_app.bootstrap import ServicesPerLoop
from shared.log import log_event

_logger = logging.getLogger(__name__)


def build_sync_timer(services: ServicesPerLoop) -> func.Blueprint:
    """Return the blueprint with the one function `sync_timer`."""
    blueprint = func.Blueprint()

    @blueprint.timer_trigger(arg_name="timer", schedule="%SYNC_SCHEDULE%")
    async def sync_timer(timer: func.TimerRequest) -> None:
        """Run the sync job once. A failed run fails the invocation, so that Azure shows it."""
        if timer.past_due:
            log_event(_logger, logging.WARNING, "sync_past_due")
        await (await services.get()).sync_job.run()

    return blueprint
