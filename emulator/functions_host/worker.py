"""Microsoft's Python worker library, driven without gRPC.

In Azure the host talks to the worker in protobuf messages. The library takes its message classes
from outside, so plain classes of the same shape serve, and it has an entry without messages for
the invocations. Both are semi-internal: requirements.txt pins the library's version.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, Protocol
from uuid import uuid4

import azure_functions_runtime
from azure_functions_runtime.bindings.datumdef import Datum, parse_to_rpc_http_cookie_list
from azure_functions_runtime.native_invocation import invocation_request_native

from emulator.functions_host.errors import FunctionsHostError

HTTP_TRIGGER: Final = "httpTrigger"
TIMER_TRIGGER: Final = "timerTrigger"
QUEUE_TRIGGER: Final = "queueTrigger"
QUEUE_OUTPUT: Final = "queue"
_HTTP_OUTPUT: Final = "http"
_RETURNED: Final = "$return"
_SCRIPT: Final = "function_app.py"


class _Message(SimpleNamespace):
    """A protobuf message as far as the library goes: members by keyword."""


class _StatusResult(_Message):
    Failure = 0
    Success = 1
    Cancelled = 2


class _BindingInfo(_Message):
    # Enumerations of the Functions RPC protocol (FunctionRpc.proto).
    undefined = 0
    out = 1
    inout = 2  # codespell:ignore inout


class _RpcHttpCookie(_Message):
    SameSite = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


_COOKIE_PROTOS: Final = SimpleNamespace(
    NullableBool=_Message,
    NullableDouble=_Message,
    NullableString=_Message,
    NullableTimestamp=_Message,
    RpcHttpCookie=_RpcHttpCookie,
    Timestamp=_Message,
)
_PROTOS: Final = SimpleNamespace(
    BindingInfo=_BindingInfo,
    FunctionMetadataResponse=_Message,
    RpcException=_Message,
    RpcFunctionMetadata=_Message,
    RpcRetryOptions=_Message,
    StatusResult=_StatusResult,
    WorkerInitResponse=_Message,
    WorkerMetadata=_Message,
)


@dataclass(frozen=True, slots=True)
class IndexedFunction:
    """One function of the app, as the library indexed it."""

    name: str
    function_id: str
    trigger: Mapping[str, Any]
    """The trigger binding: `type`, the parameter's `name`, and what the decorator said."""
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The output bindings, by the parameter's name; an HTTP function's response is none."""


class SetOutput(NamedTuple):
    """What a function set for one of its outputs, as the library encoded it."""

    name: str
    kind: str | None
    """The library's name of the value's type: string, bytes, json."""
    value: Any


class OutputWriter(Protocol):
    """Writes what functions set for their outputs."""

    async def write(self, function: IndexedFunction, outputs: Sequence[SetOutput]) -> None:
        """Write the outputs of an invocation that has succeeded.

        Raises:
            InvocationFailed: one of them could not be written.

        """


@dataclass(frozen=True, slots=True)
class TriggerMessage:
    """A message that triggers a function."""

    body: bytes
    metadata: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class HttpCall:
    """An HTTP request as the worker gets it, after the host has been at it."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    route_parameters: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResult:
    """What an HTTP function returned."""

    status: int
    headers: Mapping[str, str]
    cookies: Sequence[str]
    """Values of Set-Cookie."""
    body: bytes


class InvocationFailed(Exception):
    """The function raised, timed out, or returned what its binding cannot carry.

    The library has logged the traceback already.
    """


class AppWorker(Protocol):
    """The app, loaded, in this process or in one of its own."""

    functions: Sequence[IndexedFunction]

    @property
    def running(self) -> int:
        """How many invocations are under way."""

    async def invoke_http(
        self, function: IndexedFunction, call: HttpCall, trace: "TraceContext"
    ) -> HttpResult:
        """Call an HTTP function and return its response, or raise InvocationFailed."""

    async def invoke_timer(self, function: IndexedFunction, timer: Mapping[str, object]) -> None:
        """Run a timer-triggered function to its end, or raise InvocationFailed."""

    async def invoke_queue(self, function: IndexedFunction, message: TriggerMessage) -> None:
        """Run a queue-triggered function and write its outputs, or raise InvocationFailed."""

    async def wait_until_idle(self, seconds: float) -> bool:
        """Wait for the running invocations, and return whether all ended within that time."""

    async def wait_until_ended(self) -> None:
        """Wait until nothing can be invoked any more."""


