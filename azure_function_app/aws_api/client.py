"""The API in AWS as the rest of the Function App sees it: typed calls, typed errors.

Each call goes through the same layers, outermost first: the path is checked, retries, the circuit
breaker, the token, the bulkhead, and the transport. One deadline holds for all of them.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import httpx

from azure_function_app.aws_api.bearer_auth import UNAUTHORIZED, BearerAuth
from azure_function_app.aws_api.bulkhead_transport import BEFORE_SENDING_EXTENSION
from azure_function_app.aws_api.circuit_breaker import CircuitBreaker
from azure_function_app.aws_api.content_coding import (
    ACCEPT_ENCODING,
    BodyReader,
    BodyTooLargeError,
    ContentCodingError,
)
from azure_function_app.aws_api.destination import Destination
from azure_function_app.aws_api.retry import (
    Retrier,
    RetryPolicy,
    rules_for,
)
from azure_function_app.aws_api.token_refusal import REFUSALS
from azure_function_app.call_trace import headers_of
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import (
    BackendContractError,
    BackendUnavailable,
    BridgeError,
    DeadlineExceeded,
    RequestRefused,
)
from azure_function_app.http1.errors import CertificateError, KeptConnectionLost, TunnelRefused
from azure_function_app.identity.token_diagnosis import unverified_roles
from azure_function_app.identity.token_provider import TokenProvider
from azure_function_app.telemetry.spans import NO_SPANS, Span, SpanRecorder
from shared.problem import MEDIA_TYPE

MAX_BODY: Final = 10 * 1024 * 1024
"""Bytes; API Gateway lets no larger body through, in either direction."""
_USER_AGENT: Final = "azure-aws-bridge"
_CODE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:=-]{1,128}")
_BROKEN: Final = frozenset({502, 503, 504})
BUSY_CODES: Final = frozenset(
    {
        "feed_contended",
        "feed_import_failed",
        "feed_importing",
        "feed_renewing",
        "storage_unavailable",
    }
)
"""With these our own backend answers 503 while it works. `tests/contract/test_busy_codes.py`
compares them with the backend's."""
_LONGEST_PROBLEM: Final = 8_192
"""Bytes; a problem document of ours takes a few hundred."""
_BODY_METHODS: Final = frozenset({"PATCH", "POST", "PUT"})
"""Those of which a server expects a length, even of nothing (RFC 9110 section 8.6)."""


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
    route: str = ""
    """The path's template, for telemetry: the path itself may name a person."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One response of the API, complete."""

    status_code: int
    headers: httpx.Headers
    """Every field as it came, repeated ones included (`headers.multi_items()`)."""
    content: bytes
    """The body's bytes as they came, content coding included."""
    token_roles: frozenset[str] | None = None
    """The roles in the token that went out, unverified; read only for a refusal."""


