"""The colors of a chart on a light and on a dark page.

Blue and vermilion are Okabe and Ito's, which people with any color vision tell apart; hatches,
markers, bold labels and words say the same without color.
"""

from dataclasses import dataclass
from typing import Final

from documenting.charts.chart import DARK, LIGHT


@dataclass(frozen=True, slots=True)
class Palette:
    """Every color that a chart uses."""

    page: str
    edge: str
    text: str
    muted: str
    grid: str
    ours: str
    peer: str
    floor: str
    missed: str


PALETTES: Final = {
    LIGHT: Palette(
        page="#ffffff",
        edge="#d0d7de",
        text="#1f2328",
        muted="#57606a",
        grid="#e4e8ec",
        ours="#0072b2",
        peer="#8c959f",
        floor="#c3cad1",
        missed="#d55e00",
    ),
    DARK: Palette(
        page="#0d1117",
        edge="#30363d",
        text="#e6edf3",
        muted="#9da7b1",
        grid="#232a32",
        ours="#56b4e9",
        peer="#7d8590",
        floor="#4a525c",
        missed="#ff8c42",
    ),
}
