"""The whole bridge: Function App, Entra ID, gateway, authorizer, backend, each a real process."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from azure_function_app.sync.checkpoint_store import SyncStatus
from bridge_cli.authorizer_log import AuthorizerLog
from bridge_cli.local_client import LocalClient
from bridge_cli.refusals import GATEWAY, NOT_READABLE, REFUSAL_CASES, RefusalCase, try_to_get_in
from bridge_cli.sink_view import SinkView
from bridge_cli.sync_run import SyncFailedError, opened_store, sync_to_end
from emulator.entra.directory import Application
from emulator.stack import LocalStack
from emulator.tenant import LocalCredentialKind
from shared.clock import SystemClock
from tests.support.local_stack import RECORD_COUNT, another_function_app, running_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

KNOWN = "/v1/records/00AA"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """One stack for all tests of this module."""
    async with running_stack(tmp_path_factory.mktemp("bridge")) as stack:
        yield stack


def _authorizer_log(stack: LocalStack) -> AuthorizerLog:
    return AuthorizerLog(stack.log_folder / "lambda.log")


def _settings_for(stack: LocalStack, credential: LocalCredentialKind) -> dict[str, str]:
    return {"CREDENTIAL": credential.value, **stack.tenant.settings_by_credential[credential]}


@pytest.mark.parametrize("credential", LocalCredentialKind)
async def test_when_a_credential_is_named_then_it_carries_a_call_and_a_sync_to_the_end(
    stack: LocalStack, credential: LocalCredentialKind
) -> None:
    """Every credential kind goes through the whole chain: Entra, gateway, authorizer, backend."""
    settings = _settings_for(stack, credential)
    async with (
        another_function_app(stack, credential.value, settings) as app,
        LocalClient.to(stack, app.url) as client,
        opened_store(stack.folder / f"{credential.value}.sqlite3") as store,
    ):
        answer = await client.call_function("GET", f"/aws{KNOWN}")
        report = await sync_to_end(client, store, SystemClock(), lambda: None)

    assert 200 == answer.status_code
    assert "00AA" == answer.json()["id"]
    assert SyncStatus.COMPLETE is report.status
    assert RECORD_COUNT <= SinkView(stack.folder / f"{credential.value}.sqlite3").count()


@pytest.mark.parametrize("case", REFUSAL_CASES, ids=lambda case: case.name)
async def test_when_one_thing_is_wrong_then_the_gateway_refuses(
    stack: LocalStack, case: RefusalCase
) -> None:
    """Each bad call gets its own right status, for its own right reason."""
    async with LocalClient.to(stack) as client:
        refusal = await try_to_get_in(case, stack, client, _authorizer_log(stack))

    assert [] == refusal.problems
    assert case.expected_reason == refusal.reason


@pytest.mark.parametrize(
    ("name", "expected", "seen"),
    [
        ("no_token", "no_token", GATEWAY),
        ("bad_signature", GATEWAY, "bad_signature"),
        ("expired", "wrong_audience", "expired"),
    ],
)
async def test_when_a_case_is_refused_for_another_reason_then_the_demo_sees_it(
    stack: LocalStack, name: str, expected: str, seen: str
) -> None:
    """Who was not asked has no reason, and who was asked cannot pass for the gateway."""
    (case,) = (case for case in REFUSAL_CASES if case.name == name)
    lying = replace(case, expected_reason=expected)
    async with LocalClient.to(stack) as client:
        refusal = await try_to_get_in(lying, stack, client, _authorizer_log(stack))

    assert [f"{name} has the reason {seen} instead of {expected}"] == refusal.problems


async def test_when_the_log_says_nothing_then_no_reason_is_proved(
    stack: LocalStack, tmp_path: Path
) -> None:
    """A silent log does not show that the authorizer was not asked."""
    (tmp_path / "lambda.log").touch()
    async with LocalClient.to(stack) as client:
        silent = AuthorizerLog(tmp_path / "lambda.log")
        refusal = await try_to_get_in(REFUSAL_CASES[0], stack, client, silent)

    assert [f"no_token has the reason {NOT_READABLE} instead of {GATEWAY}"] == refusal.problems


async def test_when_a_reader_writes_then_it_is_denied(stack: LocalStack) -> None:
    """A token whose role may only read gets 403 for a PUT, also from the gateway's cache."""
    async with LocalClient.to(stack) as client:
        token = await client.token_for(stack.tenant.service_principal)
        reading = await client.call_api("GET", KNOWN, token=token)
        writing = await client.call_api("PUT", KNOWN, token=token, json={})

    assert (200, 403) == (reading.status_code, writing.status_code)


async def test_when_our_token_may_only_read_then_the_proxy_says_what_a_write_needs(
    stack: LocalStack,
) -> None:
    """Also where the gateway's cache decides, so that the authorizer hears nothing of it."""
    async with LocalClient.to(stack) as client:
        reading = await client.call_function("GET", f"/aws{KNOWN}")
        decided = _decisions(stack)
        answers = [
            await client.call_function("DELETE", f"/aws{KNOWN}"),
            await client.call_function("PUT", f"/aws{KNOWN}", content=b"{}"),
        ]

    assert 200 == reading.status_code
    assert 0 < decided == _decisions(stack)
    for method, answer in zip(("DELETE", "PUT"), answers, strict=True):
        line = _refused(stack, "function-app", answer.json()["request_id"])
        assert (502, "backend_refused_token") == (answer.status_code, answer.json()["code"])
        assert (
            f"for {method} /v1/records/{{id}}, which needs the app role Records.Write;"
            in answer.json()["detail"]
        )
        assert ("policy", "Records.Write", False, ["Records.Read"]) == (
            line["refused_by"],
            line["needed_role"],
            line["token_has_role"],
            line["token_roles"],
        )
        assert line["aws_request_id"]


