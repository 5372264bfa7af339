"""The local stack under load: what holds for one caller holds for many."""

import asyncio
import http
import itertools
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bridge_cli.local_client import LocalClient
from emulator.airports import load_airports
from emulator.stack import LocalStack
from shared.clock import SystemClock
from tests.support.local_stack import running_stack
from tests.support.processes import descendants_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

CALLERS = 64
SECONDS = 4.0
RECORDS = 5
# A call that finds every environment starting; on a quiet machine it takes two seconds.
LONGEST_SECONDS = 15.0
MOST_ENVIRONMENTS = 2 * 2 * (os.cpu_count() or 1)
"""Of the authorizer and the records, each twice as many as there are processors."""


@pytest.fixture(scope="module")
def others() -> int:
    """How many processes of Lambda functions the test run's other stacks have."""
    return environments()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(
    others: int,  # noqa: ARG001 - counted before this stack has any
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[LocalStack]:
    """A stack whose functions have never been called."""
    async with running_stack(tmp_path_factory.mktemp("load"), record_limit=RECORDS) as stack:
        yield stack


def environments() -> int:
    """How many processes of Lambda functions this test run has started."""
    return sum(
        b"awslambdaric" in Path(f"/proc/{process}/cmdline").read_bytes()
        for process in descendants_of(os.getpid())
    )


@dataclass(slots=True)
class Load:
    """What the callers got."""

    answers: Counter[str] = field(default_factory=Counter)
    longest_seconds: float = 0.0


async def drive(url: str, headers: Mapping[str, str]) -> Load:
    """All callers call again as soon as they have an answer, until the time is over.

    An answer is right if it is the one record that its caller asked for.
    """
    load = Load()
    ids = [record_id for record_id, _ in itertools.islice(load_airports(), RECORDS)]
    clock = SystemClock()
    ends = clock.monotonic() + SECONDS
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CALLERS)) as session:

        async def caller(wanted: str) -> None:
            while (begun := clock.monotonic()) < ends:
                async with session.get(f"{url}/{wanted}", headers=headers) as response:
                    body = await response.text()
                is_right = (
                    response.status == http.HTTPStatus.OK and wanted == json.loads(body)["id"]
                )
                load.answers["right" if is_right else f"{response.status} {body}"] += 1
                load.longest_seconds = max(load.longest_seconds, clock.monotonic() - begun)

        await asyncio.gather(*(caller(ids[n % RECORDS]) for n in range(CALLERS)))
    return load


@pytest.mark.parametrize("way", ["the gateway", "the function"])
async def test_when_many_call_at_once_then_every_answer_is_right(
    stack: LocalStack, others: int, way: str
) -> None:
    """Straight to the gateway, with functions that start only now, and through the proxy."""
    async with LocalClient.to(stack) as client:
        token = await client.token_for(stack.tenant.editor)
    urls = {
        "the gateway": f"{stack.deployment.api_url}/v1/records",
        "the function": f"{stack.functions.url}/api/aws/v1/records",
    }
    headers = {"Authorization": f"Bearer {token}"} if way == "the gateway" else {}

    load = await drive(urls[way], headers)

    assert ["right"] == list(load.answers)
    assert load.answers.total() > CALLERS
    assert load.longest_seconds < LONGEST_SECONDS
    assert await asyncio.to_thread(environments) - others <= MOST_ENVIRONMENTS
