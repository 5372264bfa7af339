"""Where a value lies across a chart, so that every value's text fits beside it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

_STEPS: Final = (1, 2, 5)
_MOST_TICKS: Final = 8
_ROOM_BELOW: Final = 0.95


@dataclass(frozen=True, slots=True)
class Extent:
    """How far something reaches: a value, and the pixels that follow it."""

    value: float
    pixels: float


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `least` to `most`, with its ticks."""

    least: float
    most: float
    ticks: tuple[float, ...]
    is_logarithmic: bool

    def share(self, value: float) -> float:
        """Return where the value lies, from 0 at the left to 1 at the right."""
        if self.is_logarithmic:
            return math.log(value / self.least) / math.log(self.most / self.least)
        return (value - self.least) / (self.most - self.least)


def linear(extents: Iterable[Extent], pixels: float) -> Scale:
    """Return an axis from zero on which each value has the room that it needs."""
    extents = tuple(extents)
    longest = max(each.value for each in extents)
    most = max(each.value * pixels / (pixels - each.pixels) for each in extents)
    step = next(
        step
        for power in count(math.floor(math.log10(most)) - 1)
        for step in (digit * 10.0**power for digit in _STEPS)
        if most / step <= _MOST_TICKS
    )
    # To the first tick past the longest bar: beyond it there are only words.
    number = min(math.floor(most / step), math.ceil(longest / step))
    ticks = tuple(round(step * n, 10) for n in range(number + 1))
    return Scale(0.0, most, ticks, is_logarithmic=False)


def logarithmic(extents: Sequence[Extent], pixels: float) -> Scale:
    """Return an axis of equal ratios, from the tick below the least value."""
    lowest = _ROOM_BELOW * min(each.value for each in extents)
    least = max(step for step in _steps(lowest, lowest) if step <= lowest)
    most = max(
        least * (each.value / least) ** (pixels / (pixels - each.pixels)) for each in extents
    )
    highest = max(each.value for each in extents)
    past = min(step for step in _steps(highest, highest) if step >= highest)
    ticks = tuple(step for step in _steps(least, most) if least <= step <= min(past, most))
    return Scale(least, most, ticks, is_logarithmic=True)


def _steps(least: float, most: float) -> list[float]:
    """Return 1, 2 and 5 times every power of ten around what is asked for."""
    powers = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 2)
    return [float(f"{digit}e{power}") for power in powers for digit in _STEPS]
