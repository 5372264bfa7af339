"""`bridge doctor` and the route, around a real local stack and real sockets that misbehave."""

import asyncio
import io
import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from copy import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from rich.console import Console

from azure_function_app.doctor.examination import examine
from azure_function_app.doctor.report import CheckName
from bridge_cli.diagnosing.decisions import decision_of, read_file, with_decision
from bridge_cli.diagnosing.doctor_view import print_report
from emulator.stack import LocalStack
from emulator.tenant import LocalCredentialKind
from shared.clock import SystemClock
from shared.reasons import Reason
from tests.support.local_stack import CHECKOUT, another_function_app, running_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

MOST_SECONDS = 5.0
LOOKUP_SECONDS = 80
"""Twice what the command may take, Python's start on a busy machine included."""
MARKED_SECRET = "marked-wrong-secret-58f3a0c1"
UNKNOWN = "99999999-0000-4000-8000-000000000009"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """A stack whose Function App proves itself with a secret."""
    folder = tmp_path_factory.mktemp("doctor")
    async with running_stack(
        folder, credential=LocalCredentialKind.CLIENT_SECRET, record_limit=5
    ) as stack:
        yield stack


async def run_doctor(
    stack: LocalStack, folder: Path, *options: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """The command, with these settings over the stack's."""
    file = folder / "local.settings.json"
    values = {**stack.function_settings, **settings}
    file.write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    command = [sys.executable, "-c", "from bridge_cli.main import main; main()", "doctor"]
    return await asyncio.to_thread(
        subprocess.run,
        [*command, "--settings", str(file), *options],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def failures(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The failed checks with their causes."""
    return [(c["check"], c["cause"]) for c in report["checks"] if c["status"] == "failed"]


async def test_when_all_is_well_then_every_check_passes_in_five_seconds(
    stack: LocalStack, tmp_path: Path
) -> None:
    """One JSON object, nothing else, and exit status 0."""
    done = await run_doctor(stack, tmp_path, "--json")

    report = json.loads(done.stdout)
    assert (0, "", "well", "laptop") == (
        done.returncode,
        done.stderr,
        report["verdict"],
        report["at"],
    )
    assert ["passed"] * len(CheckName) == [check["status"] for check in report["checks"]]
    assert report["seconds"] < MOST_SECONDS


async def test_when_the_app_is_asked_then_it_examines_itself(
    stack: LocalStack, tmp_path: Path
) -> None:
    """The route's report is the command's, made in the app, and nobody may keep it."""
    async with httpx.AsyncClient(base_url=stack.functions.url, timeout=30) as http:
        answer = await http.get("/api/doctor")
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"masterKey": "made-up"}))
    command = [sys.executable, "-c", "from bridge_cli.main import main; main()", "doctor"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "--url", stack.functions.url, "--keys", str(keys), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=CHECKOUT,
    )

    report = answer.json()
    assert (200, "no-store", "well", "function_app") == (
        answer.status_code,
        answer.headers["Cache-Control"],
        report["verdict"],
        report["at"],
    )
    assert 0 == done.returncode
    assert "function_app" == json.loads(done.stdout)["at"]
    assert "made-up" not in done.stdout + done.stderr


async def test_when_the_settings_are_wrong_then_the_app_says_which(stack: LocalStack) -> None:
    """No services can be built, and the route works all the same."""
    async with (
        another_function_app(stack, "ill", {"AWS_API_BASE_URL": "ftp://x"}) as app,
        httpx.AsyncClient(base_url=app.url, timeout=30) as http,
    ):
        answers = await asyncio.gather(*(http.get("/api/doctor") for _ in range(8)))

    reports = {answer.text for answer in answers}
    assert 1 == len(reports)
    assert [("settings", "settings_invalid")] == failures(answers[0].json())


FAULTS: dict[str, tuple[dict[str, str], str, str]] = {
    "tenant": ({"ENTRA_TENANT_ID": UNKNOWN}, "token", "tenant_unknown"),
    "secret": ({"AZURE_CLIENT_SECRET": MARKED_SECRET}, "credential", "secret_wrong"),
    "client": ({"AZURE_CLIENT_ID": UNKNOWN}, "credential", "application_unknown"),
    "audience": ({"API_CLIENT_ID": UNKNOWN}, "token_contract", "wrong_audience"),
    "scope": ({"API_APP_ID_URI": "api://x"}, "token", "api_unknown_in_tenant"),
    "versions": ({"ACCEPTED_TOKEN_VERSIONS": "1.0"}, "token_contract", "unaccepted_version"),
    "address": (
        {"AWS_API_BASE_URL": "http://127.0.0.1:9/x"},
        "api_reachable",
        "backend_unreachable",
    ),
    "proxy": ({"API_HTTPS_PROXY": "http://127.0.0.1:9"}, "api_reachable", "backend_proxy"),
    "store": ({"SQLITE_PATH": "/proc/none/x.sqlite3"}, "store", "store_not_writable"),
    "authority": ({"REQUESTS_CA_BUNDLE": ""}, "token", "issuer_tls"),
}


def assert_free_of_secrets(stack: LocalStack, output: str) -> None:
    """No secret, no key and no part of a token."""
    secrets = {s for app in stack.tenant.directory.applications for s in app.secrets}
    marks = {MARKED_SECRET, stack.entra.identity_header, "eyJ", *secrets}
    assert not [mark for mark in marks if mark in output]


@pytest.mark.parametrize("fault", FAULTS)
async def test_when_something_is_wrong_then_its_root_cause_is_named(
    stack: LocalStack, fault: str
) -> None:
    """No other check fails, and no report or table holds a secret."""
    settings, check, cause = FAULTS[fault]

    report = await examine(
        {**stack.function_settings, **settings}, at="laptop", clock=SystemClock()
    )

    members = json.loads(report.to_json())
    screen = io.StringIO()
    print_report(members, Console(file=screen, force_terminal=True, width=120))
    assert [(check, cause)] == failures(members)
    assert report.seconds < MOST_SECONDS
    assert cause in screen.getvalue()
    assert_free_of_secrets(stack, report.to_json() + screen.getvalue())


async def test_when_the_command_finds_something_wrong_then_it_says_so_and_exits_with_1(
    stack: LocalStack, tmp_path: Path
) -> None:
    """The verdict is the first line; neither output holds a secret, nor what Entra ID answered."""
    done = await run_doctor(stack, tmp_path, AZURE_CLIENT_SECRET=MARKED_SECRET)

    verdict = done.stdout.partition("\n")[0]
    assert (1, "") == (done.returncode, done.stderr)
    assert verdict.startswith("Something is wrong: credential: secret_wrong: ")
    assert "AZURE_CLIENT_SECRET" in verdict
    assert len(CheckName) + 1 == len(done.stdout.splitlines())
    assert_free_of_secrets(stack, done.stdout)


async def test_when_the_store_was_tried_then_nothing_is_left_in_it(
    stack: LocalStack, tmp_path: Path
) -> None:
    """Neither a file where there was none, nor a row where there was one."""
    path = tmp_path / "new" / "records.sqlite3"

    await run_doctor(stack, tmp_path, SQLITE_PATH=str(path))

    assert not path.parent.exists()
    await run_doctor(stack, tmp_path)
    if stack.sqlite_path.exists():
        with closing(sqlite3.connect(stack.sqlite_path)) as connection:
            rows = connection.execute("SELECT name FROM state WHERE name = 'doctor'").fetchall()
        assert [] == rows


async def test_when_the_api_refuses_without_a_word_then_its_log_has_the_reason(
    stack: LocalStack, tmp_path: Path
) -> None:
    """A rotated key that the authorizer has not seen yet, say; here a caller that is unknown."""
    caller = stack.tenant.unknown_client
    settings = {"AZURE_CLIENT_ID": caller.client_id, "AZURE_CLIENT_SECRET": caller.secrets[0]}

    done = await run_doctor(
        stack,
        tmp_path,
        "--json",
        "--authorizer-log",
        str(stack.log_folder / "lambda.log"),
        **settings,
    )

    report = json.loads(done.stdout)
    fix = next(c["fix"] for c in report["checks"] if c["check"] == "api_call")
    assert [("api_call", "unknown_client")] == failures(report)
    assert ("AllowedClientIds", caller.client_id) == (fix["setting"], fix["value"])


async def test_when_others_are_refused_at_that_moment_then_the_trace_tells(
    stack: LocalStack,
) -> None:
    """A real 500 for a token that is sound: its key is new, and the authorizer cannot fetch it.

    Before and after it another call is refused, for another reason.
    """
    async with httpx.AsyncClient(base_url=stack.api_url, timeout=30) as http:

        async def be_refused() -> int:
            others = {"Authorization": "Bearer a.b.c"}
            return (await http.get("/v1/records", headers=others)).status_code

        # The authorizer's fetch is the only request here that says no User-Agent.
        stack.entra.lose(lambda asked: "/keys" in asked.path and "User-Agent" not in asked.headers)
        stack.entra.rotate_signing_key()
        try:
            before = await be_refused()
            report = await examine(stack.function_settings, at="laptop", clock=SystemClock())
            after = await be_refused()
        finally:
            stack.entra.lose(None)

    assert report.call is not None
    decisions = read_file(stack.log_folder / "lambda.log")
    told = decision_of(report.call, decisions)
    assert (401, 401) == (before, after)
    assert [("api_call", "authorizer_undecided")] == failures(json.loads(report.to_json()))
    assert told is not None
    assert (Reason.KEY_SET_UNAVAILABLE, report.call.trace_id) == (told.reason, told.trace_id)
    untraced = [replace(each, trace_id=None) for each in decisions]
    assert None is decision_of(report.call, untraced)
    explained = json.loads(with_decision(report, told).to_json())
    assert [("api_call", "key_set_unavailable")] == failures(explained)


@contextmanager
def hanging_port() -> Iterator[int]:
    """A port that takes connections, or queues them, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


async def test_when_every_peer_hangs_then_the_report_is_there_in_five_seconds() -> None:
    """Issuer, API and store take connections and say nothing; so does the identity's endpoint."""
    clock = SystemClock()
    with ExitStack() as open_ports:
        port = open_ports.enter_context(hanging_port())
        settings = hanging_settings(port)
        begun = clock.monotonic()
        report = await examine(settings, at="laptop", clock=SystemClock())
        seconds = clock.monotonic() - begun

    assert seconds < MOST_SECONDS
    found = {(str(c.name), str(c.cause)) for c in report.checks if c.status == "failed"}
    assert {
        ("token", "issuer_timeout"),
        ("api_reachable", "backend_timeout"),
        ("store", "store_timed_out"),
    } <= found


async def test_when_name_lookups_hang_then_the_command_ends_all_the_same(tmp_path: Path) -> None:
    """A look-up cannot be stopped, and Python waits at its end for threads: this one for no more.

    The resolver's file cannot be changed here, so the function that asks it is.
    """
    program = (
        "import socket, time\n"
        f"socket.getaddrinfo = lambda *_, **__: time.sleep({LOOKUP_SECONDS})\n"
        "from bridge_cli.main import main\n"
        "main()\n"
    )
    settings = hanging_settings(9) | {
        "AWS_API_BASE_URL": "https://api.invalid/prod",
        "TABLE_ENDPOINT": "https://account.table.core.windows.net",
    }
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps({"IsEncrypted": False, "Values": settings}))

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, "doctor", "--settings", str(file), "--json"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=LOOKUP_SECONDS / 2,
        check=False,
    )

    report = json.loads(done.stdout)
    assert 1 == done.returncode
    assert report["seconds"] < MOST_SECONDS
    assert ("api_reachable", "backend_timeout") in failures(report)


def hanging_settings(port: int) -> dict[str, str]:
    """An app whose every peer is at that port."""
    return {
        "AWS_API_BASE_URL": f"http://127.0.0.1:{port}/local",
        "ENTRA_TENANT_ID": UNKNOWN,
        "ENTRA_AUTHORITY": f"http://127.0.0.1:{port}",
        "AZURE_AUTHORITY_HOST": f"https://localhost:{port}",
        "API_CLIENT_ID": UNKNOWN,
        "CREDENTIAL": "client_secret",
        "AZURE_CLIENT_ID": UNKNOWN,
        "AZURE_CLIENT_SECRET": MARKED_SECRET,
        "RECORD_STORE": "table",
        "TABLE_ENDPOINT": f"http://127.0.0.1:{port}/devstoreaccount1",
        "SYNC_SCHEDULE": "0 0 * * * *",
    }
