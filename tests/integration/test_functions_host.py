"""The Functions host as a process, in the environment that the app ships with."""

import asyncio
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.process import FunctionsHostProcess, HostKind, start_functions_host
from tests.support.processes import descendants_of, is_alive

REPO_ROOT = Path(__file__).resolve().parents[2]
SAMPLE_APP = REPO_ROOT / "tests" / "support" / "sample_function_app"
APP_PYTHON = REPO_ROOT / ".tools" / "function-app" / "bin" / "python"
NEVER = "0 0 0 1 1 *"


@contextmanager
def running_host(
    folder: Path,
    app: Path = SAMPLE_APP,
    *,
    kind: HostKind = "emulated",
    **settings: str,
) -> Iterator[FunctionsHostProcess]:
    """The host, serving an app."""
    environment = {"TICK_SCHEDULE": NEVER, "TICK_FILE": str(folder / "ticks"), **settings}
    host = asyncio.run(
        start_functions_host(
            app, APP_PYTHON, 0, environment, folder / "logs" / "host.log", kind=kind
        )
    )
    try:
        yield host
    finally:
        host.stop(grace=5)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FunctionsHostProcess]:
    """One host for the tests that leave it as it was."""
    with running_host(tmp_path_factory.mktemp("host")) as running:
        yield running


class Answer:
    """An answer, its headers as they were on the wire."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.getheaders()
        self.body = response.read()

    def header(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def call(
    host: FunctionsHostProcess,
    method: str,
    target: str,
    body: bytes | Iterator[bytes] | None = None,
    headers: list[tuple[str, str]] | None = None,
) -> Answer:
    """Send a request just as it is written: no client tidies the target up."""
    connection = http.client.HTTPConnection(host.url.removeprefix("http://"), timeout=20)
    try:
        connection.putrequest(method, target)
        for name, value in headers or []:
            connection.putheader(name, value)
        if isinstance(body, bytes):
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
        elif body is not None:
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(body, encode_chunked=True)
        else:
            connection.endheaders()
        return Answer(connection.getresponse())
    finally:
        connection.close()


def seen(host: FunctionsHostProcess, *request: Any, **options: Any) -> dict[str, Any]:
    """What the function saw of a request."""
    answer = call(host, *request, **options)
    assert 200 == answer.status, answer.body
    document: dict[str, Any] = json.loads(answer.body)
    return document


def wait_for(host: FunctionsHostProcess, text: str, seconds: float = 10) -> str:
    """The log, once the text stands in it."""
    deadline = time.perf_counter() + seconds
    while text not in (log := host.log_file.read_text()):
        assert time.perf_counter() < deadline, log
        time.sleep(0.02)
    return log


def test_when_a_function_is_called_then_it_sees_what_a_real_host_shows(
    host: FunctionsHostProcess,
) -> None:
    """Lower-case joined headers, joined parameters without the empty ones, the whole URL."""
    request = seen(
        host,
        "PATCH",
        "/api/echo/v1/r%C3%A9cords%2Fx?a=1&A=2&empty=",
        b"\x00\xff",
        [("X-Mixed", "1"), ("x-mixed", "2"), ("X-Empty", "")],
    )

    assert "PATCH" == request["method"]
    assert f"{host.url}/api/echo/v1/r%C3%A9cords%2Fx?a=1&A=2&empty=" == request["url"]
    assert ("1,2", "") == (request["headers"]["x-mixed"], request["headers"]["x-empty"])
    assert {"a": "1,2"} == request["params"]
    assert {"path": "v1/récords%2Fx"} == request["route_params"]
    assert b"\x00\xff" == base64.b64decode(request["body"])


@pytest.mark.parametrize(
    ("target", "parameters"),
    [
        ("/api/echo", {}),
        ("/api/echo/", {}),
        ("/API/Echo/x", {"path": "x"}),
        ("/api/echo/a/../b", {"path": "b"}),
        ("/api/echo/a/%2e%2e/b", {"path": "b"}),
        ("/api/echo/..%2Fb", {"path": "..%2Fb"}),
    ],
)
def test_when_a_catch_all_is_called_then_the_rest_of_the_path_arrives(
    host: FunctionsHostProcess, target: str, parameters: dict[str, str]
) -> None:
    """An empty rest leaves the parameter out; dot segments never arrive."""
    assert parameters == seen(host, "GET", target)["route_params"]


def test_when_a_body_is_chunked_then_it_arrives_empty(host: FunctionsHostProcess) -> None:
    """The real host loses it; code that relies on it must fail here too."""
    request = seen(host, "POST", "/api/echo", iter([b"lost"]))

    assert not request["body"]
    assert "chunked" == request["headers"]["transfer-encoding"]


def test_when_the_caller_traces_then_the_function_is_in_the_trace(
    host: FunctionsHostProcess,
) -> None:
    """Trace ID and flags go on; the span is the host's."""
    sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    received = seen(host, "GET", "/api/echo", None, [("traceparent", sent)])["traceparent"]

    assert sent != received
    assert (sent[:36], sent[-3:]) == (received[:36], received[-3:])


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api/items/7", 200),
        ("GET", "/api/items/seven", 404),
        ("POST", "/api/items/7", 404),
        ("HEAD", "/api/items/7", 404),
        ("GET", "/items/7", 404),
        ("GET", "/api/tick", 404),
        ("GET", "/nothing", 404),
        ("GET", "/api/echo/%00", 400),
        ("GET", "/api/echo/%ff", 400),
        ("GET", "/", 200),
        ("GET", "/admin/host/ping", 200),
        ("GET", "/admin/functions/item", 404),
    ],
)
def test_when_an_address_is_asked_then_route_and_method_decide(
    host: FunctionsHostProcess, method: str, target: str, status: int
) -> None:
    """A wrong method is a 404 as well, in the real host."""
    assert status == call(host, method, target).status


