"""Tells what PostgreSQL will never take from what it may take another time, and what to change."""

import ssl
from types import MappingProxyType
from typing import Final

import asyncpg

from azure_function_app.errors import BridgeError, ContentRefused, StoreUnavailable

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONTENT_CLASSES: Final = ("22", "23", "54")
"""Data exceptions, constraints, and limits such as the length of an index row."""
_RAISED_BY_A_TRIGGER: Final = "P0001"
_MISSING: Final = frozenset({"3F000", "42P01"})
"""The schema, a table."""
_TRANSIENT: Final = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
        "53300",  # too_many_connections
        "57P03",  # cannot_connect_now: it starts or stops
    }
)
_TIMED_OUT: Final = "57014"
"""query_canceled: by the time-out that we have set, or by a person."""
_LOST_CLASSES: Final = ("08", "57P", "25P03", "58")
"""The connection is gone: broken, ended by a person or a fail-over, idle in a transaction."""
_UNREACHABLE: Final = (
    "PostgreSQL could not be reached: check POSTGRES_HOST and POSTGRES_PORT, and that the server's"
    " firewall or network lets this app in."
)
_ADVICE: Final = MappingProxyType(
    {
        "28": "PostgreSQL refused this app: make its identity a role of the server, as an"
        " administrator by Entra ID, with SELECT * FROM pgaadauth_create_principal('<name>', false,"
        " false); and set POSTGRES_USER to that name.",
        "3D000": "PostgreSQL has no such database: check POSTGRES_DATABASE, or create it.",
        "42501": "PostgreSQL does not let this app do that: make POSTGRES_USER the owner of a"
        ' schema of its own, with CREATE SCHEMA bridge AUTHORIZATION "<name>".',
        "25006": "PostgreSQL takes no writes: its storage is nearly full, which makes Azure lock"
        " it, or POSTGRES_HOST names a replica.",
        "53100": "PostgreSQL's disk is full: give the server more storage.",
        "53200": "PostgreSQL is out of memory: give the server a larger size.",
        "53300": "PostgreSQL has no connection left: raise the server's max_connections, or let"
        " fewer instances run.",
        "57P03": "PostgreSQL is starting or stopping.",
        "40": "PostgreSQL could not order this transaction among others, however often it was"
        " tried.",
    }
)
"""By how the SQLSTATE begins."""
LOST_IN_COMMIT: Final = (
    "The connection to PostgreSQL was lost while a transaction was being committed, so nobody knows"
    " whether it was; the next run begins with what is stored."
)


def state_of(error: BaseException) -> str:
    """Return the error's SQLSTATE; empty if it has none."""
    return str(getattr(error, "sqlstate", None) or "")


def is_failure(error: BaseException) -> bool:
    """Return whether the error is the driver's, the server's or the network's."""
    return isinstance(
        error, (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
    )


def is_missing(error: BaseException) -> bool:
    """Return whether the error says that the schema or a table of it is not there."""
    return state_of(error) in _MISSING


def is_canceled(error: BaseException) -> bool:
    """Return whether the server gave up a statement, because its time was up or it was told to."""
    return state_of(error) == _TIMED_OUT


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is of no more use."""
    state = state_of(error)
    return not state or state.startswith(_LOST_CLASSES)


def may_fare_better(error: BaseException) -> bool:
    """Return whether the same transaction, begun again, may succeed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    return state_of(error) in _TRANSIENT or is_lost(error)


def refusal_of(error: BaseException) -> ContentRefused | None:
    """Return the error that a permanent refusal of content means; None if it is something else."""
    state = state_of(error)
    if not state.startswith(_CONTENT_CLASSES) and state != _RAISED_BY_A_TRIGGER:
        return None
    # The server's own words quote what they refuse; the names of its errors and constraints do not.
    constraint = getattr(error, "constraint_name", None)
    why = f"{type(error).__name__}, {state}" + (f", {constraint}" if constraint else "")
    return ContentRefused(f"PostgreSQL does not take it: {why}")


def unavailable(error: BaseException) -> BridgeError:
    """Return the error that says what to change, in words that quote nothing of the server's."""
    if isinstance(error, ssl.SSLError):
        return StoreUnavailable(
            "PostgreSQL could not prove who it is: check that POSTGRES_HOST is the name in its"
            " certificate, and name its authority in EXTRA_CA_FILE if it is no public one."
        )
    state = state_of(error)
    for prefix, advice in _ADVICE.items():
        if state.startswith(prefix):
            return StoreUnavailable(f"{advice} ({state})")
    if is_lost(error):
        return StoreUnavailable(_UNREACHABLE)
    return StoreUnavailable(f"PostgreSQL answered {state} ({type(error).__name__}).")
