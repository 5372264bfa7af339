"""Who gets what through the proxy, in the host that it ships for.

The tests play App Service: they put on a request what its sign-in would put there.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.test_proxy import RunningApp, running_app
from tests.support.easy_auth import IDENTITY, OBJECT_ID, SCHEMA, encode, principal, signed_in

RECORD = "/api/aws/v1/records/a"
GUEST = [*IDENTITY, (f"{SCHEMA}identityprovider", "live.com")]
FOREIGNER = [
    (name, "99999999-2222-4333-8444-555555555555" if name.endswith("tenantid") else value)
    for name, value in IDENTITY
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    """An app whose callers App Service signs in, and which forwards everything."""
    async with running_app(
        tmp_path_factory.mktemp("app"),
        PROXY_AUTHENTICATION="easy_auth",
        WEBSITE_AUTH_ENABLED="True",
        PROXY_FORWARDS="read_and_write",
        PROXY_CALLER_ROLES="Viewer=Records.Read,Editor=Records.Read+Records.Write",
    ) as running:
        yield running


async def outcome(app: RunningApp, method: str, headers: dict[str, str]) -> tuple[int, str | None]:
    """Status, and the code of a refusal, for which nothing was sent."""
    before = len(app.api.requests)
    body = b"{}" if method == "PUT" else None
    status, _, answered = await asyncio.to_thread(
        app.call, method, RECORD, body=body, headers=headers
    )
    if len(app.api.requests) > before:
        return status, None
    document = json.loads(answered)
    assert document["request_id"]
    return status, document["code"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("headers", "reading", "writing"),
    [
        ({}, (401, "request_caller_unknown"), (401, "request_caller_unknown")),
        (
            {"x-ms-client-principal-id": OBJECT_ID, "x-ms-client-principal-name": "ann"},
            (401, "request_caller_unknown"),
            (401, "request_caller_unknown"),
        ),
        (
            {"x-ms-client-principal": encode(principal(IDENTITY, auth_typ="google"))},
            (401, "request_caller_unknown"),
            (401, "request_caller_unknown"),
        ),
        (
            signed_in("Editor", claims=FOREIGNER),
            (401, "request_caller_unknown"),
            (401, "request_caller_unknown"),
        ),
        (
            signed_in("Editor", claims=GUEST),
            (403, "request_caller_forbidden"),
            (403, "request_caller_forbidden"),
        ),
        (
            signed_in("Records.Write"),
            (403, "request_caller_forbidden"),
            (403, "request_caller_forbidden"),
        ),
        (signed_in("Viewer"), (200, None), (403, "request_caller_forbidden")),
        (signed_in("Editor"), (200, None), (200, None)),
    ],
)
async def test_when_callers_sign_in_then_each_does_what_its_roles_lend(
    app: RunningApp,
    headers: dict[str, str],
    reading: tuple[int, str | None],
    writing: tuple[int, str | None],
) -> None:
    """Strangers, other providers, other tenants, guests, members without and with a role."""
    assert reading == await outcome(app, "GET", headers)
    assert writing == await outcome(app, "PUT", headers)


@pytest.mark.asyncio(loop_scope="module")
async def test_when_calls_are_over_then_the_log_has_the_object_id_and_no_header(
    app: RunningApp,
) -> None:
    """Nor a name or an address."""
    headers = signed_in("Viewer")

    await outcome(app, "GET", headers)

    lines = app.host.log_file.read_text(encoding="utf-8")
    assert f'"caller": "{OBJECT_ID}", "caller_roles": ["Viewer"]' in lines
    assert headers["x-ms-client-principal"][:40] not in lines
    assert "ann@example.org" not in lines


@pytest.mark.parametrize(
    ("method", "answered"),
    [("GET", (200, None)), ("PUT", (403, "request_write_not_forwarded"))],
)
async def test_when_callers_have_a_key_then_by_default_they_only_read(
    tmp_path: Path, method: str, answered: tuple[int, str | None]
) -> None:
    """A key tells nobody's name, and what a caller says of itself with it is not believed."""
    async with running_app(tmp_path) as keyed:
        assert answered == await outcome(keyed, method, signed_in("Editor"))
