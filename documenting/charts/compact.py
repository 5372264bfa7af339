"""An SVG of matplotlib's with the same picture in half the bytes."""

import re
from typing import Final

_SCALE: Final = re.compile(r"(scale\([^)]*\))")
_LONG_NUMBER: Final = re.compile(r"-?\d+\.\d{2,}(?![\de])")
_GROUP: Final = re.compile(r"(?:<g\b[^>]*>|</g>)\n?")
_SHORTER: Final = (
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"<metadata>.*?</metadata>", re.DOTALL), ""),
    (re.compile(r"<!DOCTYPE[^>]*>"), ""),
    # Every id that nothing refers to; those of glyphs, hatches and clips are referred to.
    (re.compile(r' id="(?:figure|axes|patch|text|line2d|xtick|ytick|matplotlib\.axis)_\d+"'), ""),
    (re.compile(r"\bDejaVuSans-Bold-"), "b"),
    (re.compile(r"\bDejaVuSans-"), "r"),
    (re.compile(r"\bxlink:href="), "href="),
    (re.compile(r"\n([LQCzM])"), r"\1"),
    (re.compile(r"([LQCM]) "), r"\1"),
    (re.compile(r'z\s+"'), 'z"'),
    (re.compile(r'(\d)\s+"'), r'\1"'),
    (re.compile(r"<g/>"), ""),
    (re.compile(r'<path d="[^"]*" style="fill: none"/>'), ""),
    (re.compile(r"\n\s*"), "\n"),
    (re.compile(r">\n<use"), "><use"),
    # A glyph moved along its line, and the space, which is a glyph without an outline.
    (re.compile(r'transform="translate\(([\d.]+) 0\)"'), r'x="\1"'),
    (re.compile(r'<use href="#[rb]3"[^>]*/>'), ""),
)
_GLYPH: Final = re.compile(r'(<use href="#[rb][\da-f]+" x=")([\d.]+)')


def compact(svg: str) -> str:
    """Return the picture without what nobody sees, its coordinates to a tenth of a point.

    Rounding also keeps the last digits of one processor's arithmetic out of the bytes.
    """
    for pattern, shorter in _SHORTER:
        svg = pattern.sub(shorter, svg)
    # A glyph's scale is a small factor, of which every digit counts.
    svg = _without_bare_groups(svg)
    svg = _GLYPH.sub(lambda glyph: f"{glyph[1]}{float(glyph[2]):.0f}", svg)
    parts = _SCALE.split(svg)
    parts[::2] = (_LONG_NUMBER.sub(_rounded, part) for part in parts[::2])
    return "".join(parts).strip() + "\n"


def _without_bare_groups(svg: str) -> str:
    """Return the picture without groups that say nothing of what is in them."""
    is_bare: list[bool] = []

    def kept(tag: re.Match[str]) -> str:
        if tag[0].startswith("</"):
            return "" if is_bare.pop() else tag[0]
        is_bare.append(tag[0].strip() == "<g>")
        return "" if is_bare[-1] else tag[0]

    return _GROUP.sub(kept, svg)


def _rounded(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 1) + 0.0:g}"
