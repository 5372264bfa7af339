"""What it means that the store cannot be written."""

import errno
import socket
import sqlite3

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError

from azure_function_app.doctor.probes.store_trial import StoreOutcome
from azure_function_app.doctor.report import CheckName
from azure_function_app.errors import StoreTimedOut, StoreUnavailable
from tests.support.doctor_evidence import failures, judged, subject

TABLE = {"RECORD_STORE": "table", "TABLE_ENDPOINT": "https://account.table.core.windows.net"}
BLOB = TABLE | {"TABLE_ENDPOINT": "https://account.blob.core.windows.net"}
POSTGRES = {"RECORD_STORE": "postgres", "POSTGRES_HOST": "db.example", "POSTGRES_USER": "app"}


class Refused(Exception):
    """What PostgreSQL's driver raises."""

    def __init__(self, sqlstate: str) -> None:
        """Take the state."""
        self.sqlstate = sqlstate


def unavailable(inner: Exception) -> StoreUnavailable:
    """The store's own error, and what it came of."""
    error = StoreUnavailable("The store does not work.")
    error.__cause__ = inner
    return error


def sqlite(code: int) -> sqlite3.OperationalError:
    """SQLite's own error."""
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    return error


def answered(status: int) -> HttpResponseError:
    """A refusal of the account's."""
    error = HttpResponseError("x")
    error.status_code = status
    return error


@pytest.mark.parametrize(
    ("settings", "error", "cause"),
    [
        ({}, unavailable(sqlite(sqlite3.SQLITE_FULL)), "store_disk_full"),
        ({}, OSError(errno.ENOSPC, "x"), "store_disk_full"),
        ({}, PermissionError(errno.EACCES, "x"), "store_not_writable"),
        ({}, unavailable(sqlite(sqlite3.SQLITE_BUSY)), "store_locked"),
        ({}, unavailable(sqlite(sqlite3.SQLITE_NOTADB)), "store_damaged"),
        (TABLE, unavailable(answered(403)), "store_rights_missing"),
        (TABLE, unavailable(answered(400)), "store_endpoint_wrong"),
        (TABLE, unavailable(answered(500)), "store_unavailable"),
        (TABLE, StoreTimedOut("x"), "store_timed_out"),
        (
            TABLE,
            unavailable(ServiceRequestError("x", error=socket.gaierror(-2, "x"))),
            "store_name_unknown",
        ),
        (BLOB, unavailable(answered(400)), "store_endpoint_wrong"),
        (POSTGRES, unavailable(Refused("28P01")), "store_role_unknown"),
        (POSTGRES, unavailable(Refused("3D000")), "store_database_unknown"),
        (POSTGRES, unavailable(Refused("42501")), "store_rights_missing"),
        (POSTGRES, unavailable(Refused("XX000")), "store_unavailable"),
        (POSTGRES, unavailable(ConnectionRefusedError()), "store_unreachable"),
    ],
)
def test_when_the_store_fails_then_its_cause_is_named(
    settings: dict[str, str], error: Exception, cause: str
) -> None:
    """By what the driver said, however deep it stands."""
    checks = judged(subject(**settings), store=StoreOutcome(0.1, error))

    assert [("store", cause)] == failures(checks)


def test_when_another_service_of_the_account_is_named_then_the_table_service_is_the_value() -> None:
    """It differs in one word."""
    fix = judged(subject(**BLOB), store=StoreOutcome(0.1, StoreTimedOut("x")))[CheckName.STORE].fix

    assert fix is not None
    assert "https://account.table.core.windows.net" == fix.value
