"""Starts MiniStack without its idle waits.

Runs as a script under MiniStack's own Python, which has MiniStack and nothing of ours:
`python -I launcher.py`. What it changes in MiniStack has no public setting, so each change looks
first whether its place is still there; where it is not, MiniStack stays as it is and a line says
what that means.
"""

import atexit
import socketserver
import sys
from collections.abc import Callable, Mapping
from typing import Any


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


def _end_functions_first() -> None:
    # A function that is alive when the runtime API goes away writes a traceback as it dies.
    from ministack.core import lambda_runtime  # noqa: PLC0415 - only MiniStack's Python has it

    atexit.register(lambda_runtime.reset)


_CHANGES = {
    _drain_output_without_waiting: "each call takes some 50 ms longer",
    _import_gateway_responses: "refusals have API Gateway's default bodies and no challenge",
    _end_functions_first: "functions end with a traceback in the log",
}


def main() -> None:
    """Run MiniStack in this process until it is told to stop."""
    from ministack.app import main as run_ministack  # noqa: PLC0415 - only MiniStack's Python has it

    _send_without_delay()
    for change, without_it in _CHANGES.items():
        try:
            change()
        except (ImportError, AttributeError) as error:
            sys.stderr.write(f"MiniStack has changed ({error}): {without_it}.\n")
    run_ministack()


if __name__ == "__main__":
    main()
