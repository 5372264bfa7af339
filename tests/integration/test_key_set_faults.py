"""Key set endpoints that fail in every way they can, on real sockets and real TLS.

While they do, tokens are verified with the last known good set, decisions are never held for longer
than the deadline, and nothing large is ever held in memory.
"""

import gc
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trustme

from aws_authorizer.bootstrap import Authorizer, build_authorizer
from aws_authorizer.bundled_key_set import load_bundled_key_set
from aws_authorizer.errors import KeySetUnavailable
from aws_authorizer.key_set_fetch import (
    MAX_BODY_BYTES,
    FetchedKeySet,
    FetchFailed,
    fetch_key_set,
)
from aws_authorizer.settings import load_settings
from shared.clock import SystemClock
from tests.support.fake_clock import FakeClock
from tests.support.keys import TENANT_ID, key_set
from tests.support.tokens import API_CLIENT_ID, CLIENT_ID, NOW, signed_token, valid_claims

DEADLINE = 0.5
SLACK = 0.4
"""What a machine under load may take on top of the deadline."""

type Behavior = Callable[[socket.socket], None]


class Endpoint:
    """A server that reads a request's head and then does what it is told."""

    def __init__(self, behave: Behavior, context: ssl.SSLContext | None = None) -> None:
        """Behave like this; with a context, behind TLS."""
        self.behave = behave
        self.requests: list[bytes] = []
        self.connections = 0
        self.closing = threading.Event()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """Where a tenant's key set would be, over plain http on the loopback address."""
        return f"http://127.0.0.1:{self.port}/tenant/discovery/v2.0/keys"

    def run(self) -> None:
        """Serve until the listener is closed."""
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    received = connection.recv(4096)
                    if not received:
                        return
                    head += received
                self.requests.append(head)
                self.behave(connection)

    def close(self) -> None:
        """Stop, and wait for what is being served."""
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@contextmanager
def serving(behave: Behavior, context: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """An endpoint that behaves like this while the block runs."""
    endpoint = Endpoint(behave, context)
    thread = threading.Thread(target=endpoint.run, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.close()
        thread.join(5)
    _wait_for_fetch_threads()


def _wait_for_fetch_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "key-set-fetch":
            thread.join(5)
            assert not thread.is_alive()


def answer(body: bytes = key_set(), status: str = "200 OK", *fields: str) -> Behavior:
    """A complete answer."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""])
    return lambda connection: connection.sendall(head.encode() + body)


def raw(encoded: bytes) -> Behavior:
    """Exactly these encoded, then the end."""
    return lambda connection: connection.sendall(encoded)


def drip(encoded: bytes, pause: float = 0.02) -> Behavior:
    """One byte at a time: each in time, all together never."""

    def behave(connection: socket.socket) -> None:
        for position in range(len(encoded)):
            connection.sendall(encoded[position : position + 1])
            time.sleep(pause)

    return behave


def stall(connection: socket.socket) -> None:
    """Answer nothing until the other side gives up."""
    connection.recv(1)


def endless(head: bytes) -> Behavior:
    """A head, and then more than anybody can hold."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        with suppress(OSError):
            while True:
                connection.sendall(b" " * 65_536)

    return behave


def reset(connection: socket.socket) -> None:
    """Drop the connection with an RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FAULTS: dict[str, tuple[Behavior, str]] = {
    "not found": (answer(b"{}", "404 Not Found"), "status_404"),
    "busy": (answer(b"{}", "503 Service Unavailable", "Retry-After: 1"), "status_503"),
    "redirect": (answer(b"", "302 Found", "Location: http://127.0.0.1:1/keys"), "status_302"),
    "permanent redirect": (answer(b"", "308 Moved", "Location: /other"), "status_308"),
    "no content": (answer(b"", "204 No Content"), "status_204"),
    "partial": (answer(status="206 Partial Content"), "status_206"),
    "compressed": (answer(b"\x1f\x8b", "200 OK", "Content-Encoding: gzip"), "compressed"),
    "truncated": (raw(HEAD + b"Content-Length: 9999\r\n\r\n" + key_set()), "truncated"),
    "truncated chunks": (raw(CHUNKED + b"ff\r\nabc"), "not_http"),
    "not even a status": (raw(b"HTTP/1."), "not_http"),
    "half a head": (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "not_json"),
    "nothing": (raw(b""), "not_http"),
    "garbage": (raw(b"220 mail.example ESMTP\r\n\r\n"), "not_http"),
    "too many headers": (raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"), "not_http"),
    "endless header": (endless(b"HTTP/1.1 200 OK\r\nA: "), "not_http"),
    "huge": (answer(b" " * (MAX_BODY_BYTES + 1)), "too_large"),
    "endless": (endless(HEAD + b"\r\n"), "too_large"),
    "announced as huge": (endless(HEAD + b"Content-Length: 99999999999\r\n\r\n"), "too_large"),
    "reset": (reset, "unreachable"),
    "slow drip of the body": (
        drip(HEAD + b"Content-Length: %d\r\n\r\n" % len(key_set()) + key_set()),
        "timed_out",
    ),
    "slow drip of the head": (drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50), "timed_out"),
    "silence": (stall, "timed_out"),
    "empty": (answer(b""), "not_json"),
    "not json": (answer(b"<html>sign in</html>"), "not_json"),
    "a json array": (answer(b"[]"), "not_json"),
    "no keys": (answer(b'{"keys":[]}'), "no_usable_key"),
}


@pytest.mark.parametrize(("behave", "code"), FAULTS.values(), ids=FAULTS)
def test_when_the_endpoint_fails_then_the_last_known_good_set_serves_within_the_deadline(
    behave: Behavior, code: str
) -> None:
    """Valid tokens pass until the set's bound, one attempt a cool-down, and the log says why."""
    lines: list[str] = []
    clock = FakeClock(now=NOW)
    with serving(answer()) as endpoint:
        authorizer = build(endpoint, clock, lines)
        assert authorizer.verifier.verify(signed_token())
        endpoint.behave = behave
        clock.advance(3_000)
        for _ in range(3):
            began = time.perf_counter()
            assert authorizer.verifier.verify(signed_token())
            assert DEADLINE + SLACK > time.perf_counter() - began
        assert 2 == endpoint.connections

    results = [json.loads(line)["result"] for line in lines]
    assert ["ok", code] == results


def build(endpoint: Endpoint, clock: FakeClock, lines: list[str]) -> Authorizer:
    """An authorizer that fetches from the endpoint, whose answers are fresh for 50 minutes."""
    settings = load_settings(
        {
            "ENTRA_TENANT_ID": TENANT_ID,
            "API_CLIENT_ID": API_CLIENT_ID,
            "ALLOWED_CLIENT_IDS": CLIENT_ID,
            "KEY_SET_MAX_AGE_SECONDS": "3000",
            "KEY_SET_FETCH_SECONDS": str(DEADLINE),
        }
    )
    return build_authorizer(
        settings,
        clock=clock,
        write=lines.append,
        build_fetch=lambda _url, seconds: partial(fetch_key_set, endpoint.url, seconds),
    )


@pytest.mark.parametrize("fault", ["silence", "slow drip of the body", "reset", "not json"])
def test_when_there_is_no_good_set_then_nothing_is_decided_within_the_deadline(fault: str) -> None:
    """At a cold start without a bundled set: undecided, and soon."""
    with serving(FAULTS[fault][0]) as endpoint:
        authorizer = build(endpoint, FakeClock(now=NOW), [])
        began = time.perf_counter()
        for _ in range(20):
            with pytest.raises(KeySetUnavailable):
                authorizer.verifier.verify(signed_token())
        assert DEADLINE + SLACK > time.perf_counter() - began
        assert 1 == endpoint.connections


def test_when_the_endpoint_is_down_then_it_is_unreachable() -> None:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchFailed, match="unreachable"):
        fetch_key_set(f"http://127.0.0.1:{port}/keys", DEADLINE)


def test_when_a_name_does_not_resolve_then_it_is_unreachable() -> None:
    """RFC 6761: `.invalid` never does."""
    with pytest.raises(FetchFailed, match=r"unreachable|timed_out"):
        fetch_key_set("https://login.invalid/keys", DEADLINE)
    _wait_for_fetch_threads()


def test_when_a_name_lookup_hangs_then_the_deadline_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket's timeout covers the lookup; waiting for it ends all the same."""
    looking_up, release = threading.Event(), threading.Event()

    def hang(*_args: object, **_kwargs: object) -> list[object]:
        looking_up.set()
        release.wait(10)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.perf_counter()
    with pytest.raises(FetchFailed, match="timed_out"):
        fetch_key_set("https://login.example/keys", 0.2)

    assert looking_up.is_set()
    assert 0.2 + SLACK > time.perf_counter() - began
    release.set()
    _wait_for_fetch_threads()


def test_when_a_connection_opens_after_the_deadline_then_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for the answer any more."""
    release = threading.Event()
    lookup = socket.getaddrinfo

    def late(*args: object, **kwargs: object) -> object:
        release.wait(10)
        return lookup(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", late)
    with serving(answer()) as endpoint:
        with pytest.raises(FetchFailed, match="timed_out"):
            fetch_key_set(endpoint.url, 0.2)
        release.set()
        _wait_for_fetch_threads()

        assert [] == endpoint.requests


def test_when_an_attempt_is_given_up_then_its_thread_ends() -> None:
    """A dripping endpoint collects neither threads nor sockets."""
    with serving(FAULTS["slow drip of the head"][0]) as endpoint:
        for _ in range(3):
            with pytest.raises(FetchFailed):
                fetch_key_set(endpoint.url, 0.1)
        began = time.perf_counter()
        _wait_for_fetch_threads()

        assert 0.5 > time.perf_counter() - began


@pytest.mark.parametrize("fault", ["huge", "endless", "announced as huge", "endless header"])
def test_when_an_answer_is_huge_then_little_of_it_is_held(fault: str) -> None:
    """At most a few times the bound, whatever is announced or sent."""
    with serving(FAULTS[fault][0]) as endpoint:
        with pytest.raises(FetchFailed):  # imports first, which are no part of what is measured
            fetch_key_set(endpoint.url, 2.0)
        gc.collect()
        tracemalloc.start()
        try:
            with pytest.raises(FetchFailed):
                fetch_key_set(endpoint.url, 2.0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert 4 * MAX_BODY_BYTES > peak


def test_when_the_answer_is_complete_then_it_is_what_was_sent() -> None:
    """With its time to be reused; delimited by length, by chunks, and by the connection's end."""
    body = key_set()
    cached = answer(body, "200 OK", "Cache-Control: private, max-age=600", "Age: 100")
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for behave, max_age in (
        (cached, 500.0),
        (raw(CHUNKED + chunk), None),
        (raw(HEAD + b"Connection: close\r\n\r\n" + body), None),
    ):
        with serving(behave) as endpoint:
            assert FetchedKeySet(body, max_age) == fetch_key_set(endpoint.url, 2.0)
            (request,) = endpoint.requests
        assert request.startswith(b"GET /tenant/discovery/v2.0/keys HTTP/1.1\r\n")
        assert b"Accept-Encoding: identity\r\n" in request
        assert b"authorization" not in request.lower()


# --- TLS ----------------------------------------------------------------------------------------


def tls_context(issuer: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's context with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """The CA that the client is told to trust."""
    return trustme.CA()


def fetch_over_tls(endpoint: Endpoint, ca: trustme.CA | None) -> FetchedKeySet:
    """A fetch by name, trusting this CA or the machine's own."""

    def build_context() -> ssl.SSLContext:
        context = ssl.create_default_context()
        if ca is not None:
            ca.configure_trust(context)
        return context

    url = f"https://localhost:{endpoint.port}/keys"
    return fetch_key_set(url, DEADLINE, build_context if ca is not None else None)


def test_when_the_certificate_is_good_then_the_answer_comes(ca: trustme.CA) -> None:
    """The fetch over TLS works at all."""
    with serving(answer(), tls_context(ca, "localhost")) as endpoint:
        assert key_set() == fetch_over_tls(endpoint, ca).body


@pytest.mark.parametrize("wrong", ["name", "issuer", "unknown CA", "no TLS"])
def test_when_tls_is_wrong_then_nothing_is_taken(ca: trustme.CA, wrong: str) -> None:
    """Another host's certificate, another CA's, the machine's own trust, or no TLS at all."""
    context: ssl.SSLContext | None = tls_context(ca, "localhost")
    trusted: trustme.CA | None = ca
    if wrong == "name":
        context = tls_context(ca, "login.example")
    elif wrong == "issuer":
        context = tls_context(trustme.CA(), "localhost")
    elif wrong == "unknown CA":
        trusted = None
    else:
        context = None
    with serving(answer(), context) as endpoint:
        with pytest.raises(FetchFailed, match=r"tls|timed_out"):
            fetch_over_tls(endpoint, trusted)

        assert [] == endpoint.requests


def test_when_no_trust_can_be_set_up_then_nothing_is_sent() -> None:
    """A broken trust store is a failed fetch like any other."""

    def build_context() -> ssl.SSLContext:
        raise FileNotFoundError

    with pytest.raises(FetchFailed, match="unreachable"):
        fetch_key_set("https://localhost:1/keys", DEADLINE, build_context)


def test_when_a_bundle_is_built_then_the_command_writes_what_a_cold_start_reads(
    tmp_path: Path,
) -> None:
    """`python -m aws_authorizer.bundled_key_set`, against an endpoint."""
    file = tmp_path / "key_set.json"
    with serving(answer()) as endpoint:
        subprocess.run(
            [sys.executable, "-m", "aws_authorizer.bundled_key_set", str(file)],
            env={
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "ENTRA_TENANT_ID": TENANT_ID,
                "ENTRA_AUTHORITY": f"http://127.0.0.1:{endpoint.port}",
            },
            check=True,
            timeout=30,
        )
        (request,) = endpoint.requests

    assert request.startswith(f"GET /{TENANT_ID}/discovery/v2.0/keys ".encode())
    assert load_bundled_key_set(str(file)).key_set.keys


# --- cold start ---------------------------------------------------------------------------------

_FIRST_DECISION = """
import json, sys
from aws_authorizer.handler import handler
answer = handler(json.load(sys.stdin), None)
print(json.dumps([answer["principalId"], sorted(sys.modules)]))
"""
_NOT_NEEDED = {
    "http.client",
    "ssl",
    "socket",
    "urllib.request",
    "urllib.parse",
    "jwt.jwks_client",
    "jwt.api_jwt",
    "cryptography.x509.base",
    "logging",
    "asyncio",
    "email",
}


def test_when_a_key_set_is_bundled_then_a_cold_start_imports_no_network(tmp_path: Path) -> None:
    """A fresh process, as in Lambda: the first decision opens no socket and imports none."""
    now = int(SystemClock().now())
    token = signed_token(valid_claims(iat=now, nbf=now, exp=now + 600))
    (tmp_path / "key_set.json").write_bytes(key_set(retrieved_at=now))
    event = {
        "type": "TOKEN",
        "authorizationToken": f"Bearer {token}",
        "methodArn": "arn:aws:execute-api:eu-west-1:111122223333:abc123/prod/GET/v1/records",
    }
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "ENTRA_TENANT_ID": TENANT_ID,
        "API_CLIENT_ID": API_CLIENT_ID,
        "ALLOWED_CLIENT_IDS": CLIENT_ID,
        "KEY_SET_FILE": str(tmp_path / "key_set.json"),
    }
    finished = subprocess.run(
        [sys.executable, "-c", _FIRST_DECISION],
        input=json.dumps(event),
        capture_output=True,
        text=True,
        env=environment,
        check=True,
        timeout=30,
    )
    _, modules = json.loads(finished.stdout.splitlines()[-1])

    assert set() == _NOT_NEEDED & set(modules)
    assert "" == finished.stderr
