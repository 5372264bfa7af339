"""The API in AWS as the rest of the Function App sees it: typed calls, typed errors.

Each call goes through the same layers, outermost first: the path is checked, retries, the circuit
breaker, the token, and the transport with its bulkhead. One deadline holds for all of them.
"""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import httpx

from azure_function_app.aws_api.aiohttp_transport import CertificateError
from azure_function_app.aws_api.bearer_auth import BearerAuth
from azure_function_app.aws_api.circuit_breaker import CircuitBreaker
from azure_function_app.aws_api.destination import Destination
from azure_function_app.aws_api.direct_client import build_client
from azure_function_app.aws_api.retry import (
    PROXY_POLICY,
    SYNC_POLICY,
    Retrier,
    RetryPolicy,
    rules_for,
)
from azure_function_app.aws_api.retry_after import parse_retry_after
from azure_function_app.aws_api.retry_budget import RetryBudget
from azure_function_app.aws_api.token_refusal import REFUSALS, explain_refusal, log_refusal
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import (
    BackendContractError,
    BackendError,
    BackendRejected,
    BackendUnavailable,
    ClientError,
    DeadlineExceeded,
    RequestRefused,
)
from azure_function_app.identity.credentials import request_token
from azure_function_app.identity.token_diagnosis import report_token, unverified_roles
from azure_function_app.identity.token_provider import TokenProvider
from azure_function_app.settings import Settings
from azure_function_app.sync.change_feed import parse_change_page
from azure_function_app.sync.records import ChangePage
from shared.clock import Clock
from shared.routes import ROUTES

MAX_BODY: Final = 10 * 1024 * 1024
"""Bytes; API Gateway lets no larger body through, in either direction."""
_USER_AGENT: Final = "azure-aws-bridge"
_CODE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_BROKEN: Final = frozenset({502, 503, 504})
_CHANGES: Final = next(
    route for route in ROUTES if (route.method, route.path) == ("GET", "/v1/records")
)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request to the API."""

    method: str
    path: str
    """Below the stage, beginning with a slash, percent-encoded."""
    query: str = ""
    """Percent-encoded, without the question mark."""
    headers: tuple[tuple[str, str], ...] = ()
    """Neither Host nor Authorization: those are not the caller's to choose."""
    content: bytes = b""

    def with_idempotency_key(self, key: str) -> "ApiRequest":
        """The same request with an Idempotency-Key, unless it brings one; it may then be repeated.

        To be called only where the API is known to honor the key: one that ignores it would carry
        the request out twice. The key is sent as a structured string, as
        draft-ietf-httpapi-idempotency-key-header has it, so it must be printable ASCII.
        """
        if any(name.lower() == "idempotency-key" for name, _ in self.headers):
            return self
        return replace(self, headers=(*self.headers, ("idempotency-key", f'"{key}"')))


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One answer of the API, complete."""

    status_code: int
    headers: httpx.Headers
    """Every field as it came, repeated ones included (`headers.multi_items()`)."""
    content: bytes
    """The body's bytes as they came, content coding included."""
    token_roles: frozenset[str] | None = None
    """The roles in the token that went out, unverified; read only where the answer is a refusal."""


