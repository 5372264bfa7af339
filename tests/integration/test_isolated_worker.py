"""The app in a process of its own: what the host does when that process misbehaves."""

import asyncio
import concurrent.futures
import http.client
import json
import os
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundling.function_app import SITE_PACKAGES, build_function_app, choose_local_platform
from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.process import (
    FunctionsHostProcess,
    PackageRun,
    start_functions_host,
)
from emulator.stack_options import function_app_python
from tests.support.keys import base64url
from tests.support.processes import becomes_true, descendants_of, is_alive

pytestmark = pytest.mark.timeout(120)

CHECKOUT = Path(__file__).parents[2]
KEY = "made-up-master-key"
APP = """
import asyncio, os, sys
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route(route="path")
async def path(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("\\n".join(sys.path))

@app.route(route="echo", methods=["POST"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body())

@app.route(route="die")
async def die(req: func.HttpRequest) -> func.HttpResponse:
    os._exit(3)

@app.route(route="fail")
async def fail(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("the reason " + req.params.get("token", ""))

@app.route(route="sleep")
async def sleep(req: func.HttpRequest) -> func.HttpResponse:
    print("sleeping", flush=True)
    await asyncio.sleep(float(req.params["seconds"]))
    return func.HttpResponse("slept")

@app.route(route="shout")
async def shout(req: func.HttpRequest) -> func.HttpResponse:
    print("x" * 3_000_000)
    print("after the long line", flush=True)
    return func.HttpResponse("said")
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app that can misbehave, with the Function App's dependencies for its own."""
    folder = tmp_path_factory.mktemp("app")
    package = build_function_app(CHECKOUT, platform=choose_local_platform())
    with zipfile.ZipFile(package) as archive:
        names = [name for name in archive.namelist() if name.startswith(SITE_PACKAGES)]
        archive.extractall(folder, names)
    (folder / "host.json").write_text('{"version": "2.0", "functionTimeout": "00:00:10"}')
    (folder / "function_app.py").write_text(APP)
    return folder


@contextmanager
def running(app: Path, folder: Path) -> Iterator[FunctionsHostProcess]:
    """The host around it."""
    keys_file = folder / "keys.json"
    keys_file.write_text(json.dumps({"master": KEY, "function": "made-up"}))
    host = asyncio.run(
        start_functions_host(
            app,
            function_app_python(CHECKOUT),
            0,
            {},
            folder / "host.log",
            kind="emulated",
            package=PackageRun(keys_file, KEY),
        )
    )
    try:
        yield host
    finally:
        host.stop(grace=5)


def ask(host: FunctionsHostProcess, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of one answer."""
    connection = http.client.HTTPConnection(host.url.removeprefix("http://"), timeout=30)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_when_the_app_looks_at_its_path_then_only_its_package_and_python_are_there(
    app: Path, tmp_path: Path
) -> None:
    """No checkout, no environment: what Azure's worker has, and the standard library."""
    with running(app, tmp_path) as host:
        _, body = ask(host, "/api/path")
    path = body.decode().splitlines()

    assert {str(app), str(app / SITE_PACKAGES)} == {
        entry for entry in path if not entry.startswith(standard_library())
    }
    assert not any("site-packages" in entry for entry in path if not entry.startswith(str(app)))


def standard_library() -> str:
    """Where the interpreter itself lies, beside which the zip of the standard library would."""
    return str(Path(json.__file__).parents[2])


def test_when_a_body_is_large_then_it_arrives_whole_both_ways(app: Path, tmp_path: Path) -> None:
    """More than any pipe holds."""
    body = bytes(range(256)) * 40_000
    with running(app, tmp_path) as host:
        status, echoed = ask(host, "/api/echo", body)

    assert (200, body) == (status, echoed)


def test_when_the_workers_process_dies_then_the_caller_is_answered_and_the_host_ends(
    app: Path, tmp_path: Path
) -> None:
    """With an error, so that nobody waits for what cannot come."""
    with running(app, tmp_path) as host:
        status, _ = ask(host, "/api/die")
        has_ended = becomes_true(lambda: host.has_ended)
        log = host.log_file.read_text()

    assert 500 == status
    assert has_ended
    assert "the worker's process ended; the host stops" in log


def test_when_a_function_fails_then_the_log_has_the_reason_without_the_token(
    app: Path, tmp_path: Path
) -> None:
    """What the process prints passes through the host, which takes tokens out."""
    parts = [base64url(json.dumps(part).encode()) for part in ({"alg": "none"}, {"sub": "x"})]
    token = ".".join([*parts, base64url(b"signature" * 9)])
    with running(app, tmp_path) as host:
        status, body = ask(host, f"/api/fail?token={token}")
        is_said = becomes_true(lambda: "the reason" in host.log_file.read_text())
        log = host.log_file.read_text()

    assert (500, b"") == (status, body)
    assert is_said
    assert token not in log


def test_when_a_line_is_endless_then_it_is_left_out_and_the_next_is_shown(
    app: Path, tmp_path: Path
) -> None:
    """A part of it could end in the middle of a token."""
    with running(app, tmp_path) as host:
        ask(host, "/api/shout")
        is_said = becomes_true(lambda: "after the long line" in host.log_file.read_text())
        log = host.log_file.read_text()

    assert is_said
    assert "a line of more than" in log
    assert "x" * 1000 not in log


def test_when_the_host_is_told_to_stop_then_what_runs_finishes(app: Path, tmp_path: Path) -> None:
    """The process gets the signal too, with its whole group, and waits for the host."""
    with (
        running(app, tmp_path) as host,
        concurrent.futures.ThreadPoolExecutor() as threads,
    ):
        slow = threads.submit(ask, host, "/api/sleep?seconds=1")
        runs = becomes_true(lambda: "sleeping" in host.log_file.read_text())
        processes = descendants_of(host.pid)
        code = host.stop(grace=20)
        answer = slow.result()

    assert runs
    assert (200, b"slept") == answer
    assert 0 == code
    assert not any(map(is_alive, processes))


def test_when_the_host_is_killed_then_the_workers_process_ends_too(
    app: Path, tmp_path: Path
) -> None:
    """It hears that its socket is closed."""
    with running(app, tmp_path) as host:
        (supervised, *_) = sorted(descendants_of(host.pid))
        processes = descendants_of(host.pid)
        os.kill(supervised, signal.SIGKILL)
        have_ended = becomes_true(lambda: not any(map(is_alive, processes)))

    assert 2 <= len(processes)
    assert have_ended


def test_when_the_app_cannot_be_indexed_then_the_host_says_why(app: Path, tmp_path: Path) -> None:
    """With the reason of the app's own import."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / ".python_packages").symlink_to(app / ".python_packages")
    (broken / "host.json").write_text('{"version": "2.0"}')
    (broken / "function_app.py").write_text("import no_such_module\n")

    with (
        pytest.raises(FunctionsHostError, match="No module named 'no_such_module'"),
        running(broken, tmp_path),
    ):
        pass
