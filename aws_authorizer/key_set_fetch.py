"""Fetches a key set over HTTP: one request, within one deadline, of bounded size, no redirects.

`http.client` and `ssl` cost more to import than a decision takes, and with a bundled key set most
processes end before they need them. So they are imported when a fetch is due, and not before.
"""

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPConnection, HTTPResponse

MAX_BODY_BYTES: Final = 262_144
"""Ten times what Entra ID's largest key set takes."""

# The only plain http is the local emulator's, on an address that cannot leave the machine.
_URL: Final = (
    r"(?:https://(?P<host>[a-z0-9.-]+)|http://(?P<loopback>127(?:\.[0-9]{1,3}){3}|\[::1\]))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)"
)
_MAX_AGE: Final = r"(?i)(?:^|,)\s*max-age\s*=\s*\"?([0-9]{1,10})\"?\s*(?:,|$)"
_NOT_STORED: Final = r"(?i)(?:^|,)\s*no-(?:store|cache)\s*(?:,|=|$)"
_OK: Final = 200
_BOTH_WAYS: Final = 2  # socket.SHUT_RDWR, without importing socket

type BuildTlsContext = Callable[[], ssl.SSLContext]


class FetchFailed(Exception):
    """No key set was had; `args[0]` is a stable code that says why."""


class FetchedKeySet(NamedTuple):
    """What the key set's server answered."""

    body: bytes
    max_age: float | None
    """For how many seconds the server lets the answer be reused (RFC 9111); None if unsaid."""


type Fetch = Callable[[], FetchedKeySet]
"""Gets a key set, or raises FetchFailed."""


def parse_max_age(cache_control: str, age: str) -> float | None:
    """For how many more seconds an answer with these headers may be reused; None if unsaid."""
    if re.search(_NOT_STORED, cache_control):
        return 0.0
    match = re.search(_MAX_AGE, cache_control)
    if match is None:
        return None
    spent = int(age) if age.isascii() and age.isdigit() and len(age) <= 10 else 0  # noqa: PLR2004
    return float(max(0, int(match[1]) - spent))


def _read_answer(response: "HTTPResponse") -> FetchedKeySet:
    if response.status != _OK:
        raise FetchFailed(f"status_{response.status}")
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed("compressed")  # a small answer must not grow into a large one
    body = response.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise FetchFailed("too_large")
    # http.client does not call a short body short when it is asked for a bounded one.
    if response.length:
        raise FetchFailed("truncated")
    return FetchedKeySet(
        body,
        parse_max_age(response.getheader("Cache-Control", ""), response.getheader("Age", "")),
    )


class _Attempt:
    """One fetch in a thread of its own, so that the caller can stop waiting for it.

    A socket's timeout bounds each operation on it, not all of them together, and nothing bounds
    a name lookup. A server that sends one byte a second would hold a decision for ever.
    """

    def __init__(
        self, url: re.Match[str], seconds: float, build_tls_context: "BuildTlsContext | None"
    ) -> None:
        self._url = url
        self._seconds = seconds
        self._build_tls_context = build_tls_context
        self._done = threading.Event()
        self._is_abandoned = False
        self._connection: HTTPConnection | None = None
        self._answer: FetchedKeySet | None = None
        self._failure = "timed_out"

    def answer(self) -> FetchedKeySet:
        """Return the answer, if there is one within the time."""
        threading.Thread(target=self._run, name="key-set-fetch", daemon=True).start()
        if not self._done.wait(self._seconds):
            self._abandon()
            raise FetchFailed("timed_out")
        if self._answer is None:
            raise FetchFailed(self._failure)
        return self._answer

    def _run(self) -> None:
        import ssl  # noqa: PLC0415 - see above: only when a fetch is due
        from http.client import HTTPException  # noqa: PLC0415

        try:
            self._answer = self._request()
        except FetchFailed as failed:
            self._failure = str(failed)
        except TimeoutError:
            self._failure = "timed_out"
        except ssl.SSLError:
            self._failure = "tls"
        except HTTPException:
            self._failure = "not_http"
        except Exception:  # noqa: BLE001 - there is no one to raise to; who waits is told
            self._failure = "unreachable"
        finally:
            if self._connection is not None:
                self._connection.close()
            self._done.set()

    def _request(self) -> FetchedKeySet:
        connection = self._connection = self._build_connection()
        connection.connect()
        # `_abandon` sets the mark before it looks for a socket to shut down; we do the reverse, so
        # one of us sees the other.
        if self._is_abandoned:
            raise FetchFailed("timed_out")
        connection.request("GET", self._url["path"], headers={"Accept": "application/json"})
        with connection.getresponse() as response:
            return _read_answer(response)

    def _build_connection(self) -> "HTTPConnection":
        from http.client import HTTPConnection, HTTPSConnection  # noqa: PLC0415

        port = int(self._url["port"]) if self._url["port"] else None
        if self._url["loopback"]:
            host = self._url["loopback"].strip("[]")
            return HTTPConnection(host, port, timeout=self._seconds)
        context = self._build_tls_context() if self._build_tls_context else None
        return HTTPSConnection(self._url["host"], port, timeout=self._seconds, context=context)

    def _abandon(self) -> None:
        self._is_abandoned = True
        socket = self._connection.sock if self._connection is not None else None
        if socket is not None:
            # Wakes the thread from whatever it waits for; it then closes the socket itself.
            with suppress(OSError):
                socket.shutdown(_BOTH_WAYS)


def fetch_key_set(
    url: str, seconds: float, build_tls_context: "BuildTlsContext | None" = None
) -> FetchedKeySet:
    """Return what `url` answers within `seconds`, name lookup and handshake included.

    Args:
        url: https; plain http only on a loopback address.
        seconds: the deadline.
        build_tls_context: for tests with a CA of their own; by default the machine's CAs.

    Raises:
        FetchFailed: anything else than a complete 200 answer of bounded size came, or nothing.

    """
    match = re.fullmatch(_URL, url)
    if match is None:
        raise FetchFailed("bad_url")
    return _Attempt(match, seconds, build_tls_context).answer()
