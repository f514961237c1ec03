"""Tasks solved and lost, and claims, by the version of the policy: a course counted by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.batch import Batch
from assay.records import ModelStep, Rescue, Trajectory, UserStep
from assay.report.course import course, versions
from assay.report.rescued import Notes
from tests.report.conftest import Visit
from tests.report.samples import report_of

Start = Callable[..., Visit]
METHODS = ("grpo", "reinforce")


def one(task: str, version: int, outcomes: str, rung: str | None = None, **more: Any):
    """Yields attempts at a task: 1 passes, 0 fails, c fails and claims success, ? is unscored."""
    group = f"{task} at {version}"
    for n, letter in enumerate(outcomes):
        last = "I have booked it." if letter in "1c" else "I could not find it."
        yield Trajectory(
            id=f"{group}/{n}{rung or ''}",
            task=task,
            group=group,
            steps=(UserStep(text="Book it."), ModelStep(text=last)),
            outcome=None if letter == "?" else float(letter == "1"),
            end="answered",
            policy_version=f"step_{version}",
            rescue=None if rung is None else Rescue(rung=rung, **more),
        )


def run() -> list[Trajectory]:
    """Versions 0, 2 and 10, in this order by number.

    steady: solved at 0, 2, 10                     lost: 1 of 3 at 0, 0 of 2 at 2, 0 of 3 at 10
    wavers: 0 of 2 at 0, 1 of 2 at 2, 0 of 2 at 10, so lost too
    helped: 0 of 2 at 0, solved with help there; 0 of 1 at 2, 1 of 2 at 10 without
    waits:  0 of 2 at 2, solved with help there; never met again
    before: solved without help at 0, with help at 2: it needed none
    same:   solved with help and without at 0
    aside:  0 of 1 at 0, and a relabelled success, which is at another goal
    """
    return [
        *one("steady", 10, "1"),
        *one("steady", 0, "1"),
        *one("steady", 2, "1"),
        *one("lost", 0, "10c"),
        *one("lost", 2, "00?"),
        *one("lost", 10, "0c0"),
        *one("wavers", 0, "00"),
        *one("wavers", 2, "01"),
        *one("wavers", 10, "00"),
        *one("helped", 0, "00"),
        *one("helped", 0, "1", "oracle"),
        *one("helped", 2, "0"),
        *one("helped", 10, "10"),
        *one("waits", 2, "00"),
        *one("waits", 2, "1", "feedback"),
        *one("before", 0, "1"),
        *one("before", 2, "1", "feedback"),
        *one("same", 0, "1"),
        *one("same", 0, "1", "oracle"),
        *one("aside", 0, "0"),
        *one("aside", 0, "1", "relabel", goal="another"),
    ]


def found(records: list[Trajectory]) -> dict[str, Any] | None:
    batch, notes = Batch.of(records), Notes()
    for k, record in enumerate(records):
        notes.add(k, record)
    return course(batch, batch.outcome_K >= 1, notes.helped, notes.versions)


def test_versions_are_ordered_by_their_number():
    names = ["step_10", None, "step_2", "9", "global_step_2", "gpt-4", "v3", "", "iter-1", "step_"]
    order, at_K = versions(names)
    assert order == [1, 2, 3, 9, 10]
    assert at_K.tolist() == [4, -1, 1, 3, 1, -1, 2, -1, 0, -1]


def test_tasks_are_solved_and_lost_against_the_visit_before():
    seen = found(run())
    assert seen is not None
    assert seen["versions"] == [0, 2, 10]
    # at 0: steady, lost, wavers, helped, before, same, aside; at 2 the first four, and waits
    assert seen["visited"] == [7, 5, 4]
    assert seen["solved"] == [4, 2, 2]
    assert seen["gained"] == [0, 1, 1]  # wavers; helped
    assert seen["lost"] == [0, 1, 1]  # lost; wavers


def test_a_task_is_lost_that_passed_and_does_not_since():
    records = run()
    groups = Batch.of(records).groups
    seen = found(records)
    assert seen is not None
    lost = {groups[each.pop("group")]: each for each in seen["lost_tasks"]}
    assert lost == {
        "lost at 0": {"last": groups.index("lost at 10"), "before": [1, 3], "since": [0, 5]},
        "wavers at 2": {"last": groups.index("wavers at 10"), "before": [1, 4], "since": [0, 2]},
    }


def test_help_is_followed_by_what_came_without_it():
    records = run()
    groups = Batch.of(records).groups
    seen = found(records)
    assert seen is not None
    helped, waits = seen["after_help"]
    assert records[helped.pop("k")].id == "helped at 0/0oracle"
    assert helped == {
        "group": groups.index("helped at 0"),
        "at": 0,
        "then": 2,
        "then_group": groups.index("helped at 10"),
        "since": [1, 3],
    }
    assert records[waits.pop("k")].id == "waits at 2/0feedback"
    assert (waits["at"], waits["then"], waits["then_group"], waits["since"]) == (
        1,
        None,
        None,
        [0, 0],
    )


def test_claims_are_counted_by_what_was_verified():
    seen = found(run())
    assert seen is not None
    # at 0: steady, lost, before, same; of 7 failures one says that it is done
    assert seen["claims"]["passed"] == [[4, 4], [2, 2], [2, 2]]
    assert seen["claims"]["failed"] == [[1, 7], [0, 6], [1, 6]]


def test_without_versions_there_is_no_course():
    assert found([*one("a", 0, "10")]) is None
    assert versions([])[0] == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_of(run(), tmp_path_factory.mktemp("a") / "a.html", methods=METHODS)[0]


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_shows_the_course(made: Path, visit: Start, width: int):
    seen = visit()
    seen.page.set_viewport_size({"width": width, "height": 800})
    seen.open(made, "#/waste")
    seen.page.keyboard.press("o")
    seen.settle()
    assert seen.page.locator("h1").inner_text() == "Over the run"
    assert "3 versions of the policy, 0 to 10" in seen.text
    assert "2 times a task was solved anew, 2 times one was lost." in seen.text
    bars = seen.page.locator("rect")
    assert [bar.get_attribute("class") for bar in bars.all()] == ["up", "down"] * 2
    assert bars.locator("title").all_text_contents()[:2] == ["2: 1 solved anew", "2: 1 lost"]
    lost = seen.page.locator(".lost-tasks tbody tr")
    assert [row.locator("td").all_text_contents() for row in lost.all()] == [
        ["1 of 3", "0 of 5"],
        ["1 of 4", "0 of 2"],
    ]
    assert (
        "2 tasks were solved with help before they were without: 1 later without, of 1" in seen.text
    )
    helped = seen.page.locator(".after-help tbody tr")
    assert helped.nth(0).locator("td").all_text_contents() == ["oracle", "0", "10", "1 of 3"]
    assert helped.nth(1).locator("td").all_text_contents()[2:] == ["\u2013", "not met again"]
    dots = seen.page.locator(".line.down circle title").all_text_contents()
    assert dots == ["0: 1 of 7", "2: 0 of 6", "10: 1 of 6"]
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    helped.nth(0).locator("td a").first.click()
    seen.settle()
    assert "helped: oracle" in seen.text
    assert seen.errors == []


@pytest.mark.chromium
def test_where_no_task_came_twice_it_is_not_called_unchanged(tmp_path: Path, visit: Start):
    records = [*one("a", 0, "1"), *one("b", 1, "2")]
    seen = visit().open(report_of(records, tmp_path / "a.html", methods=METHODS)[0], "#/course")
    assert "No task was met twice, so none can be seen solved anew or lost." in seen.text
    assert seen.errors == []


@pytest.mark.chromium
def test_without_a_course_the_page_says_so(tmp_path: Path, visit: Start):
    records = [*one("a", 0, "10")]
    seen = visit().open(report_of(records, tmp_path / "a.html", methods=METHODS)[0], "#/course")
    assert "name no versions" in seen.text
    assert "Over the run" not in seen.page.locator("nav[aria-label=Pages]").inner_text()
    assert seen.errors == []
