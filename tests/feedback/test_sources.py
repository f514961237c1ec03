"""What each source says of a trajectory, and how it comes onto the record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from assay.errors import DataError, UsageError
from assay.feedback import Env, File, FromJudge, Human, failed, given, turns
from assay.feedback.base import Given, Source
from assay.feedback.file import Line
from assay.feedback.settings import Hints, named, opened
from assay.judges.asking import Shown
from assay.judges.chat import Message, NoAnswer
from assay.judges.judge import Judge
from assay.judges.probes import probe
from assay.records import Hint, ModelStep, ToolStep, Trajectory, decode, encode
from tests.feedback.made import record, turn
from tests.judges.server import honest, parts, verdict


def said(of: Trajectory) -> dict[int, list[str]]:
    """Texts of hints by turn, from 0."""
    return {t.number: [h.text for h in t.step.hints] for t in turns(of) if t.step.hints}


def test_a_turn_is_what_was_written_and_what_was_read_before_more_was() -> None:
    found = [*turns(record())]
    assert [(t.at, t.number, t.heard) for t in found] == [
        (1, 0, "<error no c"), (3, 1, "<b"), (5, 2, ""),
    ]  # fmt: skip
    two = structs.replace(record(), steps=(turn("a"), ToolStep(text="x"), ToolStep(text="y")))
    assert [t.heard for t in turns(two)] == ["x\ny"]
    copied = structs.replace(record(), steps=(turn("a", untrainable="copied"), turn("b")))
    assert [(t.at, t.number) for t in turns(copied)] == [(1, 1)]


def test_who_was_not_scored_has_not_failed() -> None:
    assert [failed(record(outcome=x)) for x in (0.0, 0.5, 1.0, None)] == [True, True, False, False]
    assert not failed(record(outcome=0.5), pass_at=0.5)


def test_of_the_world_a_hint_is_the_turn_s_own_next_observation() -> None:
    [all_], [wrong] = given(Env(), [record()]), given(Env("errors"), [record()])
    assert said(all_) == {0: ["<error no c"], 1: ["<b"]}
    assert said(wrong) == {0: ["<error no c"]}
    hint = next(iter(turns(all_))).step.hints[0]
    assert (hint.source, hint.quote) == ("env", "<error no c")
    assert decode(encode(all_)) == all_


def test_where_nobody_looked_words_say_whether_it_went_wrong() -> None:
    steps = (turn(">look(c)"), ToolStep(text="Error: not found"), turn(">look(a)"),
             ToolStep(text="fine"), turn("=a"))  # fmt: skip
    [found] = given(Env("errors"), [structs.replace(record(), steps=steps)])
    assert said(found) == {0: ["Error: not found"]}
    ran = (turn(">look(c)", ran=True), *steps[1:])  # somebody looked, and words decide nothing
    assert said(given(Env("errors"), [structs.replace(record(), steps=ran)])[0]) == {}


def test_a_long_observation_is_cut() -> None:
    steps = (turn(">look(c)"), ToolStep(text="word " * 200), turn("=a"))
    [found] = given(Env(), [structs.replace(record(), steps=steps)])
    assert [len(text) for text in said(found)[0]] == [300]


class Fixed(Source):
    name = "fixed"

    def __init__(self, *found: Given) -> None:
        self.found = found

    def read(self, records: Sequence[Trajectory]) -> list[Given]:
        return [*self.found]


def test_a_hint_that_names_the_answer_is_left_out_unless_it_is_to_be_kept() -> None:
    told = tuple(Hint(text=each, source="fixed") for each in ("the answer is A.", "ask", "b"))
    source, known = Fixed(Given({1: told})), structs.replace(record(), reference="a")
    assert (said(given(source, [known])[0]), source.leaked) == ({0: ["ask", "b"]}, 1)
    [kept] = given(source, [known], "keep")
    assert (said(kept), source.leaked) == ({0: ["the answer is A.", "ask", "b"]}, 0)
    assert said(given(source, [structs.replace(known, reference=None)])[0]) == said(kept)


def test_hints_of_the_same_source_are_replaced_and_others_stay() -> None:
    first = Given({1: (Hint(text="old", source="fixed"),)}, {1: -1.0, 3: None})
    [once] = given(Fixed(first), given(Env("errors"), [record()]))
    assert said(once) == {0: ["<error no c", "old"]}
    [twice] = given(Fixed(Given({3: (Hint(text="new", source="fixed"),)})), [once])
    assert said(twice) == {0: ["<error no c"], 1: ["new"]}
    steps = [step for step in twice.steps if type(step) is ModelStep]
    assert [step.scores for step in steps] == [
        {"next_state:fixed": -1.0}, {"next_state:fixed": None}, {},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "h"}', {2: ["h"]}),
        ('{"task": "t", "text": "h"}', {2: ["h"]}),
        ('{"task": "u", "text": "h"}', {}),
        ('{"trajectory": "0/t/0", "turn": 1, "text": "h"}', {1: ["h"]}),
        ('{"trajectory": "0/t/1", "turn": 1, "text": "h"}', {}),
        ('{"heard": "error no", "text": "h"}', {0: ["h"]}),
        ('{"heard": "error no", "turn": 1, "text": "h"}', {}),
        ('{"turn": 0, "text": "h"}\n\n{"turn": 0, "text": "i"}', {0: ["h", "i"]}),
    ],
)
def test_a_line_of_a_file_is_about_what_fits_all_its_keys(
    line: str, expected: dict[int, list[str]], tmp_path: Path
) -> None:
    path = tmp_path / "hints.jsonl"
    path.write_text(line)
    [found] = given(File(path), [record()])
    assert said(found) == expected


def test_a_line_of_another_task_fits_no_turn() -> None:
    (first, *_) = turns(record())
    fits = [Line("h", task=task).fits(record(), first, last=True) for task in ("t", "u", None)]
    assert fits == [True, False, True]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"text": "h"}\n{"text": 3}', "line 2: Expected `str`"),
        ('{"task": "t"}', "line 1: .*missing required field `text`"),
        ('{"text": " "}', "line 1: text is empty"),
        ('{"text": "h", "step": 1}', "line 1: .*unknown field `step`"),
        ("h", "line 1: "),
        ('{"text": "h", "turn": -1}', "line 1: turn is -1; expected a number from 0"),
        ('{"text": "h", "heard": " "}', "line 1: heard is empty, which all turns hold"),
        ("\n", "it has no line; expected a hint a line"),
    ],
)
def test_a_line_that_is_no_hint_is_refused(text: str, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "hints.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=wrong):
        File(path)


class Terminal:
    """Answers in turn; at the end nobody is there."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.shown, self.asked = [*answers], list[str](), 0

    def ask(self, _: str) -> str:
        self.asked += 1
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


