"""Figures by matplotlib: curves with bands, and many intervals beside each other; SVG or PNG.

The same numbers give the same bytes. Needs matplotlib, of the extra [train].
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, Literal, final

from assay.errors import DataError, MissingExtraError

COLOURS: Final = ("#6b6b6b", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, told apart by colour-blind readers too; the first, grey, is for the base."""
_STYLES: Final = ("-", "-", (0, (5, 2)), ":", "-.", (0, (3, 1)), (0, (1, 1)))
_LOOK: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "assay",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    band: Sequence[tuple[float, float]] | None = None
    """Interval of each y. None: none is drawn."""


Interval = tuple[float, float, float]
"""A number and the ends of its interval."""


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """One axis with the intervals on it."""

    title: str
    seen: Sequence[Sequence[Interval | None]]
    """By row and series. None: not measured, nothing is drawn."""


def curves(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_scale: Literal["linear", "log2"] = "linear",
    y_range: tuple[float, float] | None = None,
    base: bool = True,
    diagonal: str | None = None,
    kind: Literal["svg", "png"] = "svg",
) -> bytes:
    """Returns a picture of curves on common axes.

    Args:
        lines: at most seven.
        title: above the axes.
        x_label: below them.
        y_label: beside them.
        x_scale: "log2" for k, ticks at the values that occur.
        y_range: None: what the values and bands need.
        base: the first line is the base, drawn in grey.
        diagonal: what a thin line from (0, 0) to (1, 1) says. None: there is none.
        kind: of file.

    Raises:
        DataError: no line, too many, or x, y and band of different lengths.
        MissingExtraError: matplotlib is not installed.
    """
    _check_lines(lines)
    with _styled((6.4, 4.0)) as figure:
        axes = figure.add_subplot(title=title, xlabel=x_label, ylabel=y_label)
        if x_scale == "log2":
            at = sorted({x for line in lines for x in line.x})
            axes.set_xscale("log", base=2)
            axes.set_xticks(at, [f"{x:g}" for x in at])
            axes.minorticks_off()
        if diagonal is not None:
            axes.plot([0.0, 1.0], [0.0, 1.0], color="#333333", lw=0.8, label=diagonal)
        for line, colour, style in zip(lines, COLOURS[not base :], _STYLES, strict=False):
            marker = "o" if len(line.x) <= 24 else ""
            look = {"marker": marker, "ms": 3.5, "ls": style, "color": colour}
            # a dot on the edge is drawn whole
            axes.plot(line.x, line.y, label=line.name, clip_on=diagonal is None, **look)
            if line.band is not None:
                low, high = zip(*line.band, strict=True)
                axes.fill_between(line.x, low, high, color=colour, alpha=0.14, lw=0)
        if y_range is not None:
            axes.set_ylim(*y_range)
        figure.legend(loc="outside lower left", ncols=3)
        return _saved(figure, kind)


def forest(
    panels: Sequence[Panel],
    *,
    rows: Sequence[str],
    series: Sequence[str],
    title: str,
    x_label: str,
) -> bytes:
    """Returns an SVG of dots with their intervals. Each panel has an axis of its own, 0 on it.

    Args:
        panels: from left to right.
        rows: names, from top to bottom.
        series: names of what each row has one dot of, at most six.
        title: above the panels.
        x_label: below them.

    Raises:
        DataError: no panel or row, or a panel without an estimate for each row and series.
        MissingExtraError: matplotlib is not installed.
    """
    _check_panels(panels, rows, series)
    with _styled((8.6, 1.4 + 0.32 * len(rows))) as figure:
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        figure.supxlabel(x_label, fontsize=9)
        every = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, panel in zip(every, panels, strict=True):
            axes.set_title(panel.title)
            axes.axvline(0.0, color="#333333", lw=0.8)
            for which, name in enumerate(series):
                _dots(axes, panel, which, name)
        every[0].set_yticks(range(len(rows)), rows)
        every[0].set_ylim(len(rows) - 0.5, -0.5)
        marks, names = every[0].get_legend_handles_labels()
        figure.legend(marks, names, loc="outside lower left", ncols=len(series))
        return _saved(figure, "svg")


def _dots(axes: Any, panel: Panel, which: int, name: str) -> None:
    """Draws one series of a panel: a dot and its interval in each row that has one."""
    n_series, colour = len(panel.seen[0]), COLOURS[which + 1]
    shift = (which - (n_series - 1) / 2) / (n_series + 1)
    known = [(row + shift, *at) for row, each in enumerate(panel.seen) if (at := each[which])]
    y, value, low, high = zip(*known, strict=True) if known else ((), (), (), ())
    axes.plot(value, y, "o", ms=5, color=colour, label=name)
    axes.hlines(y, low, high, color=colour, lw=1.5)


@contextmanager
def _styled(inches: tuple[float, float]) -> Generator[Any]:
    """Yields an empty figure; what is drawn and saved in the block has our look."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError.of("matplotlib", extra="train", to="draw figures") from None
    with mpl.rc_context(_LOOK):
        yield Figure(figsize=inches, layout="constrained")


def _saved(figure: Any, kind: str) -> bytes:
    file = BytesIO()
    undated = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(file, format=kind, dpi=160, metadata=undated)
    return file.getvalue()


def _check_lines(lines: Sequence[Line]) -> None:
    if not 1 <= len(lines) <= len(COLOURS):
        raise DataError(f"figure: {len(lines)} lines; expected 1 to {len(COLOURS)}")
    for line in lines:
        band = len(line.x) if line.band is None else len(line.band)
        if not len(line.x) == len(line.y) == band or not line.x:
            raise DataError(
                f"figure: line {line.name!r} has {len(line.x)} x, {len(line.y)} y, {band} bands; "
                "expected as many of each, at least one"
            )


def _check_panels(panels: Sequence[Panel], rows: Sequence[str], series: Sequence[str]) -> None:
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
