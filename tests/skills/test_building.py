"""Who may teach, and what a template and a model make of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from assay.judges.chat import Message, NoAnswer
from assay.records import Grade, Mark, Origin, Rescue, UserStep
from assay.skills.asking import LONGEST, Asked, read
from assay.skills.building import Case, built, category_of
from assay.skills.templates import BLOCK, written
from assay.verify.outcome import Resolved
from tests.skills.made import LOST, WON, attempt


def test_a_failure_is_a_lesson_and_a_success_a_demonstration():
    lesson, shown = built([LOST, WON], written).skills
    assert (lesson.kind, lesson.source) == ("lesson", "failure")
    # the task without San Marino, an argument of its calls; step 3 is the first wrong call
    assert (lesson.when, lesson.principle) == ("city of least of", "first smallest then capital")
    assert lesson.avoid == ">region(Italy)"
    assert (lesson.evidence[0].trajectory, lesson.evidence[0].steps) == ("a/0", (3,))
    assert lesson.evidence[0].level == "E3"
    assert (shown.kind, shown.source) == ("demonstration", "success")
    assert shown.principle == (
        "?city of least of San Marino >smallest(San Marino) <x >capital(Italy) <x =Rome"
    )
    assert shown.evidence[0].steps == (1, 3)
    assert {lesson.category, shown.category} == {"lookup"}


def test_a_failure_that_never_left_the_solution_went_wrong_at_its_end():
    lost = attempt("x", 0.0, ">smallest(San Marino)", ">capital(Italy)", "=Milan")
    lesson = built([lost], written).skills[0]
    assert (lesson.avoid, lesson.evidence[0].steps) == ("=Milan", (5,))


def test_what_is_the_task_s_own_is_taken_out_longest_first():
    lost = attempt("x", 0.0, ">look(San)", "=Milan")
    assert built([lost], written).skills[0].when == "city of least of"


def test_without_a_solution_a_lesson_rests_on_another_attempt():
    lost = structs.replace(LOST, expert=None)
    lesson = built([lost, WON], written).skills[0]
    assert (lesson.source, lesson.principle) == ("contrast", "first smallest then capital")
    assert [each.trajectory for each in lesson.evidence] == ["a/0", "a/1"]
    alone = built([lost], written)
    assert (alone.skills, alone.left) == ((), Counter({"nothing said": 1}))


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (attempt("x", None), "no evidence"),
        (structs.replace(LOST, grades=(Grade(level="E1", value=0.0),)), "no evidence"),
        (structs.replace(LOST, end="infra"), "no evidence"),
        (structs.replace(LOST, marks=(Mark(kind="tampered"),)), "no evidence"),
        (structs.replace(WON, grades=(Grade(level="E2", value=1.0),)), "unverified"),
        (structs.replace(WON, rescue=Rescue(rung="oracle")), "rescued"),
        (structs.replace(LOST, task="held"), "held out"),
    ],
)
def test_what_may_not_teach(record: Any, why: str):
    found = built([record], written, held_out={"held"})
    assert (found.skills, found.left) == ((), Counter({why: 1}))


def test_a_failure_by_the_next_state_is_evidence_enough():
    record = structs.replace(LOST, grades=(Grade(level="E2", value=0.0),))
    assert built([record], written).skills[0].evidence[0].level == "E2"


def test_the_controls_take_one_kind_from_both():
    for how, kinds in {"lessons": {"lesson"}, "demonstrations": {"demonstration"}}.items():
        made = built([LOST, WON], written, how=how).skills  # type: ignore[arg-type]
        assert {each.kind for each in made} == kinds
    raw = built([LOST, WON], written, how="raw").skills
    assert [each.principle.splitlines()[-1] for each in raw] == ["(failed)", "(passed)"]
    assert ">region(Italy)" in raw[0].principle


def test_skills_in_a_prompt_do_not_come_back_as_skills():
    block = "!first smallest then capital\n"
    steps = (UserStep(text=f"?city of least of San Marino\n{block}"), *WON.steps[1:])
    extra = {"family": "lookup", BLOCK: block}
    record = structs.replace(WON, steps=steps, origin=Origin(format="x", extra=extra))
    again, before = built([record], written).skills[0], built([WON], written).skills[0]
    assert (again.when, again.principle) == (before.when, before.principle)


def test_a_category_is_a_family_or_how_a_name_begins():
    assert category_of(LOST) == "lookup"
    bare = structs.replace(LOST, origin=None)
    assert category_of(bare) == "lookup"
    assert category_of(structs.replace(bare, task="airline/3")) == "airline"


def case(**more: Any) -> Case:
    return Case(record=LOST, passed=False, level=Resolved(value=0.0, category="honest_failure"),
                **more)  # fmt: skip


def test_a_model_writes_between_marks_nobody_knew():
    told = list[Sequence[Message]]()
    marks = iter(f"<m{n}>" for n in range(9))

    def ask(messages: Sequence[Message]) -> str:
        told.append(messages)
        said = '{"title": "t", "when": "city of", "principle": "do this", "avoid": ""}'
        return f"I think.\n<m1>{said}<m1>" if len(told) == 1 else said

    asked = Asked(ask, marks=lambda: next(marks), parallel=1)
    first, second = asked([case(), case()])
    assert first is not None
    assert (first.principle, first.when) == ("do this", "city of")
    assert second is None
    assert asked.lost == {"form": 1}
    assert "It failed" in told[0][0]["content"]
    assert "<m0> WHAT IT DID\nAGENT: >smallest(San Marino)" in told[0][1]["content"]
    assert "Rome" not in told[0][1]["content"], "the answer is nothing that it may read"


def test_a_model_that_says_nothing_writes_nothing():
    def silent(_: Sequence[Message]) -> str:
        raise NoAnswer("timeout", "late")

    asked = Asked(silent, most=1)
    assert asked([case(), case()]) == [None, None]
    assert asked.lost == {"timeout": 1, "not asked": 1}
    assert asked.silent
    assert not Asked(silent).silent, "nobody asked it"
    talks = Asked(lambda _: "no draft")
    assert talks([case(), case()]) == [None, None]
    assert (talks.lost, talks.silent) == ({"form": 2}, False)


@pytest.mark.parametrize(
    "said",
    [
        "no marks",
        "<m>{}<m>",
        "<m>[1]<m>",
        '<m>{"title": "", "when": "", "principle": 3, "avoid": ""}<m>',
        '<m>{"title": "", "when": "", "principle": "", "avoid": ""}<m>',
        f'<m>{{"title": "", "when": "", "principle": "{"x" * (LONGEST + 1)}", "avoid": ""}}<m>',
        '<m>{"title": "", "when": "", "principle": "\\ud800", "avoid": ""}<m>',
        "<m>NaN<m>",
        '<m>{"title": "", "when": "", "principle": "a", "avoid": ""}<m><m>',
    ],
)
def test_what_is_no_draft(said: str):
    assert read(said, "<m>") is None
