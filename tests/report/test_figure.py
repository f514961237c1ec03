from xml.etree import ElementTree

import pytest

from assay.errors import DataError
from assay.report import figure
from assay.report.figure import Line

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*lines: Line, **options: object) -> ElementTree.Element:
    text = figure(lines, title="t", x_label="k", y_label="pass@k", **options)  # type: ignore[arg-type]
    return ElementTree.fromstring(text)


def test_points_lie_where_the_axes_say() -> None:
    # one line of legend: the axes end at 400 - 46 - 18 = 336; x from 58 to 622, y from 40
    root = drawn(Line("a", [1.0, 2.0, 4.0], [0.0, 0.5, 1.0]), x_scale="log2", y_range=(0.0, 1.0))
    dots = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter(f"{SVG}circle")]
    assert dots == [(58.0, 336.0), (340.0, 188.0), (622.0, 40.0)]


def test_every_line_has_a_name_and_a_band() -> None:
    band = [(0.1, 0.3), (0.2, 0.4)]
    root = drawn(Line("base", [1.0, 2.0], [0.2, 0.3], band), Line("<grpo>", [1.0, 2.0], [0.2, 0.3]))
    said = [text.text for text in root.iter(f"{SVG}text")]
    assert "base" in said
    assert "<grpo>" in said
    assert sum("opacity" in path.attrib for path in root.iter(f"{SVG}path")) == 1


def test_axis_covers_what_is_drawn_in_round_numbers() -> None:
    root = drawn(Line("a", [0.0, 1.0], [0.13, 0.97]))
    said = [text.text for text in root.iter(f"{SVG}text")]
    assert {"0", "0.2", "0.4", "0.6", "0.8", "1"} <= set(said)


def test_a_constant_is_drawn_too() -> None:
    assert drawn(Line("a", [5.0], [0.0])).tag == f"{SVG}svg"


@pytest.mark.parametrize(
    "lines",
    [(), (Line("a", [], []),), (Line("a", [1.0], [1.0], []),), (Line("a", [1.0, 2.0], [1.0]),)],
)
def test_lengths_that_do_not_fit_are_refused(lines: tuple[Line, ...]) -> None:
    with pytest.raises(DataError, match="figure"):
        figure(lines, title="t", x_label="x", y_label="y")
