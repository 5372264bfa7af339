"""A terminal's lines as SVG, by rich, in colors for light and for dark pages."""

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

type _Rgb = tuple[int, int, int]

LIGHT: Final = "light"
DARK: Final = "dark"

_FORMAT: Final = """\
<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" \
xmlns="http://www.w3.org/2000/svg">
<title>TITLE</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: FONTpx;
  line-height: {line_height}px;
  white-space: pre;
}}
.{unique_id}-title {{
  font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif;
  font-size: 17px;
  font-weight: 600;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_LINE_CLIP: Final = re.compile(r' clip-path="url\(#t-line-\d+\)"')
_EDGES: Final = {LIGHT: "#d0d7de", DARK: "#30363d"}
_FONT: Final = 21
"""Pixels: as many as rich's lines are high, less the gap that most fonts' frames bridge."""
_ASPECT: Final = 0.602 * _FONT / 20
"""How wide a character is, of the 20 pixels that rich counts with: that of most such fonts."""


def to_svg(lines: Sequence[str], title: str, mode: str, *, columns: int) -> str:
    """Return the lines, which may have color sequences, as the picture of a terminal."""
    console = Console(
        record=True,
        width=columns,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    # An empty line at the end, because rich cuts the last one's descenders.
    for line in (*lines, ""):
        console.print(Text.from_ansi(line), soft_wrap=True, highlight=False)
    svg = console.export_svg(
        title=title,
        theme=_THEMES[mode],
        code_format=_FORMAT.replace("FONT", str(_FONT)).replace("TITLE", escape(title)),
        font_aspect_ratio=_ASPECT,
        unique_id="t",
    )
    # Each line's own clip would leave a gap in the frames of tables.
    svg = _LINE_CLIP.sub("", svg).replace("</text><text", "</text>\n<text")
    svg = svg.replace('stroke="rgba(255,255,255,0.35)"', f'stroke="{_EDGES[mode]}"')
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def _theme(page: str, text: str, *colors: str) -> TerminalTheme:
    rgb = [_rgb(color) for color in colors]
    return TerminalTheme(_rgb(page), _rgb(text), rgb[:8], rgb[8:])


def _rgb(color: str) -> _Rgb:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return red, green, blue


# Black, red, green, yellow, blue, magenta, cyan, white; then the same, bright. All of a kind with
# the page, and of a contrast of 4.5 at least, but for the two that are made to be faint.
_THEMES: Final = {
    LIGHT: _theme(
        "#ffffff",
        "#1f2328",
        *("#24292f", "#cf222e", "#116329", "#7d4e00", "#0969da", "#8250df", "#1b6f79", "#57606a"),
        *("#6e7781", "#a40e26", "#1a7f37", "#6f4400", "#0550ae", "#6639ba", "#155a63", "#424a53"),
    ),
    DARK: _theme(
        "#0d1117",
        "#e6edf3",
        *("#6e7681", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4"),
        *("#8b949e", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc"),
    ),
}
