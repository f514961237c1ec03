"""The page of `assay compare` in a real browser, as wide as a telephone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.report.compare import page
from assay.runs.compare import compare_logs
from tests.report.conftest import Visit

pytestmark = pytest.mark.chromium

TASK = "a-task-with-a-name-as-long-as-those-of-repositories-{}"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Ten tasks, none passed and then half of them, in logs of long names."""
    logs = [tmp_path / f"a_log_of_a_long_name_{'x' * 40}_{name}.jsonl" for name in "ab"]
    for log, passes in zip(logs, (0, 5), strict=True):
        records = [
            {
                "task": TASK.format(n),
                "reward": float(n < passes),
                "messages": [
                    {"role": "user", "content": "please"},
                    {"role": "assistant", "content": "Done."},
                ],
            }
            for n in range(10)
        ]
        log.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    out = tmp_path / "changed.html"
    out.write_text(page(compare_logs(*logs)))
    return out


@pytest.mark.parametrize("wide", [390, 760, 1280])
def test_every_number_is_in_sight_however_narrow(
    changed: Path, visit: Callable[..., Visit], wide: int
):
    seen = visit().page
    seen.set_viewport_size({"width": wide, "height": 800})
    seen.goto(changed.as_uri())
    right = "all => Math.max(...all.map((each) => each.getBoundingClientRect().right))"
    assert seen.locator("h1, p, li, td, .bar").evaluate_all(right) <= wide
    hidden = "all => all.some((each) => each.scrollWidth > each.clientWidth)"
    assert not seen.locator("html, .wide").evaluate_all(hidden)
    assert seen.locator(".bar").first.bounding_box()["width"] >= 200
    row = seen.locator(".measures tr", has_text="pass rate")
    cells = row.locator("td").all_inner_texts()
    assert cells[1:] == ["0.000", "0.500", "+0.500", "+0.200 to +0.800", "10"]
    assert all(each.is_visible() for each in row.locator("td").all())
    named = "all => all.map((each) => getComputedStyle(each, '::before').content)"
    heads = row.locator("td").evaluate_all(named)[1:]
    given = ['"A"', '"B"', '"change"', '"95 %"', '"tasks"'] if wide == 390 else ["none"] * 5
    assert heads == given
    assert seen.locator("th").first.is_visible() == (wide > 390)
