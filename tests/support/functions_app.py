"""The app's functions, called as the worker calls them."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import azure.functions as func

from azure_function_app.app import build_app
from azure_function_app.bootstrap import ApiClients, ServicesPerLoop
from azure_function_app.settings import load_settings
from shared.clock import SystemClock

if TYPE_CHECKING:
    from azure_function_app.aws_api.client import ApiClient

NEEDED = {
    "AWS_API_BASE_URL": "http://127.0.0.1:9/local",
    "ENTRA_TENANT_ID": "11111111-2222-4333-8444-555555555555",
    "API_CLIENT_ID": "aaaaaaaa-0000-4000-8000-000000000001",
    "API_APP_ID_URI": "api://bridge",
}


def services_per_loop(**environment: str) -> ServicesPerLoop:
    """The services of an app with these settings."""
    return ServicesPerLoop(lambda: load_settings(NEEDED | environment), SystemClock())


def both_clients(stand_in: object) -> ApiClients:
    """The API's clients, with the same stand-in for the proxy's and for the sync job's."""
    client = cast("ApiClient", stand_in)
    return ApiClients(client, client)


class TraceContext:
    """The trace that the host hands over."""

    def __init__(self, trace_parent: str = "", trace_state: str = "") -> None:
        """Take what a test wants the function to see."""
        self.trace_parent = trace_parent
        self.trace_state = trace_state
        self.attributes: dict[str, str] = {}


class Context(func.Context):
    """An invocation's context, with the members that the worker sets."""

    def __init__(self, trace: TraceContext) -> None:
        """Take the trace."""
        self._trace = trace

    @property
    def invocation_id(self) -> str:
        return "invocation-1"

    @property
    def function_name(self) -> str:
        return "function"

    @property
    def function_directory(self) -> str:
        return "/"

    @property
    def trace_context(self) -> Any:
        return self._trace

    @property
    def retry_context(self) -> Any:
        return None

    @property
    def thread_local_storage(self) -> Any:
        return None


def context(trace_parent: str = "", trace_state: str = "") -> func.Context:
    """A context of an invocation in that trace."""
    return Context(TraceContext(trace_parent, trace_state))


def user_function(services: ServicesPerLoop, name: str) -> Callable[..., Awaitable[Any]]:
    """The function of that name, as it was written."""
    (found,) = (
        builder.get_user_function()
        for builder in build_app(services).get_functions()
        if builder.get_function_name() == name
    )
    function: Callable[..., Awaitable[Any]] = found
    return function


def http_request(
    method: str = "GET",
    url: str = "http://localhost:7071/api/aws/v1/records",
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> func.HttpRequest:
    """A request as the worker builds it."""
    return func.HttpRequest(method, url, headers=headers or {}, body=body)
