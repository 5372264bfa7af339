"""`python -m benchmarks.client.soak`: the whole function under load for as long as you like.

Many callers at once ask the Function App for something of their own, and each compares what it gets
with what it asked for. The process's memory and descriptors are sampled meanwhile. Then the API is
killed and revived, and the first success after that is timed.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final
from urllib.parse import urlencode

import aiohttp

from benchmarks.client.echo_api import PADDING, EchoApi
from benchmarks.client.whole_function import PROXY_PREFIX, STAGE, running_function

REVIVED_WITHIN_SECONDS: Final = 5.0
"""From when the API listens again to the first success."""
_MEMORY_GROWTH: Final = 1.03
_MEMORY_SLACK_MIB: Final = 2.0
_DESCRIPTOR_SLACK: Final = 8
_SAMPLE_SECONDS: Final = 0.25
_OUTAGE_SECONDS: Final = 4.0
_GIVE_UP_SECONDS: Final = 20.0
_AFTERWARDS_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1
_LONGEST_PADDING: Final = 4096
_MIB: Final = 1024 * 1024
_SHOWN: Final = 5
_DOWN: Final = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)


@dataclass(frozen=True, slots=True)
class Resources:
    """What the function's process holds."""

    memory_mib: float
    descriptors: int

    @classmethod
    def of(cls, process_id: int) -> "Resources":
        """Return what the kernel says of the process."""
        folder = Path("/proc", str(process_id))
        lines = (folder / "status").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return cls(kib * 1024 / _MIB, sum(1 for _ in (folder / "fd").iterdir()))


@dataclass(slots=True)
class Soak:
    """What came of it."""

    callers: int
    answers: Counter[str] = field(default_factory=Counter)
    """While the API was up, by what they were."""
    outage: Counter[str] = field(default_factory=Counter)
    """From the API's end until a moment after the first success."""
    wrong: list[str] = field(default_factory=list)
    samples: list[Resources] = field(default_factory=list)
    afterwards: Resources | None = None
    revived_seconds: float | None = None
    """None if there was no success at all."""

    def problems(self) -> Iterator[str]:
        """Yield what must not be, each as a sentence."""
        if self.wrong:
            shown = "; ".join(self.wrong[:_SHOWN])
            yield f"{len(self.wrong)} answers were not their caller's: {shown}"
        if set(self.answers) != {"200"}:
            yield f"while the API was up, callers got {dict(self.answers)}"
        middle, last = self._third(1), self._third(2)
        if _memory(last) > _memory(middle) * _MEMORY_GROWTH + _MEMORY_SLACK_MIB:
            yield f"memory grew from {_memory(middle):.1f} to {_memory(last):.1f} MiB"
        most = max(sample.descriptors for sample in middle) + _DESCRIPTOR_SLACK
        later = [*last, *([self.afterwards] if self.afterwards else [])]
        if max(sample.descriptors for sample in later) > most:
            yield f"descriptors grew beyond {most}: {[sample.descriptors for sample in later]}"
        if self.revived_seconds is None or self.revived_seconds > REVIVED_WITHIN_SECONDS:
            yield f"the first success after the API's return took {self.revived_seconds} s"

    def table(self) -> str:
        """Return the figures as lines."""
        middle, last = self._third(1), self._third(2)
        rows = {
            "callers at once": str(self.callers),
            "right answers, all their caller's own": str(self.answers["200"]),
            "memory, middle and last third (MiB)": f"{_memory(middle):.1f}, {_memory(last):.1f}",
            "descriptors, middle and last third": " , ".join(
                f"{min(counts)}-{max(counts)}"
                for counts in ([sample.descriptors for sample in part] for part in (middle, last))
            ),
            "answers while the API was gone": ", ".join(
                f"{count} x {what}" for what, count in sorted(self.outage.items())
            ),
            "first success after its return (s)": f"{self.revived_seconds or -1:.2f}",
        }
        return "\n".join(f"{name:<40}{value}" for name, value in rows.items())

    def _third(self, number: int) -> Sequence[Resources]:
        size = len(self.samples) // 3
        return self.samples[number * size : (number + 1) * size]


def _memory(samples: Sequence[Resources]) -> float:
    return median(sample.memory_mib for sample in samples)