class ApiClient:
    """Calls the API. Belongs to one event loop."""

    def __init__(  # noqa: PLR0913 - each layer is one
        self,
        *,
        destination: Destination,
        client: httpx.AsyncClient,
        token_provider: TokenProvider,
        retrier: Retrier,
        breaker: CircuitBreaker,
        api_key: str | None = None,
        spans: SpanRecorder = NO_SPANS,
    ) -> None:
        """Take the layers; `bootstrap` makes them from the settings."""
        self._destination = destination
        self._fixed_headers = (*destination.headers, ("user-agent", _USER_AGENT))
        self._client = client
        self._token_provider = token_provider
        self._auth = BearerAuth(destination, token_provider, api_key=api_key)
        self._retrier = retrier
        self._breaker = breaker
        self._spans = spans

    async def fetch(self, request: ApiRequest, *, deadline: Deadline) -> ApiResponse:
        """Return the API's response, body included, whatever its status.

        Unlike with `send`, a response that breaks off is asked for again where that is safe.

        Raises:
            BackendContractError: the body is larger than API Gateway lets through.
            BridgeError: any other kind, as `send` raises them.

        """
        return await self._call(request, deadline, self._retrier.policies.proxy, _read_raw)

    async def read(self, request: ApiRequest, *, deadline: Deadline) -> ApiResponse:
        """Return the API's response, whatever its status, with its content coding undone.

        Retried as a job can wait for it: longer than `fetch`, whose caller waits too.

        Raises:
            BackendContractError: the body is larger than API Gateway lets through, or is not coded
                as its header says.
            BridgeError: any other kind, as `send` raises them.

        """
        headers = (*request.headers, ("accept-encoding", ACCEPT_ENCODING))
        return await self._call(
            replace(request, headers=headers),
            deadline,
            self._retrier.policies.sync,
            _read_decoded,
        )

    async def send(self, request: ApiRequest, *, deadline: Deadline) -> httpx.Response:
        """Return the API's response, whatever its status; the caller must close its body.

        Reading it can raise `DeadlineExceeded` and `httpx.TransportError`; `backend_error` turns
        the latter into one of ours.

        Raises:
            RequestRefused: the path or the query could leave the API; nothing was sent.
            TokenAcquisitionError: there is no token.
            CircuitOpen: the API is being left alone for a moment.
            Overloaded: too many calls are under way, or the API takes longer than there is time.
            DeadlineExceeded: the deadline passed first.
            BackendUnavailable: the API could not be reached, or broke off.

        """
        return await self._call(request, deadline, self._retrier.policies.proxy, _as_it_is)

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

        attempts = 0
        name = f"{request.method} {request.route}".rstrip()
        where = self._destination.base_url + request.route

        async def attempt() -> T:
            nonlocal attempts
            attempts += 1
            fields = {
                "http.request.method": request.method,
                "http.route": request.route or None,
                "attempt": attempts,
            }
            with self._spans.span(name, fields, calls=where) as span:
                if span.context is not None:
                    # Each attempt is a span of its own, and a child of it is what AWS records.
                    for header, value in headers_of(span.context):
                        prepared.headers[header] = value
                result = await self._attempt(prepared, finish)
                _describe(span, result)
                return result

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
        headers = [*self._fixed_headers, *request.headers]
        if request.content or request.method in _BODY_METHODS:
            headers.append(("content-length", str(len(request.content))))
        try:
            # With a stream httpx adds no fields of its own, which costs more than all of this.
            return httpx.Request(
                request.method,
                url,
                headers=headers,
                stream=httpx.ByteStream(request.content),
                extensions={
                    "timeout": {"read": policy.read_seconds},
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
        permit = self._breaker.check()
        # The bulkhead calls it when all the waiting is over: the circuit may have opened since, and
        # the API's time begins only now.
        request.extensions[BEFORE_SENDING_EXTENSION] = permit.sending
        try:
            response = await self._send_authorized(request)
            result = await finish(response)
        except (DeadlineExceeded, httpx.ReadTimeout):
            permit.unanswered()
            raise
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, KeptConnectionLost):
            permit.gave_up()
            raise
        except httpx.TransportError:
            permit.failed()
            raise
        except BaseException:
            permit.gave_up()
            raise
        if response.status_code in _BROKEN and not _is_busy(result):
            permit.failed()
        else:
            permit.succeeded()
        return result

    async def _send_authorized(self, request: httpx.Request) -> httpx.Response:
        # As httpx does with `auth`, whose generator would cost a tenth of a call.
        token = await self._auth.authorize(request)
        response = await self._client.send(request, stream=True)
        if response.status_code == UNAUTHORIZED:
            # Else it would hold its place for as long as a token takes, and for ever if the caller
            # leaves meanwhile.
            failure = None
            try:
                response.stream = httpx.ByteStream(await _content(response, ()))
            except httpx.TransportError as error:
                failure = error
            if await self._auth.authorize_anew(request, token):
                response = await self._client.send(request, stream=True)
            elif failure is not None:
                raise failure
        return response


def _describe(span: Span, response: httpx.Response | ApiResponse) -> None:
    if span.context is None:
        return
    status = response.status_code
    request_id = response.headers.get("x-amzn-requestid", "")
    span.set(
        {
            "http.response.status_code": status,
            "aws.request_id": request_id if _REQUEST_ID.fullmatch(request_id) else None,
        }
    )
    if status >= httpx.codes.BAD_REQUEST:
        span.fail(str(status))


def problem_code(response: ApiResponse) -> str | None:
    """Return the stable code in the response's problem document (RFC 9457), where it holds one."""
    if not response.headers.get("Content-Type", "").startswith(MEDIA_TYPE):
        return None
    try:
        problem = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    code = problem.get("code") if isinstance(problem, Mapping) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def backend_error(error: httpx.TransportError) -> BridgeError:
    """Return what a failure on the way to the API and back means to a caller."""
    match error:
        case CertificateError():
            return BackendUnavailable("The API's certificate is not trusted.", code="backend_tls")
        case TunnelRefused():
            return BackendUnavailable(
                "The HTTPS proxy does not let us through to the API: check API_HTTPS_PROXY.",
                code="backend_proxy",
            )
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


def _is_busy(response: object) -> bool:
    """Whether our own backend has said so. Of a body that is not read yet, nobody knows."""
    return (
        isinstance(response, ApiResponse)
        and response.status_code == httpx.codes.SERVICE_UNAVAILABLE
        and len(response.content) <= _LONGEST_PROBLEM
        and problem_code(response) in BUSY_CODES
    )


async def _as_it_is(response: httpx.Response) -> httpx.Response:
    return response


async def _discard(response: httpx.Response | ApiResponse) -> None:
    if isinstance(response, httpx.Response):
        await response.aclose()


async def _read_raw(response: httpx.Response) -> ApiResponse:
    return await _read(response, ())


async def _read_decoded(response: httpx.Response) -> ApiResponse:
    return await _read(response, response.headers.get_list("content-encoding"))


async def _read(response: httpx.Response, content_encoding: Sequence[str]) -> ApiResponse:
    content = await _content(response, content_encoding)
    return ApiResponse(response.status_code, response.headers, content, _refused_roles(response))


async def _content(response: httpx.Response, content_encoding: Sequence[str]) -> bytes:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the transport answers with async streams")
    try:
        reader = BodyReader(content_encoding, MAX_BODY)
        async for piece in stream:
            reader.feed(piece)
        return reader.finish()
    except BodyTooLargeError as error:
        raise BackendContractError(
            "The API's answer is larger than API Gateway lets through.", code="backend_too_large"
        ) from error
    except ContentCodingError as error:
        raise BackendContractError("The API's answer is not coded as it says.") from error
    finally:
        # What `response.aclose` does beside it is for those who look at the response afterwards.
        await stream.aclose()


def _refused_roles(response: httpx.Response) -> frozenset[str] | None:
    if response.status_code not in REFUSALS:
        return None
    # The one that was sent: the provider may have a newer one by now.
    return unverified_roles(
        response.request.headers.get("authorization", "").removeprefix("Bearer ")
    )
