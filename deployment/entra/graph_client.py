"""Microsoft Graph as this registration needs it: retries, waiting for what was just made, pages.

Throttling: a 429 says when to come back, and nothing was done, so every request is repeated.
Faults: a request is repeated only where doing it twice is the same as once.
Replication: what was just made is not found for a while; `Waiting` names how Graph says so.
Whether Graph says so in exactly these words, and for how long, is not verified against the service.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from deployment.entra.errors import GraphError
from shared.clock import Clock
from shared.loopback import is_loopback_address

GRAPH_URLS: Final[Mapping[str, str]] = {
    "public": "https://graph.microsoft.com",
    "usgov": "https://graph.microsoft.us",
    "china": "https://microsoftgraph.chinacloudapi.cn",
}
"""Graph's address in each Entra ID cloud."""
TOTAL_SECONDS: Final = 300.0
"""How long one run may take, its waiting included."""

_VERSION: Final = "/v1.0"
_REQUEST_TIMEOUT: Final = 30.0
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 20.0
_MOST_FAULTS: Final = 5
"""How often a fault is met before the run ends; throttling and replication end by time only."""
_MOST_PAGES: Final = 1_000
_LONGEST_SAID: Final = 500
_NOT_FOUND: Final = 404
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_SERVER_FAULT: Final = 500
_CREATE_IF_MISSING: Final = {"Prefer": "create-if-missing"}


class Waiting(Enum):
    """What a request may wait for, each with the words by which Graph says that it is not there."""

    NOTHING = ()
    OBJECT = ("does not exist or one of its queried",)
    """The object of the request."""
    APPLICATION = (
        "does not reference a valid application object",
        "the backing application of the service principal being created must",
        "does not exist or one of its queried",
    )
    """The application behind a service principal."""
    PRINCIPAL = (
        "Not a valid reference update",
        "does not exist or one of its queried",
        "Permission being assigned was not found on application",
    )
    """Who is assigned a role, the role, or the service principal that has it."""
    SCOPE = ("cannot be found in the AppPermissions", "does not exist or one of its queried")
    """A scope that an application is pre-authorized for."""
    DISABLED = ("cannot be deleted or updated unless disabled first",)
    """A role or scope that has just been disabled, so that it can go."""


