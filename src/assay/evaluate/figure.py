"""Curves as one SVG file, drawn by hand: lines with bands, a legend, two axes. No library."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log2, log10
from typing import Final, Literal, final

from assay.errors import DataError

WIDTH: Final = 640
HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 18.0, 40.0, 46.0
_ROW = 18
COLOURS: Final = ("#6b6b6b", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, told apart by colour-blind readers too; the first, grey, is for the base."""
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
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 22.0, title, size=14, weight="600"),
        *_scale_y(_ticks(low_y, high_y), place, lines[0].x[0]),
        *_scale_x(ticks_x or _ticks(low_x, high_x), place, bottom, x_label),
        _text(16.0, (_TOP + bottom) / 2, y_label, anchor="middle", turn=True),
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


def _scale_y(ticks: Sequence[float], place: _Place, x: float) -> list[str]:
    parts: list[str] = []
    for y in ticks:
        up = place(x, y)[1]
        parts.append(_across(up, "#e4e4e4"))
        parts.append(_text(_LEFT - 8, up + 4, f"{y:g}", anchor="end"))
    return parts


def _scale_x(ticks: Sequence[float], place: _Place, bottom: float, label: str) -> list[str]:
    parts = [_across(bottom, "#333333")]
    for x in ticks:
        parts.append(_text(place(x, 0.0)[0], bottom + 17, f"{x:g}", anchor="middle"))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return [*parts, _text(middle, bottom + 35, label, anchor="middle")]


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
        _text(x + 30, y, name if len(name) <= 24 else f"{name[:23]}…"),
    ]


def _dash(number: int) -> str:
    return f' stroke-dasharray="{_DASHES[number]}"' if _DASHES[number] else ""


def _across(y: float, colour: str) -> str:
    return f'<path d="M{_LEFT:g} {y:.1f}H{WIDTH - _RIGHT:g}" stroke="{colour}" fill="none"/>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    size: int = 12,
    weight: str = "400",
    turn: bool = False,
) -> str:
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="#222222"{turned}>{escape(text)}</text>'
    )


def _range(lines: Sequence[Line]) -> tuple[float, float]:
    values = [y for line in lines for y in line.y]
    values += [y for line in lines for pair in line.band or () for y in pair]
    low, high = min(values), max(values)
    low = 0.0 if 0 <= low <= 0.5 * high else low
    step = _step(low, high)
    return floor(low / step) * step, ceil(high / step - 1e-9) * step


def _step(low: float, high: float) -> float:
    """Returns 1, 2 or 5 times a power of ten: about five ticks."""
    rough = ((high - low) or abs(high) or 1.0) / 5
    power = 10.0 ** floor(log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if rough <= m * power * (1 + 1e-9))


def _ticks(low: float, high: float) -> list[float]:
    step = _step(low, high)
    first = ceil(low / step - 1e-9)
    last = floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]
