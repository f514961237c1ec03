"""The page of groups in a real browser: who counts, and where."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.conftest import Visit
from tests.report.samples import BOOK, LOOK, attempt, report_of

pytestmark = pytest.mark.chromium

Start = Callable[..., Visit]


def test_a_group_counts_its_passes_among_the_scored(tmp_path: Path, visit: Start):
    done = "I have booked seat 4A."
    records = [
        attempt(0, "bare", 1.0, [BOOK], done),
        attempt(1, "bare", 0.0, [LOOK], "Goodbye."),
        attempt(2, "bare", None, [LOOK], "Goodbye."),  # nobody scored it
        attempt(0, "broken", 1.0, [BOOK], done),
        attempt(1, "broken", None, [LOOK], "Goodbye.", end="infra"),
        attempt(0, "half", 1.0, [BOOK], done),
        attempt(1, "half", 0.0, [LOOK], "Goodbye."),
        attempt(0, "none", None, [LOOK], "Goodbye."),
    ]
    page, audit = report_of(records, tmp_path / "report.html")
    # the mean over groups of passed / scored: 1/2, 1/1, 1/2
    assert audit["pass_at_k"]["1"] == pytest.approx(2 / 3)
    seen = visit()
    for wide in (390, 800, 1280):
        seen.page.set_viewport_size({"width": wide, "height": 800})
        seen.open(page, "#/groups")
        passed = seen.page.locator(".row:not(.head) .c-passed")
        told = ["1 / 2\n1 unscored", "1 / 1\n1 unscored", "1 / 2", "\u2013"]
        assert passed.all_inner_texts() == told
        cut = "all => all.some((each) => each.scrollWidth > each.clientWidth)"
        assert not passed.evaluate_all(cut)
    label = seen.page.locator(".row:not(.head) .squares").first.get_attribute("aria-label")
    assert label == "1 pass in 2, 1 unscored"
    ids = seen.page.locator(".row:not(.head) .c-id a")
    seen.page.click("#sort-passed")  # 1 of 1 before 1 of 2; what nobody scored comes last
    assert ids.all_inner_texts() == ["broken", "bare", "half", "none"]