class GraphClient:
    """Asks Graph on behalf of one token, within one total deadline."""

    def __init__(  # noqa: PLR0913 - what it does not do itself is handed in
        self,
        http: httpx.Client,
        url: str,
        token: str,
        *,
        clock: Clock,
        sleep: Callable[[float], None],
        total_seconds: float = TOTAL_SECONDS,
        spread: Callable[[], float] = random.random,
    ) -> None:
        """Take the HTTP client, Graph's address without a version, and the bearer token.

        Of `spread`, from 0 to 1, depends where between half and all of its time a wait ends.

        Raises:
            ValueError: the address would carry the token unencrypted over a network.

        """
        parts = urlsplit(url)
        is_local = parts.scheme == "http" and is_loopback_address(parts.hostname or "")
        if parts.scheme != "https" and not is_local:
            raise ValueError(f"{url!r} is neither https nor on this machine")
        self._http = http
        self.url = url.rstrip("/")
        """Graph's address without a version."""
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._clock = clock
        self._sleep = sleep
        self._spread = spread
        self._ends = clock.monotonic() + total_seconds

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        waiting: Waiting = Waiting.NOTHING,
    ) -> dict[str, Any]:
        """Return the object at the path.

        Raises:
            GraphError: Graph does not give it.

        """
        return self._ask("GET", self._address(path, query), waiting=waiting)

    def find(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Return the object at the path, or None where there is none (yet).

        Raises:
            GraphError: Graph does not say.

        """
        try:
            return self.get(path, query)
        except GraphError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def list_all(self, path: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Return all objects of a list, whatever number of pages they take.

        Raises:
            GraphError: Graph does not give them, or sends us to another host for the next page.

        """
        return [entry for page in self._pages(self._address(path, query)) for entry in page]

    def patch(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        creates: bool = False,
        waiting: Waiting = Waiting.NOTHING,
    ) -> None:
        """Give the object at the path these fields; with `creates` make it if it is not there.

        Raises:
            GraphError: Graph does not do it.

        """
        headers = _CREATE_IF_MISSING if creates else {}
        self._ask("PATCH", self._address(path), body=body, headers=headers, waiting=waiting)

    def post_once(
        self, path: str, body: Mapping[str, Any], *, waiting: Waiting = Waiting.NOTHING
    ) -> None:
        """Add the object to the list at the path; that it is there already is no error.

        So the request may be repeated after a lost answer.

        Raises:
            GraphError: Graph does not do it.

        """
        try:
            self._ask("POST", self._address(path), body=body, waiting=waiting)
        except GraphError as error:
            if "already exists" not in error.said:
                raise

    def _pages(self, address: str) -> Iterator[list[dict[str, Any]]]:
        for _ in range(_MOST_PAGES):
            page = self._ask("GET", address)
            yield page.get("value", [])
            address = page.get("@odata.nextLink", "")
            if not address:
                return
            # The token goes with the request, so the link decides nothing but the page.
            if not address.startswith(f"{self.url}{_VERSION}/"):
                raise GraphError(
                    "graph_answer_unreadable", "Graph's next page is not on Graph's own host."
                )
        raise GraphError("graph_answer_unreadable", f"A list has more than {_MOST_PAGES} pages.")

    def _address(self, path: str, query: Mapping[str, str] | None = None) -> str:
        return str(httpx.URL(f"{self.url}{_VERSION}{path}", params=query or None))

    def _ask(
        self,
        method: str,
        address: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        waiting: Waiting = Waiting.NOTHING,
    ) -> dict[str, Any]:
        faults = 0
        attempt = 0
        while True:
            fault: str
            wait: float | None = None
            response = self._send(method, address, body, headers or {})
            if isinstance(response, str):
                fault = response
                faults += 1
            elif response.is_success:
                return _parse(response) if response.content else {}
            else:
                said = _said(response)
                if response.status_code == _TOO_MANY:
                    wait = _retry_after(response)
                    fault = "it throttles us (429)"
                elif response.status_code >= _SERVER_FAULT:
                    wait = _retry_after(response)
                    fault = f"it answers with {response.status_code}"
                    faults += 1
                elif any(words in said for words in waiting.value):
                    fault = f"what was just made is not to be seen yet ({said})"
                else:
                    raise _refusal(method, address, response.status_code, said)
            if faults >= _MOST_FAULTS:
                raise GraphError(
                    "graph_unavailable", f"Microsoft Graph is not available: {fault}. Run it again."
                )
            self._wait(wait, attempt, fault)
            attempt += 1

    def _send(
        self, method: str, address: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> httpx.Response | str:
        """Return the response, or in words why there is none."""
        left = self._ends - self._clock.monotonic()
        if left <= 0:
            raise _too_late("there was no time left for it")
        try:
            return self._http.request(
                method,
                address,
                content=None if body is None else json.dumps(body),
                headers={**self._headers, **headers}
                | ({} if body is None else {"Content-Type": "application/json"}),
                timeout=min(_REQUEST_TIMEOUT, left),
                follow_redirects=False,
            )
        except httpx.TransportError as error:
            return f"{urlsplit(address).netloc} cannot be reached ({type(error).__name__})"

    def _wait(self, asked: float | None, attempt: int, reason: str) -> None:
        grown = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(attempt, 10))
        # Who is told when to come back comes back then; others spread out.
        seconds = grown * (1 + self._spread()) / 2 if asked is None else asked
        if self._clock.monotonic() + seconds >= self._ends:
            raise _too_late(reason)
        self._sleep(seconds)


def _parse(response: httpx.Response) -> dict[str, Any]:
    try:
        parsed = response.json()
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise GraphError("graph_answer_unreadable", "What Graph answered is no JSON object.")
    return parsed


def _said(response: httpx.Response) -> str:
    """Return Graph's code and message, on one line, printable and not too long."""
    try:
        error = response.json()["error"]
        text = f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return ""
    line = " ".join(text.split())[:_LONGEST_SAID]
    return "".join(character for character in line if character.isprintable())


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def _too_late(reason: str) -> GraphError:
    return GraphError(
        "graph_deadline",
        f"Microsoft Graph was not through in time: {reason}. Run it again: what is done stays"
        " done.",
    )


def _refusal(method: str, address: str, status: int, said: str) -> GraphError:
    if status == _UNAUTHORIZED:
        code, sentence = "graph_sign_in_needed", "Graph does not accept the sign-in: run `az login`"
    elif status == _FORBIDDEN:
        code, sentence = "graph_right_missing", _missing_right(method, urlsplit(address).path)
    elif "same value for property" in said or "already in use" in said:
        code = "graph_conflict"
        sentence = (
            "Another object of the tenant has the name or URI already; it may be an application"
            " that was deleted less than 30 days ago: delete it for good, or restore it"
        )
    else:
        code, sentence = "graph_refused", f"Graph refuses {method} {urlsplit(address).path}"
    # Graph's own words may be absent.
    return GraphError(
        code,
        f"{sentence} ({status} {said})." if said else f"{sentence} ({status}).",
        status=status,
        said=said,
    )


def _missing_right(method: str, path: str) -> str:
    if "appRoleAssignedTo" in path and method != "GET":
        return (
            "The sign-in may not assign app roles: it needs AppRoleAssignment.ReadWrite.All, which"
            " a Cloud Application Administrator, an Application Administrator, a Privileged Role"
            " Administrator or a Global Administrator has"
        )
    if method == "GET":
        return (
            "The sign-in may not read the directory: it needs Application.Read.All and"
            " Directory.Read.All, which members of the tenant have unless an administrator took it"
        )
    return (
        "The sign-in may not register or change this application: it needs"
        " Application.ReadWrite.All, which a Cloud Application Administrator, an Application"
        " Administrator or a Global Administrator has"
    )
