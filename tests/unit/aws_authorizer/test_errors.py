"""Reasons and errors."""

from aws_authorizer.errors import (
    WHAT_TO_CHANGE,
    AccessDenied,
    KeySetUnavailable,
    Reason,
    TokenRejected,
    Unauthorized,
    Undecided,
)
from shared.principal import Principal


def test_when_a_call_is_refused_then_one_sentence_says_what_to_change() -> None:
    """Every reason but the good one has a sentence that ends like one."""
    assert set(Reason) - {Reason.ALLOWED} == set(WHAT_TO_CHANGE)
    assert all(sentence.endswith(".") for sentence in WHAT_TO_CHANGE.values())


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
