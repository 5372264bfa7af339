"""A chart drawn by matplotlib, as SVG whose bytes depend on nothing but the chart."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle

from documenting.charts.chart import Chart, Group, Line, Role, Row
from documenting.charts.compact import compact
from documenting.charts.lettering import BODY, SMALL, TITLE, font, width, wrapped
from documenting.charts.palette import PALETTES, Palette
from documenting.charts.scales import Extent, Scale, linear, logarithmic

_WIDTH: Final = 830.0
"""Pixels, as a README's column on GitHub and a little more than the site's."""
_MARGIN: Final = 24.0
_ROW: Final = 25.0
_BAR: Final = 15.0
_GAP: Final = 8.0
_GROUP_TITLE: Final = 27.0
_LINE_LABEL: Final = 18.0
_LEGEND: Final = 30.0
_SUBTITLE_LINE: Final = 18.0
_AXIS: Final = 52.0
_INCH: Final = 96.0
_SALT: Final = "azure-aws-bridge"
_MARKERS: Final = {
    Role.OURS: "D",
    Role.PEER: "o",
    Role.FLOOR: "o",
    Role.KEPT: "o",
    Role.MISSED: "X",
}
_IN_BOLD: Final = frozenset({Role.OURS, Role.MISSED})


def to_svg(chart: Chart, mode: str) -> bytes:
    """Return the chart for a light or a dark page; the same bytes on every machine and day."""
    with mpl.rc_context():
        # A machine's own matplotlibrc must not show in a chart.
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.hashsalt": _SALT, "svg.fonttype": "path", "hatch.linewidth": 0.8})
        figure = _Drawing(chart, PALETTES[mode]).figure()
        written = io.BytesIO()
        metadata = {"Date": None, "Creator": None, "Title": chart.title}
        FigureCanvasSVG(figure).print_svg(written, metadata=metadata)
    return compact(written.getvalue().decode("utf-8")).encode("utf-8")


@dataclass(frozen=True, slots=True)
class _Place:
    """A row or a group's title, and how far down its middle is."""

    y: float
    row: Row | None
    title: str = ""