@dataclass(slots=True)
class _Callers:
    """The callers of one run."""

    session: aiohttp.ClientSession
    url: str
    soak: Soak
    is_up: bool = True
    is_over: bool = False
    first_success: asyncio.Event = field(default_factory=asyncio.Event)

    async def call_on(self, caller: int) -> None:
        """Call again as soon as there is an answer; after a refusal, a moment later."""
        for number in itertools.count():
            if self.is_over:
                return
            was_up = self.is_up
            outcome = await self._call_once(f"caller-{caller}-{number}", (caller * 31 + number * 7))
            if outcome == "200":
                self.first_success.set()
            # A call that the API's end or return fell into is of both times.
            counted = self.soak.answers if was_up and self.is_up else self.soak.outage
            counted[outcome] += 1
            if outcome != "200":
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _call_once(self, mark: str, size: int) -> str:
        target = f"/v1/records/{mark}?{urlencode({PADDING: size % _LONGEST_PADDING})}"
        async with self.session.get(self.url + target, headers={"X-Request-Id": mark}) as response:
            body = await response.text()
        if problem := what_is_wrong(response.status, response.headers, body, mark, target):
            self.soak.wrong.append(f"{mark}: {problem}")
        if response.status == HTTPStatus.OK:
            return "200"
        return f"{response.status} {json.loads(body).get('code')}" if body else str(response.status)


def what_is_wrong(
    status: int, headers: Mapping[str, str], body: str, mark: str, target: str
) -> str | None:
    """Return what an answer to that mark and target must not be; None if it may be so."""
    if headers.get("X-Request-Id") != mark:
        return f"{status} with the request ID {headers.get('X-Request-Id')}"
    document = json.loads(body)
    if document["request_id"] != mark:
        return f"{status} that says the request ID {document['request_id']}"
    if status == HTTPStatus.OK:
        length = int(target.rpartition("=")[2])
        is_own = document["target"] == STAGE + target and len(document[PADDING]) == length
        return None if is_own else f"200 for {document['target']}"
    if status not in _DOWN:
        return f"{status} {document.get('code')}"
    if status == HTTPStatus.SERVICE_UNAVAILABLE and not int(headers.get("Retry-After", "0")):
        return "503 without Retry-After"
    return None


async def soak_function(folder: Path, *, callers: int, seconds: float) -> Soak:
    """Return what so many callers got in so many seconds, and around the API's end and return."""
    soak = Soak(callers)
    api = await asyncio.to_thread(EchoApi.start)
    try:
        async with (
            # Room for all callers to wait, so that none is refused while the API is up.
            running_function(
                f"http://127.0.0.1:{api.port}", folder, WAITING_CALLS=str(max(0, callers - 64))
            ) as host,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=callers)) as session,
        ):
            process_id = _child_of(host.pid)
            running = _Callers(session, host.url + PROXY_PREFIX, soak)
            calling = [asyncio.create_task(running.call_on(number)) for number in range(callers)]
            await _sample(process_id, soak, seconds)

            running.is_up = False
            await asyncio.to_thread(api.kill)
            await asyncio.sleep(_OUTAGE_SECONDS)
            # What succeeded until now was answered by the API's first life.
            running.first_success.clear()
            api = await asyncio.to_thread(EchoApi.start, api.port)
            revived = perf_counter()
            try:
                await asyncio.wait_for(running.first_success.wait(), _GIVE_UP_SECONDS)
                soak.revived_seconds = perf_counter() - revived
            except TimeoutError:
                pass
            await asyncio.sleep(_AFTERWARDS_SECONDS)

            running.is_over = True
            await asyncio.gather(*calling)
            soak.afterwards = Resources.of(process_id)
    finally:
        await asyncio.to_thread(api.kill)
    return soak


async def _sample(process_id: int, soak: Soak, seconds: float) -> None:
    ends = perf_counter() + seconds
    while perf_counter() < ends:
        await asyncio.sleep(_SAMPLE_SECONDS)
        soak.samples.append(Resources.of(process_id))


def _child_of(supervisor: int) -> int:
    """Return the ID of the one process that the supervisor looks after."""
    (child,) = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return int(child)


def main() -> int:
    """Print what came of it, and return 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="default: %(default)s")
    parser.add_argument("--callers", type=int, default=200, help="default: %(default)s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = asyncio.run(
            soak_function(Path(folder), callers=options.callers, seconds=options.seconds)
        )
    print(soak.table())
    problems = list(soak.problems())
    for problem in problems:
        print(f"wrong: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
