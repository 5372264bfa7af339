"""Signing in to PostgreSQL: a token as the password, over TLS, and nothing to anybody else."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import trustme

from azure_function_app.bootstrap import ServicesPerLoop
from azure_function_app.errors import StoreUnavailable, TokenAcquisitionError
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.settings import load_settings
from azure_function_app.stores.postgres.connections import Server
from azure_function_app.stores.postgres.store import PostgresStore, build_postgres_store
from azure_function_app.tls import build_tls_context
from emulator.postgres import Postgres, PostgresPrograms, PostgresTls
from shared.clock import SystemClock
from tests.support.fake_feed import record
from tests.support.faulty_server import answer, faulty_server
from tests.support.functions_app import NEEDED

CHECKOUT = Path(__file__).parents[2]
CLOCK = SystemClock()
LONG = "e30." + "x" * 2_000
"""A token is longer than any password."""


class Secured(NamedTuple):
    """A server that asks for TLS and a password, and who issued its certificate."""

    postgres: Postgres
    authority: Path


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Its certificate is for localhost, which is a name and no loopback address."""
    folder = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    identity = authority.issue_cert("localhost")
    files = [folder / name for name in ("ca.pem", "certificate.pem", "key.pem")]
    authority.cert_pem.write_to_path(str(files[0]))
    identity.cert_chain_pems[0].write_to_path(str(files[1]))
    identity.private_key_pem.write_to_path(str(files[2]))
    postgres = Postgres.start(
        PostgresPrograms.under(CHECKOUT / ".tools"),
        folder / "postgres",
        clock=CLOCK,
        sleep=time.sleep,
        tls=PostgresTls(files[1], files[2]),
    )
    yield Secured(postgres, files[0])
    postgres.stop()


@pytest.fixture
def administer(secured: Secured) -> Callable[[str], None]:
    """Runs a statement as the server's owner."""

    def administer(sql: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(
                host=secured.postgres.host,
                port=secured.postgres.port,
                user=secured.postgres.user,
                database=secured.postgres.database,
                ssl=False,
            )
            await connection.execute(sql)
            await connection.close()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, execute()).result()

    return administer


@pytest.fixture
def role(administer: Callable[[str], None]) -> str:
    """A role with a schema of its own, and a token for its password."""
    administer(
        "DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        f" ALTER ROLE app PASSWORD '{LONG}1';"
        " DROP SCHEMA IF EXISTS bridge CASCADE; CREATE SCHEMA bridge AUTHORIZATION app"
    )
    return "app"


def token(value: str) -> AccessToken:
    """A token that is good for an hour."""
    return AccessToken(value, CLOCK.now() + 3_600)


def store_of(
    secured: Secured,
    role: str,
    request_token: Callable[[], AccessToken],
    *,
    host: str = "localhost",
    authority: Path | None = None,
) -> PostgresStore:
    """A store there, which trusts the server's authority unless another one is named."""
    path = str(authority or secured.authority)

    def build_tls() -> ssl.SSLContext:
        return build_tls_context(authorities_path=path)

    return build_postgres_store(
        Server(host, secured.postgres.port, secured.postgres.database, role),
        clock=CLOCK,
        build_tls=build_tls,
        request_token=request_token,
    )


