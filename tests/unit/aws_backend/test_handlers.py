"""The three Lambda entries, from event to answer, as far as they go without a socket."""

import importlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.proxy_event import proxy_event

type Handler = Callable[[dict[str, Any], object], dict[str, Any]]
type Load = Callable[[str], Handler]

DISCOVERY = "/.well-known/oauth-protected-resource"
CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports an entry anew, as a Lambda starts; the log's configuration is put back afterwards."""
    root, backend = logging.getLogger(), logging.getLogger("aws_backend")
    levels = root.level, backend.level
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "eu-west-1")

    def load_entry(name: str) -> Handler:
        monkeypatch.delitem(sys.modules, f"aws_backend.handlers.{name}", raising=False)
        with monkeypatch.context() as patch:
            # What an entry does to the handlers as it starts must not reach pytest's own.
            patch.setattr(root, "handlers", [logging.NullHandler()])
            handler: Handler = importlib.import_module(f"aws_backend.handlers.{name}").handler
        return handler

    yield load_entry
    root.setLevel(levels[0])
    backend.setLevel(levels[1])


def test_when_health_is_asked_for_then_it_is_ok(load: Load) -> None:
    """Gateway and Lambda run, without any setting."""
    answer = load("health")(proxy_event("GET", "/health", authorizer=None), None)

    assert (200, {"status": "ok"}) == (answer["statusCode"], json.loads(answer["body"]))
    assert "no-store" == answer["headers"]["Cache-Control"]


def test_when_metadata_is_asked_for_then_it_follows_the_settings(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry reads the environment once it is called."""
    monkeypatch.setenv("ENTRA_TENANT_ID", "11111111-1111-4111-8111-111111111111")
    monkeypatch.setenv("API_CLIENT_ID", "22222222-2222-4222-8222-222222222222")
    monkeypatch.setenv("API_APP_ID_URI", "api://records")
    monkeypatch.setenv("PUBLIC_URL", "https://api.example.com")

    answer = load("discovery")(proxy_event("GET", DISCOVERY, authorizer=None), None)

    assert "https://api.example.com" == json.loads(answer["body"])["resource"]


@pytest.mark.parametrize(("entry", "path"), [("records", "/v1/records"), ("discovery", DISCOVERY)])
def test_when_settings_are_missing_then_each_call_is_refused_until_they_are_there(
    load: Load, monkeypatch: pytest.MonkeyPatch, entry: str, path: str
) -> None:
    """A wrong start is not kept, and nothing runs half-configured."""
    for name in ("RECORDS_TABLE", "ENTRA_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    handler = load(entry)

    for _ in range(2):
        assert 500 == handler(proxy_event("GET", path), None)["statusCode"]


def test_when_the_records_entry_is_called_then_it_serves_the_records_routes(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ID that is refused shows that the API was built, without a call to DynamoDB."""
    monkeypatch.setenv("RECORDS_TABLE", "records")
    event = proxy_event("GET", "/v1/records/{id}", record_id="a b")

    answer = load("records")(event, None)

    assert "id_invalid" == json.loads(answer["body"])["code"]


@pytest.mark.parametrize("entry", ["health", "discovery"])
def test_when_an_entry_needs_no_third_party_then_it_starts_without(entry: str) -> None:
    """The bundles of these two hold the standard library and our own code."""
    program = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); import aws_backend.handlers.{entry}; "
        "print([m for m in sys.modules if m.split('.')[0] in ('boto3', 'botocore')])"
    )

    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )

    assert "[]" == result.stdout.strip()
