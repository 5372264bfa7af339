import atexit
import socketserver
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from emulator.aws import launcher


@pytest.fixture
def ministack(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The places of MiniStack that the launcher changes, and a record of what is called."""
    calls: list[str] = []
    put: list[tuple[str, str, object]] = []

    class Worker:
        """As in ministack.core.lambda_runtime."""

        def _drain_stderr(self) -> str:
            return "drained"

        def _drain_stderr_bounded(self, first_line_wait: float = 0.05) -> str:
            return f"waited {first_line_wait}"

    runtime: Any = ModuleType("ministack.core.lambda_runtime")
    runtime.Worker = Worker
    runtime.reset = lambda: calls.append("reset")
    runtime._workers = {}
    runtime._lock = threading.Lock()
    runtime.kill_workers = lambda workers: calls.extend(f"killed {worker}" for worker in workers)
    lambdas: Any = ModuleType("ministack.services.lambda_svc")
    lambdas.acquire_worker = lambda name, *_config: (runtime._workers[name][0], "reused")
    lambdas.invalidate_worker = lambda name, **_scope: calls.append(f"killed all of {name}")
    lambdas._throttle_response = lambda reason, message: {"throttle": reason, "message": message}

    def execute(function: Mapping[str, Any], event: Any, request_id: str) -> object:
        name = function["config"]["FunctionName"]
        worker, _reason = lambdas.acquire_worker(name, function["config"], b"code")
        try:
            return event(request_id)
        except RuntimeError:
            lambdas.invalidate_worker(name, qualifier="$LATEST")
            return f"{worker} failed"

    lambdas._execute_function_provided_warm = execute
    gateway: Any = ModuleType("ministack.services.apigateway_v1")
    gateway._import_rest_api = lambda _definition, _data=None: "api1"
    gateway._put_gateway_response = lambda *arguments: put.append(arguments)
    gateway._resources = {"api1": "new paths", "stable": "old paths"}
    gateway._authorizers_v1 = {"api1": "new authorizers", "stable": "old authorizers"}
    gateway._gateway_responses = {"api1": "new responses", "stable": "old responses"}
    gateway._stages_v1 = {}
    gateway._authorizer_cache = {}
    for name in (
        "handle_execute",
        "_authorize_request_v1",
        "_build_lambda_event_v1",
        "_call_lambda_raw",
        "_evaluate_policy",
        "_gateway_error_response",
        "_invoke_authorizer_lambda",
        "_stringify_context",
    ):
        setattr(gateway, name, lambda *_call: None)
    lambdas._xray_trace_id_for_invocation = lambda _config: None
    gateway._delete_rest_api = lambda api_id: calls.append(f"deleted {api_id}")
    provisioners: Any = ModuleType("ministack.services.cloudformation.provisioners")

    def update(api_id: str, before: dict[str, Any], after: dict[str, Any], *_names: str) -> str:
        return api_id if before.get("Body") == after.get("Body") else "another"

    stage = {"create": update, "update": update}
    provisioners._RESOURCE_HANDLERS = {
        "AWS::ApiGateway::RestApi": {"update": update},
        "AWS::ApiGateway::Stage": stage,
    }
    formation: Any = ModuleType("ministack.services.cloudformation")
    formation.provisioners = provisioners
    app: Any = ModuleType("ministack.app")
    app.main = lambda: calls.append("main")
    core: Any = ModuleType("ministack.core")
    core.lambda_runtime = runtime
    services: Any = ModuleType("ministack.services")
    services.apigateway_v1 = gateway
    services.lambda_svc = lambdas
    ours = (core, services, runtime, gateway, lambdas, app, formation, provisioners)
    for module in (ModuleType("ministack"), *ours):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    # The real process changes these for good; a test gives them back.
    monkeypatch.setattr(socketserver.StreamRequestHandler, "disable_nagle_algorithm", False)
    monkeypatch.setattr(atexit, "register", lambda _function: calls.append("registered"))
    return SimpleNamespace(
        worker=Worker,
        runtime=runtime,
        gateway=gateway,
        lambdas=lambdas,
        provisioners=provisioners,
        calls=calls,
        put=put,
    )


FUNCTION = {"config": {"FunctionName": "records"}}


def fail(_request_id: str) -> object:
    """A function that does not start."""
    raise RuntimeError


def test_when_ministack_is_as_known_then_every_change_is_made(
    ministack: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    """No wait for output, functions ended first, and MiniStack is run, without a word."""
    launcher.main()

    assert "drained" == ministack.worker()._drain_stderr_bounded(first_line_wait=0.1)
    assert socketserver.StreamRequestHandler.disable_nagle_algorithm is True
    assert ["registered", "main"] == ministack.calls
    assert "" == capsys.readouterr().err


def test_when_an_api_is_imported_then_its_gateway_responses_are_too(
    ministack: SimpleNamespace,
) -> None:
    """They come from the definition itself, as on AWS."""
    launcher.main()
    responses = {"UNAUTHORIZED": {"statusCode": 401}, "THROTTLED": {"statusCode": 429}}

    api_id = ministack.gateway._import_rest_api(
        {"x-amazon-apigateway-gateway-responses": responses}, {"name": "x"}
    )

    assert "api1" == api_id
    assert [
        ("api1", "UNAUTHORIZED", {"statusCode": 401}),
        ("api1", "THROTTLED", {"statusCode": 429}),
    ] == ministack.put


def update_api(ministack: SimpleNamespace, before: object, after: object) -> object:
    """What CloudFormation does with an API whose definition was the one and is the other."""
    handler = ministack.provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::RestApi"]
    return handler["update"]("stable", {"Body": before}, {"Body": after}, "stack", "Api")


def test_when_a_definition_changes_then_the_api_keeps_its_address(
    ministack: SimpleNamespace,
) -> None:
    """What was imported takes the place of what the API had, and of no other one."""
    launcher.main()

    assert "stable" == update_api(ministack, {"paths": {}}, {"paths": {"/": {}}})
    assert {"stable": "new paths"} == ministack.gateway._resources
    assert {"stable": "new authorizers"} == ministack.gateway._authorizers_v1
    assert {"stable": "new responses"} == ministack.gateway._gateway_responses
    assert "deleted api1" in ministack.calls


@pytest.mark.parametrize("after", [{"paths": {}}, None])
def test_when_no_definition_is_new_then_the_api_is_left_to_ministack(
    ministack: SimpleNamespace, after: object
) -> None:
    """The same one, or none any more."""
    launcher.main()

    update_api(ministack, {"paths": {}}, after)

    assert "old paths" == ministack.gateway._resources["stable"]
    assert "deleted api1" not in ministack.calls


def test_when_an_api_has_no_gateway_responses_then_it_is_imported_as_before(
    ministack: SimpleNamespace,
) -> None:
    """Other definitions are none of our business."""
    launcher.main()

    assert "api1" == ministack.gateway._import_rest_api({})
    assert [] == ministack.put


def test_when_more_call_than_there_are_environments_then_the_rest_wait_their_turn(
    ministack: SimpleNamespace,
) -> None:
    """Each call is answered, and never are more under way than the function has environments."""
    launcher.main()
    ministack.runtime._workers["records"] = ["worker"]
    counting = threading.Lock()
    full = threading.Barrier(launcher._ENVIRONMENTS)
    running: list[str] = []
    most: list[int] = []

    def call(request_id: str) -> str:
        with counting:
            running.append(request_id)
            most.append(len(running))
        full.wait(10)  # passes only when all environments are at work
        with counting:
            running.remove(request_id)
        return f"answer to {request_id}"

    ids = [str(number) for number in range(4 * launcher._ENVIRONMENTS)]
    answers: list[object] = []

    def invoke(request_id: str) -> None:
        execute = ministack.lambdas._execute_function_provided_warm
        answers.append(execute(FUNCTION, call, request_id))

    threads = [threading.Thread(target=invoke, args=(request_id,)) for request_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {f"answer to {request_id}" for request_id in ids} == set(answers)
    assert launcher._ENVIRONMENTS == max(most)


def test_when_no_environment_comes_free_then_the_call_is_throttled(
    ministack: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As AWS answers at its limit, and other functions are not concerned."""
    monkeypatch.setattr(launcher, "_ENVIRONMENTS", 1)
    monkeypatch.setattr(launcher, "_TURN_WITHIN_SECONDS", 0.001)
    launcher.main()
    ministack.runtime._workers |= {"records": ["worker"], "authorizer": ["other"]}
    execute = ministack.lambdas._execute_function_provided_warm
    authorizer = {"config": {"FunctionName": "authorizer"}}

    def meanwhile(_request_id: str) -> object:
        with ThreadPoolExecutor() as others:
            return [
                others.submit(execute, function, str, "2").result()
                for function in (FUNCTION, authorizer)
            ]

    answers = execute(FUNCTION, meanwhile, "1")

    refused = {
        "throttle": "ConcurrentInvocationLimitExceeded",
        "message": "Rate Exceeded: records is busy",
    }
    assert [refused, "2"] == answers


def test_when_a_function_does_not_start_then_only_its_own_process_is_ended(
    ministack: SimpleNamespace,
) -> None:
    """The other processes may be in the middle of a call."""
    launcher.main()
    ministack.runtime._workers |= {"records": ["worker", "another"]}

    answer = ministack.lambdas._execute_function_provided_warm(FUNCTION, fail, "1")

    assert "worker failed" == answer
    assert {"records": ["another"]} == ministack.runtime._workers
    assert "killed worker" == ministack.calls[-1]


def test_when_a_function_gets_new_code_then_all_its_processes_are_ended(
    ministack: SimpleNamespace,
) -> None:
    """None may answer with the old code."""
    launcher.main()

    ministack.lambdas.invalidate_worker("records", account="1", region="eu-west-1")

    assert "killed all of records" == ministack.calls[-1]


@pytest.mark.parametrize(
    ("owner", "name", "consequence"),
    [
        ("lambdas", "_execute_function_provided_warm", "some ten callers at once"),
        ("lambdas", "_throttle_response", "some ten callers at once"),
        ("lambdas", "invalidate_worker", "fails the calls beside it"),
        ("runtime", "_workers", "fails the calls beside it"),
        ("worker", "_drain_stderr", "each call takes some 50 ms longer"),
        ("worker", "_drain_stderr_bounded", "each call takes some 50 ms longer"),
        ("provisioners", "_RESOURCE_HANDLERS", "an update gives the API another address"),
        ("gateway", "_import_rest_api", "default bodies and no challenge"),
        ("gateway", "_put_gateway_response", "default bodies and no challenge"),
        ("runtime", "reset", "functions end with a traceback"),
    ],
)
def test_when_ministack_has_changed_then_it_runs_all_the_same(
    ministack: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    owner: str,
    name: str,
    consequence: str,
) -> None:
    """A place that is gone costs only what it was for, and a line says what."""
    delattr(getattr(ministack, owner), name)

    launcher.main()

    assert "main" == ministack.calls[-1]
    assert consequence in capsys.readouterr().err
