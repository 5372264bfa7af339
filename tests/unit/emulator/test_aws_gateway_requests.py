"""Requests of the local gateway: their trace, their IDs, their line."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from emulator.aws import gateway_requests
from emulator.aws.access_log import AccessLog

ROOT = "Root=1-0af76519-16cd43dd8448eb211c80319c"
LINE = (
    '{"id":"$context.requestId","trace":"$context.xrayTraceId","status":"$context.status",'
    '"route":"$context.resourcePath","error":"$context.error.responseType",'
    '"policy":"$context.authorize.status","asked":"$context.authorizer.requestId",'
    '"answered":"$context.authorizer.status","decision":"$context.authorizer.decision_id"}'
)
POLICY = {"Statement": "Allow"}


class Refused:
    """As MiniStack's own value for an answer of the gateway itself."""

    def __init__(self, response_type: str) -> None:
        """Take its type."""
        self.response_type = response_type


@pytest.fixture
def ministack(  # noqa: C901, PLR0915 - each name that MiniStack has
    monkeypatch: pytest.MonkeyPatch,
) -> SimpleNamespace:
    """MiniStack's way of a request, with the names that it has there."""
    gateway: Any = ModuleType("ministack.services.apigateway_v1")
    lambdas: Any = ModuleType("ministack.services.lambda_svc")
    provisioners: Any = ModuleType("ministack.services.cloudformation.provisioners")
    seen: list[tuple[str, str | None, str]] = []
    numbers = iter(range(1_000_000))

    async def handle_execute(
        _api: str, _stage: str, method: str, path: str, headers: Mapping[str, str], *_rest: object
    ) -> tuple[int, dict[str, Any], bytes]:
        token = headers.get("authorization")
        resource = {"path": path}
        call: tuple[Any, ...] = ("api", "stage", {}, method, path, resource, token)
        error = await gateway._authorize_request_v1(*call)
        if error is not None:
            told = {"request_id": "ministacks", "resource_path": path}
            refused: tuple[int, dict[str, Any], bytes] = gateway._gateway_error_response(
                error, told
            )
            return refused
        event = gateway._build_lambda_event_v1(headers)
        await gateway._call_lambda_raw("backend", event)
        return 200, {"x-amzn-RequestId": "other"}, event["requestContext"]["requestId"].encode()

    async def authorize(*call: Any) -> object:
        token = call[6]
        if token is None:
            return None
        kept = gateway._authorizer_cache.get(token)
        if kept is None:
            answer = await gateway._invoke_authorizer_lambda(token)
            if answer.get("error"):
                return Refused("UNAUTHORIZED")
            kept = (2e9, POLICY, gateway._stringify_context(answer["context"]))
            gateway._authorizer_cache[token] = kept
        return None if gateway._evaluate_policy(kept[1], token) == "Allow" else Refused("DENIED")

    async def ask(token: str) -> object:
        return await asyncio.to_thread(execute_authorizer, token)

    def execute_authorizer(token: str) -> object:
        request_id = f"au-{next(numbers)}"
        return lambdas._execute_function_provided_warm("authorizer", token, request_id)

    async def call_raw(name: str, event: object) -> object:
        await asyncio.sleep(0)
        return lambdas._execute_function_provided_warm(name, event, "be-1"), None

    def execute(name: str, event: Any, request_id: str) -> dict[str, Any]:
        seen.append((name, lambdas._xray_trace_id_for_invocation({}), request_id))
        if event == "bad":
            return {"error": True, "body": {"errorMessage": "Unauthorized"}}
        return {"context": {"decision_id": request_id}}

    gateway.handle_execute = handle_execute
    gateway._authorize_request_v1 = authorize
    gateway._invoke_authorizer_lambda = ask
    gateway._call_lambda_raw = call_raw
    gateway._stringify_context = dict
    gateway._evaluate_policy = lambda _policy, token: "Deny" if token == "denied" else "Allow"
    gateway._gateway_error_response = lambda _error, told: (
        401,
        {"x-amzn-requestid": told["request_id"]},
        b"",
    )
    gateway._build_lambda_event_v1 = lambda headers: {
        "headers": dict(headers),
        "requestContext": {"requestId": "ministacks", "extendedRequestId": "ministacks"},
    }
    gateway._authorizer_cache = {}
    gateway._stages_v1 = {"api": {"stage": {"accessLogSettings": {"format": LINE}}}}
    gateway.stages_for_api = lambda api_id: gateway._stages_v1.get(api_id, {})
    lambdas._execute_function_provided_warm = execute
    lambdas._xray_trace_id_for_invocation = lambda _config: None
    provisioners._RESOURCE_HANDLERS = {
        "AWS::ApiGateway::Stage": {"create": lambda *_: "made", "update": lambda *_: "changed"}
    }
    formation: Any = ModuleType("ministack.services.cloudformation")
    formation.provisioners = provisioners
    services: Any = ModuleType("ministack.services")
    services.apigateway_v1, services.lambda_svc = gateway, lambdas
    for module in (ModuleType("ministack"), services, gateway, lambdas, formation, provisioners):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for change in gateway_requests.CHANGES:
        change()
    return SimpleNamespace(gateway=gateway, lambdas=lambdas, seen=seen, provisioners=provisioners)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lines go."""
    monkeypatch.setattr(gateway_requests, "_log", None)
    gateway_requests.write_access_logs_to(tmp_path / "access.log")
    return tmp_path / "access.log"


async def call(ministack: SimpleNamespace, **headers: str) -> tuple[int, dict[str, Any], str]:
    """One request with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answer, body = await ministack.gateway.handle_execute(
        "api", "stage", "GET", "/v1/records", named, b"", {}
    )
    return status, answer, body.decode()


