"""The trees of a group in a real browser: marks, numbers, folds, keys, and two methods on one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assay.batch import Batch
from assay.credit import Method
from assay.credit.base import outcome_term
from assay.kernels.term import Term
from assay.records import ModelStep, Trajectory
from tests.report.conftest import Visit
from tests.report.samples import mixed_set, report_of, wood

pytestmark = pytest.mark.chromium

Start = Callable[..., Visit]
METHODS = ("grpo", "tree_grpo", "grpo_positive", "reinforce")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wood") / "report.html"
    return report_of(wood(), out, methods=METHODS)[0]


def labels(seen: Visit, kind: str) -> list[str]:
    return seen.page.locator(f".mark.{kind}").evaluate_all(
        "all => all.map((each) => each.getAttribute('aria-label'))"
    )


def below(seen: Visit) -> list[str]:
    return [text for text in seen.page.locator(".tree .below").all_text_contents() if text]


def test_every_step_is_one_mark_with_credit_and_the_passes_below(made: Path, visit: Start):
    seen = visit().open(made, "#/tree/0")
    assert "2 trees: 10 steps, 2 branch points, 4 leaves. 1 of 3 passed, 1 leaf unscored." in (
        seen.text
    )
    # a, b, x, c, d, e, f, G; then p, q of the other tree
    assert seen.page.locator(".mark.step").count() == 10
    # prompt, a, c: of one leaf nothing is said, nor where nobody scored
    assert below(seen) == ["1 / 3", "1 / 3", "0 / 2"]
    found = labels(seen, "step")
    # GRPO: outcomes 1, 0, 0: (1 - 1/3) / sd 1/sqrt(3) = +1.155, the others -.577; "a" has all three
    # rows: mean 0; "c" has the two that failed
    assert found[0] == "step 1, look, grpo 0, 1 of 3 passed"
    assert found[1] == "step 3, look, grpo +1.15, 1 of 1 passed"
    assert found[3] == "step 3, look, grpo \u22120.577, 0 of 2 passed"
    assert found[7].endswith("answered by an error")
    assert [label.split(", ")[1:] for label in labels(seen, "leaf")] == [
        ["passed 1"],
        ["failed 0", "cut off by its budget"],
        ["failed 0"],
        ["unscored"],
    ]
    assert seen.errors == []


def test_the_numbers_are_those_of_the_report(made: Path, visit: Start):
    members = json.loads(made.with_suffix(".json").read_text("utf-8"))["members"]
    assert [member["tree"] for member in members] == [0, 0, 0, 1]
    first, second = (member["steps"] for member in members[:2])
    assert "parent" not in first[0]
    assert first[0]["node"] == first[1]["parent"] == second[0]["node"] == second[1]["parent"]
    assert first[1]["node"] != second[1]["node"]
    seen = visit().open(made, "#/tree/0?method=tree_grpo")
    # own steps of one attempt alone: what the mark says is what is stored
    stored = members[1]["methods"]["tree_grpo"]["step"]
    last = stored[-1] if isinstance(stored, list) else stored
    told = labels(seen, "step")[6].split("tree_grpo ")[1].split(",")[0]
    assert float(told.replace("\u2212", "-")) == pytest.approx(last, rel=5e-3)


def test_a_mark_opens_its_step_and_the_step_its_mark(made: Path, visit: Start):
    seen = visit().open(made, "#/tree/0")
    seen.page.locator(".mark.step").nth(7).click()
    seen.settle()
    assert seen.page.evaluate("location.hash") == "#/trajectory/2?step=5"
    seen.page.get_by_text("See it in its tree").click()
    seen.settle()
    assert seen.page.evaluate("location.hash") == "#/tree/0?of=2&step=5"
    assert labels(seen, "chosen") == [labels(seen, "step")[7]]
    seen.page.keyboard.press("u")
    seen.settle()
    assert seen.page.locator("h1").inner_text() == "Group wood"
    seen.page.keyboard.press("t")
    seen.settle()
    assert seen.page.locator("h1").inner_text() == "Tree of wood"


def test_arrow_keys_walk_the_tree_and_enter_opens(made: Path, visit: Start):
    seen = visit().open(made, "#/tree/0")
    seen.page.locator(".mark.step").first.focus()
    focused = "document.activeElement.getAttribute('aria-label')"
    steps = labels(seen, "step")
    for key, at in (("Right", 1), ("Down", 3), ("Right", 4), ("Left", 3), ("Up", 1), ("Left", 0)):
        seen.page.keyboard.press(f"Arrow{key}")
        assert seen.page.evaluate(focused) == steps[at]
        assert steps[at].split(", ")[1] in seen.page.locator(".tree-detail").inner_text()
    seen.page.keyboard.press("Enter")
    seen.settle()
    assert seen.page.evaluate("location.hash") == "#/trajectory/0?step=1"


def test_chains_fold_and_branches_close(made: Path, visit: Start):
    seen = visit().open(made, "#/tree/0")
    seen.page.get_by_text("Fold chains").click()
    # d, e, f in a row; b and x are too few to fold, a and c part
    assert labels(seen, "chain") == ["3 steps in a row, folded, 0 of 1 passed: unfold"]
    assert seen.page.locator(".mark.step").count() == 7
    seen.page.locator(".mark.chain").focus()
    seen.page.keyboard.press("Enter")
    assert seen.page.locator(".mark.step").count() == 10
    seen.page.locator(".mark.knob").first.click()
    assert labels(seen, "fold") == ["3 leaves below, 1 of 3 passed: open"]
    assert seen.page.locator(".mark.leaf").count() == 1
    seen.page.locator(".mark.fold").focus()
    seen.page.keyboard.press(" ")
    assert seen.page.locator(".mark.leaf").count() == 4


class Contrary(Method):
    """Pays failures."""

    name, source = "contrary", "none"

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(replace(batch, outcome_K=1 - batch.outcome_K))]


def test_two_methods_on_one_tree(made: Path, visit: Start):
    seen = visit().open(made, "#/tree/0?beside=reinforce")
    # the failed: GRPO -.577, REINFORCE -1; the passed: +1.155 and +1; "a": 0 and -1/3
    assert labels(seen, "step")[3] == (
        "step 3, look, grpo \u22120.577, reinforce \u22121, 0 of 2 passed"
    )
    assert "Their signs differ at none of 8 steps" in seen.text
    rows = seen.page.locator(".what-if tbody tr")
    assert [cell.strip() for cell in rows.first.inner_text().split("\t")[1:3]] == [
        "\u22120.577",
        "\u22121",
    ]
    seen.page.select_option("#beside", "")
    seen.settle()
    assert seen.page.locator(".what-if").count() == 0


@pytest.mark.parametrize("where", ["tree", "group"])
def test_opposite_signs_come_first(tmp_path: Path, visit: Start, where: str):
    page, _ = report_of(
        wood(), tmp_path / "report.html", methods=METHODS, by={"contrary": Contrary()}
    )
    seen = visit().open(page, f"#/{where}/0?beside=contrary")
    # in the tree "a" is one step, 0 under both; of the attempts it is three rows of their own
    total, first = {"tree": (8, 7), "group": (11, 11)}[where]
    assert f"Their signs differ at {first} of {total} steps" in seen.text
    rows = seen.page.locator(".what-if tbody tr").all_inner_texts()
    assert len(rows) == first
    assert all("opposite signs" in row for row in rows)
    assert rows[0].split("\t")[1:3] == ["+1.15", "\u22121.15"]
    assert seen.page.locator(".mark.differs").count() == (7 if where == "tree" else 0)
    assert seen.errors == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(made: Path, visit: Start, width: int):
    seen = visit()
    seen.page.set_viewport_size({"width": width, "height": 800})
    for address in ("#/tree/0?beside=tree_grpo", "#/group/0?beside=tree_grpo"):
        seen.open(made, address)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    seen.open(made, "#/tree/0")
    assert seen.page.locator(".mark.chain").count() == (1 if width == 390 else 0)
    assert seen.errors == []


def test_a_group_that_is_no_tree_says_so(tmp_path: Path, visit: Start):
    page, _ = report_of(mixed_set(), tmp_path / "report.html")
    seen = visit().open(page, "#/group/0")
    assert seen.page.locator("#to-tree").count() == 0
    seen.go("#/tree/0")
    assert "no tree to draw" in seen.text
    seen.go("#/tree/99")
    assert "There is no such group" in seen.text
    assert seen.errors == []


def test_places_that_make_no_sense_still_make_a_tree(tmp_path: Path, visit: Start):
    def leaf(number: int, *places: tuple[str | None, str | None]) -> Trajectory:
        steps = [ModelStep(text="so", node=node, parent=parent) for node, parent in places]
        name = {"id": f"w/{number}", "task": "w", "group": "w", "tree": "t"}
        return Trajectory(**name, outcome=float(number % 2), steps=tuple(steps))

    records = [
        leaf(0, ("a", "b"), ("b", "a")),  # in a circle
        leaf(1, ("c", "nowhere"), (None, None)),  # below nothing; without a place
        leaf(2, ("d", "d")),  # below itself
        leaf(3),  # without a step
        leaf(4, ("c", None)),  # ends where another goes on
    ]
    page, _ = report_of(records, tmp_path / "report.html", methods=METHODS)
    seen = visit().open(page, "#/tree/0")
    assert seen.page.locator(".mark.step").count() == 5
    assert seen.page.locator(".mark.leaf").count() == 5
    assert seen.errors == []


def bush(leaves: int, depth: int) -> list[Trajectory]:
    """Leaves that part after one step, each of steps of its own."""
    first = ModelStep(text="so", node="a")
    name = {"task": "b", "group": "b", "tree": "b"}
    return [
        Trajectory(
            id=f"b/{n}",
            **name,
            outcome=float(n % 2),
            steps=(first, *(ModelStep(text="so", node=f"{n}.{i}") for i in range(depth))),
        )
        for n in range(leaves)
    ]


@pytest.mark.parametrize(("leaves", "depth"), [(1000, 10), (2, 5000)])
def test_a_tree_of_ten_thousand_nodes_is_folded(
    tmp_path: Path, visit: Start, leaves: int, depth: int
):
    page, _ = report_of(bush(leaves, depth), tmp_path / "report.html", methods=("grpo", "rloo"))
    seen = visit().open(page)
    seen.go("#/tree/0?beside=rloo")
    assert seen.page.locator(".mark").count() < 200
    assert f"{leaves:,} leaves" in seen.text
    seen.page.locator(".mark.chain").first.click()
    assert seen.page.locator(".mark").count() < 300
    if leaves > 2:
        assert labels(seen, "fold") == [f"{leaves - 20} more branches here: show 100"]
        seen.page.locator(".mark.fold").click()
        assert seen.page.locator(".mark.leaf").count() == 120
    assert seen.errors == []
