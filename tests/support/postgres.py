"""PostgreSQL for the tests of what is kept there."""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_function_app.identity.access_token import AccessToken
from azure_function_app.stores.postgres.connections import Server
from azure_function_app.stores.postgres.store import PostgresStore, build_postgres_store
from emulator.postgres import Postgres, PostgresPrograms
from shared.clock import SystemClock

_CHECKOUT = Path(__file__).parents[2]


def no_token() -> AccessToken:
    """A server on this machine is sent none, so asking for one is an error."""
    raise AssertionError("a token was asked for")


def no_tls() -> ssl.SSLContext:
    """A server on this machine is asked for no certificate."""
    raise AssertionError("a certificate was asked for")


def postgres_store(postgres: Postgres, schema: str, *, port: int | None = None) -> PostgresStore:
    """A store there, as the app builds it; by another port, if something stands before it."""
    return build_postgres_store(
        Server(postgres.host, port or postgres.port, postgres.database, postgres.user),
        clock=SystemClock(),
        build_tls=no_tls,
        request_token=no_token,
        schema=schema,
    )


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server for all tests; each test has a schema of its own in it."""
    postgres = Postgres.start(
        PostgresPrograms.under(_CHECKOUT / ".tools"),
        tmp_path_factory.mktemp("postgres"),
        clock=SystemClock(),
        sleep=time.sleep,
    )
    yield postgres
    postgres.stop()
