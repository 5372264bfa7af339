"""No token and no secret comes out: marked ones go in on every path, and all output is read."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from bridge_cli.local_client import LocalClient
from bridge_cli.refusals import REFUSAL_CASES
from bridge_cli.sync_run import SyncFailedError, opened_store, sync_to_end
from emulator.stack import LocalStack
from emulator.tenant import LocalCredentialKind
from shared.clock import SystemClock
from tests.support.local_stack import another_function_app, running_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

KNOWN = "/v1/records/00AA"
FUNCTION_KEY = "marked-function-key-4d1f0c7e9a"
COOKIE = "marked-cookie-93b1c5a7d2"
WRONG_SECRET = "marked-wrong-secret-7716f0a4"
SHORTEST_MARK = 12


@dataclass
class Output:
    """Everything that was put in and may not come out, and everything that came out."""

    marks: set[str] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)

    def keep(self, answer: httpx.Response) -> None:
        """Remember an answer as its caller sees it."""
        self.answers.append(f"{answer.status_code} {answer.headers} {answer.text}")

    def mark_token(self, token: str) -> None:
        """Each part of a token counts: whoever has the payload knows the caller's claims."""
        self.marks |= {part for part in token.split(".") if len(part) > SHORTEST_MARK}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """A stack whose Function App holds a client secret."""
    folder = tmp_path_factory.mktemp("leaks")
    async with running_stack(
        folder, credential=LocalCredentialKind.CLIENT_SECRET, record_limit=5
    ) as stack:
        yield stack


def _record_tokens(stack: LocalStack, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = stack.entra.issuer
    sign = issuer.sign

    def recording(claims: Mapping[str, object], **bent: object) -> str:
        token = sign(claims, **bent)  # type: ignore[arg-type]  # handed through as it came
        output.mark_token(token)
        return token

    monkeypatch.setattr(issuer, "sign", recording)


async def _call_everything(stack: LocalStack, client: LocalClient, output: Output) -> None:
    caller_token = await client.token_for(stack.tenant.editor)
    marked = {
        "Authorization": f"Bearer {caller_token}",
        "Cookie": f"session={COOKIE}",
        "x-functions-key": FUNCTION_KEY,
    }
    for method, path, content in (
        ("GET", f"/aws{KNOWN}", None),
        ("PUT", f"/aws{KNOWN}", b"{}"),
        ("GET", "/aws/v1/nowhere", None),
        ("GET", "/aws/v1/%2e%2e/admin", None),
        ("GET", f"/aws{KNOWN}?code={FUNCTION_KEY}", None),
        ("TRACE", f"/aws{KNOWN}", None),
        ("GET", "/health", None),
    ):
        output.keep(await client.call_function(method, path, content=content, headers=marked))
    for method, path, body in (
        ("PUT", KNOWN, {"name": "changed"}),
        ("PUT", KNOWN, "no object"),
        ("DELETE", KNOWN, None),
        ("GET", "/v1/records?cursor=bad", None),
        ("GET", "/health", None),
        ("GET", "/.well-known/oauth-protected-resource", None),
    ):
        output.keep(await client.call_api(method, path, token=caller_token, json=body))
    for case in REFUSAL_CASES:
        token = await case.token(stack, client)
        if token is not None:
            output.mark_token(token)
        output.keep(await client.call_api("GET", "/v1/records", token=token))
        # The same token where no scheme, and where a second token, is expected.
        for header in (f"{token}", f"Bearer {token}, Bearer {token}", f"Basic {token}"):
            headers = {"Authorization": header}
            output.keep(await client.call_api("GET", KNOWN, token=None, headers=headers))


async def _sync(client: LocalClient, path: Path) -> None:
    async with opened_store(path) as store:
        await sync_to_end(client, store, SystemClock(), lambda: None)


async def test_when_marked_tokens_go_through_every_path_then_no_output_holds_one(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs, stores, answers and terminals are free of tokens, secrets, keys and cookies."""
    output = Output(marks={FUNCTION_KEY, COOKIE, WRONG_SECRET, stack.entra.identity_header})
    output.marks |= {
        secret for app in stack.tenant.directory.applications for secret in app.secrets
    }
    _record_tokens(stack, output, monkeypatch)

    async with LocalClient.to(stack) as client:
        await _call_everything(stack, client, output)
        await _sync(client, stack.sqlite_path)
    failing = {
        "wrong-secret": {"AZURE_CLIENT_SECRET": WRONG_SECRET},
        "wrong-settings": {"AZURE_CLIENT_SECRET": WRONG_SECRET, "CREDENTIAL": WRONG_SECRET},
        "nobody-there": {"AWS_API_BASE_URL": "http://127.0.0.1:1/local"},
        "no-entra": {"AZURE_AUTHORITY_HOST": "https://127.0.0.1:1"},
    }
    for name, settings in failing.items():
        async with (
            another_function_app(stack, name, settings) as app,
            LocalClient.to(stack, app.url) as client,
        ):
            answer = await client.call_function("GET", f"/aws{KNOWN}")
            output.keep(answer)
            assert httpx.codes.is_server_error(answer.status_code)
            # The second settings are no settings, so that app has no store to report to.
            if name != "wrong-settings":
                with pytest.raises(SyncFailedError):
                    await _sync(client, stack.folder / f"{name}.sqlite3")

    files = await asyncio.to_thread(_read_files, stack)
    terminal = capfd.readouterr()
    texts = files | {"stdout": terminal.out, "stderr": terminal.err}
    texts |= {f"answer {number}": text for number, text in enumerate(output.answers)}
    leaks = {
        f"{name} holds {mark[:SHORTEST_MARK]}..."
        for name, text in texts.items()
        for mark in output.marks
        if mark in text
    }
    assert {"access.log", "function-app.log", "lambda.log", "ministack.log"} <= files.keys()
    assert len(output.marks) > len(REFUSAL_CASES)
    assert set() == leaks


def _read_files(stack: LocalStack) -> dict[str, str]:
    """Every file that the stack wrote, by name, but for the credentials that it was given."""
    given = {stack.folder / "entra", stack.log_folder / "tmp"}
    return {
        path.name: path.read_bytes().decode(errors="replace")
        for path in stack.folder.rglob("*")
        if path.is_file() and given.isdisjoint(path.parents)
    }
