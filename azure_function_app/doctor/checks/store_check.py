"""Whether the store of records and checkpoints can be written."""

import errno
import sqlite3
import ssl
from typing import Final, assert_never
from urllib.parse import urlsplit

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.ways import authorities_fix
from azure_function_app.doctor.evidence import Evidence
from azure_function_app.doctor.probes.obstacle import Obstacle, chain_of, obstacle_of
from azure_function_app.doctor.probes.store_trial import StoreOutcome
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject
from azure_function_app.errors import StoreTimedOut, TokenAcquisitionError
from azure_function_app.settings import PostgresSettings, SqliteSettings, TableSettings

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED: Final = frozenset({401, 403})
_NO_TABLE_SERVICE: Final = frozenset({400, 404, 405, 409, 501})
_SERVICES: Final = ("blob", "queue", "file", "dfs", "web")
_TABLE_ROLE: Final = "Storage Table Data Contributor"


def check_store(subject: Subject, evidence: Evidence) -> Check:
    """Return whether the store can be written."""
    name = CheckName.STORE
    if broken := subject.broken_for_store():
        return Check.without_settings(name, broken)
    outcome = evidence.store
    if not isinstance(outcome, StoreOutcome):
        return Check.broke(name, None if outcome is None else outcome.kind)
    chosen = subject.settings.checkpoint_store
    if outcome.error is None:
        how = "was written and cleaned up" if outcome.is_made else "can be made on first use"
        return Check.passed(name, f"{chosen.kind} {how} in {1_000 * outcome.seconds:.0f} ms")
    chain = chain_of(outcome.error)
    match chosen:
        case SqliteSettings():
            return _sqlite(name, outcome.error, chain)
        case TableSettings(endpoint=endpoint):
            return _table(name, endpoint, outcome.error, chain)
        case PostgresSettings():
            return _postgres(name, outcome.error, chain)
        case _:
            assert_never(chosen)


def _sqlite(name: CheckName, error: Exception, chain: list[BaseException]) -> Check:
    codes = {getattr(each, "sqlite_errorcode", 0) & 0xFF for each in chain}
    numbers = {each.errno for each in chain if isinstance(each, OSError)}
    cause, sentence = (
        Cause.STORE_NOT_WRITABLE,
        ("Set SQLITE_PATH to a file in a folder that this app may write, or give it the right to."),
    )
    found = "the file or its folder cannot be written"
    if sqlite3.SQLITE_FULL in codes or numbers & _FULL:
        return Check.failed(
            name,
            "the disk has no room",
            Cause.STORE_DISK_FULL,
            Fix(
                "Make room on the disk, or set SQLITE_PATH to a file on another one.",
                Place.STORAGE,
                setting="SQLITE_PATH",
                value_from="a folder with room",
            ),
        )
    if (
        sqlite3.SQLITE_BUSY in codes
        or sqlite3.SQLITE_LOCKED in codes
        or isinstance(error, StoreTimedOut)
    ):
        cause = Cause.STORE_LOCKED
        found = "another process keeps the file to itself"
        sentence = "End what keeps the file open in a transaction: a long run, or a database tool."
    elif (
        sqlite3.SQLITE_NOTADB in codes
        or sqlite3.SQLITE_CORRUPT in codes
        or (any(type(each) is sqlite3.DatabaseError for each in chain))
    ):
        cause = Cause.STORE_DAMAGED
        found = "what is there is no SQLite file that this version of the app can use"
        sentence = "Set SQLITE_PATH to another file, or put the app's own one back."
    return Check.failed(
        name,
        found,
        cause,
        Fix(
            sentence,
            Place.FUNCTION_APP if cause is not Cause.STORE_LOCKED else Place.STORAGE,
            setting="SQLITE_PATH",
            value_from="a folder that the app may write",
        ),
    )


def _endpoint_fix(endpoint: str) -> Fix:
    parts = urlsplit(endpoint)
    account, _, rest = (parts.hostname or "").partition(".")
    service, _, domain = rest.partition(".")
    value = f"https://{account}.table.{domain}" if service in _SERVICES and domain else None
    return Fix(
        "Set TABLE_ENDPOINT to the table service of the storage account.",
        Place.FUNCTION_APP,
        setting="TABLE_ENDPOINT",
        value=value,
        value_from=None if value else "the account's page Endpoints: Table service",
    )


