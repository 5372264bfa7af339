"""Starts MiniStack without its idle waits.

Runs as a script under MiniStack's own Python, which has MiniStack and none of our dependencies:
`python -I launcher.py`. What it changes in MiniStack has no public setting, so each change looks
first whether its place is still there; where it is not, MiniStack stays as it is and a line says
what that means.
"""

import atexit
import os
import socketserver
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

_ENVIRONMENTS: Final = min(8, 2 * (os.cpu_count() or 1))
"""Execution environments of one function. More would only share the same processors, of which a
container may have fewer than it sees, and MiniStack's one process could not keep them busy."""
_TURN_WITHIN_SECONDS: Final = 29.0
"""How long a call waits for one of them: API Gateway gives up an integration after that time."""


def _send_without_delay() -> None:
    # The runtime API answers in two small writes; with Nagle's algorithm the second one waits for
    # the reader's delayed acknowledgement, some 40 ms.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


def _drain_output_without_waiting() -> None:
    # After each call MiniStack waits up to 50 ms for a line of output. Ours goes to a file of its
    # own (see the bootstrap in local_bundles.py), so there is never one to wait for.
    from ministack.core import lambda_runtime  # noqa: PLC0415 - only MiniStack's Python has it

    worker_class = lambda_runtime.Worker
    drain_now: Callable[[object], object] = worker_class._drain_stderr  # noqa: SLF001
    worker_class._drain_stderr_bounded  # noqa: B018, SLF001 - must be there to be replaced

    def drain(worker: object, *_args: object, **_waits: object) -> object:
        return drain_now(worker)

    worker_class._drain_stderr_bounded = drain  # noqa: SLF001


def _import_gateway_responses() -> None:
    # An API's definition carries its gateway responses; API Gateway imports them and MiniStack
    # leaves them out. As resources of their own they would not do: on AWS nothing makes the
    # deployment wait for them.
    from ministack.services import apigateway_v1  # noqa: PLC0415 - only MiniStack's Python has it

    import_rest_api: Callable[..., str] = apigateway_v1._import_rest_api  # noqa: SLF001
    put_gateway_response: Callable[..., object] = apigateway_v1._put_gateway_response  # noqa: SLF001

    def import_with_gateway_responses(definition: Mapping[str, Any], *rest: object) -> str:
        api_id = import_rest_api(definition, *rest)
        responses = definition.get("x-amazon-apigateway-gateway-responses", {})
        for response_type, response in responses.items():
            put_gateway_response(api_id, response_type, response)
        return api_id

    apigateway_v1._import_rest_api = import_with_gateway_responses  # noqa: SLF001


def _keep_api_addresses() -> None:
    # With a changed definition API Gateway keeps an API with its ID, which is its address, and
    # imports the definition over it; MiniStack makes another API, at another address.
    from ministack.services import apigateway_v1  # noqa: PLC0415 - only MiniStack's Python has it
    from ministack.services.cloudformation import provisioners  # noqa: PLC0415

    handler: dict[str, Any] = provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::RestApi"]  # noqa: SLF001
    update: Callable[..., object] = handler["update"]
    delete: Callable[[str], object] = apigateway_v1._delete_rest_api  # noqa: SLF001
    # What an import makes. Stages and deployments are the stack's own resources, and stay.
    imported_parts: tuple[Any, ...] = (
        apigateway_v1._resources,  # noqa: SLF001
        apigateway_v1._authorizers_v1,  # noqa: SLF001
        apigateway_v1._gateway_responses,  # noqa: SLF001
    )

    def update_in_place(
        api_id: str, before: Mapping[str, Any], after: Mapping[str, Any], *rest: object
    ) -> object:
        definition = after.get("Body")
        if isinstance(definition, dict) and definition != before.get("Body"):
            imported = apigateway_v1._import_rest_api(definition, {})  # noqa: SLF001
            for part in imported_parts:
                part[api_id] = part.pop(imported)
            delete(imported)
            before = {**before, "Body": definition}
        return update(api_id, before, after, *rest)

    handler["update"] = update_in_place


