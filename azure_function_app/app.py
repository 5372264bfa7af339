"""The one FunctionApp: every function of this project."""

from collections.abc import Callable, Mapping

import azure.functions as func

from azure_function_app.bootstrap import (
    ServicesPerLoop,
    build_services_per_loop,
    configure_logging,
    share_the_processor,
)
from azure_function_app.functions.doctor import build_doctor
from azure_function_app.functions.health import build_health
from azure_function_app.functions.http_proxy import build_http_proxy
from azure_function_app.functions.sync_shards import build_sync_shards
from azure_function_app.functions.sync_timer import build_sync_timer
from azure_function_app.settings import process_environment
from shared.clock import SystemClock


def build_app(
    services: ServicesPerLoop,
    read_environment: Callable[[], Mapping[str, str]] = process_environment,
) -> func.FunctionApp:
    """Return a function app whose functions use these services.

    The doctor reads the environment for itself, because it works where no services can be built.
    """
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    app.register_functions(build_sync_timer(services))
    if services.fans_out:
        # Otherwise every instance would go on asking a queue that is always empty.
        app.register_functions(build_sync_shards(services))
    app.register_functions(build_http_proxy(services))
    app.register_functions(build_health(services))
    app.register_functions(build_doctor(read_environment, SystemClock()))
    return app


configure_logging()
share_the_processor()
services = build_services_per_loop()
app = build_app(services)
