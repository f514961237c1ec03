"""Attempts on one axis and side by side: what is the same, and where they part."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.conftest import Visit
from tests.report.samples import BOOK, LOOK, WRONG, attempt, mixed_set, report_of

pytestmark = pytest.mark.chromium

Start = Callable[..., Visit]


def test_siblings_side_by_side(tmp_path: Path, visit: Start):
    page, _ = report_of(mixed_set(), tmp_path / "report.html", methods=["grpo"])
    seen = visit().open(page, "#/trajectory/1?with=0")
    assert "with different calls" in seen.text
    order = seen.page.evaluate(
        """[...document.querySelector(".compare").children].map((each) => {
          const numbers = [...each.querySelectorAll(".number")].map((one) => one.textContent);
          return each.className.replace("pane ", "") + ":" + numbers;
        })"""
    )
    # system, user and the first call with its result are the same; then the bookings differ
    assert order[2:5] == ["both:0", "both:1", "both:2,3"]
    assert order[5].startswith("divider diverges")
    assert order[-2:] == ["side-0:6", "side-1:6"]


def test_equal_calls_share_a_column_where_one_attempt_has_a_call_more(tmp_path: Path, visit: Start):
    records = [
        attempt(0, "g", 1.0, [LOOK, BOOK], "Done."),
        attempt(1, "g", 0.0, [WRONG, LOOK, BOOK], "Done."),
    ]
    page, _ = report_of(records, tmp_path / "report.html", methods=["grpo"])
    seen = visit().open(page, "#/group/0?align=calls")
    columns = seen.page.evaluate(
        """[...document.querySelectorAll(".lane")].map((lane) =>
          [...lane.children].map((cell) => Number(cell.style.gridColumnStart)))"""
    )
    assert columns == [[2, 3, 4], [1, 2, 3, 4]]
    seen.go("#/trajectory/0?with=1")
    shown = seen.page.evaluate(
        """[...document.querySelectorAll(".compare .pane")].map((each) =>
          [...each.querySelectorAll(".number")].map((one) => one.textContent).join())"""
    )
    # nothing beside the call too many; then look, book and the last text side by side
    assert shown == ["0", "1", "", "2,3", "2,3", "4,5", "4,5", "6,7", "6", "8"]


def test_other_words_part_attempts_that_make_the_same_calls(tmp_path: Path, visit: Start):
    records = [
        attempt(0, "g", 1.0, [LOOK], "Done."),
        attempt(1, "g", 0.0, [LOOK], "No."),
        attempt(2, "g", 0.0, [LOOK], "No."),
    ]
    page, _ = report_of(records, tmp_path / "report.html", methods=["grpo"])
    seen = visit().open(page, "#/trajectory/0?with=1")
    assert "They part at step 4, and still make the same calls throughout." in seen.text
    seen.go("#/trajectory/1?with=2")
    assert "Both wrote the same in all 4 turns." in seen.text
    assert "They never differ" in seen.text