def lines(log: Path) -> list[dict[str, str]]:
    """What was written."""
    return [json.loads(line) for line in log.read_text().splitlines()]


async def test_when_the_caller_names_a_trace_then_both_functions_get_it(
    ministack: SimpleNamespace, log: Path
) -> None:
    """And so do the backend's event and the log, without what belongs to the caller's span."""
    sent = f"{ROOT};Parent=b7ad6b7169203331;Sampled=1"

    await call(ministack, authorization="good", x_amzn_trace_id=sent)

    assert ["authorizer", "backend"] == [name for name, _, _ in ministack.seen]
    assert {sent} == {trace for _, trace, _ in ministack.seen}
    assert [ROOT] == [line["trace"] for line in lines(log)]


@pytest.mark.parametrize("sent", [None, "", "nonsense", "Root=1-0-0"])
async def test_when_the_caller_names_none_then_the_gateway_begins_one(
    ministack: SimpleNamespace, log: Path, sent: str | None
) -> None:
    """A new one for each request."""
    headers = {} if sent is None else {"x_amzn_trace_id": sent}
    for _ in range(2):
        await call(ministack, **headers)

    traces = [str(trace).partition(";")[0] for _, trace, _ in ministack.seen]
    assert 2 == len(set(traces))
    assert traces == [line["trace"] for line in lines(log)]


async def test_when_a_request_is_answered_then_answer_event_and_log_have_one_id(
    ministack: SimpleNamespace, log: Path
) -> None:
    """MiniStack has three."""
    _, headers, event_id = await call(ministack)

    (line,) = lines(log)
    assert {line["id"]} == {headers["x-amzn-requestid"], event_id}
    assert ["x-amzn-requestid"] == list(headers)


async def test_when_the_authorizer_decides_then_the_line_names_its_call_and_a_kept_one_too(
    ministack: SimpleNamespace, log: Path
) -> None:
    """The second request is not asked about, and has the first one's decision."""
    await call(ministack, authorization="good")
    await call(ministack, authorization="good")

    first, second = lines(log)
    assert first["asked"] == first["decision"] == second["decision"]
    assert ("200", "-", "-") == (first["answered"], second["asked"], second["answered"])
    assert ("200", "200") == (first["policy"], second["policy"])


@pytest.mark.parametrize(
    ("token", "error", "answered", "policy", "has_decision"),
    [("bad", "UNAUTHORIZED", "401", "-", False), ("denied", "DENIED", "200", "403", True)],
)
async def test_when_a_request_is_refused_then_the_line_says_by_whom(  # noqa: PLR0917 - a row's own
    ministack: SimpleNamespace,
    log: Path,
    token: str,
    error: str,
    answered: str,
    policy: str,
    has_decision: bool,  # noqa: FBT001 - as above
) -> None:
    """A denied one has its decision's ID, which the gateway keeps; a rejected one has none."""
    status, headers, _ = await call(ministack, authorization=token)

    (line,) = lines(log)
    assert (401, line["id"]) == (status, headers["x-amzn-requestid"])
    assert (error, answered, policy) == (line["error"], line["answered"], line["policy"])
    assert line["asked"].startswith("au-")
    assert has_decision == (line["decision"] != "-")


async def test_when_many_are_under_way_then_none_has_anothers_values(
    ministack: SimpleNamespace, log: Path
) -> None:
    """The authorizer is called in threads, as MiniStack does it."""
    roots = [f"Root=1-00000001-{number:024x}" for number in range(1, 201)]

    answers = await asyncio.gather(
        *(
            call(ministack, authorization=f"token-{root}", x_amzn_trace_id=f"{root};Sampled=0")
            for root in roots
        )
    )

    by_id = {line["id"]: line for line in lines(log)}
    assert roots == [by_id[headers["x-amzn-requestid"]]["trace"] for _, headers, _ in answers]
    assert 200 == len({line["decision"] for line in by_id.values()})
    assert all(line["asked"] == line["decision"] for line in by_id.values())


async def test_when_the_disk_is_full_then_the_request_is_answered_all_the_same(
    ministack: SimpleNamespace,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line says what is lost."""

    def fail(_self: object, _line: str) -> None:
        raise OSError("no room")

    monkeypatch.setattr(AccessLog, "write", fail)

    assert 200 == (await call(ministack))[0]
    assert "no room" in capsys.readouterr().err
    assert [] == lines(log)


async def test_when_a_stage_has_no_access_log_then_nothing_is_written(
    ministack: SimpleNamespace, log: Path
) -> None:
    """The trace and the IDs are there all the same."""
    ministack.gateway._stages_v1["api"]["stage"]["accessLogSettings"] = {}

    await call(ministack)

    assert [] == lines(log)
    assert str(ministack.seen[0][1]).startswith("Root=1-")


@pytest.mark.parametrize("way", ["create", "update"])
def test_when_a_stage_is_made_or_changed_then_it_has_its_access_log(
    ministack: SimpleNamespace, way: str
) -> None:
    """And none when the template has none any more."""
    handler = ministack.provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::Stage"]
    named = {"RestApiId": "api", "StageName": "stage"}
    setting = {"DestinationArn": "arn", "Format": "$context.requestId"}
    before: tuple[dict[str, str], ...] = () if way == "create" else ({},)

    handler[way]("Stage", *before, {**named, "AccessLogSetting": setting}, "stack")
    made = ministack.gateway._stages_v1["api"]["stage"]["accessLogSettings"]
    handler[way]("Stage", *before, named, "stack")

    assert {"destinationArn": "arn", "format": "$context.requestId"} == made
    assert {} == ministack.gateway._stages_v1["api"]["stage"]["accessLogSettings"]