def _table(name: CheckName, endpoint: str, error: Exception, chain: list[BaseException]) -> Check:
    host = urlsplit(endpoint).hostname or ""
    of_service = host.partition(".")[2].partition(".")[0]
    statuses = [each.status_code for each in chain if isinstance(each, HttpResponseError)]
    status = next((each for each in statuses if each is not None), None)
    if of_service in _SERVICES:
        return Check.failed(
            name,
            f"{host} is the account's {of_service} service",
            Cause.STORE_ENDPOINT_WRONG,
            _endpoint_fix(endpoint),
        )
    if any(isinstance(each, TokenAcquisitionError) for each in chain) or (
        status is None and any(isinstance(each, ClientAuthenticationError) for each in chain)
    ):
        return Check.needs(name, CheckName.CREDENTIAL, found="no token for it could be had; ")
    if status in _REFUSED:
        return Check.failed(
            name,
            f"Table Storage refused this app (HTTP {status})",
            Cause.STORE_RIGHTS_MISSING,
            Fix(
                f"Assign {_TABLE_ROLE} on the storage account to this app's identity, and let its"
                " firewall admit the app.",
                Place.STORAGE,
                setting="roleAssignments",
                value=_TABLE_ROLE,
            ),
        )
    if status in _NO_TABLE_SERVICE:
        return Check.failed(
            name,
            f"{endpoint} answered HTTP {status}, as no table service does",
            Cause.STORE_ENDPOINT_WRONG,
            _endpoint_fix(endpoint),
        )
    if status is not None:
        return Check.failed(
            name,
            f"Table Storage answered HTTP {status}",
            Cause.STORE_UNAVAILABLE,
            Fix("Look at the storage account's metrics.", Place.STORAGE),
        )
    return _unreachable(name, endpoint, "TABLE_ENDPOINT", error)


def _unreachable(name: CheckName, place: str, setting: str, error: Exception) -> Check:
    obstacle, detail, _ = obstacle_of(error)
    found = f"{place}: {detail}"
    fix = Fix(
        f"Set {setting} to the store's address, and let the app's network reach it.",
        Place.FUNCTION_APP,
        setting=setting,
        value_from="the store's page in the Azure portal",
    )
    if isinstance(error, StoreTimedOut) or obstacle is Obstacle.TIMED_OUT:
        if any(
            isinstance(each, OSError) and not isinstance(each, TimeoutError)
            for each in chain_of(error)
        ):
            obstacle, detail, _ = obstacle_of(_first_os_error(error))
            found = f"{place}: {detail}"
        else:
            return Check.failed(name, f"{place}: no answer in time", Cause.STORE_TIMED_OUT, fix)
    match obstacle:
        case Obstacle.NAME_UNKNOWN:
            return Check.failed(name, found, Cause.STORE_NAME_UNKNOWN, fix)
        case Obstacle.TLS_UNTRUSTED | Obstacle.TLS_NAME | Obstacle.TLS_DATES | Obstacle.TLS_FAILED:
            return Check.failed(name, found, Cause.STORE_TLS, authorities_fix())
        case _:
            return Check.failed(name, found, Cause.STORE_UNREACHABLE, fix)


def _first_os_error(error: Exception) -> BaseException:
    return next(
        each
        for each in chain_of(error)
        if isinstance(each, OSError) and not isinstance(each, TimeoutError)
    )


def _postgres(name: CheckName, error: Exception, chain: list[BaseException]) -> Check:
    state = next((str(s) for each in chain if (s := getattr(each, "sqlstate", None))), "")
    if any(isinstance(each, TokenAcquisitionError) for each in chain):
        return Check.needs(name, CheckName.CREDENTIAL, found="no token for it could be had; ")
    if any(isinstance(each, ssl.SSLError) for each in chain):
        return Check.failed(
            name, "its certificate is not trusted", Cause.STORE_TLS, authorities_fix()
        )
    for prefix, (cause, setting) in _POSTGRES.items():
        if state.startswith(prefix):
            return Check.failed(
                name,
                f"PostgreSQL refused with {state}",
                cause,
                Fix(
                    str(error).partition(" (")[0],
                    Place.STORAGE,
                    setting=setting,
                    value_from="docs/postgresql.md",
                ),
            )
    if state:
        return Check.failed(
            name,
            f"PostgreSQL answered {state}",
            Cause.STORE_UNAVAILABLE,
            Fix(str(error), Place.STORAGE, value_from="docs/postgresql.md"),
        )
    return _unreachable(name, "PostgreSQL", "POSTGRES_HOST", error)


_POSTGRES: Final = {
    "28": (Cause.STORE_ROLE_UNKNOWN, "POSTGRES_USER"),
    "3D000": (Cause.STORE_DATABASE_UNKNOWN, "POSTGRES_DATABASE"),
    "42501": (Cause.STORE_RIGHTS_MISSING, "POSTGRES_USER"),
    "25006": (Cause.STORE_NOT_WRITABLE, "POSTGRES_HOST"),
    "53100": (Cause.STORE_DISK_FULL, None),
}
"""By how the SQLSTATE begins."""
