"""What can be read on a picture of a terminal."""

from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

_TEXT = "{http://www.w3.org/2000/svg}text"


def lines_of(picture: Path) -> list[str]:
    """The lines of text, from top to bottom, with every run of spaces as one."""
    root = ET.fromstring(picture.read_text(encoding="utf-8"))  # noqa: S314 - our own
    pieces: dict[float, list[tuple[float, float, str]]] = defaultdict(list)
    for element in root.iter(_TEXT):
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        wide = float(element.attrib.get("textLength", 0))
        pieces[y].append((x, x + wide, element.text or ""))
    return [_joined(sorted(line)) for _, line in sorted(pieces.items())]


def _joined(line: list[tuple[float, float, str]]) -> str:
    """The pieces with a space where there is room between them, which rich leaves out."""
    joined, before = "", 0.0
    for start, end, text in line:
        joined += (" " if start > before + 1 else "") + text
        before = end
    return " ".join(joined.split())
