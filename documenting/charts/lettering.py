"""Text on a chart: its font, how wide it is, and where its lines break.

The font is the one that matplotlib brings, so that a chart is the same on any machine.
"""

from functools import cache
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

BODY: Final = 12.5
SMALL: Final = 11.5
TITLE: Final = 17.0
"""Sizes in pixels, of a picture that is as wide as a page's column."""

_FOLDER: Final = Path(mpl.get_data_path()) / "fonts" / "ttf"


def font(size: float, *, is_bold: bool = False) -> FontProperties:
    """Return matplotlib's own font in pixels of a picture with 96 to the inch."""
    file = _FOLDER / ("DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf")
    return FontProperties(fname=file, size=size * 72 / 96)


@cache
def width(text: str, size: float, *, is_bold: bool = False) -> float:
    """Return how wide the text is, in pixels."""
    if not text.strip():
        return 0.0
    path = TextPath((0, 0), text, size=size, prop=font(size, is_bold=is_bold), usetex=False)
    return float(path.get_extents().width)


def wrapped(text: str, size: float, most: float) -> list[str]:
    """Return the text in lines of at most that many pixels."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= most:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