def test_a_person_is_shown_each_turn_and_asked() -> None:
    at = Terminal("", " look at b ", ".", "first", "..", "never")
    by = Human(at.ask, at.shown.append)
    found = given(by, [record("0/t/0"), record("0/t/1"), record("0/t/2")])
    assert [said(each) for each in found] == [{1: ["look at b"]}, {0: ["first"]}, {}]
    assert at.answers == ["never"]
    assert any("world: <error no c" in text for text in at.shown)
    assert given(by, [record()]) == [record()]  # who wants no more is not asked again


def test_a_person_is_asked_of_so_many_at_a_time_and_may_have_left() -> None:
    at = Terminal(*["h"] * 3)
    by = Human(at.ask, at.shown.append, most=1)
    found = given(by, [record("0/t/0"), record("0/t/1")])
    assert [len(said(each)) for each in found] == [3, 0]
    assert by.said == ""
    assert said(given(by, [record()])[0]) == {}
    assert by.said == "human: nobody is at the terminal; no more is asked"
    given(by, [record()])
    assert at.asked == 4


def test_what_is_shown_moves_no_cursor() -> None:
    at = Terminal()
    steps = (turn("a\x1b[2J"), ToolStep(text="b\x07"), turn("=a"))
    given(Human(at.ask, at.shown.append), [structs.replace(record(), steps=steps)])
    assert "a?[2J" in at.shown[1]
    assert "\x1b" not in "".join(at.shown)
    assert "\x07" not in "".join(at.shown)


def asking(answer: Any, **more: Any) -> Judge:
    """A judge without a server."""

    def ask(messages: Sequence[Message]) -> str:
        return answer({"messages": messages})

    return Judge(ask, votes=1, **more)


