import atexit
import socketserver
import sys
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
    gateway: Any = ModuleType("ministack.services.apigateway_v1")
    gateway._import_rest_api = lambda _definition, _data=None: "api1"
    gateway._put_gateway_response = lambda *arguments: put.append(arguments)
    app: Any = ModuleType("ministack.app")
    app.main = lambda: calls.append("main")
    core: Any = ModuleType("ministack.core")
    core.lambda_runtime = runtime
    services: Any = ModuleType("ministack.services")
    services.apigateway_v1 = gateway
    for module in (ModuleType("ministack"), core, services, runtime, gateway, app):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    # The real process changes these for good; a test gives them back.
    monkeypatch.setattr(socketserver.StreamRequestHandler, "disable_nagle_algorithm", False)
    monkeypatch.setattr(atexit, "register", lambda _function: calls.append("registered"))
    return SimpleNamespace(worker=Worker, runtime=runtime, gateway=gateway, calls=calls, put=put)


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


def test_when_an_api_has_no_gateway_responses_then_it_is_imported_as_before(
    ministack: SimpleNamespace,
) -> None:
    """Other definitions are none of our business."""
    launcher.main()

    assert "api1" == ministack.gateway._import_rest_api({})
    assert [] == ministack.put


@pytest.mark.parametrize(
    ("owner", "name", "consequence"),
    [
        ("worker", "_drain_stderr", "each call takes some 50 ms longer"),
        ("worker", "_drain_stderr_bounded", "each call takes some 50 ms longer"),
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
