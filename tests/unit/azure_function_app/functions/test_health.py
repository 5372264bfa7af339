"""The health function, called with the worker's own request and context."""

import json
from pathlib import Path

from azure_function_app import __version__
from tests.support.functions_app import context, http_request, services_per_loop, user_function


async def test_when_health_is_asked_for_then_the_app_says_how_it_is(tmp_path: Path) -> None:
    """Version, kinds and last run, as JSON."""
    services = services_per_loop(SQLITE_PATH=str(tmp_path / "records.sqlite3"))

    response = await user_function(services, "health")(http_request(), context())

    document = json.loads(response.get_body())
    assert (200, "application/json") == (response.status_code, response.headers["Content-Type"])
    assert ("ok", __version__, "managed_identity", "sqlite", None) == tuple(
        document[name] for name in ("status", "version", "credential", "record_store", "last_sync")
    )


async def test_when_the_settings_are_wrong_then_health_says_so() -> None:
    """A health check is what finds a wrong deployment first."""
    services = services_per_loop(AWS_API_BASE_URL="ftp://private")

    response = await user_function(services, "health")(http_request(), context())

    assert (500, "settings_invalid") == (
        response.status_code,
        json.loads(response.get_body())["code"],
    )
    assert b"private" not in response.get_body()


async def test_when_there_are_secrets_then_health_knows_none(tmp_path: Path) -> None:
    """Whoever asks learns kinds, never a value."""
    services = services_per_loop(
        SQLITE_PATH=str(tmp_path / "records.sqlite3"),
        CREDENTIAL="client_secret",
        AZURE_CLIENT_ID="bbbbbbbb-0000-4000-8000-000000000001",
        AZURE_CLIENT_SECRET="hunter2-hunter2",
    )

    response = await user_function(services, "health")(http_request(), context())

    body = response.get_body().decode()
    assert "client_secret" == json.loads(body)["credential"]
    assert not [
        private
        for private in ("hunter2", "bbbbbbbb", "aaaaaaaa", "11111111", "127.0.0.1", str(tmp_path))
        if private in body
    ]
