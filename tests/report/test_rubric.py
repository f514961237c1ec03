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
MINUS = "\N{MINUS SIGN}"
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
        "texts": ["", ""],
        "essential": [0, 0],
        "mode": "",
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


GATED = """
[recipe.rubric]
mode = "MODE"
items = [
  { id = "right", text = "Names <b>Lima</b>." },
  { id = "short", text = "Is short.", essential = true },
  { id = "known", text = "Is known.", essential = true },
]
"""


def gated_run(run: Path, mode: str) -> tuple[Path, list[Trajectory]]:
    left(run, [{"step": 1, "rubric/rejected": 0.0}])
    (run / "config.toml").write_text(GATED.replace("MODE", mode), encoding="utf-8")
    verdicts = [(1.0, 1.0, 1.0), (1.0, 0.0, None), (0.0, 1.0, None)]
    records = [
        one(float(k == 0), id=f"t/{k}", rewards={
            f"rubric:{name}": v for name, v in zip(("right", "short", "known"), row, strict=True)})
        for k, row in enumerate(verdicts)
    ]  # fmt: skip
    return run, records


def test_what_a_run_says_of_its_items(tmp_path: Path):
    run, records = gated_run(tmp_path / "run", "drop")
    found = rubric(Batch.of(records), lambda text: text, run)
    assert found is not None
    assert (found["items"], found["essential"]) == (["right", "short", "known"], [0, 1, 1])
    assert (found["mode"], found["texts"][2]) == ("drop", "Is known.")
    for text in ("[", "recipe = 3", "[recipe]\nrubric = 3", '[recipe.rubric]\nitems = "a"'):
        (run / "config.toml").write_text(text, encoding="utf-8")
        found = rubric(Batch.of(records), lambda text: text, run)
        assert found is not None
        assert found["essential"] == [0, 0, 0]


@pytest.mark.chromium
@pytest.mark.parametrize(("mode", "said"), [("veto", "vetoed"), ("drop", "left out"), ("sum", "")])
def test_what_gates_stands_first(visit: Start, tmp_path: Path, mode: str, said: str):
    run, records = gated_run(tmp_path / "run", mode)
    page, _ = report_of(records, run / "report.html", methods=("grpo",), run=run)
    shown = visit().open(page, "#/group/0")
    head = shown.page.locator("table.rubric thead th").all_inner_texts()
    rows = shown.page.locator("table.rubric tbody tr").all_inner_texts()
    cells = [row.split("\t") for row in rows]
    if mode == "sum":  # nobody is taken out for it
        assert head == ["Attempt", "short", "known", "right"]
    else:
        assert head == ["Attempt", "Gate", "short", "known", "right"]
        # one failure decides, whatever is not known
        assert [row[1] for row in cells[:3]] == ["passes", said, "not judged"]
        assert [*cells[3]] == ["Pass", "", "2 of 3", "1 of 1", "2 of 3"]
    listed = shown.page.locator("ul.rubric-items li").all_inner_texts()
    assert listed == ["short essential: Is short.", "known essential: Is known.",
                      "right: Names <b>Lima</b>."]  # fmt: skip
    assert shown.errors == []


@pytest.mark.chromium
def test_what_is_shown_of_the_rubric_and_what_persists(visit: Start, tmp_path: Path):
    rows = [
        {"step": n, "rubric/rejected": 0.0, "rubric/shown": 0.5 / n, "rubric/aided": 0.75,
         "rubric/aided_reward": 0.25 * n, "rubric/gap": -0.25 / n, "rubric/score": 0.5,
         "rubric/persistent": 0.25}
        for n in (1, 2)
    ]  # fmt: skip
    run = left(tmp_path, rows)
    page, _ = report_of(judged_set(), run / "report.html", methods=("grpo",), run=run)
    shown = visit().open(page, "#/course")
    heads = shown.page.locator("main h2").all_inner_texts()
    assert heads == ["What the rubric rejected", "Score of graded items",
                     "The rubric as a scaffold", "Self-internalisation gap"]  # fmt: skip
    titles = shown.page.locator("g.line title").evaluate_all("all => all.map((x) => x.textContent)")
    assert titles == ["1: 0", "2: 0", "1: 0.25", "2: 0.25", "1: 0.5", "2: 0.5", "1: 0.5", "2: 0.25",
                      "1: 0.25", "2: 0.5", f"1: {MINUS}0.25", f"2: {MINUS}0.125"]  # fmt: skip
    assert shown.errors == []
