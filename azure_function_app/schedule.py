"""Reads the sync job's schedule: NCRONTAB as the Functions host has it.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import re
from typing import Final

# A field is a comma-separated list of these; months and days may also be named.
_FIELD_ITEM = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final[tuple[tuple[int, int, tuple[str, ...]], ...]] = (
    (0, 59, ()),
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)


def _check_field(text: str, lowest: int, highest: int, names: tuple[str, ...]) -> None:
    def number(word: str) -> int:
        short = word.lower()[:3]
        value = lowest + names.index(short) if short in names else int(word)
        if not lowest <= value <= highest:
            raise ValueError(word)
        return value

    for item in text.split(","):
        match = _FIELD_ITEM.fullmatch(item)
        if match is None or (match["step"] is not None and int(match["step"]) == 0):
            raise ValueError(item)
        if match["first"] is not None:
            first = number(match["first"])
            if match["last"] is not None and number(match["last"]) < first:
                raise ValueError(item)


def parse_schedule(text: str) -> str:
    """Return the six-field NCRONTAB expression with one blank between its fields.

    It is checked here because the Functions host would find what is wrong only at its start.

    Raises:
        ValueError: a field is missing, out of range, or not NCRONTAB.

    """
    fields = text.split()
    for field_text, (lowest, highest, names) in zip(fields, _FIELDS, strict=True):
        _check_field(field_text, lowest, highest, names)
    return " ".join(fields)
