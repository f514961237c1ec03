"""Groups that failed as a whole: what was tried on each, what came of it, beside a run too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from assay.records import Ledger, Origin, Rescue, Trajectory, write
from assay.report import explaining
from assay.rescue.explain import explain
from assay.runs.audit import audit_log
from tests.report.conftest import Visit
from tests.report.samples import (
    attempt,
    graded_set,
    helped_set,
    index_of,
    mixed_set,
    report_of,
    told,
)

Start = Callable[..., Visit]
METHODS = ("grpo", "reinforce")


def beside() -> list[Trajectory]:
    """A failure of group "alone" whose place was taken, a try from it, and one of no group here."""
    critique = Rescue(rung="critique", of="dead/7", given="not that but this")
    return [
        told(7, task="alone", group="alone"),
        told(8, task="alone", group="alone", rescue=critique, ledger=Ledger(tokens=40)),
        told(9, group="elsewhere"),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    (run / "rescues").mkdir()
    write(run / "rescues" / "step_000001.jsonl", beside())
    return report_of(helped_set(), run / "a.html", methods=METHODS, run=run)[0]


def test_a_group_is_dead_by_what_was_sampled_without_help(tmp_path: Path):
    # "dead" has a success, with help; "alone" none; of mixed_set, "fails" alone
    assert index_of(report_of(helped_set(), tmp_path / "a.html", methods=METHODS)[0])["dead"] == [
        0,
        1,
    ]
    assert index_of(report_of(mixed_set(), tmp_path / "b.html", methods=METHODS)[0])["dead"] == [1]
    # "a" has one that passes; in "c" outcomes differ, and none passes
    assert index_of(report_of(graded_set(), tmp_path / "c.html", methods=METHODS)[0])["dead"] == [
        1,
        2,
    ]
    one = [attempt(0, "one", 0.0, [], "Goodbye."), attempt(1, "one", None, [], "Goodbye.")]
    assert index_of(report_of(one, tmp_path / "d.html", methods=METHODS)[0])["dead"] == []


def test_what_a_run_keeps_beside_its_batches_is_read(made: Path):
    index = index_of(made)
    assert index["others"] == {
        "id": ["dead/7", "dead/8"],
        "group": [1, 1],
        "outcome": [0, 0],
        "passed": [0, 0],
        "helped": [0, 1],
        "chunk": [4, 4],  # behind two of shapes and two of records
        "slot": [0, 1],
    }
    assert index["trouble"] == []
    rows = index["rescues"]
    assert rows["k"] == [2, 3, None]
    assert rows["other"] == [None, None, 1]
    assert rows["of"] == [0, None, None]
    assert rows["of_other"] == [None, None, 0]
    assert rows["group"] == [0, 0, 1]
    assert rows["tokens"] == [1204, 96, 40]


def test_a_failure_whose_place_was_taken_counts_and_a_try_does_not(tmp_path: Path):
    (tmp_path / "rescues").mkdir()
    path, rescue = tmp_path / "rescues" / "step_000001.jsonl", Rescue(rung="oracle")
    records = [told(4, group="alone"), told(5, group="alone", outcome=1.0, rescue=rescue)]
    write(path, [told(7, group="alone")])
    page, _ = report_of(records, tmp_path / "a.html", methods=METHODS, run=tmp_path)
    assert index_of(page)["dead"] == [0]  # two failed
    write(path, [told(7, group="alone", outcome=1.0, rescue=rescue)])
    page, _ = report_of(helped_set()[4:], tmp_path / "b.html", methods=METHODS, run=tmp_path)
    assert index_of(page)["dead"] == [0]  # it passed with help


def test_a_torn_file_beside_is_told_and_the_rest_is_shown(tmp_path: Path):
    (tmp_path / "rescues").mkdir()
    path = tmp_path / "rescues" / "step_000001.jsonl"
    write(path, beside())
    path.write_bytes(path.read_bytes()[:-40])
    page, _ = report_of(helped_set(), tmp_path / "a.html", methods=METHODS, run=tmp_path)
    index = index_of(page)
    assert index["others"]["id"] == ["dead/7", "dead/8"]
    (line,) = index["trouble"]
    assert line.startswith("rescues/step_000001.jsonl line 3")
    assert str(tmp_path) not in line


def test_the_audit_of_a_run_reads_what_lies_beside_its_batches(tmp_path: Path):
    run, out = tmp_path / "run", tmp_path / "audit"
    (run / "rollouts").mkdir(parents=True)
    (run / "run.json").write_text('{"schema": "assay.run/1", "kind": "train"}')
    write(run / "rollouts" / "step_000001.jsonl", helped_set())
    audit_log(run, out=out, reuse=True)
    assert "others" not in index_of(out / "report.html")
    (run / "rescues").mkdir()
    write(run / "rescues" / "step_000001.jsonl", beside())
    audit_log(run, out=out, reuse=True)  # nothing of the log changed, and yet it is new
    assert index_of(out / "report.html")["others"]["id"] == ["dead/7", "dead/8"]


def test_what_could_be_tried_is_what_explain_dead_says(tmp_path: Path):
    solved = [told(n, task="alone", group=group, outcome=1.0) for n, group in ((6, "a"), (7, "b"))]
    records = [*helped_set(), *solved]
    log = tmp_path / "log.jsonl"
    write(log, records)
    audit_log(log, out=tmp_path / "audit")
    expected = {each.group: each.missing for each in explain(records)}
    assert set(expected) == {"dead", "alone"}  # what was rescued is explained by nobody else
    assert index_of(tmp_path / "audit" / "report.html")["missing"] == [[1, expected["alone"]]]
    assert expected["dead"]["prefix"] == "an earlier success at this task"
    assert expected["alone"]["prefix"] != expected["dead"]["prefix"]  # it was solved elsewhere


def test_only_the_first_groups_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(explaining, "MOST", 1)
    seen = list[str]()

    def said(records: Any) -> list[Any]:
        seen.extend(record.group for record in records)
        return []

    records = [*helped_set()[4:], *(told(n, group="next") for n in (6, 7))]
    page, _ = report_of(records, tmp_path / "a.html", methods=METHODS, explain=said)
    assert seen == ["alone", "alone"]
    assert index_of(page)["missing"] == []


@pytest.mark.chromium
def test_a_group_that_nobody_helped_says_what_could_be_tried(tmp_path: Path, visit: Start):
    played = Origin(format="assay.world", extra={"family": "lookup", "seed": "3"})
    records = [replace(each, origin=played) for each in helped_set()[4:]]
    page, _ = report_of(records, tmp_path / "a.html", methods=METHODS, explain=explain)
    seen = visit().open(page, "#/dead")
    cell = seen.page.locator(".dead-list tbody td").nth(1)
    able = [name for name, lacks in explain(records)[0].missing.items() if lacks is None]
    assert "critique" in able
    shown = cell.locator("div").first.inner_text()
    assert shown == f"could be tried: {', '.join(able).replace('_', ' ')}"
    cell.locator("summary").click()
    lacks = cell.locator("li").all_inner_texts()
    assert lacks[0] == "prefix: an earlier success at this task"
    assert seen.errors == []


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 360])
def test_dead_groups_say_what_was_tried_and_what_came_of_it(made: Path, visit: Start, width: int):
    seen = visit()
    seen.page.set_viewport_size({"width": width, "height": 800})
    seen.open(made, "#/waste")
    assert "See what was tried where all failed, and what came of it." in seen.text
    seen.page.keyboard.press("d")
    seen.settle()
    assert seen.page.locator("h1").inner_text() == "Dead groups"
    assert (
        "In 2 of 2 groups every attempt without help failed: comparing them teaches nothing. "
        "Help was tried on 2, and 1 group was rescued. Cost of it: 1,340 tokens, 1 call, "
        "2 scoring forwards."
    ) in seen.text
    rungs = seen.page.locator(".rungs tbody tr")
    cells = [row.locator("td").all_text_contents() for row in rungs.all()]
    assert cells == [
        ["1", "1", "1", "1,204", "1,204"],
        ["1", "1", "0", "40", "\u2013"],
        ["1", "1", "0", "96", "\u2013"],
    ]
    rows = seen.page.locator(".dead-list tbody tr")
    assert rows.locator(".badge").all_inner_texts() == ["rescued", "tried in vain"]
    # without help: two of "dead"; of "alone" two, and the one whose place was taken
    assert [rows.nth(n).locator("td").nth(0).locator("a").count() for n in (0, 1)] == [2, 3]
    assert rows.nth(0).locator(".tried").all_inner_texts() == ["feedback", "self hint"]
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    seen.page.get_by_text("Tried in vain (1)").click()
    seen.settle()
    assert rows.count() == 1
    rows.locator(".tried a").click()
    seen.settle()
    assert seen.page.evaluate("location.hash") == "#/other/1"
    assert "a try that is not among those trained; no method credits it" in seen.text
    assert seen.page.locator("section.rescue .text").inner_text() == "not that but this"
    assert seen.page.locator("#step-1 .hints .text").count() == 3
    assert seen.page.locator("#step-1 .shift .run").count() == 7
    seen.page.locator("section.rescue a").click()
    seen.settle()
    assert "its place in the group was taken by a rescued attempt" in seen.text
    assert seen.page.locator("div.rescue li a").inner_text() == "dead/8"
    seen.go("#/group/1")
    links = seen.page.locator(".linked a")
    assert [link.get_attribute("href") for link in links.all()] == ["#/other/0", "#/other/1"]
    seen.go("#/other/2")
    assert "There is no such attempt" in seen.text
    assert seen.errors == []


@pytest.mark.chromium
def test_a_group_whose_failures_scored_differently_is_not_said_to_teach_nothing(
    tmp_path: Path, visit: Start
):
    records = [attempt(n, "half", 0.5 * n, [], "Goodbye.") for n in range(2)]
    records += [attempt(n, "none", 0.0, [], "Goodbye.") for n in range(2)]
    seen = visit().open(report_of(records, tmp_path / "a.html", methods=METHODS)[0], "#/dead")
    assert (
        "In 2 of 2 groups every attempt without help failed: in 1 outcomes below a pass differ, "
        "comparing the others teaches nothing."
    ) in seen.text
    assert seen.errors == []


@pytest.mark.chromium
def test_without_a_dead_group_the_page_says_so(tmp_path: Path, visit: Start):
    records = [attempt(n, "passes", 1.0, [], "Goodbye.") for n in range(2)]
    seen = visit().open(report_of(records, tmp_path / "a.html", methods=METHODS)[0], "#/dead")
    assert "In no group of two or more did every attempt fail." in seen.text
    assert "Dead" not in seen.page.locator("nav[aria-label=Pages]").inner_text()
    assert seen.errors == []
