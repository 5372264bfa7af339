"""Cuts the text of a Bicep file into tokens, with the expressions inside its strings."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from emulator.azure.bicep_syntax.tree import BicepError

DEEPEST: Final = 40
"""How far expressions may stand in each other; the parser calls itself for each step."""


class Token(NamedTuple):
    """One token, and for a string what is in it."""

    kind: str
    text: str
    line: int
    parts: tuple["str | tuple[Token, ...]", ...] = ()
    """Of a string: its text, and the tokens of each interpolation."""


_PATTERN: Final = re.compile(
    r"(?P<blank>[ \t]+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<newline>\r?\n)"
    r"|(?P<number>\d{1,18}(?![\w.]))"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>&&|\|\||\?\?|=>|==|!=|=~|!~|<=|>=|\.\?|\[\?|[@(){}\[\]:,.=?!<>+\-*/%])",
    re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", "$": "$"}


class _Lexer:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._at = 0
        self._line = 1

    def error(self, message: str) -> BicepError:
        return BicepError(f"{self._file}, line {self._line}: {message}")

    def tokens(self, depth: int = 0) -> Iterator[Token]:
        """Return the tokens to the end, or, inside a string, to the brace that closes `${`."""
        open_braces = 0
        while self._at < len(self._text):
            if self._text[self._at] == "'":
                yield self._string(depth)
                continue
            found = _PATTERN.match(self._text, self._at)
            if found is None:
                raise self.error(f"cannot read on at {self._text[self._at : self._at + 20]!r}")
            text = found[0]
            if depth and text == "}" and not open_braces:
                return
            open_braces += {"{": 1, "}": -1}.get(text, 0)
            kind, line = str(found.lastgroup), self._line
            self._at = found.end()
            self._line += text.count("\n")
            if kind != "blank":
                yield Token(kind, text, line)
        if depth:
            raise self.error("a `${` in a string is not closed")
        yield Token("newline", "\n", self._line)
        yield Token("end", "", self._line)

    def _string(self, depth: int) -> Token:
        if self._text.startswith("'''", self._at):
            raise self.error("strings on several lines are not read")
        if depth > DEEPEST:
            raise self.error("strings stand too deep in each other")
        parts: list[str | tuple[Token, ...]] = [""]
        self._at += 1
        while True:
            character = self._text[self._at : self._at + 1]
            if character in {"", "\n", "\r"}:
                raise self.error("a string is not closed on its line")
            if character == "'":
                self._at += 1
                return Token("string", "", self._line, tuple(parts))
            if self._text.startswith("${", self._at):
                self._at += 2
                inside = (*self.tokens(depth + 1), Token("end", "", self._line))
                self._at += 1
                parts += [inside, ""]
                continue
            if character == "\\":
                self._at += 1
                escaped = self._text[self._at : self._at + 1]
                if escaped not in _ESCAPES:
                    raise self.error(f"\\{escaped} is no escape that is read")
                character = _ESCAPES[escaped]
            parts[-1] = str(parts[-1]) + character
            self._at += 1


def read_tokens(text: str, file: str) -> tuple[Token, ...]:
    """Return the tokens of the text; the last one is its end.

    Raises:
        BicepError: a character begins none, or a string has no end.

    """
    return tuple(_Lexer(text, file).tokens())
