"""Parts of a figure drawn as SVG: colours, text, and round numbers for an axis."""

from html import escape
from math import ceil, floor, log10
from typing import Final

COLOURS: Final = ("#6b6b6b", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, told apart by colour-blind readers too; the first, grey, is for the base."""


def opened(width: int, height: int, title: str, left: float) -> list[str]:
    """Returns the beginning of a figure: its tag, a white ground, its title."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        text(left, 22.0, title, size=14, weight="600"),
    ]


def text(
    x: float,
    y: float,
    said: str,
    *,
    anchor: str = "start",
    size: int = 12,
    weight: str = "400",
    turn: bool = False,
) -> str:
    """Returns a text element; `turn` sets it upright, read from below."""
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="#222222"{turned}>{escape(said)}</text>'
    )


def step(low: float, high: float) -> float:
    """Returns 1, 2 or 5 times a power of ten: about five ticks."""
    rough = ((high - low) or abs(high) or 1.0) / 5
    power = 10.0 ** floor(log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if rough <= m * power * (1 + 1e-9))


def ticks(low: float, high: float) -> list[float]:
    """Returns the multiples of `step` from low to high."""
    wide = step(low, high)
    first = ceil(low / wide - 1e-9)
    last = floor(high / wide + 1e-9)
    return [round(i * wide, 12) for i in range(first, last + 1)]
