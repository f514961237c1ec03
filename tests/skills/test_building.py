"""Who may teach, and what a template and a model make of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from assay.judges.chat import Message, NoAnswer
from assay.records import (
    Call,
    CallEvidence,
    Grade,
    Mark,
    ModelStep,
    Origin,
    Rescue,
    ToolStep,
    Trajectory,
    UserStep,
)
from assay.skills.asking import LONGEST, Asked, read
from assay.skills.bank import Bank
from assay.skills.building import Case, built, category_of, digest_of
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


def chat(outcome: float, *turns: tuple[str, str, str] | str) -> Trajectory:
    """An attempt of a chat log, of which nobody but the tools says what ran. A turn: its text, the
    tool that it calls, and what that answers; or what it says in the end."""
    steps: list[Any] = [UserStep(text="Find the total of order 50.")]
    for turn in turns:
        if isinstance(turn, str):
            steps.append(ModelStep(text=turn))
            continue
        said, name, answer = turn
        asked = Call(name=name, arguments='{"order": "50"}')
        steps += [ModelStep(text=said, calls=(asked,)),
                  ToolStep(text=answer, name=name, call=(len(steps), 0))]  # fmt: skip
    grades = (Grade(level="E3", value=outcome, source="check"),)
    return Trajectory(id=f"c/{outcome:g}", task="m-0", group="m-0", steps=tuple(steps),
                      outcome=outcome, grades=grades)  # fmt: skip


ASKED = ("let me look", "search_orders", "total: 40 EUR")
USERS = ("let me look", "list_users", "Error: no such user")
GAVE_UP = "I could not find it."


@pytest.mark.parametrize(
    ("won", "lost", "at", "avoid"),
    [
        # steps: 0 task, 1 call, 2 answer, 3 call or word. It errored, and the success did not
        ((ASKED, "40"), (USERS, GAVE_UP), 1, 'list_users({"order": "50"})'),
        ((ASKED, "40"), (ASKED, USERS, GAVE_UP), 3, 'list_users({"order": "50"})'),
        # what the success tried in vain too is not what went wrong, and is not taught
        ((USERS, ASKED, "40"), (USERS, ("so", "guess", "9"), "9"), 3, 'guess({"order": "50"})'),
        # the same tool that errored here; another tool that ran, whose call the text shows
        ((ASKED, "40"), (("", "search_orders", "Error: busy"), "?"), 1,
         'search_orders({"order": "50"})'),
        ((ASKED, "40"), (("<guess>\n50", "guess", "9"), "9"), 1, "<guess> 50"),
        # nothing but the end is another
        ((ASKED, "40"), (ASKED, "It is 30."), 3, "It is 30."),
    ],
)  # fmt: skip
def test_what_went_wrong_is_the_call_that_errored_or_that_the_success_did_not_make(
    won: Any, lost: Any, at: int, avoid: str
):
    made = built([chat(1.0, *won), chat(0.0, *lost)], written).skills
    lesson = next(each for each in made if each.kind == "lesson")
    assert lesson.principle == "first search_orders"
    assert (lesson.avoid, lesson.evidence[0].steps) == (avoid, (at,))


def test_an_attempt_that_made_the_success_s_calls_went_wrong_at_its_end():
    refund = ("so", "refund", "done")
    made = built([chat(1.0, ASKED, refund, "40"), chat(0.0, ASKED, refund, "30")], written).skills
    lesson = next(each for each in made if each.kind == "lesson")
    assert (lesson.principle, lesson.avoid) == ("first search_orders then refund", "30")


def test_what_a_record_says_of_a_call_comes_before_what_was_answered():
    steps = list(chat(0.0, ("?", "search_orders", "Error: is what order 50 is called"), "9").steps)
    ran = Call(name="search_orders", arguments="{}", evidence=CallEvidence(ran=True))
    steps[1] = ModelStep(text="?", calls=(ran,))
    lost = structs.replace(chat(0.0), steps=tuple(steps))
    made = built([chat(1.0, ASKED, "40"), lost], written).skills
    assert next(each for each in made if each.kind == "lesson").avoid == "9"


def test_a_source_s_own_word_on_an_error_comes_before_that_of_a_text():
    steps = list(chat(0.0, ASKED, USERS, GAVE_UP).steps)
    steps[2] = structs.replace(steps[2], error=True)
    lost = structs.replace(chat(0.0), steps=tuple(steps))
    lesson = next(s for s in built([chat(1.0, ASKED, "40"), lost], written).skills if s.avoid)
    assert lesson.evidence[0].steps == (1,)


@pytest.mark.parametrize("how", ["lessons", "demonstrations"])
def test_of_a_long_attempt_a_skill_names_as_many_calls_as_it_holds(how: Any):
    """A lesson of 60 names of 28 characters, " then " between them: 6 + 60 * 34 - 6 = 2,040. Before
    " then ..." there is room for 1,191: for "first " and 35 names, 6 + 35 * 34 - 6 = 1,190. One
    name alone may be too long as well."""
    for name, count in (("browser_open_page_and_wait%02d", 60), ("x" * 1300 + "%d", 1)):
        turns = [("go", name % n, "ok") for n in range(count)]
        pair = [chat(1.0, *turns, "40"), chat(0.0, GAVE_UP)]
        failed = next(s for s in built(pair, written, how=how).skills if s.source == "contrast")
        assert Bank().merged([failed]).skills, "the bank holds it"
        first = "first " * (how == "lessons")
        assert failed.principle.startswith(first + turns[0][1][:1100])
        assert failed.principle.endswith(" ...")
        if how == "lessons" and count == 60:
            names = failed.principle.removeprefix("first ").split(" then ")
            assert names == [*(turn[1] for turn in turns[:35]), "..."]


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


def test_an_attempt_is_told_from_others_by_its_end_and_by_what_was_done():
    rests = built([LOST, WON], written).skills[0].evidence[0]
    assert rests.digest == digest_of(LOST) == digest_of(structs.replace(LOST, id="x", group="y"))
    other = attempt("a/0", 0.0, ">smallest(San Marino)", ">region(Rome)", "=Europe")
    ended = structs.replace(LOST, outcome=0.5)
    assert len({digest_of(each) for each in (LOST, WON, other, ended)}) == 4


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
