"""The HTTP function that tells anyone who asks how this Function App is."""

import azure.functions as func

from azure_function_app.bootstrap import ServicesPerLoop
from azure_function_app.functions.invocation import trace_headers
from azure_function_app.http_response import to_functions_response
from azure_function_app.problem_details import problem_of
from shared.settings_reader import SettingsError


def build_health(services: ServicesPerLoop) -> func.Blueprint:
    """Return the blueprint with the one function `health`."""
    blueprint = func.Blueprint()

    @blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def health(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:  # noqa: ARG001 - the host hands it over
        """Say how the app is set up and how it last synced."""
        with services.tracer.serving(context.invocation_id, trace_headers(context)):
            try:
                report = (await services.get()).health
            except SettingsError as error:
                response = problem_of(error).response(context.invocation_id)
            else:
                response = await report.answer(context.invocation_id)
            return to_functions_response(response)

    return blueprint
