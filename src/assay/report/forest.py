"""Many intervals as one SVG file: a row for each thing measured, panels beside each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Final, final

from assay.errors import DataError
from assay.evaluate.intervals import Estimate
from assay.report.svg import COLOURS, opened, step, text, ticks

WIDTH: Final = 860
_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP, _ROW = 116.0, 18.0, 62.0, 64.0, 26.0, 32.0

_Place = Callable[[float], float]


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """One axis with the intervals on it."""

    title: str
    seen: Sequence[Sequence[Estimate | None]]
    """By row and series. None: not measured, nothing is drawn."""


def forest(
    panels: Sequence[Panel],
    *,
    rows: Sequence[str],
    series: Sequence[str],
    title: str,
    x_label: str,
) -> str:
    """Returns an SVG of dots with their intervals. Each panel has an axis of its own, 0 on it.

    Args:
        panels: from left to right.
        rows: names, from top to bottom.
        series: names of what each row has one dot of, at most six.
        title: above the panels.
        x_label: below them.

    Raises:
        DataError: no panel or row, or a panel without an estimate for each row and series.
    """
    _check(panels, rows, series)
    bottom = _TOP + _ROW * len(rows)
    height = int(bottom + _BOTTOM)
    parts = opened(WIDTH, height, title, 16.0)
    for number, name in enumerate(rows):
        parts.append(text(_LEFT - 10, _middle(number) + 4, name, anchor="end"))
    wide = (WIDTH - _LEFT - _RIGHT - _GAP * (len(panels) - 1)) / len(panels)
    for number, panel in enumerate(panels):
        parts += _panel(panel, _LEFT + number * (wide + _GAP), wide, bottom)
    parts.append(text((_LEFT + WIDTH - _RIGHT) / 2, bottom + 34, x_label, anchor="middle"))
    for number, name in enumerate(series):
        x = _LEFT + number * (WIDTH - _LEFT - _RIGHT) / len(series)
        parts += [*_dot(x, x + 12, x + 24, height - 12.0, number), text(x + 32, height - 8.0, name)]
    return "\n".join([*parts, "</svg>", ""])


def _check(panels: Sequence[Panel], rows: Sequence[str], series: Sequence[str]) -> None:
    if not panels or not rows or not 1 <= len(series) < len(COLOURS):
        raise DataError(
            f"forest: {len(panels)} panels, {len(rows)} rows, {len(series)} series; expected at "
            f"least one of each, at most {len(COLOURS) - 1} series"
        )
    for panel in panels:
        shape = [len(each) for each in panel.seen]
        if shape != [len(series)] * len(rows):
            raise DataError(
                f"forest: panel {panel.title!r} has estimates {shape} by row; expected "
                f"{len(series)} in each of {len(rows)}"
            )


def _panel(panel: Panel, left: float, wide: float, bottom: float) -> list[str]:
    """Returns title, axis and dots of one panel."""
    known = [each for row in panel.seen for each in row if each is not None]
    low, high = _range([end for each in known for end in (each.low, each.high)])

    def place(value: float) -> float:
        return left + (value - low) / (high - low) * wide

    parts = [text(left, _TOP - 14, panel.title, weight="600")]
    for value in ticks(low, high):
        shade = "#333333" if value == 0 else "#e4e4e4"
        parts.append(f'<path d="M{place(value):.1f} {_TOP:g}V{bottom:g}" stroke="{shade}"/>')
        parts.append(text(place(value), bottom + 16, f"{value:g}", anchor="middle"))
    for number, row in enumerate(panel.seen):
        for which, seen in enumerate(row):
            if seen is not None:
                y = _middle(number) + (which - (len(row) - 1) / 2) * _ROW / (len(row) + 1)
                ends = (place(seen.low), place(seen.value), place(seen.high))
                parts += _dot(*ends, y, which)
    return parts


def _middle(row: int) -> float:
    return _TOP + _ROW * (row + 0.5)


def _dot(low: float, at: float, high: float, y: float, which: int) -> list[str]:
    colour = COLOURS[which + 1]
    return [
        f'<path d="M{low:.1f} {y:.1f}H{high:.1f}" stroke="{colour}" stroke-width="2"/>',
        f'<circle cx="{at:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>',
    ]


def _range(ends: Sequence[float]) -> tuple[float, float]:
    """Returns an axis from tick to tick that holds all ends, and 0."""
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    wide = step(low, high)
    return wide * floor(low / wide), wide * ceil(high / wide) if high > low else wide
