"""Reads the sync job's schedule: NCRONTAB as the Functions host has it.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

from shared.formats.ncrontab import Ncrontab


def parse_schedule(text: str) -> str:
    """Return the six-field NCRONTAB expression with one blank between its fields.

    It is checked here because the Functions host would find what is wrong only at its start.

    Raises:
        ValueError: a field is missing, out of range, or not NCRONTAB.

    """
    Ncrontab.parse(text)
    return " ".join(text.split())