class _Drawing:
    """One chart on its way to a figure: sizes first, then every part from top to bottom."""

    def __init__(self, chart: Chart, palette: Palette) -> None:
        self._chart, self._palette = chart, palette
        self._subtitle = wrapped(chart.subtitle, BODY, _WIDTH - 2 * _MARGIN)
        self._left = (
            _MARGIN
            + 14
            + max(width(row.label, BODY, is_bold=row.role in _IN_BOLD) for row in chart.rows)
        )
        self._pixels = _WIDTH - _MARGIN - self._left
        self._scale = self._fitting_scale()
        self._levels = self._line_levels()
        self._places = tuple(_places(chart.groups))
        self._header = 50.0 + _SUBTITLE_LINE * len(self._subtitle)
        self._legend_at = self._header
        if self._legend():
            self._header += _LEGEND
        self._header += _LINE_LABEL * (max(self._levels, default=-1) + 1)
        self._rows_height = self._places[-1].y + _ROW / 2 + 4
        self._height = self._header + self._rows_height + _AXIS

    def figure(self) -> Figure:
        size = (_WIDTH / _INCH, self._height / _INCH)
        self._figure = Figure(figsize=size, dpi=_INCH, facecolor="none")
        self._draw_page()
        self._text(_MARGIN, 32, self._chart.title, TITLE, is_bold=True)
        for number, words in enumerate(self._subtitle):
            y = 56 + number * _SUBTITLE_LINE
            self._text(_MARGIN, y, words, BODY, color=self._palette.muted)
        self._draw_legend()
        axes = self._axes()
        for line, level in zip(self._chart.lines, self._levels, strict=True):
            self._draw_line(axes, line, level)
        for place in self._places:
            y = self._header + place.y
            if place.row is None:
                self._text(_MARGIN, y, place.title, BODY, is_bold=True, is_on_page=True)
            else:
                self._draw_row(axes, place.row, place.y)
        return self._figure

    def _end(self, row: Row) -> float:
        """Return where what the row shows ends: its bar, its target, or its line back to 1."""
        least = 1.0 if self._chart.is_logarithmic else 0.0
        return max(row.before + row.value, row.target or 0, least)

    def _fitting_scale(self) -> Scale:
        extents = [
            Extent(self._end(row), width(row.text, BODY) + 2 * _GAP + 4) for row in self._chart.rows
        ]
        extents += [Extent(line.at, 2) for line in self._chart.lines]
        extents += [Extent(row.value, 2) for row in self._chart.rows]
        fit = logarithmic if self._chart.is_logarithmic else linear
        return fit(extents, self._pixels)

    def _line_levels(self) -> list[int]:
        """Return how high each line's label stands: above every line that would cross it."""
        levels: dict[Line, int] = {}
        for line in sorted(self._chart.lines, key=lambda line: -line.at):
            start, wide = self._label_place(line)
            crossing = (
                level
                for other, level in levels.items()
                if self._x(other.at) < start + wide + _GAP or other.at == line.at
            )
            levels[line] = max(crossing, default=-1) + 1
        return [levels[line] for line in self._chart.lines]

    def _label_place(self, line: Line) -> tuple[float, float]:
        """Return where the line's label begins and how wide it is: a flag, inside the picture."""
        wide = width(line.label, SMALL)
        return min(self._x(line.at) + 5, _WIDTH - _MARGIN - wide), wide

    def _x(self, value: float) -> float:
        """Return how many pixels from the left the value lies."""
        return self._left + self._scale.share(value) * self._pixels

    def _draw_page(self) -> None:
        page = FancyBboxPatch(
            (1 / _WIDTH, 1 / self._height),
            1 - 2 / _WIDTH,
            1 - 2 / self._height,
            boxstyle="round,pad=0,rounding_size=0.008",
            mutation_aspect=_WIDTH / self._height,
            transform=self._figure.transFigure,
            facecolor=self._palette.page,
            edgecolor=self._palette.edge,
            linewidth=0.75,
            zorder=-1,
        )
        self._figure.add_artist(page)

    def _axes(self) -> Axes:
        axes = self._figure.add_axes(
            (
                self._left / _WIDTH,
                _AXIS / self._height,
                self._pixels / _WIDTH,
                self._rows_height / self._height,
            ),
            facecolor="none",
        )
        if self._scale.is_logarithmic:
            axes.set_xscale("log")
        axes.set_xlim(self._scale.least, self._scale.most)
        axes.set_ylim(self._rows_height, 0)
        axes.set_yticks([])
        axes.set_xticks(self._scale.ticks, [f"{tick:,g}" for tick in self._scale.ticks])
        axes.set_xticks([], minor=True)
        axes.tick_params(axis="x", length=0, pad=5)
        for label in axes.get_xticklabels():
            label.set(fontproperties=font(SMALL), color=self._palette.muted)
        axes.grid(visible=True, axis="x", color=self._palette.grid, linewidth=0.75)
        axes.set_axisbelow(True)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "left" and not self._scale.is_logarithmic)
            spine.set(color=self._palette.muted, linewidth=0.75)
        self._text(
            self._left + self._pixels / 2,
            self._height - 19,
            self._chart.axis,
            SMALL,
            color=self._palette.muted,
            at="center",
        )
        return axes

    def _draw_line(self, axes: Axes, line: Line, level: int) -> None:
        top = -_LINE_LABEL * (level + 1) + 3
        axes.plot(
            [line.at, line.at],
            [top, self._rows_height],
            color=self._palette.text,
            linewidth=0.9,
            linestyle=(0, (4, 2.5)),
            clip_on=False,
            zorder=2.5,
        )
        start, _ = self._label_place(line)
        self._text(start, self._header + top + 4, line.label, SMALL, is_on_page=True)

    def _draw_row(self, axes: Axes, row: Row, y: float) -> None:
        self._text(
            self._left - 10,
            self._header + y,
            row.label,
            BODY,
            is_bold=row.role in _IN_BOLD,
            at="right",
        )
        if self._scale.is_logarithmic:
            self._draw_dot(axes, row, y)
        else:
            self._draw_bar(axes, row, y)
        if row.target is not None:
            half = _ROW / 2 - 2
            color = self._palette.text
            axes.plot([row.target] * 2, [y - half, y + half], color=color, linewidth=2.2, zorder=4)
        self._text(
            self._x(self._end(row)) + _GAP + 2,
            self._header + y,
            row.text,
            BODY,
            is_bold=False,
            is_on_page=True,
        )

    def _draw_bar(self, axes: Axes, row: Row, y: float) -> None:
        if row.before:
            axes.add_patch(self._bar(Role.FLOOR, 0, row.before, y))
        axes.add_patch(self._bar(row.role, row.before, row.value, y))

    def _bar(self, role: Role, start: float, length: float, y: float) -> Rectangle:
        return Rectangle(
            (start, y - _BAR / 2),
            length,
            _BAR,
            facecolor=self._color(role),
            edgecolor=self._palette.muted if role is Role.FLOOR else self._color(role),
            linewidth=0.5 if role is Role.FLOOR else 0,
            hatch="////" if role is Role.FLOOR else None,
            clip_on=False,
            zorder=3,
        )

    def _draw_dot(self, axes: Axes, row: Row, y: float) -> None:
        color = self._line_color(row.role)
        axes.plot([1.0, row.value], [y, y], color=color, linewidth=1.6, clip_on=False, zorder=3)
        axes.add_line(self._dot(row.role, row.value, y))

    def _dot(self, role: Role, x: float, y: float) -> Line2D:
        return Line2D(
            [x],
            [y],
            marker=_MARKERS[role],
            markersize=7.5 if role is Role.MISSED else 6.5,
            color=self._line_color(role),
            markerfacecolor=self._palette.page if role is Role.FLOOR else self._color(role),
            markeredgecolor=self._line_color(role),
            linestyle="none",
            clip_on=False,
            zorder=4,
        )

    def _legend(self) -> list[tuple[Role | None, str]]:
        entries: list[tuple[Role | None, str]] = list(self._chart.legend)
        if any(row.target is not None for row in self._chart.rows):
            entries.append((None, "promised"))
        return entries

    def _draw_legend(self) -> None:
        if not self._legend():
            return
        axes = self._figure.add_axes((0, 0, 1, 1), facecolor="none", frameon=False)
        axes.set(xlim=(0, _WIDTH), ylim=(self._height, 0), xticks=[], yticks=[])
        x, y = _MARGIN, self._legend_at + 11
        for role, words in self._legend():
            if role is None:
                color = self._palette.text
                axes.plot([x + 7, x + 7], [y - 7, y + 7], color=color, linewidth=2.2)
            elif self._scale.is_logarithmic:
                axes.add_line(self._dot(role, x + 7, y))
            else:
                patch = self._bar(role, x, 14, y)
                patch.set(y=y - 5.5, height=11)
                axes.add_patch(patch)
            self._text(x + 21, y, words, SMALL, color=self._palette.muted)
            x += 21 + width(words, SMALL) + 20

    def _line_color(self, role: Role) -> str:
        """Return the color for a thin line, for which a hatched bar's would be too faint."""
        return self._palette.peer if role is Role.FLOOR else self._color(role)

    def _color(self, role: Role) -> str:
        palette = self._palette
        return {
            Role.OURS: palette.ours,
            Role.KEPT: palette.ours,
            Role.PEER: palette.peer,
            Role.FLOOR: palette.floor,
            Role.MISSED: palette.missed,
        }[role]

    def _text(  # noqa: PLR0913 - where, what, and how
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        color: str = "",
        is_bold: bool = False,
        at: str = "left",
        is_on_page: bool = False,
    ) -> None:
        """Write the text at pixels from the top left; over lines, on a patch of the page."""
        patch = {"facecolor": self._palette.page, "edgecolor": "none", "pad": 1.0}
        self._figure.text(
            x / _WIDTH,
            1 - y / self._height,
            text,
            fontproperties=font(size, is_bold=is_bold),
            color=color or self._palette.text,
            horizontalalignment=at,
            verticalalignment="center_baseline",
            bbox=patch if is_on_page else None,
            parse_math=False,
            zorder=5,
        )


def _places(groups: tuple[Group, ...]) -> Iterator[_Place]:
    y = 4.0
    for number, group in enumerate(groups):
        if group.title:
            y += 6 if number else 0
            yield _Place(y + _GROUP_TITLE / 2, None, group.title)
            y += _GROUP_TITLE
        for row in group.rows:
            yield _Place(y + _ROW / 2, row)
            y += _ROW