async def test_when_our_app_has_no_role_then_proxy_and_sync_name_the_one_that_reading_needs(
    stack: LocalStack,
) -> None:
    """The authorizer denies everything then; what each route needs is known on our side."""
    caller = stack.tenant.without_role
    async with (
        another_function_app(stack, "without-role", _secret_settings(caller)) as app,
        LocalClient.to(stack, app.url) as client,
        opened_store(stack.folder / "without-role.sqlite3") as store,
    ):
        answer = await client.call_function("HEAD", f"/aws{KNOWN}")
        body = await client.call_function("GET", f"/aws{KNOWN}")
        with pytest.raises(SyncFailedError, match="access_denied"):
            await sync_to_end(client, store, SystemClock(), lambda: None)

    line = _logged(stack, "without-role", "token_refused")[-1]
    assert 502 == answer.status_code
    assert "needs the app role Records.Read;" in body.json()["detail"]
    assert ("policy", "GET /v1/records", "Records.Read", False) == (
        line["refused_by"],
        line["route"],
        line["needed_role"],
        line["token_has_role"],
    )


async def test_when_our_app_has_the_role_but_is_not_listed_then_no_role_is_asked_for(
    stack: LocalStack,
) -> None:
    """To assign the role would change nothing; the log names the list."""
    caller = stack.tenant.unknown_client
    async with (
        another_function_app(stack, "unlisted", _secret_settings(caller)) as app,
        LocalClient.to(stack, app.url) as client,
    ):
        answer = await client.call_function("GET", f"/aws{KNOWN}")

    line = _refused(stack, "unlisted", answer.json()["request_id"])
    assert 502 == answer.status_code
    assert "assign" not in answer.json()["detail"]
    assert ("policy", True) == (line["refused_by"], line["token_has_role"])
    assert "ALLOWED_CLIENT_IDS" in line["advice"]


def _secret_settings(caller: Application) -> dict[str, str]:
    return {
        "CREDENTIAL": LocalCredentialKind.CLIENT_SECRET.value,
        "AZURE_CLIENT_ID": caller.client_id,
        "AZURE_CLIENT_SECRET": caller.secrets[0],
    }


def _decisions(stack: LocalStack) -> int:
    return (stack.log_folder / "lambda.log").read_text().count('"reason"')


def _logged(stack: LocalStack, name: str, event: str) -> list[dict[str, Any]]:
    log = (stack.log_folder / f"{name}.log").read_text()
    # The host may write something of its own in front of a line.
    lines = [line[line.find("{") :] for line in log.splitlines() if f'"{event}"' in line]
    return [json.loads(line) for line in lines]


def _refused(stack: LocalStack, name: str, request_id: str) -> dict[str, Any]:
    (line,) = (
        line for line in _logged(stack, name, "proxy_failed") if line["request_id"] == request_id
    )
    return line


async def test_when_the_signing_key_is_rotated_then_the_next_call_succeeds(
    stack: LocalStack,
) -> None:
    """A token of a key that the authorizer has never seen is accepted at once."""
    stack.entra.rotate_signing_key()
    async with LocalClient.to(stack) as client:
        token = await client.token_for(stack.tenant.service_principal)
        answer = await client.call_api("GET", KNOWN, token=token)

    assert 200 == answer.status_code


async def test_when_the_function_app_is_started_then_it_answers_health(stack: LocalStack) -> None:
    """Health says which credential and store are in use."""
    async with LocalClient.to(stack) as client:
        answer = await client.call_function("GET", "/health")

    assert 200 == answer.status_code
    assert "managed_identity" in answer.text


async def test_when_settings_are_bad_then_every_problem_is_named_at_once(
    stack: LocalStack,
) -> None:
    """A half-configured app refuses every call, and its log names each setting, but no value."""
    wrong = {"ENTRA_TENANT_ID": "not-a-guid", "AWS_API_BASE_URL": "", "RECORD_STORE": "paper"}
    async with (
        another_function_app(stack, "misconfigured", wrong) as app,
        LocalClient.to(stack, app.url) as client,
    ):
        answer = await client.call_function("GET", f"/aws{KNOWN}")

    log = (stack.log_folder / "misconfigured.log").read_text()
    assert 500 == answer.status_code
    assert "settings_invalid" == answer.json()["code"]
    assert all(name in log for name in wrong)


async def test_when_v1_tokens_are_issued_then_both_sides_take_them(tmp_path: Path) -> None:
    """An API whose registration issues v1.0 tokens works when both sides accept that version."""
    async with (
        running_stack(tmp_path, token_version=1, record_limit=1) as v1_stack,
        LocalClient.to(v1_stack) as client,
    ):
        answer = await client.call_function("GET", f"/aws{KNOWN}")
        token = await client.token_for(replace(v1_stack.tenant.unknown_client))
        refused = await client.call_api("GET", KNOWN, token=token)

    assert (200, 403) == (answer.status_code, refused.status_code)
