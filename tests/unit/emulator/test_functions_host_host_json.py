"""host.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.host_json import HostJson, QueueOptions, load_host_json


def load(folder: Path, document: Any) -> HostJson:
    """What the host reads from the document."""
    (folder / "host.json").write_text(json.dumps(document))
    return load_host_json(folder)


def test_when_nothing_is_said_then_the_defaults_hold(tmp_path: Path) -> None:
    """The prefix is api and an invocation may take half an hour."""
    assert HostJson("api", 1800.0, None, {}, None, None) == load(tmp_path, {"version": "2.0"})


def test_when_everything_is_said_then_it_is_read(tmp_path: Path) -> None:
    """Every member that this host obeys."""
    http = {
        "routePrefix": "",
        "customHeaders": {"X-A": "1"},
        "maxOutstandingRequests": 20,
        "maxConcurrentRequests": 10,
    }
    document = {
        "version": "2.0",
        "functionTimeout": "1.00:00:01",
        "functions": ["OnlyThis"],
        "extensions": {"http": http},
    }

    expected = HostJson("", 86401.0, frozenset({"onlythis"}), {"X-A": "1"}, 20, 10)
    assert expected == load(tmp_path, document)


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:05:00", 300.0), ("23:59:59", 86399.0), ("-1", None)]
)
def test_when_a_timeout_is_given_then_it_is_in_seconds(
    tmp_path: Path, text: str, seconds: float | None
) -> None:
    """-1 is without end."""
    assert seconds == load(tmp_path, {"version": "2.0", "functionTimeout": text}).function_timeout


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "version"),
        ({}, "version"),
        ({"version": "1.0"}, "version"),
        ({"version": "2.0", "functionTimeout": "5m"}, "functionTimeout must look like"),
        ({"version": "2.0", "functionTimeout": 300}, "functionTimeout must look like"),
        ({"version": "2.0", "extensions": []}, "extensions must be an object"),
        ({"version": "2.0", "extensions": {"http": []}}, "http must be an object"),
        (
            {"version": "2.0", "extensions": {"http": {"maxConcurrentRequests": 0}}},
            "maxConcurrentRequests must be a positive number",
        ),
        (
            {"version": "2.0", "extensions": {"http": {"maxOutstandingRequests": "9"}}},
            "maxOutstandingRequests must be a positive number",
        ),
    ],
)
def test_when_the_file_is_wrong_then_the_message_names_the_member(
    tmp_path: Path, document: Any, reason: str
) -> None:
    """One sentence that says what to change."""
    with pytest.raises(FunctionsHostError, match=reason):
        load(tmp_path, document)


def test_when_the_file_is_missing_or_broken_then_the_message_says_so(tmp_path: Path) -> None:
    """A wrong folder, or a half-saved file."""
    with pytest.raises(FunctionsHostError, match="is missing"):
        load_host_json(tmp_path)
    (tmp_path / "host.json").write_text("{")
    with pytest.raises(FunctionsHostError, match="is not valid JSON"):
        load_host_json(tmp_path)


def test_when_nothing_is_said_of_queues_then_the_real_hosts_defaults_hold(tmp_path: Path) -> None:
    """Those for development: in Azure the longest pause between two looks is a minute."""
    assert QueueOptions(16, 8, 5, 0.0, 2.0, "base64") == load(tmp_path, {"version": "2.0"}).queues


def test_when_everything_is_said_of_queues_then_it_is_read(tmp_path: Path) -> None:
    """Fractions of a second too, and the encoding in any case."""
    queues = {
        "batchSize": 32,
        "newBatchThreshold": 0,
        "maxDequeueCount": 1,
        "visibilityTimeout": "00:00:30",
        "maxPollingInterval": "00:00:00.2500000",
        "messageEncoding": "None",
    }

    read = load(tmp_path, {"version": "2.0", "extensions": {"queues": queues}}).queues

    assert QueueOptions(32, 0, 1, 30.0, 0.25, "none") == read


@pytest.mark.parametrize(("batch_size", "threshold"), [(1, 0), (2, 1), (5, 2)])
def test_when_only_the_batch_size_is_said_then_the_threshold_is_half_of_it(
    tmp_path: Path, batch_size: int, threshold: int
) -> None:
    """So a batch size of one means one at a time."""
    document = {"version": "2.0", "extensions": {"queues": {"batchSize": batch_size}}}

    assert threshold == load(tmp_path, document).queues.new_batch_threshold


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batchSize", 0),
        ("batchSize", 33),
        ("batchSize", "16"),
        ("batchSize", True),
        ("newBatchThreshold", -1),
        ("maxDequeueCount", 0),
        ("visibilityTimeout", 30),
        ("visibilityTimeout", "30s"),
        ("maxPollingInterval", "00:00:00.0990000"),
        ("messageEncoding", "utf-8"),
    ],
)
def test_when_a_queue_option_is_wrong_then_the_message_names_it(
    tmp_path: Path, name: str, value: object
) -> None:
    """The real host does not start either."""
    with pytest.raises(FunctionsHostError, match=f"extensions.queues.{name} must"):
        load(tmp_path, {"version": "2.0", "extensions": {"queues": {name: value}}})