def test_when_a_function_is_synchronous_then_it_runs_and_logs(host: FunctionsHostProcess) -> None:
    """In the worker's thread pool; its log lines are in the host's log."""
    assert b"7" == call(host, "GET", "/api/items/7").body
    wait_for(host, "item asked for")


def test_when_a_function_responds_then_status_headers_and_body_arrive(
    host: FunctionsHostProcess,
) -> None:
    """Repeated headers collapse to the last, cookies do not, host.json's headers join."""
    headers = "x-a:1|x-a:2|set-cookie:a=1|set-cookie:b=2; Path=/"

    answer = call(host, "GET", f"/api/respond?status=418&headers={headers.replace(' ', '%20')}")

    assert (418, b"\x00\xff body") == (answer.status, answer.body)
    assert ["x/y"] == answer.header("content-type")
    assert ["2"] == answer.header("x-a")
    assert ["a=1", "b=2; Path=/"] == answer.header("set-cookie")
    assert ["nosniff"] == answer.header("x-content-type-options")


def test_when_head_is_asked_then_headers_come_without_a_body(host: FunctionsHostProcess) -> None:
    """The length is the body's own, or what the function says it would be."""
    plain = call(host, "HEAD", "/api/respond")
    told = call(host, "HEAD", "/api/respond?headers=content-length:77")

    assert (200, b"", ["7"]) == (plain.status, plain.body, plain.header("content-length"))
    assert (200, b"", ["77"]) == (told.status, told.body, told.header("content-length"))


@pytest.mark.parametrize("status", ["204", "304"])
def test_when_the_status_has_no_body_then_the_connection_stays_usable(
    host: FunctionsHostProcess, status: str
) -> None:
    """A body after a 204 would be read as the next answer."""
    connection = http.client.HTTPConnection(host.url.removeprefix("http://"), timeout=20)
    try:
        for target, expected in (
            (f"/api/respond?status={status}", int(status)),
            ("/api/items/7", 200),
        ):
            connection.request("GET", target)
            response = connection.getresponse()
            response.read()
            assert expected == response.status
    finally:
        connection.close()


def test_when_a_function_returns_text_then_it_is_the_body(host: FunctionsHostProcess) -> None:
    """As plain text."""
    answer = call(host, "GET", "/api/text")

    assert (200, b"GET text") == (answer.status, answer.body)
    assert ["text/plain; charset=utf-8"] == answer.header("content-type")


