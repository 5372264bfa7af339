"""No token and no secret comes out: marked ones go in on every path, and all output is read."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from bridge_cli.authorizer_settings import write_authorizer_settings
from bridge_cli.console.server import serve_console
from bridge_cli.local_client import LocalClient
from bridge_cli.refusals import REFUSAL_CASES
from bridge_cli.sync_run import SyncFailedError, opened_store, sync_to_end
from bridge_cli.up_page import places_of
from emulator.stack import LocalStack
from emulator.tenant import LocalCredentialKind
from shared.clock import SystemClock
from tests.support.local_stack import CHECKOUT, another_function_app, running_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

KNOWN = "/v1/records/00AA"
FUNCTION_KEY = "marked-function-key-4d1f0c7e9a"
COOKIE = "marked-cookie-93b1c5a7d2"
WRONG_SECRET = "marked-wrong-secret-7716f0a4"
PROXY_PASSWORD = "marked-proxy-password-0b9d22"
API_KEY = "markedApiKey0123456789abcdefghijklmnopqr"
PERSON = {
    "name": "Marked Person-4e1b77",
    "preferred_username": "marked.preferred-4e1b77@example.com",
    "upn": "marked.upn-4e1b77@example.com",
    "email": "marked.email-4e1b77@example.com",
    "unique_name": "marked.unique-4e1b77@example.com",
    "family_name": "Marked-Family-4e1b77",
    "given_name": "Marked-Given-4e1b77",
    "ipaddr": "203.0.113.177",
    "sub": "marked-subject-4e1b77",
}
OBJECT_ID = "4e1b7700-1111-4222-8333-444455556666"
"""Of the person: the audit line of a decision has it, and no command nor the console shows it."""
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


def _persons_token(stack: LocalStack) -> str:
    """A user's token, with roles too, and with what Entra ID can say about a person."""
    claims = stack.entra.issuer.claims_for(stack.tenant.service_principal)
    changed: dict[str, object] = {"scp": "access_as_user", "oid": OBJECT_ID, "idtyp": "user"}
    return stack.entra.issuer.sign(claims | PERSON | changed)


async def _bridge(output: Output, *arguments: str, typed: str = "") -> str:
    """What the command prints, standard error too, in a process as in a user's shell."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from bridge_cli.main import main; main()", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
    )
    out, err = await process.communicate(typed.encode())
    output.answers.append(f"{arguments[0][:SHORTEST_MARK]}: {out.decode()} {err.decode()}")
    return out.decode()


async def _explain_everything(stack: LocalStack, client: LocalClient, output: Output) -> None:
    settings = str(await asyncio.to_thread(write_authorizer_settings, stack))
    person = _persons_token(stack)
    output.mark_token(person)
    output.keep(await client.call_api("GET", KNOWN, token=person))
    tokens = [person, *[await case.token(stack, client) for case in REFUSAL_CASES]]
    given = [token for token in tokens if token is not None]
    for token in given:
        output.mark_token(token)
    explained = await asyncio.gather(
        *(
            _bridge(output, "explain", "-", "--settings", settings, "--json", typed=token)
            for token in given
        )
    )
    assert all(json.loads(said)["checks"] for said in explained)
    await _bridge(output, "explain", "-", "--settings", settings, typed=f"Bearer {person}")
    for arguments in (("explain", person), ("doctor", person), ("trace", person), (person,)):
        assert not await _bridge(output, *arguments)


async def _examine_everything(stack: LocalStack, folder: Path, output: Output) -> None:
    file = folder / "local.settings.json"
    for changed in (
        {"AWS_API_KEY": API_KEY},
        {"AZURE_CLIENT_SECRET": WRONG_SECRET},
        {"API_HTTPS_PROXY": f"http://marked:{PROXY_PASSWORD}@127.0.0.1:1"},
        {"TOKEN_HTTPS_PROXY": f"socks://marked:{PROXY_PASSWORD}@127.0.0.1:1"},
        {"AWS_API_BASE_URL": f"https://marked:{PROXY_PASSWORD}@127.0.0.1:1/local"},
    ):
        values = {**stack.function_settings, **changed}
        file.write_text(json.dumps({"IsEncrypted": False, "Values": values}))
        said = await _bridge(output, "doctor", "--settings", str(file), "--json")
        assert json.loads(said)["checks"]
    await _bridge(output, "doctor", "--settings", str(file))


async def _look_at_everything(stack: LocalStack, output: Output) -> None:
    folder = str(stack.folder)
    listed = json.loads(await _bridge(output, "trace", "--folder", folder, "--json"))["calls"]
    await _bridge(output, "trace", "--folder", folder)
    for call in listed[-3:]:
        await _bridge(output, "trace", call["trace_id"], "--folder", folder)
    assert listed
    async with (
        serve_console(stack, places_of(stack), SystemClock(), port=0) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as http,
    ):
        output.keep(await http.get("/"))
        async with http.stream("GET", "/stream") as stream:
            heard = ""
            async for line in stream.aiter_lines():
                heard += line
                if "decisions" in heard and "calls" in heard:
                    break
        output.answers.append(heard)


async def test_when_marked_tokens_go_through_every_path_then_no_output_holds_one(
    stack: LocalStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Logs, stores, answers, terminals, commands and the console are free of them all.

    Of tokens, secrets, keys and cookies, and of what a token says about a person.
    """
    output = Output(marks={FUNCTION_KEY, COOKIE, WRONG_SECRET, stack.entra.identity_header})
    output.marks |= {API_KEY, PROXY_PASSWORD, *PERSON.values()}
    output.marks |= {
        secret for app in stack.tenant.directory.applications for secret in app.secrets
    }
    _record_tokens(stack, output, monkeypatch)

    async with LocalClient.to(stack) as client:
        await _call_everything(stack, client, output)
        await _sync(client, stack.sqlite_path)
        output.keep(await client.call_function("GET", "/doctor"))
        await _explain_everything(stack, client, output)
    await _examine_everything(stack, tmp_path, output)
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
            output.keep(await client.call_function("GET", "/doctor"))
            assert httpx.codes.is_server_error(answer.status_code)
            # The second settings are no settings, so that app has no store to report to.
            if name != "wrong-settings":
                with pytest.raises(SyncFailedError):
                    await _sync(client, stack.folder / f"{name}.sqlite3")

    await _look_at_everything(stack, output)
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
    leaks |= {
        f"{text[:SHORTEST_MARK]}: {OBJECT_ID}" for text in output.answers if OBJECT_ID in text
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