async def test_when_the_app_signs_in_then_its_managed_identity_brings_the_password(
    secured: Secured, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """azure-identity unmodified, the app as its settings build it, and a token for the database."""
    members = {
        "access_token": f"{LONG}1",
        "expires_on": str(int(CLOCK.now()) + 3_600),
        "resource": "https://ossrdbms-aad.database.windows.net",
        "token_type": "Bearer",
    }
    settings = NEEDED | {
        "RECORD_STORE": "postgres",
        "POSTGRES_HOST": "localhost",
        "POSTGRES_PORT": str(secured.postgres.port),
        "POSTGRES_USER": role,
        "EXTRA_CA_FILE": str(secured.authority),
    }
    reply = answer(200, json.dumps(members).encode(), ("Content-Type", "application/json"))
    async with faulty_server(reply) as endpoint:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{endpoint.port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "made-up")
        services = await ServicesPerLoop(lambda: load_settings(settings), CLOCK).get()
        store = services.record_sink
        assert isinstance(store, PostgresStore)

        changed = await store.write([record("a")])
        health = await services.health.answer("id")
        await store.aclose()

    assert 1 == changed
    assert 200 == health.status
    assert "postgres" == json.loads(health.body)["record_store"]
    assert ["https://ossrdbms-aad.database.windows.net"] == [
        parse_qs(urlsplit(request.target).query)["resource"][0] for request in endpoint.requests
    ]


async def test_when_a_token_is_no_longer_good_then_a_new_connection_gets_a_new_one(
    secured: Secured, role: str, administer: Callable[[str], None]
) -> None:
    """A connection lives on with the token that opened it; the next one asks again where needed."""
    values = [f"{LONG}1", f"{LONG}2"]
    asked: list[str] = []

    def request_token() -> AccessToken:
        asked.append(values[len(asked)])
        return token(asked[-1])

    store = store_of(secured, role, request_token)
    await store.write([record("a")])
    administer(f"ALTER ROLE app PASSWORD '{values[1]}'")
    await store.write([record("b")])
    before = len(asked)
    administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")

    changed = await store.write([record("c")])
    await store.aclose()

    assert (1, 1) == (before, changed)
    assert values == asked


async def test_when_a_token_is_about_to_end_then_it_is_not_sent(
    secured: Secured, role: str
) -> None:
    """One that ends in five minutes opens no further connection."""
    lifetimes = [200.0, 3_600.0]
    asked: list[float] = []

    def request_token() -> AccessToken:
        asked.append(lifetimes[len(asked)])
        return AccessToken(f"{LONG}1", CLOCK.now() + asked[-1])

    store = store_of(secured, role, request_token)
    await asyncio.gather(*(store.load() for _ in range(2)))
    first = list(asked)
    await asyncio.gather(*(store.load() for _ in range(3)))
    await store.aclose()

    assert lifetimes == first == asked


async def test_when_the_role_or_token_is_refused_then_the_error_says_how_to_make_the_role(
    secured: Secured, role: str
) -> None:
    """And neither it nor its causes hold the token."""
    store = store_of(secured, role, lambda: token("made-up-token"))

    with pytest.raises(StoreUnavailable, match="pgaadauth_create_principal") as raised:
        await store.load()
    await store.aclose()

    assert "made-up-token" not in f"{raised.value!r} {raised.value.__cause__!r}"


@pytest.mark.parametrize("wrong", ["name", "authority"])
async def test_when_the_server_cannot_prove_itself_then_it_gets_no_token(
    secured: Secured, role: str, tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of another authority, or for another name, ends the connection."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("PGSSLMODE", "disable")
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **options: look_up(
            "localhost" if host == "other.example" else host, *args, **options
        ),
    )
    store = store_of(
        secured,
        role,
        lambda: token(f"{LONG}1"),
        host="localhost" if wrong == "authority" else "other.example",
        authority=other if wrong == "authority" else None,
    )

    with pytest.raises(StoreUnavailable, match="EXTRA_CA_FILE"):
        await store.load()
    await store.aclose()


async def test_when_no_token_can_be_had_then_the_error_says_why(
    secured: Secured, role: str
) -> None:
    """In the words of whoever could not get it; health tells it as any outage of the store."""

    def request_token() -> AccessToken:
        raise TokenAcquisitionError("set AZURE_CLIENT_ID", code="token_client_unknown")

    store = store_of(secured, role, request_token)

    with pytest.raises(StoreUnavailable, match=r"set AZURE_CLIENT_ID \(token_client_unknown\)"):
        await store.load()
    await store.aclose()


async def test_when_the_role_may_make_no_schema_then_the_error_says_how_to_give_it_one(
    secured: Secured, role: str, administer: Callable[[str], None]
) -> None:
    """Its own schema is all that the role needs, and all that it gets."""
    administer("DROP SCHEMA bridge CASCADE")
    store = store_of(secured, role, lambda: token(f"{LONG}1"))

    with pytest.raises(StoreUnavailable, match="CREATE SCHEMA bridge AUTHORIZATION"):
        await store.write([record("a")])
    administer("CREATE SCHEMA bridge AUTHORIZATION app")

    assert 1 == await store.write([record("a")])
    await store.aclose()