class AwsApi:
    """Calls the API. Belongs to one event loop."""

    def __init__(
        self,
        *,
        destination: Destination,
        client: httpx.AsyncClient,
        token_provider: TokenProvider,
        retrier: Retrier,
        breaker: CircuitBreaker,
        clock: Clock,
    ) -> None:
        """Take the layers; `build_aws_api` makes them from the settings."""
        self._destination = destination
        self._client = client
        self._token_provider = token_provider
        self._auth = BearerAuth(destination, token_provider)
        self._retrier = retrier
        self._breaker = breaker
        self._clock = clock

    async def changes(self, cursor: str | None, *, limit: int, deadline: Deadline) -> ChangePage:
        """The page of the change feed that starts at the cursor; without one, the first.

        Args:
            cursor: a page's `next_cursor`.
            limit: how many changes to ask for.
            deadline: for everything, retries included.

        Raises:
            BackendUnavailable: the API could not be reached, or is busy or broken.
            TokenRefused: it turned our token away; the reason is in our log.
            BackendRejected: it does not serve the request; the code is the API's own.
            BackendContractError: its answer is no page of the feed.
            ClientError: any other kind, as `send` raises them.

        """
        query = httpx.QueryParams(
            {"cursor": cursor, "limit": limit} if cursor else {"limit": limit}
        )
        request = ApiRequest(
            _CHANGES.method, _CHANGES.path, str(query), (("accept", "application/json"),)
        )
        answer = await self._call(request, deadline, SYNC_POLICY, _read_decoded)
        self._raise_for_status(answer)
        page = parse_change_page(answer.content)
        if page.has_more and page.next_cursor == cursor:
            raise BackendContractError("The API's change feed has more but does not move on.")
        return page

    async def fetch(self, request: ApiRequest, *, deadline: Deadline) -> ApiResponse:
        """The API's answer, body included, whatever its status.

        Unlike with `send`, an answer that breaks off is asked for again where that is safe.

        Raises:
            BackendContractError: the body is larger than API Gateway lets through.
            ClientError: any other kind, as `send` raises them.

        """
        return await self._call(request, deadline, PROXY_POLICY, _read_raw)

    async def send(self, request: ApiRequest, *, deadline: Deadline) -> httpx.Response:
        """The API's answer, whatever its status. The caller streams its body, and must close it.

        Reading the body can raise `DeadlineExceeded` and `httpx.TransportError`; `backend_error`
        turns the latter into one of ours.

        Raises:
            RequestRefused: the path or the query could leave the API; nothing was sent.
            TokenAcquisitionError: there is no token.
            CircuitOpen: the API is being left alone for a moment.
            Overloaded: too many calls are under way.
            DeadlineExceeded: the deadline passed first.
            BackendUnavailable: the API could not be reached, or broke off.

        """
        return await self._call(request, deadline, PROXY_POLICY, _as_it_is)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._token_provider.aclose()
        await self._client.aclose()

    async def _call[T: (httpx.Response, ApiResponse)](
        self,
        request: ApiRequest,
        deadline: Deadline,
        policy: RetryPolicy,
        finish: Callable[[httpx.Response], Awaitable[T]],
    ) -> T:
        prepared = self._prepare(request, deadline, policy)

        async def attempt() -> T:
            return await self._attempt(prepared, finish)

        try:
            return await self._retrier.run(
                attempt, _discard, rules=rules_for(prepared), policy=policy, deadline=deadline
            )
        except httpx.TransportError as error:
            raise backend_error(error) from error

    def _prepare(
        self, request: ApiRequest, deadline: Deadline, policy: RetryPolicy
    ) -> httpx.Request:
        url = self._destination.url(request.path, request.query)
        try:
            return httpx.Request(
                request.method,
                url,
                headers=[*request.headers, ("user-agent", _USER_AGENT)],
                content=request.content,
                extensions={
                    "timeout": {"read": policy.read_timeout},
                    DEADLINE_EXTENSION: deadline,
                },
            )
        except (UnicodeError, httpx.InvalidURL) as error:
            raise RequestRefused("A header or the URL cannot be sent.") from error

    async def _attempt[T](
        self, request: httpx.Request, finish: Callable[[httpx.Response], Awaitable[T]]
    ) -> T:
        deadline: Deadline = request.extensions[DEADLINE_EXTENSION]
        if deadline.has_passed:
            raise DeadlineExceeded("There was no time left to ask the API.")
        self._breaker.check()
        try:
            response = await self._client.send(request, auth=self._auth, stream=True)
            result = await finish(response)
        except (httpx.TransportError, DeadlineExceeded):
            self._breaker.failed()
            raise
        except BaseException:
            self._breaker.gave_up()
            raise
        if response.status_code in _BROKEN:
            self._breaker.failed()
        else:
            self._breaker.succeeded()
        return result

    def _raise_for_status(self, answer: ApiResponse) -> None:
        status = answer.status_code
        if status == httpx.codes.OK:
            return
        code = problem_code(answer)
        if status in REFUSALS:
            refusal = explain_refusal(answer, code, _CHANGES, code=code or f"backend_{status}")
            log_refusal(refusal)
            raise refusal
        told = answer.headers.get("Retry-After")
        retry_after = None if told is None else parse_retry_after(told, self._clock.now())
        raise error_for_status(status, code, retry_after)


