"""The HTTP function that examines this app for its administrators, settings that are wrong too."""

import logging
from collections.abc import Callable, Mapping

import azure.functions as func

from azure_function_app.doctor.reception import Reception
from azure_function_app.doctor.report import Report
from azure_function_app.http_response import HttpResponse, to_functions_response
from azure_function_app.problem_details import problem_of
from shared.clock import Clock

_logger = logging.getLogger(__name__)


def build_doctor(read_environment: Callable[[], Mapping[str, str]], clock: Clock) -> func.Blueprint:
    """Return the blueprint with the one function `doctor`.

    Its level is admin: who asks needs the host's master key. The report has no secret in it, and
    tells more of the app than strangers should know.
    """
    blueprint = func.Blueprint()

    async def make() -> Report:
        # Only who asks waits for it, and no cold start.
        from azure_function_app.doctor.examination import examine  # noqa: PLC0415

        return await examine(read_environment(), at="function_app", clock=clock)

    reception = Reception(make, clock)

    @blueprint.route(route="doctor", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
    async def doctor(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:  # noqa: ARG001 - the host hands it over
        """Say what is wrong between this app and the API, and what to change."""
        request_id = context.invocation_id
        try:
            report = await reception.report()
        except Exception as error:
            _logger.exception("doctor_failed, request_id %s", request_id)
            return to_functions_response(problem_of(error).response(request_id))
        headers = (
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Request-Id", request_id),
        )
        return to_functions_response(HttpResponse(200, headers, report.to_json().encode()))

    return blueprint