class Worker:
    """The app, loaded once in this process; runs one invocation per call."""

    def __init__(
        self,
        functions: Sequence[IndexedFunction],
        timeout: float | None,
        outputs: OutputWriter,
    ) -> None:
        """Take the functions, how many seconds an invocation may last, and what writes outputs."""
        self.functions = functions
        self._timeout = timeout
        self._outputs = outputs
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def running(self) -> int:
        """How many invocations are under way."""
        return len(self._running)

    async def invoke_http(
        self, function: IndexedFunction, call: HttpCall, trace: "TraceContext"
    ) -> HttpResult:
        """Call an HTTP function and return its response.

        Raises:
            InvocationFailed: the function gave none.

        """
        datum = Datum(
            {
                "method": Datum(call.method, "string"),
                "url": Datum(call.url, "string"),
                "headers": _strings(call.headers),
                "query": _strings(call.query),
                "params": _strings(call.route_parameters),
                "body": Datum(call.body, "bytes"),
            },
            "http",
        )
        return _read_http_result(await self._invoke(function, datum, trace))

    async def invoke_timer(self, function: IndexedFunction, timer: Mapping[str, object]) -> None:
        """Run a timer-triggered function to its end.

        Raises:
            InvocationFailed: it did not succeed.

        """
        await self._invoke(function, Datum(json.dumps(timer), "json"), TraceContext.new())

    async def invoke_queue(self, function: IndexedFunction, message: TriggerMessage) -> None:
        """Run a queue-triggered function on a message, and write its outputs.

        Raises:
            InvocationFailed: it did not succeed, or the message is no text where a text is due.

        """
        if function.trigger.get("dataType", "").upper() == "BINARY":
            datum = Datum(message.body, "bytes")
        else:
            try:
                datum = Datum(message.body.decode(), "string")
            except UnicodeDecodeError as error:
                raise InvocationFailed(f"the message is not UTF-8: {error.reason}") from error
        metadata = {
            name: Datum(value, "string") if isinstance(value, str) else Datum(str(value), "json")
            for name, value in message.metadata.items()
        }
        await self._invoke(function, datum, TraceContext.new(), metadata)

    async def wait_until_idle(self, seconds: float) -> bool:
        """Wait for the running invocations, and return whether all ended within that time."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        return not self._running

    async def wait_until_ended(self) -> None:
        """Wait for ever: the app ends with this process."""
        await asyncio.Event().wait()

    async def _invoke(
        self,
        function: IndexedFunction,
        datum: Datum,
        trace: "TraceContext",
        metadata: Mapping[str, Datum] | None = None,
    ) -> Datum | None:
        invocation = asyncio.ensure_future(
            invocation_request_native(
                str(uuid4()),
                function.function_id,
                [(function.trigger["name"], datum)],
                dict(metadata or {}),
                trace.parent,
                trace.state,
            )
        )
        self._running.add(invocation)
        invocation.add_done_callback(self._running.discard)
        try:
            # A client that goes away does not stop the function, in the real host either.
            async with asyncio.timeout(self._timeout):
                succeeded, result, set_outputs, error, _ = await asyncio.shield(invocation)
        except TimeoutError:
            invocation.cancel()
            raise InvocationFailed(
                f"timed out after {self._timeout:g} s (functionTimeout in host.json)"
            ) from None
        if not succeeded:
            raise InvocationFailed(error)
        outputs = [SetOutput(name, set_.type, set_.value) for name, set_ in set_outputs]
        if result is not None and _RETURNED in function.outputs:
            outputs.append(SetOutput(_RETURNED, result.type, result.value))
        if outputs:
            await self._outputs.write(function, outputs)
        return result


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The W3C trace context that the function sees as its caller's."""

    parent: str
    state: str

    @classmethod
    def new(cls) -> "TraceContext":
        """Return the context of a new trace."""
        return cls(f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00", "")


async def load_worker(
    app_root: Path, function_timeout: float | None, outputs: OutputWriter
) -> Worker:
    """Load the app by Microsoft's library, in a process of the app's own, and return its worker.

    Raises:
        FunctionsHostError: the app cannot be loaded or indexed, or has no function at all.

    """
    if not (app_root / _SCRIPT).is_file():
        raise FunctionsHostError(
            f"{app_root / _SCRIPT} is missing; that is where the app is looked for."
        )
    sys.path.insert(0, str(app_root))
    azure_functions_runtime.start_threadpool_executor()
    request = SimpleNamespace(
        request=SimpleNamespace(
            worker_init_request=SimpleNamespace(
                capabilities={}, function_app_directory=str(app_root)
            )
        ),
        properties={"host": "127.0.0.1", "protos": _PROTOS},
    )
    init = await azure_functions_runtime.worker_init_request(request)
    if init.result.status != _StatusResult.Success:
        exception = init.result.exception
        raise FunctionsHostError(
            f"the app cannot be indexed: {exception.message}\n{exception.stack_trace}"
        )
    metadata = await azure_functions_runtime.functions_metadata_request(request)
    functions = tuple(map(_read_metadata, metadata.function_metadata_results or ()))
    if not functions:
        raise FunctionsHostError(f"{app_root / _SCRIPT} declares no function.")
    return Worker(functions, function_timeout, outputs)


def _read_metadata(metadata: Any) -> IndexedFunction:  # noqa: ANN401 - the library's own class
    bindings = [json.loads(binding) for binding in metadata.raw_bindings]
    triggers = [binding for binding in bindings if binding["type"].endswith("Trigger")]
    outputs = {
        binding["name"]: binding
        for binding in bindings
        if binding not in triggers and binding["type"] != _HTTP_OUTPUT
    }
    return IndexedFunction(metadata.name, metadata.function_id, triggers[0], outputs)


def _strings(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def _read_http_result(datum: Datum | None) -> HttpResult:
    if datum is not None and datum.type == "http":
        members = datum.value
        try:
            # In Azure the cookies become messages, which fails the invocation where one cannot.
            parse_to_rpc_http_cookie_list(members["cookies"], _COOKIE_PROTOS)
        except (TypeError, ValueError) as error:
            raise InvocationFailed(error) from error
        return HttpResult(
            status=int(members["status_code"].value),
            headers={name: header.value for name, header in members["headers"].items()},
            cookies=tuple(_set_cookie_values(members["cookies"] or ())),
            body=bytes(members["body"].value),
        )
    if datum is not None and datum.type == "string":
        headers = {"content-type": "text/plain; charset=utf-8"}
        return HttpResult(200, headers, (), datum.value.encode())
    raise InvocationFailed("returned no HTTP response")


def _set_cookie_values(cookies: Iterable[SimpleCookie]) -> Iterable[str]:
    for cookie in cookies:
        for morsel in cookie.values():
            yield morsel.OutputString()