@pytest.mark.parametrize(
    "target",
    [
        "/api/fail",
        "/api/nothing",
        "/api/respond?headers=transfer-encoding:chunked",
        "/api/respond?headers=content-length:3",
        "/api/dawdle?seconds=9",
    ],
)
def test_when_a_function_fails_then_the_caller_learns_nothing(
    host: FunctionsHostProcess, target: str
) -> None:
    """An exception, no response, headers that cannot be sent, and functionTimeout are a 500."""
    answer = call(host, "GET", target)

    assert (500, b"") == (answer.status, answer.body)


def test_when_a_function_fails_then_the_log_has_the_reason(host: FunctionsHostProcess) -> None:
    """With the traceback, for whoever writes the app."""
    call(host, "POST", "/api/fail")

    assert "function_app.py" in wait_for(host, "private reason of POST")


def test_when_an_exception_carries_a_token_then_the_log_does_not(
    host: FunctionsHostProcess,
) -> None:
    """Whatever an app raises ends in the log, so the log is redacted."""
    token = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl"

    call(host, "GET", f"/api/fail?token={token}")

    assert token not in wait_for(host, "RuntimeError('private reason of GET [redacted]')")


def test_when_the_target_is_too_long_then_it_is_refused(host: FunctionsHostProcess) -> None:
    """The host answers before any function is asked."""
    assert call(host, "GET", f"/api/echo/{'x' * 8300}").status in {400, 414}


def test_when_no_more_requests_may_run_then_the_rest_are_refused_at_once(tmp_path: Path) -> None:
    """With two equal limits nobody queues: a bare 429 without Retry-After, as in the real host."""
    limited = tmp_path / "app"
    shutil.copytree(SAMPLE_APP, limited)
    limits = {"maxConcurrentRequests": 2, "maxOutstandingRequests": 2}
    host_json = {"version": "2.0", "extensions": {"http": limits}}
    (limited / "host.json").write_text(json.dumps(host_json))

    with running_host(tmp_path, limited) as host, ThreadPoolExecutor() as callers:
        slow = [callers.submit(call, host, "GET", "/api/dawdle?seconds=2") for _ in range(2)]
        wait_for(host, "dawdling")
        time.sleep(0.2)
        begun = time.perf_counter()
        refused = call(host, "GET", "/api/text")
        seconds = time.perf_counter() - begun
        served = [future.result().status for future in slow]

    assert (429, b"", ["1"], []) == (
        refused.status,
        refused.body,
        refused.header("X-FUNCTION-SCALEOUT"),
        refused.header("Retry-After"),
    )
    assert seconds < 1
    assert [200, 200] == served


def test_when_a_body_is_over_the_limit_then_it_is_refused(host: FunctionsHostProcess) -> None:
    """100 MB, announced and sent in pieces."""
    connection = http.client.HTTPConnection(host.url.removeprefix("http://"), timeout=60)
    try:
        connection.putrequest("POST", "/api/echo")
        connection.putheader("Content-Length", str(104_857_601))
        connection.endheaders()
        piece = bytes(1 << 20)
        try:
            for _ in range(100):
                connection.send(piece)
            connection.send(b"x")
        except OSError:
            # The host may hang up as soon as it has seen enough.
            pass
        assert 413 == connection.getresponse().status
    finally:
        connection.close()


def test_when_the_host_is_asked_for_its_functions_then_it_lists_them(
    host: FunctionsHostProcess,
) -> None:
    """For tools; `func start` has the address as well."""
    functions = json.loads(call(host, "GET", "/admin/functions").body)

    assert {"echo", "tick"} < {function["name"] for function in functions}


def test_when_the_host_starts_then_it_prints_the_functions(host: FunctionsHostProcess) -> None:
    """With the address of each, as `func start` does."""
    log = host.log_file.read_text()

    assert f"\titem: [GET] {host.url}/api/items/{{id:int}}\n" in log
    assert f"\techo: [ALL] {host.url}/api/echo/{{*path}}\n" in log
    assert f"\ttick: timerTrigger ({NEVER})\n" in log


