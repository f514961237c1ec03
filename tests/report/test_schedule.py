"""What a run of several domains practised, on the page of what happened over the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.report.metrics import metrics
from tests.report.conftest import Visit
from tests.report.samples import helped_set, report_of
from tests.report.test_trust import left

Start = Callable[..., Visit]
NONE = "\N{EN DASH}"


def row(step: int, at: str, weights: tuple[float, float], rate: float, **more: Any) -> Any:
    named = dict(zip(("a/x", "<b>"), weights, strict=True))
    return {
        "step": step,
        "schedule/domain": at,
        **{f"schedule/weight/{name}": value for name, value in named.items()},
        **{f"schedule/prompts/{name}": 4.0 * (name == at) for name in named},
        **{f"schedule/pass_rate/{name}": rate if name == at else None for name in named},
        **{f"schedule/{name}": value for name, value in more.items()},
    }


ROWS = [
    row(1, "a/x", (1.0, 0.0), 0.5),
    row(2, "<b>", (0.0, 1.0), 0.125, **{"alignment/<b>": 0.0625}),
    row(3, "a/x", (0.75, 0.25), 0.75, **{"paused/<b>": 1.0, "entropy/<b>": 0.25}),
]


def test_columns_are_by_domain_and_words_are_none(tmp_path: Path):
    found = metrics(left(tmp_path, ROWS), str)
    assert found is not None
    assert found["columns"]["schedule/weight/a/x"] == [1.0, 0.0, 0.75]
    assert found["columns"]["schedule/pass_rate/<b>"] == [None, 0.125, None]
    assert "schedule/domain" not in found["columns"]


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_shows_what_was_practised(tmp_path: Path, visit: Start, width: int):
    run = left(tmp_path / "run", ROWS)
    page, _ = report_of(helped_set(), tmp_path / "a.html", methods=("grpo",), run=run)
    seen = visit()
    seen.page.set_viewport_size({"width": width, "height": 800})
    seen.open(page, "#/course")
    section = seen.page.locator("section").filter(has_text="What was practised")
    cells = [row.locator("td, th").all_inner_texts() for row in section.locator("tbody tr").all()]
    assert cells == [
        ["<b>", "4", "33 %", "13 %", "0.0625", "0.25"],
        ["a/x", "8", "67 %", "75 %", NONE, NONE],
    ]
    assert section.locator("h3").all_inner_texts() == ["<b>", "a/x"]
    assert "Paused at 1 step: its entropy on the probe" in section.inner_text()
    dots = section.locator(".line.down circle title").all_text_contents()
    assert dots == ["1: 0", "2: 1", "3: 0.25", "1: 1", "2: 0", "3: 0.75"]
    assert section.locator(".line.up circle title").all_text_contents() == [
        "2: 0.125", "1: 0.5", "3: 0.75",
    ]  # fmt: skip
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.errors == []


@pytest.mark.chromium
def test_a_run_of_one_domain_says_nothing_of_it(tmp_path: Path, visit: Start):
    run = left(tmp_path / "run", [{"step": 1, "reward": 0.5}])
    page, _ = report_of(helped_set(), tmp_path / "a.html", methods=("grpo",), run=run)
    assert "What was practised" not in visit().open(page, "#/course").text
