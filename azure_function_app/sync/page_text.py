"""Cuts a page's JSON text into its items without reading what is in them, so that none can hurt.

The text is bytes: in UTF-8 no byte of another character looks like a bracket or a quote. Only
strings and brackets are looked at, and nearly all of that in one regular expression: it takes about
as long as reading the text. Whether a piece is JSON, its reader finds out.
"""

import re
from typing import Final, NamedTuple

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT: Final = rb'[^"\[\]{}]++|' + _STRING
_LEVELS: Final = 4
"""As deep as a record usually is, in its page. What nests deeper is followed level by level."""


def _enclosed(content: bytes) -> bytes:
    return rb"\[(?:%b)*+\]|\{(?:%b)*+\}" % (content, content)


def _shallow() -> bytes:
    content = _FLAT
    for _ in range(_LEVELS):
        content = _FLAT + b"|" + _enclosed(content)
    return content


_SHALLOW_CONTAINER: Final = re.compile(_enclosed(_shallow()), re.DOTALL)
_NEXT_BRACKETS: Final = re.compile(rb"(?:%b)*+(?:([\[{]++)|([\]}]++))" % _shallow(), re.DOTALL)
"""Openers in a row, or closers in a row."""
_SCALAR: Final = re.compile(rb'(?:[^",\[\]{}]++|%b)++' % _STRING, re.DOTALL)
"""Anything up to the next comma or bracket."""
_BLANKS: Final = re.compile(rb"[ \t\n\r]*+")
_NAME: Final = re.compile(rb"(%b)[ \t\n\r]*+:[ \t\n\r]*+" % _STRING, re.DOTALL)
_CLOSER: Final = {b"[": b"]", b"{": b"}"}
_CLOSERS: Final = bytes.maketrans(b"[{", b"]}")


class BrokenTextError(Exception):
    """The text has no such parts: brackets or strings do not match, or something is missing."""


class TooManyPartsError(Exception):
    """The text has more parts than its reader takes."""


class Part(NamedTuple):
    """A value of a list or an object, as it stands in the text."""

    name: bytes
    """The member's name as it is spelled, quotes and escapes included; empty in a list."""
    start: int
    end: int


def cut_whole(text: bytes, *, most: int) -> list[Part]:
    """Return the parts of the list or object that the text is, with nothing around it but blanks.

    Raises:
        BrokenTextError: the text is none, or cannot be cut.
        TooManyPartsError: it has more parts than `most`.

    """
    start = _skip_blanks(text, 0)
    if text[start : start + 1] not in _CLOSER:
        raise BrokenTextError
    parts, end = _cut(text, start, most)
    if _skip_blanks(text, end) != len(text):
        raise BrokenTextError
    return parts


def cut_list(text: bytes, part: Part, *, most: int) -> list[Part] | None:
    """Return the values of a list; None if the part is no list.

    Raises:
        BrokenTextError: it cannot be cut.
        TooManyPartsError: it has more values than `most`.

    """
    if text[part.start : part.start + 1] != b"[":
        return None
    return _cut(text, part.start, most)[0]


def _cut(text: bytes, start: int, most: int) -> tuple[list[Part], int]:
    """Return the parts of the container that begins there, and where it ends."""
    closer = _CLOSER[text[start : start + 1]]
    parts: list[Part] = []
    at = _skip_blanks(text, start + 1)
    if text[at : at + 1] == closer:
        return parts, at + 1
    while True:
        name = b""
        if closer == b"}":
            found = _NAME.match(text, at)
            if found is None:
                raise BrokenTextError
            name, at = found[1], found.end()
        if len(parts) == most:
            raise TooManyPartsError
        end = _end_of_value(text, at)
        parts.append(Part(name, at, end))
        at = _skip_blanks(text, end)
        match text[at : at + 1]:
            case found_closer if found_closer == closer:
                return parts, at + 1
            case b",":
                at = _skip_blanks(text, at + 1)
            case _:
                raise BrokenTextError


def _end_of_value(text: bytes, start: int) -> int:
    pattern = _SHALLOW_CONTAINER if text[start : start + 1] in _CLOSER else _SCALAR
    found = pattern.match(text, start)
    if found is not None:
        return found.end()
    if pattern is _SCALAR:
        raise BrokenTextError
    return _end_of_deep(text, start)


def _end_of_deep(text: bytes, start: int) -> int:
    # What must close, the innermost last.
    expected = bytearray()
    at = start
    while True:
        found = _NEXT_BRACKETS.match(text, at)
        if found is None:
            raise BrokenTextError
        at = found.end()
        openers, closed = found.groups()
        if openers:
            expected += openers.translate(_CLOSERS)
            continue
        count = min(len(closed), len(expected))
        if expected[-count:][::-1] != closed[:count]:
            raise BrokenTextError
        del expected[-count:]
        if not expected:
            return found.start(2) + count


def _skip_blanks(text: bytes, start: int) -> int:
    found = _BLANKS.match(text, start)
    return start if found is None else found.end()
