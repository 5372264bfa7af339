"""What PostgreSQL's errors mean: for good or for now, and what to change."""

import ssl

import asyncpg
import pytest

from azure_function_app.stores.postgres.failures import (
    is_lost,
    may_fare_better,
    refusal_of,
    unavailable,
)


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (asyncpg.SerializationError("x"), True),
        (asyncpg.DeadlockDetectedError("x"), True),
        (asyncpg.TooManyConnectionsError("x"), True),
        (asyncpg.CannotConnectNowError("x"), True),
        (asyncpg.ConnectionDoesNotExistError("x"), True),
        (asyncpg.AdminShutdownError("x"), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ssl.SSLCertVerificationError(), False),
        (asyncpg.DiskFullError("x"), False),
        (asyncpg.InsufficientPrivilegeError("x"), False),
        (asyncpg.InvalidPasswordError("x"), False),
        (asyncpg.CheckViolationError("x"), False),
        (asyncpg.ReadOnlySQLTransactionError("x"), False),
    ],
)
def test_when_an_attempt_fails_then_only_what_may_pass_is_tried_again(
    error: Exception, *, may: bool
) -> None:
    """What lasts until somebody changes something is told at once."""
    assert may is may_fare_better(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CharacterNotInRepertoireError("secret"),
        asyncpg.NumericValueOutOfRangeError("secret"),
        asyncpg.DataError("invalid input for query argument $2: 'secret'"),
        asyncpg.ProgramLimitExceededError("secret"),
        asyncpg.StatementTooComplexError("secret"),
        asyncpg.CheckViolationError("secret"),
        asyncpg.RaiseError("secret"),
    ],
)
def test_when_content_is_refused_then_the_reason_quotes_none_of_it(error: Exception) -> None:
    """The name of the error and its state, the same for the same kind."""
    refused = refusal_of(error)

    assert refused is not None
    assert f"PostgreSQL does not take it: {type(error).__name__}, {error.sqlstate}" == str(refused)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (asyncpg.InvalidAuthorizationSpecificationError("secret"), "POSTGRES_USER"),
        (asyncpg.InvalidPasswordError("secret"), "POSTGRES_USER"),
        (asyncpg.InvalidCatalogNameError("secret"), "POSTGRES_DATABASE"),
        (asyncpg.InsufficientPrivilegeError("secret"), "AUTHORIZATION"),
        (asyncpg.ReadOnlySQLTransactionError("secret"), "storage"),
        (asyncpg.DiskFullError("secret"), "storage"),
        (asyncpg.OutOfMemoryError("secret"), "larger"),
        (asyncpg.TooManyConnectionsError("secret"), "max_connections"),
        (asyncpg.CannotConnectNowError("secret"), "starting"),
        (asyncpg.DeadlockDetectedError("secret"), "order"),
        (asyncpg.AdminShutdownError("secret"), "POSTGRES_HOST"),
        (asyncpg.SyntaxOrAccessError("secret"), "42000"),
        (ConnectionRefusedError("secret"), "POSTGRES_HOST"),
        (ssl.SSLCertVerificationError("secret"), "EXTRA_CA_FILE"),
    ],
)
def test_when_the_store_is_to_blame_then_the_error_names_what_to_change(
    error: Exception, word: str
) -> None:
    """And it is no record's fault."""
    told = unavailable(error)

    assert refusal_of(error) is None
    assert "store_unavailable" == told.code
    assert word in str(told)
    assert "secret" not in str(told)


def test_when_the_server_answers_then_the_connection_is_still_good() -> None:
    """Only what breaks it loses it."""
    assert not is_lost(asyncpg.DeadlockDetectedError("x"))
    assert is_lost(asyncpg.IdleInTransactionSessionTimeoutError("x"))
