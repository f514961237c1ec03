"""What a run's metrics say of hints, judges and rescues, on the pages."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.report import metrics as module
from assay.report.metrics import metrics
from tests.report.conftest import Visit
from tests.report.samples import helped_set, report_of

Start = Callable[..., Visit]
METHODS = ("grpo", "reinforce")
NEVER = dict.fromkeys(("hints/uplift", "hints/lower"), None)
ROWS: list[dict[str, Any]] = [
    {"step": 1, "reward": 0.5, **NEVER, "hints/pairs": 0, "hints/admitted": 0.0},
    {"step": 2, "hints/uplift": 0.25, "hints/lower": 0.125, "hints/pairs": 32, "hints/admitted": 1},
    {"step": 3, "hints/uplift": 0.0, "hints/lower": -0.125, "hints/pairs": 48, "hints/admitted": 0},
]
MORE: list[dict[str, Any]] = [
    {"judge/llm/j": 0.5, "judge/llm/rho0": 0.25, "rescue/feedback/later": None},
    {"judge/llm/j": 0.125, "judge/llm/rho0": 1 / 3, "rescue/feedback/later": 0.5},
    {"rescue/feedback/later": None, "rescue/groups": 2, "rescue/events": ["said"]},
]


def left(run: Path, rows: list[dict[str, Any]], source: str = "env") -> Path:
    """Leaves the metrics of a run."""
    run.mkdir(exist_ok=True)
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (run / "config.toml").write_text(f'[hints]\nsource = "{source}"\n')
    return run


def test_numbers_of_hints_judges_and_rescues_are_taken_by_column(tmp_path: Path):
    run = left(tmp_path, [a | b for a, b in zip(ROWS, MORE, strict=True)])
    assert metrics(run, str) == {
        "step": [1, 2, 3],
        "source": "env",
        "columns": {
            "hints/admitted": [0.0, 1.0, 0.0],
            "hints/lower": [None, 0.125, -0.125],
            "hints/pairs": [0.0, 32.0, 48.0],
            "hints/uplift": [None, 0.25, 0.0],
            "judge/llm/j": [0.5, 0.125, None],
            "judge/llm/rho0": [0.25, 0.333333, None],
            "rescue/feedback/later": [None, 0.5, None],
            "rescue/groups": [None, None, 2.0],
        },
    }


def test_of_many_steps_every_so_many_and_the_last_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_MOST", 4)
    found = metrics(left(tmp_path, [{"step": n, "judge/a/j": 0.5} for n in range(1, 11)]), str)
    assert found is not None
    assert found["step"] == [1, 4, 7, 10]


def test_what_is_torn_missing_or_says_nothing_is_left_out(tmp_path: Path):
    assert metrics(None, str) is None
    assert metrics(tmp_path, str) is None
    run = left(tmp_path / "run", [{"step": 1, "reward": 0.5, "hints/uplift": None}])
    assert metrics(run, str) is None
    with (left(run, ROWS) / "metrics.jsonl").open("a") as stream:
        stream.write('not JSON\n{"step": 5, "hints/uplift": 1.0}\n')
    (run / "config.toml").write_bytes(b"\xff = [")
    found = metrics(run, str)
    assert found is not None
    assert found["step"] == [1, 2, 3]
    assert found["source"] == ""


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_shows_trust_over_time(tmp_path: Path, visit: Start, width: int):
    run = left(tmp_path / "run", [a | b for a, b in zip(ROWS, MORE, strict=True)])
    page, _ = report_of(helped_set(), tmp_path / "a.html", methods=METHODS, run=run)
    seen = visit()
    seen.page.set_viewport_size({"width": width, "height": 800})
    seen.open(page, "#/course")
    sections = seen.page.locator("section")
    assert sections.locator("h2").all_inner_texts() == [
        "Trust of hints by the environment",
        "Trust of judge llm",
    ]
    assert (
        "is above 0, unless hints.admit is off: admitted at 1 of 3 steps."
        in sections.nth(0).inner_text()
    )
    said = "Last: 0.0 points, at least \u221212.5 points, of 48 pairs: not admitted"
    assert said in sections.nth(0).inner_text()
    dots = sections.nth(0).locator(".line.up circle title").all_text_contents()
    assert dots == [
        "2: +25.0 points of 32 pairs, admitted",
        "3: 0.0 points of 48 pairs, not admitted",
    ]
    assert "Below 0.2 it is left out: at 1 step." in sections.nth(1).inner_text()
    assert sections.nth(1).locator("circle title").all_text_contents() == [
        "1: 0.5",
        "2: 0.125",
        "1: 0.25",
        "2: 0.333",
    ]
    seen.go("#/dead")
    assert seen.page.locator(".rungs tbody tr").first.locator("td").last.inner_text() == "50 %"
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.errors == []


@pytest.mark.chromium
def test_a_source_that_was_measured_by_progress_says_so(tmp_path: Path, visit: Start):
    rows = [{**row, "hints/by_progress": float(n == 1)} for n, row in enumerate(ROWS)]
    run = left(tmp_path / "run", rows)
    page, _ = report_of(helped_set(), tmp_path / "a.html", methods=METHODS, run=run)
    seen = visit().open(page, "#/course")
    assert (
        "adds to the pass rate, or where too few pass to tell, to progress, is above 0" in seen.text
    )
    dots = seen.page.locator(".line.up circle title").all_text_contents()
    assert dots == [
        "2: +25.0 points of 32 pairs, admitted, by progress",
        "3: 0.0 points of 48 pairs, not admitted",
    ]
    assert "of 48 pairs: not admitted" in seen.text
    assert seen.errors == []


@pytest.mark.chromium
def test_what_rescued_tasks_came_to_later_is_shown_over_the_run(tmp_path: Path, visit: Start):
    rows: list[dict[str, Any]] = [
        {"step": 1, "rescue/later": None, "rescue/later_of": 0, "rescue/again_tokens": 0},
        {
            "step": 2, "rescue/later": 0.25, "rescue/later_of": 8, "rescue/again_tokens": 90,
            "rescue/wrong_answers/later": 0.5, "rescue/oracle/later": None,
        },
    ]  # fmt: skip
    run = left(tmp_path / "run", rows)
    page, _ = report_of(helped_set(), tmp_path / "a.html", methods=METHODS, run=run)
    seen = visit().open(page, "#/course")
    heads = seen.page.locator("h2").all_inner_texts()
    assert heads == ["What rescued tasks came to later, without help"]
    said = "Last: 25 % of 8 trajectories; wrong answers: 50 %. Played for it: 90 tokens."
    assert said in seen.text
    dots = seen.page.locator(".line.up circle title").all_text_contents()
    assert dots == ["2: 25 % of 8"]
    assert seen.errors == []


@pytest.mark.chromium
def test_a_source_that_was_never_measured_says_so(tmp_path: Path, visit: Start):
    run = left(tmp_path / "run", ROWS[:1], source="<b>mine</b>")
    page, _ = report_of(helped_set(), tmp_path / "a.html", methods=METHODS, run=run)
    seen = visit().open(page, "#/course")
    assert seen.page.locator("h2").all_inner_texts() == ["Trust of hints by <b>mine</b>"]
    assert "It was never measured" in seen.text
    assert seen.errors == []
