"""Six-field NCRONTAB expressions, with the rules of the library that the real host uses.

Fields: second, minute, hour, day, month, day of week (Sunday is 0). In each: `*`, numbers, English
names or the beginnings of them, ranges, lists, and steps; `5/10` runs from 5 to the field's end,
and a range given backwards is turned around. Unlike in Unix cron, a day must satisfy the day and
the day of week alike. https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

_MONTHS: Final = tuple(calendar.month_name[1:])
_DAYS: Final = ("Sunday", *calendar.day_name[:6])
_YEARS_TO_SEARCH: Final = 40
"""February 29 on a given weekday comes every 28 years, or 40 across a year like 2100."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    greatest: int
    value_names: tuple[str, ...] = ()

    def parse(self, text: str) -> frozenset[int]:
        return frozenset(value for part in text.split(",") for value in self._parse_part(part))

    def _parse_part(self, part: str) -> range:
        body, slash, step_text = part.partition("/")
        step = self._parse_step(step_text) if slash else 1
        if body == "*":
            first, last = self.least, self.greatest
        else:
            first_text, dash, last_text = body.partition("-")
            first = self._parse_value(first_text)
            if dash:
                first, last = sorted((first, self._parse_value(last_text)))
            else:
                last = self.greatest if slash else first
        return range(first, last + 1, step)

    def _parse_step(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text)):
            raise ValueError(f"{self.name}: {text!r} is no step")
        return int(text)

    def _parse_value(self, text: str) -> int:
        if text.isascii() and text.isdigit():
            value = int(text)
            if self.least <= value <= self.greatest:
                return value
        elif text.isalpha():
            for offset, value_name in enumerate(self.value_names):
                if value_name.lower().startswith(text.lower()):
                    return self.least + offset
        raise ValueError(
            f"{self.name}: {text!r} is not between {self.least} and {self.greatest}"
            + (" nor a name" if self.value_names else "")
        )


_FIELDS: Final = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Ncrontab:
    """A schedule."""

    expression: str
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, expression: str) -> Self:
        """Return the schedule that an expression means.

        Raises:
            ValueError: it has not six fields, or one of them is wrong; the message says which.

        """
        texts = expression.split()
        if len(texts) != len(_FIELDS):
            raise ValueError(
                f"{expression!r} has {len(texts)} fields instead of six: second minute hour day "
                "month day-of-week"
            )
        sets = [field.parse(text) for field, text in zip(_FIELDS, texts, strict=True)]
        return cls(expression, *sets)

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after that moment, never the moment itself, at a whole second.

        Raises:
            ValueError: the schedule never fires, such as on February 30.

        """
        earliest = moment.replace(microsecond=0) + timedelta(seconds=1)
        for day in _days_from(earliest):
            if not self._matches_day(day):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    # A whole minute in the past is skipped at once.
                    if day.replace(hour=hour, minute=minute, second=59) < earliest:
                        continue
                    for second in sorted(self.seconds):
                        candidate = day.replace(hour=hour, minute=minute, second=second)
                        if candidate >= earliest:
                            return candidate
        raise ValueError(f"{self.expression!r} never fires")

    def _matches_day(self, moment: datetime) -> bool:
        return (
            moment.month in self.months
            and moment.day in self.days
            and moment.isoweekday() % 7 in self.weekdays
        )


def _days_from(moment: datetime) -> Iterator[datetime]:
    day = moment.replace(hour=0, minute=0, second=0)
    for _ in range(_YEARS_TO_SEARCH * 366):
        yield day
        day += timedelta(days=1)
