"""Measures how a reader's work grows with what it reads.

Nearly all of a reader's work is done in C (regular expressions, codecs, the JSON scanner), where
nothing can be counted from Python. So the work is CPU time of this thread, which other processes
do not add to, and the least of several rounds, since everything else that disturbs a measurement
only makes it longer.
"""

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from hypothesis import strategies as st

_GROWTH: Final = 4
_ALLOWED_FACTOR: Final = 8.0
"""Linear is 4, and caches cost a little more; quadratic is 16."""
_SAMPLE_SECONDS: Final = 0.002
"""As long as one sample lasts at least: far above what the clock and an interrupt cost."""
_FEWEST_ROUNDS: Final = 3
_MOST_ROUNDS: Final = 24
_MOST_SECONDS: Final = 2.0
"""Spent on one measurement that stays bad; three rounds are made whatever they take."""


class Growth(NamedTuple):
    """CPU seconds of one read, at a size and at four times that size."""

    once: float
    fourfold: float

    @property
    def factor(self) -> float:
        """How many times as long four times as much takes."""
        return self.fourfold / self.once


@dataclass(frozen=True, slots=True)
class Repetition:
    """A family of hostile texts: the body as often as the size allows, between two ends."""

    prefix: str
    body: str
    suffix: str = ""

    def __call__(self, size: int) -> str:
        """The member of the family that is about `size` characters long."""
        return self.prefix + self.body * max(1, size // len(self.body)) + self.suffix


def repetitions(tokens: Sequence[str], *, longest: int = 4) -> st.SearchStrategy[Repetition]:
    """Families built of what means something to a reader, and of what looks nearly like it."""
    some = st.lists(st.sampled_from(tokens), max_size=longest).map("".join)
    body = st.lists(st.sampled_from(tokens), min_size=1, max_size=longest).map("".join)
    return st.builds(Repetition, some, body, some)


def growth_of[T](
    read: Callable[[T], object],
    hostile: Callable[[int], T],
    *,
    size: int,
    refusals: tuple[type[Exception], ...] = (),
    good_enough: float = _ALLOWED_FACTOR,
) -> Growth:
    """How the CPU time of `read` grows from `hostile(size)` to `hostile(4 * size)`.

    Measured again while it looks worse than `good_enough`, so a machine that is busy with
    something else costs time and not a failure. The refusals are what `read` may raise.
    """
    smaller, larger = hostile(size), hostile(_GROWTH * size)
    repeats = _repeats(read, smaller, refusals)
    repeats_larger = max(1, repeats // _GROWTH)
    collects = gc.isenabled()
    gc.disable()
    begun = time.thread_time()
    try:
        growth = Growth(float("inf"), float("inf"))
        for done in range(1, _MOST_ROUNDS + 1):
            growth = Growth(
                min(growth.once, _seconds(read, smaller, refusals, repeats)),
                min(growth.fourfold, _seconds(read, larger, refusals, repeats_larger)),
            )
            is_over = growth.factor <= good_enough or time.thread_time() - begun > _MOST_SECONDS
            if done >= _FEWEST_ROUNDS and is_over:
                break
    finally:
        if collects:
            gc.enable()
    return growth


def assert_linear[T](
    read: Callable[[T], object],
    hostile: Callable[[int], T],
    *,
    size: int,
    refusals: tuple[type[Exception], ...] = (),
) -> None:
    """Fail if four times as much hostile input costs `read` more than eight times the CPU time.

    `size` must be large enough for the growing part to outweigh what every call costs, and where
    the reader refuses what is too long, `4 * size` should still be within that.
    """
    growth = growth_of(read, hostile, size=size, refusals=refusals)

    assert growth.factor <= _ALLOWED_FACTOR, (
        f"{growth.once * 1000:.3f} ms at {size}, {growth.fourfold * 1000:.3f} ms at"
        f" {_GROWTH * size}: {growth.factor:.1f} times as long"
    )


def _repeats[T](read: Callable[[T], object], text: T, refusals: tuple[type[Exception], ...]) -> int:
    repeats = 1
    while (took := _seconds(read, text, refusals, repeats) * repeats) < _SAMPLE_SECONDS:
        # Doubling at least: a first call that fills a cache must not pass for the usual one.
        repeats = max(2 * repeats, min(8 * repeats, int(repeats * _SAMPLE_SECONDS / (took + 1e-9))))
    return repeats


def _seconds[T](
    read: Callable[[T], object], text: T, refusals: tuple[type[Exception], ...], repeats: int
) -> float:
    begun = time.thread_time()
    for _ in range(repeats):
        with suppress(*refusals):
            read(text)
    return (time.thread_time() - begun) / repeats
