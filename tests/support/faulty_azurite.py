"""Azurite behind a server that lets each request go wrong the first time it is sent."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from tests.support.faulty_server import (
    Exchange,
    FaultyServer,
    ReceivedRequest,
    answer,
    faulty_server,
)

type Carry = Callable[[ReceivedRequest], Awaitable[bytes]]
"""Has a request carried out, and gives the whole answer."""
type Fault = Callable[[Exchange, Carry], Awaitable[None]]

# What differs between two attempts at the same transaction.
_OF_ONE_ATTEMPT = re.compile(
    rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?im:^(?:x-ms-)?date:.*$)"
)
_PER_HOP = {"host", "connection", "transfer-encoding", "content-length", "content-encoding"}


async def reset_before(exchange: Exchange, _carry: Carry) -> None:
    """The connection is reset, and nothing was done."""
    exchange.reset()


async def lose_answer(exchange: Exchange, carry: Carry) -> None:
    """It was done, and the connection is reset before anybody hears of it."""
    await carry(exchange.request)
    exchange.reset()


async def tear_answer(exchange: Exchange, carry: Carry) -> None:
    """It was done, and the answer ends in the middle."""
    whole = await carry(exchange.request)
    await exchange.send(whole[: len(whole) - max(1, len(whole.partition(b"\r\n\r\n")[2]) // 2)])
    exchange.close()


async def be_busy(exchange: Exchange, _carry: Carry) -> None:
    """Nothing was done: throttled."""
    await answer(503, b"{}", ("Content-Type", "application/json"))(exchange)


async def break_after(exchange: Exchange, carry: Carry) -> None:
    """It was done, and the answer is that something went wrong."""
    await carry(exchange.request)
    await answer(500, b"{}", ("Content-Type", "application/json"))(exchange)


@asynccontextmanager
async def carrier(table_url: str) -> AsyncIterator[Carry]:
    """Yield what has a request carried out by that Azurite, while the block lasts."""
    parts = urlsplit(table_url)
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def carry(request: ReceivedRequest) -> bytes:
            headers = [(name, value) for name, value in request.headers if name.lower() != "host"]
            async with session.request(
                request.method,
                # As it came: the signature is over these very characters.
                URL(f"{parts.scheme}://{parts.netloc}{request.target}", encoded=True),
                headers=headers,
                data=request.body or None,
                allow_redirects=False,
            ) as given:
                body = await given.read()
                lines = [f"HTTP/1.1 {given.status} Told", f"Content-Length: {len(body)}"]
                lines += [
                    f"{name}: {value}"
                    for name, value in given.headers.items()
                    if name.lower() not in _PER_HOP
                ]
                return "\r\n".join([*lines, "", ""]).encode() + body

        yield carry


@asynccontextmanager
async def faulty_azurite(table_url: str, fault: Fault) -> AsyncIterator[tuple[str, FaultyServer]]:
    """The table service's URL through the server, and the server, while the block lasts."""
    seen: set[tuple[str, str, bytes]] = set()
    async with carrier(table_url) as carry:

        async def behave(exchange: Exchange) -> None:
            request = exchange.request
            key = (request.method, request.target, _OF_ONE_ATTEMPT.sub(b"", request.body))
            if key in seen:
                await exchange.send(await carry(request))
                return
            seen.add(key)
            await fault(exchange, carry)

        async with faulty_server(behave) as server:
            yield f"http://127.0.0.1:{server.port}{urlsplit(table_url).path}", server
