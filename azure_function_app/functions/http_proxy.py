"""The HTTP function that passes requests on to the API in AWS."""

import logging
from typing import Final

import azure.functions as func

from azure_function_app.bootstrap import ServicesPerLoop
from azure_function_app.functions.invocation import trace_headers
from azure_function_app.http_response import HttpResponse, to_functions_response
from azure_function_app.problem_details import problem_of
from azure_function_app.proxy.header_fields import answer_invalid
from azure_function_app.proxy.proxy import CallerRequest
from shared.log import log_fields
from shared.settings_reader import SettingsError

_logger = logging.getLogger(__name__)

# More than the API has, so that ours is the response that says which ones it has.
_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def build_http_proxy(services: ServicesPerLoop) -> func.Blueprint:
    """Return the blueprint with the one function `http_proxy`."""
    blueprint = func.Blueprint()
    auth_level = (
        func.AuthLevel.ANONYMOUS if services.proxy_needs_sign_in else func.AuthLevel.FUNCTION
    )

    @blueprint.route(route="aws/{*path}", methods=list(_METHODS), auth_level=auth_level)
    async def http_proxy(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        """Pass the request on to the API and its response back."""
        with services.tracer.serving(context.invocation_id, trace_headers(context)):
            try:
                response = await _answer(services, req, context)
            except Exception as error:
                if not isinstance(error, SettingsError):
                    _logger.exception("proxy_failed")
                response = problem_of(error).response(context.invocation_id)
            try:
                return to_functions_response(response)
            except Exception:
                # Else the caller has an empty 500, and no ID under which to ask for more.
                request_id = dict(response.headers).get("X-Request-Id", context.invocation_id)
                with log_fields(request_id=request_id):
                    _logger.exception("proxy_failed")
                lost = problem_of(answer_invalid("with what Azure Functions cannot send"))
                return to_functions_response(lost.response(request_id))

    return blueprint


async def _answer(
    services: ServicesPerLoop, req: func.HttpRequest, context: func.Context
) -> HttpResponse:
    proxy = (await services.get()).proxy
    trace = trace_headers(context)
    return await proxy.answer(
        CallerRequest(
            method=req.method,
            url=req.url,
            headers=req.headers,
            body=req.get_body(),
            invocation_id=context.invocation_id,
            trace_parent=trace.parent,
            trace_state=trace.state,
        )
    )
