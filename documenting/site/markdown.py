"""A page as Python-Markdown must have it, made from one that GitHub shows well.

The two differ in two things. In a list GitHub asks for as much indentation as the item's text has,
and for no empty line before it; Python-Markdown asks for four spaces, and for the empty line. In a
table GitHub wants a bar in code escaped, and Python-Markdown shows the escape.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

_FENCE: Final = re.compile(r" *(`{3,}|~{3,})")
_ITEM: Final = re.compile(r"( *)([-*+]|\d{1,9}[.)]) +(?=\S)")
_LINK: Final = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")
_CODE: Final = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_STEP: Final = 4


class _Item(NamedTuple):
    """A list's item that is open."""

    content: int
    """Where its text begins on the page."""
    target: int
    """Where it begins in what is returned."""


def with_wider_lists(text: str) -> str:
    """Return the page with every list as Python-Markdown takes it; code keeps its own lines."""
    lines: list[str] = []
    items: list[_Item] = []
    fence = ""
    for line in text.splitlines():
        if not line.strip():
            lines.append("")
            continue
        indent = len(line) - len(line.lstrip(" "))
        opening = _FENCE.match(line)
        item = None if fence or opening else _ITEM.match(line)
        follows_text = bool(lines and lines[-1])
        is_lazy = follows_text and item is None and opening is None and line[0] not in "#|<"
        while not fence and items and indent < items[-1].content and not is_lazy:
            items.pop()
        content, target = items[-1] if items else (0, 0)
        begins = target + max(indent - content, 0)
        if follows_text and not fence and (opening or (item and not items and not _is_item(lines))):
            lines.append("")
        if item:
            items.append(_Item(item.end(), begins + _STEP))
            marker = item[2].ljust(_STEP - 1)
            lines.append(f"{' ' * begins}{marker} {line[item.end() :]}")
        else:
            lines.append(" " * begins + line.lstrip(" "))
        if opening:
            fence = _after(fence, opening[1], line)
    return "\n".join(lines) + "\n"


def with_plain_pipes(text: str) -> str:
    """Return the page with each bar in code in a table as itself; GitHub wants it escaped there."""
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        opening = _FENCE.match(line)
        if opening:
            fence = _after(fence, opening[1], line)
        is_row = not fence and line.lstrip().startswith("|")
        lines.append(_CODE.sub(lambda code: code[0].replace("\\|", "|"), line) if is_row else line)
    return "\n".join(lines) + "\n"


def with_links(text: str, moved: Callable[[str], str]) -> str:
    """Return the page with each relative link as `moved` has it; code keeps what looks like one."""
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        opening = _FENCE.match(line)
        if opening:
            fence = _after(fence, opening[1], line)
        lines.append(line if fence or opening else _moved_in(line, moved))
    return "\n".join(lines) + "\n"


def _moved_in(line: str, moved: Callable[[str], str]) -> str:
    code = [found.span() for found in _CODE.finditer(line)]

    def replaced(link: re.Match[str]) -> str:
        if any(begin <= link.start() < end for begin, end in code):
            return link[0]
        return f"{link[1]}{moved(link[2])}{link[3]}"

    return _LINK.sub(replaced, line)


def _after(fence: str, marks: str, line: str) -> str:
    """Return the fence that is open after this line of marks; nothing if none is."""
    if not fence:
        return marks
    closes = marks[0] == fence[0] and len(marks) >= len(fence) and line.strip() == marks
    return "" if closes else fence


def _is_item(lines: list[str]) -> bool:
    """Whether the last lines are an item's, so that the next one continues its list."""
    for line in reversed(lines):
        if not line:
            return False
        if _ITEM.match(line):
            return True
    return False
