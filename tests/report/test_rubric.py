"""A rubric's verdicts on the page of a group, and what it rejected over a run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.batch import Batch
from assay.records import Trajectory
from assay.report.rubric import rubric
from tests.credit.worlds import one
from tests.report.conftest import Visit
from tests.report.samples import report_of
from tests.report.test_trust import left

Start = Callable[..., Visit]
VERDICTS = {"right": (1.0, 0.0, None), "short": (0.0, 0.0, 0.0)}


def judged_set() -> list[Trajectory]:
    return [
        one(float(k == 0), id=f"t/{k}", rewards={"r3": 0.5, "rubric:never": None}
            | {f"rubric:{name}": said[k] for name, said in VERDICTS.items()})
        for k in range(3)
    ] + [one(float(k), id=f"u/{k}", group="u") for k in range(2)]  # fmt: skip


def test_verdicts_by_item_and_trajectory():
    found = rubric(Batch.of(judged_set()), lambda text: text.replace("short", "[hidden]"))
    assert found == {
        "items": ["right", "[hidden]"],
        "verdicts": [[1, 0, None, None, None], [0, 0, 0, None, None]],
    }
    assert rubric(Batch.of([one(1.0, rewards={"r3": 0.5})]), str) is None


@pytest.mark.chromium
def test_the_page_of_a_group_shows_who_passes_what(visit: Start, tmp_path: Path):
    page, _ = report_of(judged_set(), tmp_path / "report.html", methods=("grpo",))
    twin = json.loads((tmp_path / "report.json").read_text())
    assert twin["rubric"]["items"] == ["right", "short"]
    shown = visit().open(page, "#/group/0")
    rows = shown.page.locator("table.rubric tbody tr").all_inner_texts()
    assert [row.split("\t") for row in rows] == [
        ["t/0", "✓ passes", "✗ fails"],
        ["t/1", "✗ fails", "✗ fails"],
        ["t/2", "not judged", "✗ fails"],
        ["Pass", "1 of 2", "0 of 3"],
    ]
    note = shown.page.locator("section:has(table.rubric) .note").inner_text()
    assert note.endswith("1 item that none passes. 1 verdict not given: that is no failure.")
    assert shown.open(page, "#/group/1").page.locator("table.rubric").count() == 0
    assert shown.errors == []


@pytest.mark.chromium
def test_what_a_rubric_rejected_over_a_run(visit: Start, tmp_path: Path):
    rows = [
        {"step": n, "rubric/rejected": n / 4, "rubric/rejected/no_pass": n / 4,
         "rubric/exploited": None if n == 1 else 0.5}
        for n in (1, 2)
    ]  # fmt: skip
    run = left(tmp_path, rows)
    page, _ = report_of(judged_set(), run / "report.html", methods=("grpo",), run=run)
    shown = visit().open(page, "#/course")
    text = shown.page.locator("main").inner_text()
    assert "for a reason of the rubric's: no pass." in text
    titles = shown.page.locator("g.line title").evaluate_all("all => all.map((x) => x.textContent)")
    assert titles == ["1: 0.25", "2: 0.5", "2: 0.5"]
    assert shown.errors == []
