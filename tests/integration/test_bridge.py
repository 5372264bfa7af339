"""The whole bridge: Function App, Entra ID, gateway, authorizer, backend, each a real process."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from azure_function_app.checkpoint_store import SyncStatus
from bridge_cli.authorizer_log import AuthorizerLog
from bridge_cli.local_client import LocalClient
from bridge_cli.refusals import GATEWAY, NOT_READABLE, REFUSAL_CASES, RefusalCase, try_to_get_in
from bridge_cli.sink_view import SinkView
from bridge_cli.sync_run import opened_store, sync_to_end
from emulator.stack import LocalStack
from emulator.tenant import Credential
from shared.clock import SystemClock
from tests.support.local_stack import RECORD_COUNT, running_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

KNOWN = "/v1/records/00AA"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """One stack for all tests of this module."""
    async with running_stack(tmp_path_factory.mktemp("bridge")) as stack:
        yield stack


def _authorizer_log(stack: LocalStack) -> AuthorizerLog:
    return AuthorizerLog(stack.log_folder / "lambda.log")


def _settings_for(stack: LocalStack, credential: Credential) -> dict[str, str]:
    return {"CREDENTIAL": credential.value, **stack.tenant.settings_by_credential[credential]}


@pytest.mark.parametrize("credential", Credential)
async def test_when_a_credential_is_named_then_it_carries_a_call_and_a_sync_to_the_end(
    stack: LocalStack, credential: Credential
) -> None:
    """Every credential kind goes through the whole chain: Entra, gateway, authorizer, backend."""
    settings = _settings_for(stack, credential)
    async with (
        stack.another_function_app(credential.value, settings) as app,
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
        stack.another_function_app("misconfigured", wrong) as app,
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
