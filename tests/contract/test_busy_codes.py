"""What the backend calls busy, the Function App takes for busy, and nothing else."""

from collections.abc import Iterator

from aws_backend.errors import ApiError, ServiceUnavailable
from azure_function_app.aws_api.client import BUSY_CODES

BROKEN_STATUSES = {502, 503, 504}
"""What the circuit breaker counts where nobody of ours has said otherwise."""


def _below(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def test_when_the_backend_can_be_busy_then_the_circuit_breaker_knows_by_which_codes() -> None:
    """A new code has to be decided on: does it mean that the API works?"""
    raised = [kind for kind in _below(ApiError) if kind is not ServiceUnavailable]

    assert BUSY_CODES == {kind.code for kind in raised if kind.status in BROKEN_STATUSES}
