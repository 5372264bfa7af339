"""What no picture may show: tokens, keys, and where it was made."""

import re
from collections.abc import Sequence
from typing import Final

_FORBIDDEN: Final = {
    "a token, or a part of one": re.compile(r"\beyJ[A-Za-z0-9_-]{6,}|[A-Za-z0-9_-]{80,}"),
    "a key": re.compile(r"-----BEGIN|AKIA[0-9A-Z]{16}|8Q~"),
    "a secret's value": re.compile(
        r"(?i)(?:\bclient_secret|\bpassword|\bx-functions-key|[?&]code)[\"']?\s*[=:]\s*[\"']?[^\s\"'*<]{8,}"
    ),
    "a folder of this machine": re.compile(r"(?<![\w.~])/(?:home|work|tmp|root|Users|var|opt)\b"),
}
_PORT: Final = re.compile(r"(?P<host>(?:127\.0\.0\.1|localhost|\[::1\]):)(?P<port>\d{4,5})\b")
_FIRST_PORT: Final = {4: 7071, 5: 50_001}


class PrivateError(Exception):
    """A picture would show what stays on the machine where it was made."""


def check_public(lines: Sequence[str]) -> None:
    """Raise unless nothing in the lines is secret or this machine's own.

    Raises:
        PrivateError: a line must not be shown; what it holds is not repeated.

    """
    for number, line in enumerate(lines, 1):
        for what, pattern in _FORBIDDEN.items():
            if pattern.search(line):
                raise PrivateError(f"line {number} of the picture would show {what}")


def with_fixed_ports(lines: Sequence[str]) -> list[str]:
    """Return the lines with made-up ports of the same length, one for each that a run has taken."""
    fixed: dict[str, str] = {}

    def made_up(found: re.Match[str]) -> str:
        port = found["port"]
        same_length = sum(len(other) == len(port) for other in fixed)
        fixed.setdefault(port, str(_FIRST_PORT[len(port)] + same_length))
        return found["host"] + fixed[port]

    return [_PORT.sub(made_up, line) for line in lines]
