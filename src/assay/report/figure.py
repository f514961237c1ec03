"""Curves as one SVG file, drawn by hand: lines with bands, a legend, two axes. No library."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2
from typing import Final, Literal, final

from assay.errors import DataError
from assay.report.svg import COLOURS, opened, step, text, ticks

WIDTH: Final = 640
HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 18.0, 40.0, 46.0
_ROW = 18
_DASHES: Final = ("", "", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")


_Place = Callable[[float, float], tuple[float, float]]


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    band: Sequence[tuple[float, float]] | None = None
    """Interval of each y. None: none is drawn."""


def figure(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_scale: Literal["linear", "log2"] = "linear",
    y_range: tuple[float, float] | None = None,
) -> str:
    """Returns an SVG of the curves on common axes.

    Args:
        lines: at most seven; the first is drawn in grey.
        title: above the axes.
        x_label: below them.
        y_label: beside them.
        x_scale: "log2" for k, ticks at the values that occur.
        y_range: None: what the values and bands need, 0 included where it is near.

    Raises:
        DataError: no line, too many, or x, y and band of different lengths.
    """
    _check(lines)
    below = _ROW * ((len(lines) + 2) // 3)
    bottom = HEIGHT - _BOTTOM - below
    at_x = [log2(x) if x_scale == "log2" else x for line in lines for x in line.x]
    low_x, high_x = min(at_x), max(at_x)
    low_y, high_y = y_range or _range(lines)

    def place(x: float, y: float) -> tuple[float, float]:
        part = ((log2(x) if x_scale == "log2" else x) - low_x) / ((high_x - low_x) or 1.0)
        tall = (y - low_y) / ((high_y - low_y) or 1.0)
        across = _LEFT + part * (WIDTH - _LEFT - _RIGHT)
        return across, bottom - min(max(tall, 0.0), 1.0) * (bottom - _TOP)

    ticks_x = sorted({x for line in lines for x in line.x}) if x_scale == "log2" else None
    parts = [
        *opened(WIDTH, HEIGHT, title, _LEFT),
        *_scale_y(ticks(low_y, high_y), place, lines[0].x[0]),
        *_scale_x(ticks_x or ticks(low_x, high_x), place, bottom, x_label),
        text(16.0, (_TOP + bottom) / 2, y_label, anchor="middle", turn=True),
    ]
    for number, line in enumerate(lines):
        parts += _drawn(line, number, place)
        parts += _legend(line.name, number, bottom + _BOTTOM + 6)
    return "\n".join([*parts, "</svg>", ""])


def _check(lines: Sequence[Line]) -> None:
    if not 1 <= len(lines) <= len(COLOURS):
        raise DataError(f"figure: {len(lines)} lines; expected 1 to {len(COLOURS)}")
    for line in lines:
        band = len(line.x) if line.band is None else len(line.band)
        if not len(line.x) == len(line.y) == band or not line.x:
            raise DataError(
                f"figure: line {line.name!r} has {len(line.x)} x, {len(line.y)} y, {band} bands; "
                "expected as many of each, at least one"
            )


def _scale_y(at: Sequence[float], place: _Place, x: float) -> list[str]:
    parts: list[str] = []
    for y in at:
        up = place(x, y)[1]
        parts.append(_across(up, "#e4e4e4"))
        parts.append(text(_LEFT - 8, up + 4, f"{y:g}", anchor="end"))
    return parts


def _scale_x(at: Sequence[float], place: _Place, bottom: float, label: str) -> list[str]:
    parts = [_across(bottom, "#333333")]
    for x in at:
        parts.append(text(place(x, 0.0)[0], bottom + 17, f"{x:g}", anchor="middle"))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return [*parts, text(middle, bottom + 35, label, anchor="middle")]


def _drawn(line: Line, number: int, place: _Place) -> list[str]:
    colour = COLOURS[number]
    parts: list[str] = []
    if line.band is not None:
        low = [place(x, y) for x, (y, _) in zip(line.x, line.band, strict=True)]
        high = [place(x, y) for x, (_, y) in zip(line.x, line.band, strict=True)]
        parts.append(f'<path d="{_path([*high, *low[::-1]])}Z" fill="{colour}" opacity="0.14"/>')
    points = [place(x, y) for x, y in zip(line.x, line.y, strict=True)]
    parts.append(
        f'<path d="{_path(points)}" fill="none" stroke="{colour}" stroke-width="2" '
        f'stroke-linejoin="round"{_dash(number)}/>'
    )
    if len(points) <= 24:
        dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>' for x, y in points)
        parts += dots
    return parts


def _legend(name: str, number: int, top: float) -> list[str]:
    x = _LEFT + (number % 3) * ((WIDTH - _LEFT - _RIGHT) / 3)
    y = top + _ROW * (number // 3)
    return [
        f'<path d="M{x:.1f} {y - 4:.1f}h24" stroke="{COLOURS[number]}" stroke-width="2" '
        f'fill="none"{_dash(number)}/>',
        text(x + 30, y, name if len(name) <= 24 else f"{name[:23]}…"),
    ]


def _dash(number: int) -> str:
    return f' stroke-dasharray="{_DASHES[number]}"' if _DASHES[number] else ""


def _across(y: float, colour: str) -> str:
    return f'<path d="M{_LEFT:g} {y:.1f}H{WIDTH - _RIGHT:g}" stroke="{colour}" fill="none"/>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _range(lines: Sequence[Line]) -> tuple[float, float]:
    values = [y for line in lines for y in line.y]
    values += [y for line in lines for pair in line.band or () for y in pair]
    low, high = min(values), max(values)
    low = 0.0 if 0 <= low <= 0.5 * high else low
    wide = step(low, high)
    return floor(low / wide) * wide, ceil(high / wide - 1e-9) * wide
