"""The whole calling core on real sockets: each fault ends in time, and no POST is read twice."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from azure_function_app.aws_api.client import ApiClient, ApiRequest
from azure_function_app.aws_api.direct_client import build_client
from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    BackendContractError,
    BackendUnavailable,
    BridgeError,
    DeadlineExceeded,
)
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.sync.change_feed import ChangeFeed
from shared.clock import SystemClock
from tests.integration.test_transport_faults import closed_port, unanswering_port
from tests.support.calling import TOKEN, build_api, build_token_provider, real_api, token_source
from tests.support.faulty_server import (
    Behavior,
    Exchange,
    FaultyServer,
    abort_chunked,
    answer,
    close_after_reading,
    drip_body,
    drip_head,
    faulty_server,
    reset_after_reading,
    reset_connection,
    say_nothing,
    send_garbage,
    truncate,
)
from tests.support.proxy_calls import TRACER

CLOCK = SystemClock()
BACKEND_DOWN = answer(502, b'{"message":"Internal server error"}')
GATEWAY_BUSY = answer(503, b"{}")
GATEWAY_TIMEOUT = answer(504, b'{"message":"Endpoint request timed out"}')
BROKEN = answer(500, b'{"message":null}')
GOOD = answer(200, b"good")


def request(method: str) -> ApiRequest:
    """A request that a client may make."""
    return ApiRequest(method, "/v1/records/one", content=b"" if method == "GET" else b"{}")


async def outcome(api: ApiClient, method: str, seconds: float = 2.0) -> object:
    """The status that the caller gets, or the code of the error."""
    try:
        response = await api.fetch(request(method), deadline=Deadline.after(seconds, CLOCK))
    except BridgeError as error:
        return error.code
    return response.status_code


@pytest.mark.parametrize(
    ("fault", "method", "expected", "times_read"),
    [
        # A dropped connection: at once, and once.
        (reset_after_reading, "GET", 200, 2),
        (reset_after_reading, "PUT", 200, 2),
        (reset_after_reading, "DELETE", 200, 2),
        (reset_after_reading, "POST", "backend_protocol", 1),
        (close_after_reading, "GET", 200, 2),
        (close_after_reading, "POST", "backend_protocol", 1),
        (send_garbage, "GET", 200, 2),
        (send_garbage, "POST", "backend_protocol", 1),
        # An answer that breaks off.
        (truncate, "GET", 200, 2),
        (truncate, "PATCH", "backend_protocol", 1),
        (truncate, "POST", "backend_protocol", 1),
        (abort_chunked, "GET", 200, 2),
        (abort_chunked, "POST", "backend_protocol", 1),
        # What the gateway says.
        (BACKEND_DOWN, "GET", 200, 2),
        (BACKEND_DOWN, "PUT", 200, 2),
        (BACKEND_DOWN, "POST", 502, 1),
        (GATEWAY_BUSY, "GET", 200, 2),
        (GATEWAY_BUSY, "POST", 503, 1),
        (GATEWAY_TIMEOUT, "GET", 200, 2),
        (GATEWAY_TIMEOUT, "POST", 504, 1),
        (BROKEN, "GET", 200, 2),
        (BROKEN, "PUT", 500, 1),
        (BROKEN, "POST", 500, 1),
        # Throttled: the gateway passed nothing on, so even a POST may go again, when told when.
        (answer(429, b"{}"), "GET", 200, 2),
        (answer(429, b"{}"), "POST", 429, 1),
        (answer(429, b"{}", ("Retry-After", "0")), "POST", 200, 2),
        (answer(429, b"{}", ("Retry-After", "60")), "GET", 429, 1),
        (answer(429, b"{}", ("Retry-After", "60")), "POST", 429, 1),
        # The rest is an answer like any other.
        (answer(404, b"{}"), "GET", 404, 1),
        (answer(409, b"{}"), "PUT", 409, 1),
    ],
)
async def test_when_an_attempt_fails_once_then_the_table_decides_whether_it_is_repeated(
    fault: Behavior, method: str, expected: object, times_read: int
) -> None:
    """Each row of the table, with the fault first and a good answer after it."""
    async with (
        faulty_server(fault, GOOD) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        got = await outcome(api, method)

    assert expected == got
    assert times_read == len(server.requests)


@pytest.mark.parametrize(
    "fault",
    [
        *(reset_after_reading, close_after_reading, truncate, abort_chunked, send_garbage),
        *(say_nothing, drip_head, drip_body),
        *(BACKEND_DOWN, GATEWAY_BUSY, GATEWAY_TIMEOUT, BROKEN, answer(429, b"{}")),
    ],
)
async def test_when_a_post_meets_a_fault_then_the_server_reads_it_once_and_in_time(
    fault: Behavior,
) -> None:
    """A POST is never written twice, and its caller never waits past the deadline."""
    async with (
        faulty_server(fault) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        started = CLOCK.monotonic()
        await outcome(api, "POST", seconds=0.5)
        took = CLOCK.monotonic() - started

    assert 1 == len(server.requests)
    assert took <= 0.55


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (reset_after_reading, "backend_protocol"),
        (truncate, "backend_protocol"),
        (say_nothing, "deadline_exceeded"),
        (drip_head, "deadline_exceeded"),
        (drip_body, "deadline_exceeded"),
        (BACKEND_DOWN, 502),
        (answer(429, b"{}"), 429),
    ],
)
async def test_when_a_fault_does_not_end_then_a_get_ends_in_time(
    fault: Behavior, expected: object
) -> None:
    """However often it is repeated, the caller has the outcome by the deadline."""
    async with (
        faulty_server(fault) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        started = CLOCK.monotonic()
        got = await outcome(api, "GET", seconds=1.0)
        took = CLOCK.monotonic() - started

    assert expected == got
    assert took <= 1.1


async def test_when_the_connection_is_reset_unread_then_a_post_is_not_repeated() -> None:
    """Nobody knows whether it was read, so it counts as read."""
    async with (
        faulty_server(GOOD, on_connection=reset_connection) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        got = await outcome(api, "POST")

    assert "backend_protocol" == got
    assert 1 == server.connections


async def test_when_a_kept_connection_dies_under_a_post_then_it_is_not_repeated() -> None:
    """The server answers one request and drops the next: the stale keep-alive, at its worst."""
    async with (
        faulty_server(GOOD, reset_after_reading, GOOD) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        got = [await outcome(api, "POST"), await outcome(api, "POST")]

    assert [200, "backend_protocol"] == got
    assert 1 == server.connections
    assert 2 == len(server.requests)


async def test_when_a_kept_connection_dies_under_a_get_then_a_new_one_answers() -> None:
    """The same under a GET is repeated at once on a new connection."""
    async with (
        faulty_server(GOOD, close_after_reading, GOOD) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        got = [await outcome(api, "GET"), await outcome(api, "GET")]

    assert [200, 200] == got
    assert 2 == server.connections


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_when_nobody_listens_then_the_error_names_the_setting(method: str) -> None:
    """A refused connection is tried again, POST or not, and then reported."""
    with closed_port() as port:
        async with real_api(f"http://127.0.0.1:{port}/prod") as api:
            started = CLOCK.monotonic()
            with pytest.raises(BackendUnavailable, match="AWS_API_BASE_URL") as caught:
                await api.fetch(request(method), deadline=Deadline.after(2.0, CLOCK))
            took = CLOCK.monotonic() - started

    assert "backend_unreachable" == caught.value.code
    assert took <= 2.2


async def test_when_connecting_hangs_then_the_deadline_ends_the_call() -> None:
    """A host that drops packets costs the deadline and no more."""
    with unanswering_port() as port:
        async with real_api(f"http://127.0.0.1:{port}/prod") as api:
            started = CLOCK.monotonic()
            with pytest.raises(DeadlineExceeded):
                await api.fetch(request("GET"), deadline=Deadline.after(1.0, CLOCK))
            took = CLOCK.monotonic() - started

    assert took <= 1.1


async def test_when_the_server_starts_listening_then_a_refused_post_goes_through() -> None:
    """What was never sent may be sent again, whatever its method."""
    with closed_port() as port:
        pass
    async with AsyncExitStack() as stack:
        servers: list[FaultyServer] = []

        async def start_listening(_: float) -> None:
            servers.append(await stack.enter_async_context(faulty_server(GOOD, port=port)))

        client = build_client(connections=1, waiting=0, connect_seconds=1.0)
        api = build_api(f"http://127.0.0.1:{port}/prod", client, sleep=start_listening)
        stack.push_async_callback(api.aclose)
        got = await outcome(api, "POST")

    assert 200 == got
    assert [1] == [len(server.requests) for server in servers]


@pytest.mark.parametrize(
    ("retry_after", "shortest"),
    [
        pytest.param(lambda: "1", 1.0, id="seconds"),
        # The date has whole seconds, so up to one of the three is lost in writing it.
        pytest.param(
            lambda: format_datetime(datetime.fromtimestamp(CLOCK.now() + 3, UTC), usegmt=True),
            1.9,
            id="date",
        ),
    ],
)
async def test_when_the_server_says_when_to_come_back_then_nobody_comes_earlier(
    retry_after: Callable[[], str], shortest: float
) -> None:
    """Retry-After is the floor of the pause, in both of its forms."""

    async def throttle(exchange: Exchange) -> None:
        await answer(429, b"{}", ("Retry-After", retry_after()))(exchange)

    async with (
        faulty_server(throttle, GOOD) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        started = CLOCK.monotonic()
        page_call = ChangeFeed(api, CLOCK, TRACER).changes(
            "", limit=1, deadline=Deadline.after(5.0, CLOCK)
        )
        with pytest.raises(BackendContractError):  # "good" is no page
            await page_call
        took = CLOCK.monotonic() - started

    assert 2 == len(server.requests)
    assert shortest <= took <= 3.5


async def test_when_an_answer_is_streamed_then_the_deadline_still_holds() -> None:
    """A body that drips past the deadline is cut off there."""
    async with (
        faulty_server(drip_body) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        started = CLOCK.monotonic()
        response = await api.send(request("GET"), deadline=Deadline.after(1.0, CLOCK))
        with pytest.raises(DeadlineExceeded):
            await response.aread()
        took = CLOCK.monotonic() - started

    assert took <= 1.1


async def test_when_an_answer_is_larger_than_the_gateway_allows_then_it_is_refused() -> None:
    """Memory is bounded by the largest body that API Gateway lets through."""
    async with (
        faulty_server(answer(200, bytes(10 * 1024 * 1024 + 1))) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        got = await outcome(api, "GET")

    assert "backend_too_large" == got


async def test_when_callers_interleave_then_nothing_of_one_reaches_another() -> None:
    """Two hundred calls at once, each with its own header and body, each answer with a cookie."""

    async def echo(exchange: Exchange) -> None:
        (caller,) = exchange.request.values("x-caller")
        await asyncio.sleep(0.001 * (int(caller) % 7))
        await answer(200, exchange.request.body, ("Set-Cookie", f"session={caller}"))(exchange)

    async with (
        faulty_server(echo) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod", connections=16) as api,
    ):

        async def call(number: int) -> tuple[bytes, str]:
            response = await api.fetch(
                ApiRequest(
                    "PUT",
                    f"/v1/records/{number}",
                    headers=(("x-caller", str(number)),),
                    content=f"body {number}".encode(),
                ),
                deadline=Deadline.after(10.0, CLOCK),
            )
            return response.content, response.headers["set-cookie"]

        got = await asyncio.gather(*map(call, range(200)))

    assert [(f"body {n}".encode(), f"session={n}") for n in range(200)] == got
    for received in server.requests:
        (caller,) = received.values("x-caller")
        assert f"/prod/v1/records/{caller}" == received.target
        assert f"body {caller}".encode() == received.body
        assert [f"Bearer {TOKEN}"] == received.values("authorization")
        assert [] == received.values("cookie")
    assert 16 >= server.connections


async def test_when_sixty_four_cold_callers_come_then_one_token_is_asked_for() -> None:
    """However many wait for the first token, the issuer is asked once."""
    asked = 0

    def request_token() -> AccessToken:
        nonlocal asked
        asked += 1
        return AccessToken(TOKEN, CLOCK.now() + 3600)

    client = build_client(connections=64, waiting=0, connect_seconds=3.0)
    async with faulty_server(GOOD) as server, client:
        api = build_api(
            f"http://127.0.0.1:{server.port}/prod",
            client,
            tokens=build_token_provider(request_token, CLOCK),
        )
        got = await asyncio.gather(*(outcome(api, "GET", 10.0) for _ in range(64)))

    assert [200] * 64 == got
    assert 1 == asked


async def test_when_the_api_rejects_the_token_then_a_newer_one_is_tried_once() -> None:
    """A 401 costs one fresh token and one more request, also for a POST: it was not carried out."""

    async def check_token(exchange: Exchange) -> None:
        is_new = exchange.request.values("authorization") == ["Bearer new"]
        await (GOOD if is_new else answer(401, b'{"message":"Unauthorized"}'))(exchange)

    client = build_client(connections=1, waiting=0, connect_seconds=3.0)
    async with faulty_server(check_token) as server, client:
        api = build_api(
            f"http://127.0.0.1:{server.port}/prod",
            client,
            tokens=build_token_provider(token_source(CLOCK, "old", "new"), CLOCK),
        )
        got = await outcome(api, "POST")

    assert 200 == got
    assert [b"{}", b"{}"] == [received.body for received in server.requests]


async def test_when_the_new_token_is_the_old_one_then_the_rejection_stands() -> None:
    """The same bytes would be rejected again, so they are not sent again."""
    async with (
        faulty_server(answer(401, b'{"message":"Unauthorized"}')) as server,
        real_api(f"http://127.0.0.1:{server.port}/prod") as api,
    ):
        got = await outcome(api, "GET")

    assert 401 == got
    assert 1 == len(server.requests)