def test_a_judge_says_what_was_wrong_and_why() -> None:
    judge = asking(honest)
    by = FromJudge(judge, probe(judge))
    [found] = given(by, [record()])
    steps = [step for step in found.steps if type(step) is ModelStep]
    assert [step.scores for step in steps] == [
        {"next_state:judge": -1.0}, {"next_state:judge": 1.0}, {},
    ]  # fmt: skip
    assert said(found) == {0: ["try another call than this one"]}
    assert next(iter(turns(found))).step.hints[0].quote == "<error no c"
    assert by.said == ""


def test_late_turns_are_asked_about_first() -> None:
    seen = list[Shown]()

    def answer(body: Any) -> str:
        reply, *told = parts(body)
        seen.append(Shown(*told))
        return verdict(reply, 0, "", "")

    judge = asking(answer, parallel=1)
    by = FromJudge(judge, probe(asking(honest)), most=3)
    found = by.read([record("0/t/0"), record("0/t/1")])
    assert [each.heard for each in seen] == ["<b", "<b", "<error no c"]
    assert [each.scores for each in found] == [{3: 0.0, 1: 0.0}, {3: 0.0}]


def test_the_last_turn_of_a_short_one_comes_before_an_earlier_one_of_a_long_one() -> None:
    seen = list[str]()

    def answer(body: Any) -> str:
        reply, *told = parts(body)
        seen.append(Shown(*told).heard)
        return verdict(reply, 0, "", "")

    short = structs.replace(record("0/t/1"), steps=(*record().steps[:2], ToolStep(text="<late")))
    FromJudge(asking(answer, parallel=1), probe(asking(honest)), most=2).read([record(), short])
    assert seen == ["<b", "<late"]


def test_of_an_unfit_judge_every_label_is_none_and_it_is_not_asked() -> None:
    asked = list[Any]()

    def answer(body: Any) -> str:
        asked.append(body)
        return "I think that it was right"

    judge = asking(answer)
    by = FromJudge(judge, probe(judge))
    before = len(asked)
    [found] = given(by, [record()])
    steps = [step for step in found.steps if type(step) is ModelStep]
    assert [step.scores for step in steps] == [{"next_state:judge": None}] * 2 + [{}]
    assert said(found) == {}
    assert len(asked) == before
    assert by.said.startswith("judge: unfit: too few verdicts on wrong steps")


def test_a_judge_that_stops_answering_labels_nothing_and_says_so() -> None:
    def gone(_: Any) -> str:
        raise NoAnswer("timeout", "no answer in 1 s")

    by = FromJudge(asking(gone), probe(asking(honest)))
    [found] = by.read([record()])
    assert (found.hints, found.scores) == ({}, {1: None, 3: None})
    assert by.said == "judge: 2 of 2 turns without a verdict (votes lost: timeout 2)"


def test_short_names_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hints.jsonl"
    path.write_text('{"text": "h"}')
    assert named("env") == {"source": "env", "url": "", "path": ""}
    assert named("human") == {"source": "human", "url": "", "path": ""}
    assert named("http://x/v1") == {"source": "judge", "url": "http://x/v1", "path": ""}
    assert named(str(path)) == {"source": "file", "path": str(path), "url": ""}
    assert named("judge") == {"source": "judge", "path": ""}  # its address is set elsewhere
    assert named("file") == {"source": "file", "url": ""}
    with pytest.raises(UsageError, match="no such file; expected env, human"):
        named("nothing.jsonl")
    for wrong in ({"source": "judge"}, {"source": "env", "url": "http://x"}, {"source": "file"}):
        with pytest.raises(UsageError, match="with source="):
            Hints(**wrong)
    with pytest.raises(UsageError, match="an odd number"):
        Hints(source="env", votes=2)
    with pytest.raises(UsageError, match="expected env, judge, file or human"):
        opened(Hints(), print)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(DataError, match="NO_SUCH_KEY is not set"):
        opened(Hints(source="judge", url="http://x/v1", key="NO_SUCH_KEY"), print)
    assert isinstance(opened(Hints(source="file", path=str(path)), print), File)
    assert isinstance(opened(Hints(source="env"), print), Env)
    assert isinstance(opened(Hints(source="human"), print), Human)