def ticks(folder: Path) -> list[dict[str, Any]]:
    """What the timer noted so far."""
    file = folder / "ticks"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_when_a_timer_is_asked_for_then_it_runs_at_once(tmp_path: Path) -> None:
    """The answer does not wait for the run; an unknown function is a 404."""
    with running_host(tmp_path) as host:
        accepted = call(host, "POST", "/admin/functions/Tick", b'{"input": ""}')
        wait_for(host, "Executed 'Functions.tick' (Succeeded)")
        unknown = call(host, "POST", "/admin/functions/tock", b"{}")
        malformed = call(host, "POST", "/admin/functions/tick", b"{")
        http_one = call(host, "POST", "/admin/functions/item", b"{}")

    assert [202, 404, 400, 400] == [a.status for a in (accepted, unknown, malformed, http_one)]
    assert [False] == [tick["past_due"] for tick in ticks(tmp_path)]


def test_when_a_timer_is_due_then_it_runs_by_itself(tmp_path: Path) -> None:
    """Its schedule comes from an app setting."""
    with running_host(tmp_path, TICK_SCHEDULE="* * * * * *") as host:
        wait_for(host, "Executed 'Functions.tick' (Succeeded)")

    assert ticks(tmp_path)


def test_when_the_host_missed_a_run_then_the_timer_is_past_due(tmp_path: Path) -> None:
    """The status beside the log outlives the process."""
    with running_host(tmp_path, TICK_SCHEDULE="0 0 0 * * *"):
        pass
    status_file = tmp_path / "logs" / "host.timers" / "tick.json"
    status = json.loads(status_file.read_text())
    # As if the host had last been up in early 2026.
    status |= {
        "Next": "2026-01-02T00:00:00+00:00",
        "LastUpdated": "2026-01-01T12:00:00+00:00",
    }
    status_file.write_text(json.dumps(status))

    with running_host(tmp_path, TICK_SCHEDULE="0 0 0 * * *") as host:
        wait_for(host, "Executed 'Functions.tick' (Succeeded)")

    assert [True] == [tick["past_due"] for tick in ticks(tmp_path)]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_when_the_host_is_told_to_stop_then_what_runs_finishes(
    tmp_path: Path, signal_number: signal.Signals
) -> None:
    """The caller gets its answer, and the exit code is 0."""
    with running_host(tmp_path) as host:
        answers: list[Answer] = []
        caller = threading.Thread(
            target=lambda: answers.append(call(host, "GET", "/api/dawdle?seconds=1"))
        )
        caller.start()
        wait_for(host, "dawdling")
        os.kill(host.pid, signal_number)
        caller.join()
        code = host._process.wait(10)

    assert b"at last" == answers[0].body
    assert 0 == code


def test_when_what_runs_does_not_finish_in_time_then_the_host_ends_anyway(tmp_path: Path) -> None:
    """A thread cannot be stopped, but must not hold the host for ever."""
    settings = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "TICK_SCHEDULE": NEVER,
        "TICK_FILE": str(tmp_path / "ticks"),
    }
    process = run(["--app", str(SAMPLE_APP), "--state", str(tmp_path), "--grace", "0.2"], settings)
    url = read_url(process)
    caller = threading.Thread(target=ask_and_forget, args=(f"{url}/api/stick?seconds=2.5",))
    caller.start()
    assert process.stdout is not None
    while "sticking" not in process.stdout.readline():
        pass
    begun = time.perf_counter()
    process.terminate()
    output, _ = process.communicate(timeout=10)
    caller.join()

    assert 1 == process.returncode
    assert "1 invocations did not finish within 0.2 s" in output
    assert time.perf_counter() - begun < 2


def ask_and_forget(url: str) -> None:
    """Call, and expect no answer."""
    host, _, target = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request("GET", f"/{target}")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()


