"""Reasons and errors."""

from aws_authorizer.errors import (
    AccessDenied,
    KeySetUnavailable,
    TokenRejected,
    Unauthorized,
    Undecided,
)
from shared.principal import Principal
from shared.reasons import Reason


def test_when_a_caller_is_unauthorized_then_the_message_is_the_one_that_counts() -> None:
    """API Gateway answers 401 to this text alone."""
    assert "Unauthorized" == str(Unauthorized())


def test_when_something_is_refused_then_its_message_is_its_reason() -> None:
    """Messages hold codes, and nothing that a request said."""
    caller = Principal("object", "tenant", "client", frozenset(), "token")

    assert "expired" == str(TokenRejected(Reason.EXPIRED))
    assert "missing_role" == str(AccessDenied(Reason.MISSING_ROLE, caller))
    assert "internal_error" == str(Undecided(Reason.INTERNAL_ERROR))
    assert "key_set_unavailable: tls" == str(KeySetUnavailable("tls"))
