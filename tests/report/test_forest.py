from xml.etree import ElementTree

import pytest

from assay.errors import DataError
from assay.evaluate import Estimate
from assay.report import forest
from assay.report.forest import Panel
from assay.report.svg import COLOURS

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*panels: Panel, rows: list[str], series: list[str]) -> ElementTree.Element:
    text = forest(panels, rows=rows, series=series, title="t", x_label="x")
    return ElementTree.fromstring(text)


def test_dots_and_intervals_lie_where_the_axis_says() -> None:
    # one panel from 116 to 842, its axis from 0 to 10: 72.6 a unit. One row: its middle is at 78
    root = drawn(Panel("p", [[Estimate(5.0, 0.0, 10.0)]]), rows=["a"], series=["s"])
    dots = [(c.attrib["cx"], c.attrib["cy"]) for c in root.iter(f"{SVG}circle")]
    assert dots[0] == ("479.0", "78.0")
    assert "M116.0 78.0H842.0" in [path.attrib["d"] for path in root.iter(f"{SVG}path")]


def test_an_axis_holds_zero_and_every_interval() -> None:
    root = drawn(
        Panel("up", [[Estimate(3.0, 2.0, 4.0)]]),
        Panel("down", [[Estimate(-3.0, -4.5, -2.0)]]),
        rows=["<a>"],
        series=["s"],
    )
    said = [each.text for each in root.iter(f"{SVG}text")]
    assert {"0", "4", "-5", "<a>", "up", "down"} <= set(said)
    # a line at zero in each panel, darker than the others
    assert sum(path.attrib["stroke"] == "#333333" for path in root.iter(f"{SVG}path")) == 2


def test_what_was_not_measured_is_not_drawn() -> None:
    root = drawn(
        Panel("p", [[None, Estimate(1.0, 0.5, 2.0)]]), Panel("q", [[None, None]]), rows=["a"],
        series=["s", "t"],
    )  # fmt: skip
    assert len(list(root.iter(f"{SVG}circle"))) == 1 + 2  # a dot, and one a series in the legend


def test_a_series_has_one_colour_in_panels_and_legend() -> None:
    # the first colour is that of the untrained policy in curves; series begin with the second
    seen = [[Estimate(1.0, 0.5, 2.0), Estimate(2.0, 1.0, 3.0)]]
    root = drawn(Panel("p", seen), rows=["a"], series=["s", "t"])
    fills = [circle.attrib["fill"] for circle in root.iter(f"{SVG}circle")]
    assert fills == [COLOURS[1], COLOURS[2]] * 2


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
def test_lengths_that_do_not_fit_are_refused(
    panels: list[Panel], rows: list[str], series: list[str]
) -> None:
    with pytest.raises(DataError, match="forest"):
        forest(panels, rows=rows, series=series, title="t", x_label="x")
