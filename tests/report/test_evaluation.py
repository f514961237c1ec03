"""What the page of an evaluation says."""

from typing import Any

from assay.report.evaluation import honesty, learnt, page, read_books, reliable, sentence
from assay.report.figure import COLOURS

GAP = {"value": 0.25, "low": 0.125, "high": 0.375}


def arm(solved: int | None, unreached: int, **more: Any) -> dict[str, Any]:
    once = 0.5 if unreached else None
    return {
        "pass_at_k": [0.5, 0.75],
        "ci": [[0.4, 0.6], None],
        "all_fail": 3,
        "distinct_answers": 2.5,
        "answer_entropy": 0.75,
        "tokens": 1234,
        "calibration": None,
        "votes": {"majority": 0.25, "weighted": 0.5, "surest": 0.75},
        "difference": GAP,
        "newly_solved": {"solved": solved, "once": once, "unreached_by_base": unreached},
        **more,
    }


def result(unreached: int = 4) -> dict[str, Any]:
    base = {k: v for k, v in arm(0, 0).items() if k not in ("difference", "newly_solved")}
    return {
        "k": [1, 2], "base": base, "arms": {"<b>run": arm(1, unreached)},
        "null": arm(None, unreached), "steps": {"<b>run": 8}, "samples": 4, "prompts": 6,
        "env": "lookup", "model": "start", "first_task": 1000, "temperature": 1.0, "seed": 0,
        "books": None,
    }  # fmt: skip


def test_a_sentence_says_what_is_new_and_what_a_copy_has_by_chance() -> None:
    said = "<b>run: pass@1 +0.250 [+0.125, +0.375] over the base"
    assert sentence(result(), "<b>run") == (
        f"{said}; newly solved 1 of 4 (by one success 50%, a frozen copy 50%)"
    )
    assert sentence(result(0), "<b>run") == f"{said}, which passed every task at least once"


def test_names_are_text_and_every_policy_has_its_row() -> None:
    made = page(result(), b"<svg/>")
    assert "<b>run" not in made
    assert made.count("&lt;b&gt;run") >= 4
    assert made.count("0.500 <small>0.400 to 0.600</small>") == 3
    assert made.count("<td>0.750</td>") == 3  # too few tasks for an interval
    assert "Stated confidence" not in made
    assert "<script" not in made


def stated() -> dict[str, Any]:
    seen = {"brier": 0.25, "ece": 0.125, "ece_null": {"upper": 0.5}, "auroc": None}
    told = result()
    told["arms"]["<b>run"]["calibration"] = {
        "stated": 9,
        **seen,
        "reliability": [{"stated": 0.5, "right": 0.75, "samples": 9, "low": 0.5, "high": 1.0}],
        "gives_up_below": {"0.5": 0.01, "1": 0.125},
        "recalibrated": {**seen, "brier": 0.2, "ece": 0.0625},
    }
    return told


def test_stated_confidence_has_a_table_where_somebody_stated_any() -> None:
    made = page(stated(), b"<svg/>", b"<svg id='reliable'/>")
    assert (
        "<td>0.250</td><td>0.125</td><td>0.500</td><td>-</td><td>0.200</td><td>0.062</td>"
        "<td>0.01, 0.12</td>"
    ) in made
    assert "<td>0.250</td><td>0.500</td><td>0.750</td>" in made  # votes
    assert made.count("data:image/svg") >= 2 or "reliable" in made


def test_a_diagram_of_reliability_where_somebody_stated_any() -> None:
    assert reliable(result()) is None
    made = reliable(stated())
    assert made is not None
    assert b"right as often as stated" in made
    # colours as on the rest of the page: grey is the base's, which states nothing here
    colours = [colour.encode() for colour in COLOURS[:3]]
    assert [each in made for each in colours] == [False, True, False]
    told = stated()
    told["base"] = {**told["base"], "calibration": told["arms"]["<b>run"]["calibration"]}
    made = reliable(told)
    assert made is not None
    assert [each in made for each in colours] == [True, True, False]
    assert b"&lt;b&gt;run" in made


def test_a_sentence_says_how_honest_an_arm_is() -> None:
    assert honesty(result(), "<b>run") is None
    assert honesty(stated(), "<b>run") == (
        "<b>run: Brier 0.250, calibration error 0.125 (within the 0.500 of honest answers), AUROC "
        "-; recalibrated on other tasks 0.200 and 0.062; elected by majority 0.250, by confidence "
        "0.500"
    )


def test_books_are_told_and_shown_as_text() -> None:
    assert read_books(result(), "<b>run") is None
    told = result()
    base, run = {"right": 0.25, "ci": [0.2, 0.3]}, {"right": 0.5, "ci": [0.4, 0.6]}
    both = {"base": base, "<b>run": {**run, "difference": GAP}}
    asked = {"prompt": "?<i>a", "context": "!a is b", "right": "=b",
             "said": {"base": "=c", "<b>run": "=b"}}  # fmt: skip
    course = {"<b>run": [[1, 0.25, 0.75], [5, 0.5, 1.0]]}
    told["books"] = {"closed": both, "open": both, "asked": [asked], "course": course}
    gap = "+0.250 [+0.125, +0.375] over the base's 0.250"
    assert read_books(told, "<b>run") == (
        f"<b>run: right option closed book 0.500, {gap}; open book 0.500, {gap}"
    )
    made = page(told, b"<svg/>")
    assert made.count("<td>0.500 <small>0.400 to 0.600</small></td>") >= 2
    assert "<td>?&lt;i&gt;a<br><small>!a is b</small></td><td>=b</td><td>=c</td>" in made
    assert "<td>&check; =b</td>" in made
    assert "Open and closed book" not in page(result(), b"<svg/>")
    drawn = learnt(told)
    assert drawn is not None
    assert made.count("<img") == 2
    told["books"]["course"] = {"<b>run": []}  # contexts alone: nothing was asked
    assert learnt(told) is None
    assert page(told, b"<svg/>").count("<img") == 1