def error_for_status(status: int, code: str | None, retry_after: float | None) -> BackendError:
    """The error that a status other than 200 means to a caller who wanted the resource.

    What 401 and 403 mean, `token_refusal` says.
    """
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return BackendUnavailable(
            "The API is being called too often.", code="backend_throttled", retry_after=retry_after
        )
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return BackendUnavailable(
            f"The API is broken or busy ({status}).",
            code=f"backend_{status}",
            retry_after=retry_after,
        )
    if status >= httpx.codes.BAD_REQUEST:
        return BackendRejected(f"The API refused the request ({status}).", status=status, code=code)
    return BackendContractError(f"The API answered {status}, which its description does not hold.")


def problem_code(answer: ApiResponse) -> str | None:
    """The stable code in the answer's problem document (RFC 9457), where it holds one."""
    if not answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    try:
        problem = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    code = problem.get("code") if isinstance(problem, Mapping) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def backend_error(error: httpx.TransportError) -> ClientError:
    """What a failure on the way to the API and back means to a caller."""
    match error:
        case CertificateError():
            return BackendUnavailable("The API's certificate is not trusted.", code="backend_tls")
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return BackendUnavailable(
                "The API could not be reached: check AWS_API_BASE_URL.", code="backend_unreachable"
            )
        case httpx.TimeoutException():
            return BackendUnavailable("The API did not answer in time.", code="backend_timeout")
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
            return RequestRefused("The request cannot be sent as it is.")
        case _:
            return BackendUnavailable("The API broke its answer off.", code="backend_protocol")


async def _as_it_is(response: httpx.Response) -> httpx.Response:
    return response


async def _discard(answer: httpx.Response | ApiResponse) -> None:
    if isinstance(answer, httpx.Response):
        await answer.aclose()


async def _read_raw(response: httpx.Response) -> ApiResponse:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the transport answers with async streams")
    return await _read(response, aiter(stream))


async def _read_decoded(response: httpx.Response) -> ApiResponse:
    return await _read(response, response.aiter_bytes())


async def _read(response: httpx.Response, pieces: AsyncIterator[bytes]) -> ApiResponse:
    content = bytearray()
    try:
        async for piece in pieces:
            content += piece
            if len(content) > MAX_BODY:
                raise BackendContractError(
                    "The API's answer is larger than API Gateway lets through.",
                    code="backend_too_large",
                )
    except httpx.DecodingError as error:
        raise BackendContractError("The API's answer is not coded as it says.") from error
    finally:
        await response.aclose()
    return ApiResponse(
        response.status_code, response.headers, bytes(content), _refused_roles(response)
    )


def _refused_roles(response: httpx.Response) -> frozenset[str] | None:
    if response.status_code not in REFUSALS:
        return None
    # The one that was sent: the provider may have a newer one by now.
    return unverified_roles(
        response.request.headers.get("authorization", "").removeprefix("Bearer ")
    )


def build_aws_api(settings: Settings, clock: Clock) -> AwsApi:
    """The API that the settings name, with every layer in place. Needs a running event loop."""
    calls = settings.calls
    return AwsApi(
        destination=Destination.parse(settings.api_base_url),
        client=build_client(
            connections=calls.concurrent_calls,
            waiting=calls.waiting_calls,
            connect_timeout=calls.connect_timeout,
        ),
        token_provider=TokenProvider(
            partial(request_token, settings),
            clock=clock,
            random=random.random,
            wait_limit=calls.token_wait,
            on_first_token=partial(report_token, identity=settings.api),
        ),
        retrier=Retrier(
            budget=RetryBudget(clock), clock=clock, random=random.random, sleep=asyncio.sleep
        ),
        breaker=CircuitBreaker(clock=clock, random=random.random),
        clock=clock,
    )
