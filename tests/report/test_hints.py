"""Hints and help on the pages: what was said, what it rests on, what it changes, what it cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from assay.records import ModelStep, Trajectory
from tests.report.conftest import Visit
from tests.report.samples import helped_set, index_of, mixed_set, report_of

Start = Callable[..., Visit]
METHODS = ("grpo", "reinforce")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return report_of(helped_set(), tmp_path_factory.mktemp("a") / "a.html", methods=METHODS)


def test_the_index_says_who_was_helped_and_at_what_cost(made: Any):
    assert index_of(made[0])["rescues"] == {
        "k": [2, 3],
        "other": [None, None],
        "group": [0, 0],
        "rung": ["feedback", "self_hint"],
        "of": [0, None],
        "of_other": [None, None],
        "goal": [0, 0],
        "tokens": [1204, 96],
        "calls": [1, 0],
        "scoring_forwards": [2, None],
    }


def test_of_a_log_in_which_nobody_was_helped_nothing_is_said(tmp_path: Path):
    page, _ = report_of(mixed_set(), tmp_path / "a.html", methods=METHODS)
    assert "rescues" not in index_of(page)


@pytest.mark.chromium
def test_hints_stand_at_their_step_and_their_quotes_in_the_next_state(made: Any, visit: Start):
    seen = visit().open(made[0], "#/trajectory/0")
    box = seen.page.locator("#step-1 .hints")
    assert box.locator(".strip-name").all_inner_texts() == [
        "Hint by the environment",
        "Hint by a judge",
    ]
    assert box.locator(".text").all_inner_texts() == [
        "Seat 9Z is of another train.",
        "Ask first.",
        "Look before you book.",
    ]
    rests = box.locator(".note").all_inner_texts()
    assert [line.rsplit("in step", 1)[-1] for line in rests[:2]] == [" 2."] * 2
    assert rests[2].endswith("not in what came next")
    marks = seen.page.locator("mark")  # two quotes overlap; white space counts alike
    assert marks.all_text_contents() == ["no   such\nseat: 9Z"]
    assert seen.page.locator("#step-2 .text").inner_text().startswith("Error: no")
    assert seen.page.locator("#step-3 .hints").count() == 0
    assert seen.errors == []


@pytest.mark.chromium
def test_what_a_hint_changes_stands_beside_the_credit(made: Any, visit: Start):
    seen = visit().open(made[0], "#/trajectory/0?step=1")
    card = seen.page.locator("#step-1")
    assert card.locator(".told").inner_text() == "told +0.50"
    assert card.locator(".shift .strip-name").inner_text() == (
        "Told the hint: +0.50 nats over 4 tokens, \u22120.25 to +0.50 a token, less a neutral hint"
    )
    cells = card.locator(".shift .run")
    assert [len(each) for each in cells.all_text_contents()] == [2, 1, 1, 1, 1, 1, 1]
    classes = [each.get_attribute("class") for each in cells.all()]
    # +0.5 of 1 nat is the third of five colours, -0.25 and +0.25 the second; forced ones are masked
    names = ("masked", "p3", "n2", "zero", "masked", "none", "p2")
    assert classes == [f"run {name}" for name in names]
    labels = []
    for cell in (cells.nth(1), cells.nth(3)):
        cell.focus()
        labels.append(cell.get_attribute("aria-label"))
    assert labels == ["token 2, +0.50 nats", "token 4, 0.00 nats"]  # no sign where it is none
    cells.nth(1).focus()
    assert "Told the hint \u22120.5, a neutral one \u22121." in seen.text
    bars = seen.page.locator(".overview")
    assert bars.count() == 2
    assert [each.get_attribute("aria-label") for each in bars.nth(1).locator("a").all()] == [
        "step 1, told the hint +0.5",
        "step 3, told the hint \u2013",
    ]
    seen.go("#/trajectory/0?with=3")
    assert seen.page.locator(".pane .told").count() == 2
    assert seen.errors == []


@pytest.mark.chromium
def test_without_a_neutral_hint_the_policy_itself_is_compared_with(tmp_path: Path, visit: Start):
    def without(record: Trajectory) -> Trajectory:
        steps = [
            replace(s, neutral=None, **({"told": None, "helped": s.told} if record.rescue else {}))
            if type(s) is ModelStep
            else s
            for s in record.steps
        ]
        return replace(record, steps=tuple(steps))

    records = [without(each) for each in helped_set()]
    seen = visit().open(report_of(records, tmp_path / "a.html", methods=METHODS)[0])
    seen.go("#/trajectory/0")
    line = seen.page.locator("#step-1 .shift .strip-name")
    assert line.inner_text().endswith("less the policy by itself: no neutral hint was scored")
    seen.go("#/trajectory/3")
    assert line.inner_text() == (
        "Sampled with help: +0.50 nats over 4 tokens, \u22120.25 to +0.50 a token, less the policy "
        "that reads it without"
    )


@pytest.mark.chromium
def test_a_rescued_attempt_says_how_it_came_about(made: Any, visit: Start):
    seen = visit().open(made[0], "#/trajectory/2")
    box = seen.page.locator("section.rescue")
    assert box.locator("p").first.inner_text() == (
        "helped: feedback It went on behind an error message of the world; made from  dead/0. "
        "Cost: 1,204 tokens, 1 call, 2 scoring forwards."
    )
    assert box.locator(".given .note").inner_text() == "Given to it, and never trained:"
    assert box.locator(".given .text").inner_text().startswith("Error: no")
    masked = seen.page.locator("#step-1")
    assert "masked" in (masked.get_attribute("class") or "")
    assert {each.get_attribute("class") for each in masked.locator(".run").all()} == {"run masked"}
    box.locator("a").click()
    seen.settle()
    assert seen.page.evaluate("location.hash") == "#/trajectory/0"
    made_from = seen.page.locator("div.rescue li")
    assert made_from.all_inner_texts() == [" dead/2 helped: feedback passed"]
    seen.go("#/trajectory/3")
    assert "made from gone/9, which this log does not hold. Cost: 96 tokens." in seen.text
    given = seen.page.locator(".given")
    assert given.locator(".text").inner_text().endswith("\u2026")
    given.locator("button").click()
    assert given.locator(".text").inner_text() == "!be wise " * 60
    seen.go("#/group/0")
    assert "0 of 2 attempts passed, with help 1 of 2." in seen.text
    assert seen.page.locator(".lane-name .badge.helped").all_inner_texts() == [
        "helped: feedback",
        "helped: self hint",
    ]
    assert seen.errors == []