def _share_environments() -> None:
    # MiniStack starts a process for each call that finds none idle. So many that start at once
    # share this machine's processors: each misses the ten seconds that AWS gives a function to
    # start, and is ended before it has answered a call.
    from ministack.services import lambda_svc  # noqa: PLC0415 - only MiniStack's Python has it

    execute: Callable[..., object] = lambda_svc._execute_function_provided_warm  # noqa: SLF001
    refuse: Callable[..., object] = lambda_svc._throttle_response  # noqa: SLF001
    turns: defaultdict[str, threading.Semaphore] = defaultdict(
        lambda: threading.Semaphore(_ENVIRONMENTS)
    )
    choosing = threading.Lock()

    def execute_in_turn(function: Mapping[str, Any], *call: object) -> object:
        name = function.get("config", function)["FunctionName"]
        with choosing:
            turn = turns[name]
        if not turn.acquire(timeout=_TURN_WITHIN_SECONDS):
            return refuse("ConcurrentInvocationLimitExceeded", f"Rate Exceeded: {name} is busy")
        try:
            return execute(function, *call)
        finally:
            turn.release()

    lambda_svc._execute_function_provided_warm = execute_in_turn  # noqa: SLF001


def _end_only_what_failed() -> None:
    # When a function's process does not start, MiniStack ends all processes of the function, and
    # with them the calls that they are at.
    from ministack.core import lambda_runtime  # noqa: PLC0415 - only MiniStack's Python has it
    from ministack.services import lambda_svc  # noqa: PLC0415

    execute: Callable[..., object] = lambda_svc._execute_function_provided_warm  # noqa: SLF001
    acquire: Callable[..., tuple[Any, str]] = lambda_svc.acquire_worker
    invalidate: Callable[..., object] = lambda_svc.invalidate_worker
    pools: dict[str, list[object]] = lambda_runtime._workers  # noqa: SLF001
    pools_lock: threading.Lock = lambda_runtime._lock  # noqa: SLF001
    kill: Callable[[list[object]], object] = lambda_runtime.kill_workers
    executing = threading.local()

    def execute_alone(*call: object) -> object:
        # None until it has a worker: what fails before that has nothing to end.
        executing.worker = None
        try:
            return execute(*call)
        finally:
            del executing.worker

    def acquire_and_remember(*wanted: object, **options: object) -> tuple[Any, str]:
        acquired = acquire(*wanted, **options)
        executing.worker = acquired[0]
        return acquired

    def invalidate_own(*function: object, **scope: object) -> object:
        if not hasattr(executing, "worker"):
            # New code, or a deleted function: none of the old processes may serve again.
            return invalidate(*function, **scope)
        failed = executing.worker
        with pools_lock:
            for pool in pools.values():
                if failed in pool:
                    pool.remove(failed)
        return kill([failed])

    lambda_svc._execute_function_provided_warm = execute_alone  # noqa: SLF001
    lambda_svc.acquire_worker = acquire_and_remember
    lambda_svc.invalidate_worker = invalidate_own


def _end_functions_first() -> None:
    # A function that is alive when the runtime API goes away writes a traceback as it dies.
    from ministack.core import lambda_runtime  # noqa: PLC0415 - only MiniStack's Python has it

    atexit.register(lambda_runtime.reset)


_CHANGES = {
    _drain_output_without_waiting: "each call takes some 50 ms longer",
    _end_only_what_failed: "a function that does not start fails the calls beside it too",
    _share_environments: "some ten callers at once make functions fail",
    _import_gateway_responses: "refusals have API Gateway's default bodies and no challenge",
    _keep_api_addresses: "an update gives the API another address",
    _end_functions_first: "functions end with a traceback in the log",
}


def main(access_log: str = "") -> None:
    """Run MiniStack in this process until it is told to stop.

    Args:
        access_log: the file that the stages' access logs go to; empty for none.

    """
    from ministack.app import main as run_ministack  # noqa: PLC0415 - only MiniStack's Python has it

    # Behind all that MiniStack has, so that nothing of ours is taken for a part of it.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from emulator.aws import gateway_requests  # noqa: PLC0415 - not found before

    if access_log:
        gateway_requests.write_access_logs_to(Path(access_log))
    _send_without_delay()
    for change, without_it in (_CHANGES | gateway_requests.CHANGES).items():
        try:
            change()
        except (ImportError, AttributeError, LookupError) as error:
            sys.stderr.write(f"MiniStack has changed ({error}): {without_it}.\n")
    run_ministack()


if __name__ == "__main__":
    # Taken away: MiniStack reads what is left.
    main(sys.argv.pop(1) if sys.argv[1:] else "")
