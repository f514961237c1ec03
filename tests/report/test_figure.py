"""Pictures: matplotlib draws, so what is held is what was asked of it."""

from typing import Any
from xml.etree import ElementTree

import pytest

from assay.errors import DataError
from assay.report.figure import COLOURS, Line, Panel, curves, forest

pytest.importorskip("matplotlib")
LABELS = {"title": "t", "x_label": "k", "y_label": "pass@k"}


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The axes of what is drawn, as matplotlib has them."""
    from matplotlib.figure import Figure

    kept: list[Any] = []
    saved = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (kept.extend(self.axes), saved(self, *a, **k))[1]
    )
    return kept


def said(svg: bytes) -> list[str | None]:
    root = ElementTree.fromstring(svg)
    return [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_points_lie_where_they_were_measured(axes: list[Any]) -> None:
    line = Line("a", [1.0, 2.0, 4.0], [0.0, 0.5, 1.0])
    curves([line], x_scale="log2", y_range=(0.0, 1.0), **LABELS)  # type: ignore[arg-type]
    (only,) = axes
    assert only.lines[0].get_xydata().tolist() == [[1.0, 0.0], [2.0, 0.5], [4.0, 1.0]]
    assert only.get_xscale() == "log"
    assert only.get_ylim() == (0.0, 1.0)
    assert [label.get_text() for label in only.get_xticklabels()] == ["1", "2", "4"]


def test_every_line_has_a_name_and_a_band(axes: list[Any]) -> None:
    band = [(0.1, 0.3), (0.2, 0.4)]
    drawn = curves(
        [Line("base", [1.0, 2.0], [0.2, 0.3], band), Line("<grpo>", [1.0, 2.0], [0.2, 0.3])],
        **LABELS,  # type: ignore[arg-type]
    )
    assert {"base", "<grpo>", "t", "k", "pass@k"} <= set(said(drawn))
    (filled,) = axes[0].collections  # one band of the two lines
    corners = {tuple(each) for each in filled.get_paths()[0].vertices.tolist()}
    assert {(1.0, 0.1), (1.0, 0.3), (2.0, 0.2), (2.0, 0.4)} <= corners


def test_the_base_is_grey_and_without_one_nothing_is(axes: list[Any]) -> None:
    line = Line("a", [1.0], [0.0])
    curves([line], **LABELS)  # type: ignore[arg-type]
    curves([line], base=False, **LABELS)  # type: ignore[arg-type]
    assert [each.lines[0].get_color() for each in axes] == [COLOURS[0], COLOURS[1]]


def test_the_same_numbers_give_the_same_bytes_in_either_format() -> None:
    line = [Line("a", [5.0], [0.0])]
    for kind, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        first = curves(line, kind=kind, **LABELS)  # type: ignore[arg-type]
        assert first.startswith(start)
        assert first == curves(line, kind=kind, **LABELS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "lines",
    [(), (Line("a", [], []),), (Line("a", [1.0], [1.0], []),), (Line("a", [1.0, 2.0], [1.0]),)],
)
def test_lengths_that_do_not_fit_are_refused(lines: tuple[Line, ...]) -> None:
    with pytest.raises(DataError, match="figure"):
        curves(lines, **LABELS)  # type: ignore[arg-type]


def test_dots_and_intervals_lie_where_they_were_measured(axes: list[Any]) -> None:
    seen = [[(5.0, 0.0, 10.0), (2.0, 1.0, 3.0)], [None, (7.0, 6.0, 8.0)]]
    panels = [Panel("p", seen), Panel("q", [[None, None], [None, None]])]
    text = said(forest(panels, rows=["<a>", "b"], series=["s", "t"], title="t", x_label="x"))
    assert {"<a>", "b", "s", "t", "p", "q", "x"} <= set(text)
    first, second = axes
    dots = [line for line in first.lines if line.get_marker() == "o"]
    # two dots share row 0: a third of a row above and below its middle is 1/6 of it
    assert dots[0].get_xydata().tolist() == [[5.0, pytest.approx(-1 / 6)]]
    assert dots[1].get_xdata().tolist() == [2.0, 7.0]
    ends = [path.vertices[:, 0].tolist() for path in first.collections[0].get_paths()]
    assert ends == [[0.0, 10.0]]
    assert [dot.get_color() for dot in dots] == [COLOURS[1], COLOURS[2]]
    assert all(line.get_xdata().size == 0 for line in second.lines if line.get_marker() == "o")
    assert first.lines[0].get_xdata() == [0.0, 0.0]  # zero is on the axis


@pytest.mark.parametrize(
    ("panels", "rows", "series"),
    [
        ([], ["a"], ["s"]),
        ([Panel("p", [])], [], ["s"]),
        ([Panel("p", [[None]])], ["a"], []),
        ([Panel("p", [[None]])], ["a", "b"], ["s"]),
        ([Panel("p", [[None]])], ["a"], ["s", "t"]),
    ],
)
def test_panels_that_do_not_fit_are_refused(
    panels: list[Panel], rows: list[str], series: list[str]
) -> None:
    with pytest.raises(DataError, match="forest"):
        forest(panels, rows=rows, series=series, title="t", x_label="x")
