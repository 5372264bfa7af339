"""What a terminal shows after everything that a command has written to it.

Just as much of a terminal as rich's output needs: colors, and progress that is written over.
Whatever else comes is an error, because a picture with a wrong line in it would look right.
"""

import re
from typing import Final

from rich.cells import cell_len

_TOKEN: Final = re.compile(
    r"\x1b\[(?P<private>\??)(?P<parameters>[\d;]*)(?P<command>[A-Za-z])"
    r"|\x1b\](?P<title>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
    r"|(?P<control>[\x00-\x1f\x7f])"
)
_RESET: Final = "\x1b[0m"
_CURSOR: Final = frozenset({"25"})
"""Private modes that only hide or show the cursor."""


class ScreenError(Exception):
    """A command writes what this terminal does not know."""


class Screen:
    """Lines of cells, each a character with the colors that it was written in."""

    def __init__(self, columns: int) -> None:
        """Start with an empty screen, so many columns wide."""
        self._columns = columns
        self._lines: list[list[tuple[str, str]]] = [[]]
        self._row = self._column = 0
        self._style = ""

    def feed(self, written: str) -> None:
        """Take what a command has written.

        Raises:
            ScreenError: a control sequence is not known, or a character is not one cell wide.

        """
        place = 0
        while place < len(written):
            token = _TOKEN.match(written, place)
            if token is None:
                raise ScreenError(f"unknown control sequence {written[place : place + 12]!r}")
            place = token.end()
            if token["text"]:
                for character in token["text"]:
                    self._write(character)
            elif token["control"]:
                self._control(token["control"])
            elif token["command"]:
                self._command(token["private"], token["parameters"], token["command"])

    def ansi_lines(self) -> list[str]:
        """Return the lines, each with its colors as control sequences; none empty at the end."""
        lines = [_as_ansi(line) for line in self._lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def text_lines(self) -> list[str]:
        """Return the lines without colors, and without spaces at their ends."""
        lines = ["".join(character for character, _ in line).rstrip() for line in self._lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _write(self, character: str) -> None:
        if cell_len(character) != 1:
            raise ScreenError(f"{character!r} is not one cell wide")
        if self._column == self._columns:
            self._control("\n")
        line = self._lines[self._row]
        line.extend([(" ", "")] * (self._column - len(line)))
        line[self._column : self._column + 1] = [(character, self._style)]
        self._column += 1

    def _control(self, control: str) -> None:
        if control == "\r":
            self._column = 0
        elif control == "\n":
            self._column = 0
            self._row += 1
            if self._row == len(self._lines):
                self._lines.append([])
        else:
            raise ScreenError(f"unknown control character {control!r}")

    def _command(self, private: str, parameters: str, command: str) -> None:
        match private, command:
            case "", "m":
                self._color(parameters)
            case "", "A":
                self._row = max(0, self._row - int(parameters or 1))
            case "", "K" if parameters == "2":
                self._lines[self._row] = []
            case "?", "h" | "l" if parameters in _CURSOR:
                pass
            case _:
                raise ScreenError(f"unknown control sequence ESC [ {private}{parameters} {command}")

    def _color(self, parameters: str) -> None:
        self._style = "" if parameters in {"", "0"} else f"{self._style}\x1b[{parameters}m"


def _as_ansi(line: list[tuple[str, str]]) -> str:
    written, before = "", ""
    for character, style in line:
        if style != before:
            written += _RESET + style
            before = style
        written += character
    return (written + (_RESET if before else "")).rstrip()
