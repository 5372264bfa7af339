"""The app as the host indexes it."""

import importlib
import json
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from azure_function_app import __version__
from azure_function_app.app import build_app
from tests.support.functions_app import services_per_loop

CHECKOUT = Path(__file__).parents[3]


def triggers(app: func.FunctionApp) -> dict[str, dict[str, Any]]:
    """The trigger binding of every function, as the host gets it."""
    return {
        str(function.get_function_name()): json.loads(function.get_raw_bindings()[0])
        for function in app.get_functions()
    }


def test_when_the_app_is_indexed_then_it_has_these_four_functions() -> None:
    """Names, routes, methods and levels are an interface: the demo, Bicep and callers use them."""
    assert {
        "sync_timer": {
            "type": "timerTrigger",
            "direction": "IN",
            "name": "timer",
            "schedule": "%SYNC_SCHEDULE%",
        },
        "http_proxy": {
            "type": "httpTrigger",
            "direction": "IN",
            "name": "req",
            "methods": ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
            "authLevel": "FUNCTION",
            "route": "aws/{*path}",
        },
        "health": {
            "type": "httpTrigger",
            "direction": "IN",
            "name": "req",
            "methods": ["GET"],
            "authLevel": "ANONYMOUS",
            "route": "health",
        },
        "doctor": {
            "type": "httpTrigger",
            "direction": "IN",
            "name": "req",
            "methods": ["GET"],
            "authLevel": "ADMIN",
            "route": "doctor",
        },
    } == triggers(build_app(services_per_loop()))


def test_when_the_sync_fans_out_then_the_app_has_a_queue() -> None:
    """The timer and the shards' function send to it, and what is given up has one of its own."""
    app = build_app(services_per_loop(SYNC_FAN_OUT="true"))
    bindings = {
        str(function.get_function_name()): [
            json.loads(binding) for binding in function.get_raw_bindings()
        ]
        for function in app.get_functions()
    }
    queue = {"queueName": "sync-shards", "connection": "AzureWebJobsStorage"}
    sends = {"type": "queue", "direction": "OUT", "name": "following"} | queue
    starts = {"type": "queueTrigger", "direction": "IN", "name": "message"}

    assert {
        "sync_timer",
        "sync_shard",
        "sync_shards_poison",
        "http_proxy",
        "health",
        "doctor",
    } == set(bindings)
    assert sends in bindings["sync_timer"]
    assert sends in bindings["sync_shard"]
    assert starts | queue in bindings["sync_shard"]
    assert [starts | queue | {"queueName": "sync-shards-poison"}] == bindings["sync_shards_poison"]


@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ({"PROXY_AUTHENTICATION": "easy_auth", "WEBSITE_AUTH_ENABLED": "True"}, "ANONYMOUS"),
        ({"PROXY_AUTHENTICATION": "easy_auth"}, "FUNCTION"),
        ({"SYNC_PAGE_SIZE": "0"}, "FUNCTION"),
    ],
)
def test_when_settings_are_wrong_then_the_proxy_is_not_opened(
    environment: dict[str, str], level: str
) -> None:
    """Only a valid choice of App Service authentication takes the key away."""
    app = build_app(services_per_loop(**environment))

    assert level == triggers(app)["http_proxy"]["authLevel"]


def test_when_the_entry_file_is_loaded_then_it_holds_the_one_app() -> None:
    """The worker takes the one FunctionApp that it finds in function_app.py."""
    entry = importlib.import_module("function_app")

    apps = [value for value in vars(entry).values() if isinstance(value, func.FunctionApp)]

    assert 1 == len(apps)
    assert {"sync_timer", "http_proxy", "health", "doctor"} == triggers(apps[0]).keys()


def test_when_the_version_moves_then_it_moves_in_both_places() -> None:
    """The deployed app is no installed package, so it carries its version itself."""
    project = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")

    assert f'version = "{__version__}"' in project