def run(
    arguments: list[str], environment: dict[str, str], port: int = 0
) -> "subprocess.Popen[str]":
    """The program, with an environment of its own."""
    return subprocess.Popen(
        [str(APP_PYTHON), "-m", "emulator.functions_host", "--port", str(port), *arguments],
        env={"PYTHONPATH": str(REPO_ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_url(process: "subprocess.Popen[str]") -> str:
    """The origin, from the list of functions."""
    assert process.stdout is not None
    while "http://" not in (line := process.stdout.readline()):
        assert process.poll() is None
    return line.split()[-1].partition("/api")[0]


def write_app(folder: Path, source: str) -> Path:
    """A Function App with that source."""
    (folder / "host.json").write_text('{"version": "2.0"}')
    (folder / "function_app.py").write_text(f"import azure.functions as func\n{source}")
    return folder


BROKEN_APPS = {
    "parameter": (
        (
            "app = func.FunctionApp()\n"
            "@app.route('x')\n"
            "def x(request: func.HttpRequest) -> func.HttpResponse: ...\n"
        ),
        r"cannot load the x function",
    ),
    "import": ("import no_such_module\n", "No module named 'no_such_module'"),
    "syntax": ("def\n", "SyntaxError"),
    "no app": ("", "Could not find top level function app instances"),
    "no function": ("app = func.FunctionApp()\n", "declares no function"),
    "route": (
        (
            "app = func.FunctionApp()\n"
            "@app.route('{x')\n"
            "def x(req: func.HttpRequest) -> func.HttpResponse: ...\n"
        ),
        "the route of x is wrong",
    ),
    "schedule": (
        (
            "app = func.FunctionApp()\n"
            "@app.timer_trigger('timer', '%NOT_SET%')\n"
            "def x(timer: func.TimerRequest) -> None: ...\n"
        ),
        "the schedule of x is wrong: the app setting NOT_SET is not set",
    ),
    "trigger": (
        (
            "app = func.FunctionApp()\n"
            "@app.blob_trigger('blob', 'container', 'AzureWebJobsStorage')\n"
            "def x(blob: func.InputStream) -> None: ...\n"
        ),
        "x has a blobTrigger, which this host does not serve",
    ),
    "output": (
        (
            "app = func.FunctionApp()\n"
            "@app.timer_trigger('timer', '0 0 0 1 1 *')\n"
            "@app.blob_output('blob', 'container/blob', 'AzureWebJobsStorage')\n"
            "def x(timer: func.TimerRequest, blob: func.Out[str]) -> None: ...\n"
        ),
        "x has blob, a binding of type blob, which this host does not serve",
    ),
    "queue without storage": (
        (
            "app = func.FunctionApp()\n"
            "@app.queue_trigger('message', 'queue', 'OrdersStorage')\n"
            "def x(message: func.QueueMessage) -> None: ...\n"
        ),
        "x has a queue trigger: the app setting OrdersStorage is not set",
    ),
    "queue's name": (
        (
            "app = func.FunctionApp()\n"
            "@app.queue_trigger('message', 'no_queue', 'OrdersStorage')\n"
            "def x(message: func.QueueMessage) -> None: ...\n"
        ),
        "the queue of x is wrong: 'no_queue' is no queue's name",
    ),
}


@pytest.mark.parametrize("name", BROKEN_APPS)
def test_when_the_app_is_broken_then_the_host_says_why_and_ends(tmp_path: Path, name: str) -> None:
    """Exit code 1, and a message that begins with the reason."""
    source, reason = BROKEN_APPS[name]
    app = write_app(tmp_path, source)

    process = run(["--app", str(app)], {"FUNCTIONS_WORKER_RUNTIME": "python"})
    _, errors = process.communicate(timeout=20)

    assert 1 == process.returncode
    assert errors.startswith("functions host: ")
    assert reason in errors


def test_when_the_port_is_taken_then_one_sentence_says_so() -> None:
    """Exit code 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = run(["--app", str(SAMPLE_APP)], {"FUNCTIONS_WORKER_RUNTIME": "python"}, port)
        output, errors = process.communicate(timeout=20)

    assert 1 == process.returncode
    assert (
        f"functions host: port {port} on 127.0.0.1 is taken; stop what uses it, or choose another "
        "with --port.\n"
    ) == errors
    assert not output


def test_when_the_settings_file_is_given_then_the_environment_still_wins(tmp_path: Path) -> None:
    """And what was skipped is named, without its value."""
    settings = tmp_path / "settings.json"
    values = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "TICK_SCHEDULE": "not a schedule",
        "TICK_FILE": str(tmp_path / "ticks"),
    }
    settings.write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    arguments = ["--app", str(SAMPLE_APP), "--settings", str(settings), "--state", str(tmp_path)]

    process = run(arguments, {"TICK_SCHEDULE": NEVER})
    read_url(process)
    process.terminate()
    _, errors = process.communicate(timeout=20)
    without_environment = run(arguments, {})
    _, refusal = without_environment.communicate(timeout=20)

    assert (0, "") == (process.returncode, errors)
    assert 1 == without_environment.returncode
    assert "the schedule of tick is wrong" in refusal


def test_when_the_host_cannot_start_then_the_caller_is_shown_its_log(tmp_path: Path) -> None:
    """The command line's one sentence, with the reason in it."""
    app = write_app(tmp_path, "import no_such_module\n")

    with (
        pytest.raises(FunctionsHostError, match="No module named 'no_such_module'"),
        running_host(tmp_path, app),
    ):
        pass


def test_when_the_interpreter_is_missing_then_the_message_says_what_to_run(tmp_path: Path) -> None:
    """The app's environment is set up by make."""
    with pytest.raises(FunctionsHostError, match="make install"):
        asyncio.run(
            start_functions_host(SAMPLE_APP, tmp_path / "python", 0, {}, tmp_path / "host.log")
        )


FAKE_FUNC = """#!{python}
import http.server, json, os, subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
record = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
json.dump(record, open(os.environ["RECORD"], "w"))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{{"state": "Running"}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[3])), Handler).serve_forever()
"""


@pytest.fixture
def func_on_path(tmp_path: Path) -> str:
    """A PATH on which a program called func stands first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    func = folder / "func"
    func.write_text(FAKE_FUNC.format(python=sys.executable))
    func.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_when_core_tools_are_on_the_path_then_they_serve_the_app(
    tmp_path: Path, func_on_path: str
) -> None:
    """`func start` in the app's folder, with its settings and the app's interpreter first."""
    record = tmp_path / "record.json"

    with running_host(tmp_path, kind="auto", PATH=func_on_path, RECORD=str(record)) as host:
        started = json.loads(record.read_text())
        port = host.url.rpartition(":")[2]

    assert "core-tools" == host.kind
    assert ["start", "--port", port] == started["arguments"]
    assert str(SAMPLE_APP) == started["folder"]
    environment = started["environment"]
    assert "python" == environment["FUNCTIONS_WORKER_RUNTIME"]
    assert NEVER == environment["TICK_SCHEDULE"]
    assert str(APP_PYTHON.parent.parent) == environment["VIRTUAL_ENV"]
    assert environment["PATH"].startswith(f"{APP_PYTHON.parent}:{tmp_path}")
    assert "PYTHONPATH" not in environment


def test_when_core_tools_are_stopped_then_nothing_of_them_is_left(
    tmp_path: Path, func_on_path: str
) -> None:
    """The worker that they started ends too."""
    with running_host(tmp_path, kind="core-tools", PATH=func_on_path, RECORD=os.devnull) as host:
        processes = descendants_of(host.pid)

    assert 2 == len(processes)
    assert not any(map(is_alive, processes))


def test_when_the_emulated_host_is_asked_for_then_core_tools_are_left_alone(
    tmp_path: Path, func_on_path: str
) -> None:
    """The choice is the caller's."""
    with running_host(tmp_path, kind="emulated", PATH=func_on_path) as host:
        assert "emulated" == host.kind


def test_when_core_tools_are_asked_for_but_not_there_then_the_message_says_so(
    tmp_path: Path,
) -> None:
    """Nothing else is started in their place."""
    with (
        pytest.raises(FunctionsHostError, match="no `func` on the PATH"),
        running_host(tmp_path, kind="core-tools", PATH="/nowhere"),
    ):
        pass


def test_when_a_variable_is_left_in_the_shell_then_the_app_does_not_see_it(
    tmp_path: Path, func_on_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what finds programs and the home folder is handed on."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "left-over")
    record = tmp_path / "record.json"

    with running_host(tmp_path, kind="auto", PATH=func_on_path, RECORD=str(record)):
        pass

    assert "AZURE_CLIENT_SECRET" not in json.loads(record.read_text())["environment"]
