"""A rubric as a scaffold: who reads how much, in which words, and what is left of it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from assay.errors import DataError, UsageError
from assay.judges.rubric import Item, items_of
from assay.records import ModelStep, Rescue, ToolStep, Trajectory, UserStep
from assay.rollout.protocols.chat import Chat
from assay.rollout.protocols.line import Line
from assay.rollout.scaffold import Scaffold, aided, bare, neutral, note, offered, scaffolded
from assay.runs.config import parsed
from assay.world import Environment, Reply

ITEMS = items_of(
    [
        {"id": "a", "text": "cites sources"},
        {"id": "b", "text": "praises itself", "weight": -1},
        {"id": "c", "text": "names the capital", "essential": True, "task": "peru"},
        {"id": "d", "checked_by": "code", "words": 3},
    ]
)
MANY = [Item(f"i{n}", f"t{n}") for n in range(7)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def count(text: str) -> int:
    return len(text.split())


def test_the_first_reads_all_and_the_last_nothing() -> None:
    # G = 8, 350 steps: (7 - i) / 7 of 7 items is 7, 6, 5, ... 0, as the step leaves 1 at first
    made = [Scaffold(kind="rubric").drawn(MANY, (i, 8), (1, 350), rng(i)) for i in range(8)]
    assert [len(each) for each in made] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert made[0] == MANY
    assert all(each == sorted(each, key=lambda item: item.id) for each in made)
    # at step 71 .482099 is left: 7 * .482099 = 3.37; of 100 steps nothing is left at the 100th
    assert len(Scaffold(kind="rubric").drawn(MANY, (0, 8), (71, 350), rng())) == 3
    assert Scaffold(kind="rubric").drawn(MANY, (0, 8), (100, 100), rng()) == []
    # a slow end: 1 / (1 + exp(10 (.3 - .2))) = .268941, of 7 items 1.88; by 125 it is over
    slow = Scaffold(kind="rubric", steep=10.0)
    assert len(slow.drawn(MANY, (0, 8), (31, 101), rng())) == 2
    assert Scaffold(kind="rubric").drawn(MANY, (0, 8), (31, 101), rng()) == []
    late = Scaffold(kind="rubric", start=0.8)
    assert len(late.drawn(MANY, (0, 8), (31, 101), rng())) == 7


def test_a_chance_draws_which() -> None:
    def some(seed: int) -> list[str]:
        drawn = Scaffold(kind="rubric").drawn(MANY, (4, 8), (1, 350), rng(seed))
        return [item.id for item in drawn]

    assert some(1) == some(1)
    met = {name for seed in range(40) for name in some(seed)}
    assert met == {item.id for item in MANY}


@settings(deadline=None)
@given(st.integers(0, 9), st.integers(1, 10), st.integers(1, 50), st.integers(0, 5))
def test_who_comes_later_reads_no_more(place: int, group: int, step: int, seed: int) -> None:
    scaffold = Scaffold(kind="rubric", steep=9.0)
    place = min(place, group - 1)
    sizes = [
        len(scaffold.drawn(MANY, each, when, rng(seed)))
        for each, when in (
            ((place, group), (step, 50)),
            ((min(place + 1, group - 1), group), (step, 50)),
            ((place, group), (min(step + 1, 50), 50)),
        )
    ]
    assert sizes[0] >= max(sizes)
    assert group == 1 or scaffold.drawn(MANY, (group - 1, group), (step, 50), rng(seed)) == []


def test_what_is_asked_of_a_task_and_has_words_is_offered() -> None:
    assert [item.id for item in offered(ITEMS, "peru")] == ["a", "b", "c"]
    assert [item.id for item in offered(ITEMS, "chile")] == ["a", "b"]


def test_in_the_words_of_its_language() -> None:
    items = offered(ITEMS, "peru")
    assert note(items, Line()) == "!cites sources names the capital\n!avoid praises itself"
    assert note(items[1:2], Line()) == "!avoid praises itself"
    assert note(items, Chat()) == (
        "Your answer will be looked at for this:\n- cites sources\n- names the capital\n"
        "It must not do this:\n- praises itself\nDo not mention these points."
    )
    assert note(items[:1], Chat()).count("\n") == 2
    assert note([], Line()) == note([], Chat()) == ""


@pytest.mark.parametrize("protocol", [Line(), Chat()])
@pytest.mark.parametrize("size", [1, 4, 11])
def test_a_control_is_as_long_and_says_nothing(protocol: Any, size: int) -> None:
    text = " ".join(f"w{n}" for n in range(size))
    made = neutral(text, count, protocol, "this says nothing ")
    assert count(made) == size
    assert made.startswith("!") is (protocol.name == "line")
    assert {*made.removeprefix("!").split()} <= {"this", "says", "nothing"}
    assert neutral("", count, protocol, "this") == ""
    # where a token is not a word: of 3 letters "ab" is as far from 3 as "ab ab" (5) is not
    assert neutral("abc", len, Chat(), "ab") == "ab"


class Capital(Environment):
    """Asks for a capital."""

    name = "capital"

    def reset(self, seed: int) -> str:
        if seed == 13:
            raise RuntimeError("no such task")
        return f"?capital {seed}"

    def step(self, text: str) -> Reply:
        return Reply(done=True, score=1.0)

    def answer(self) -> str | None:
        return None


class Letters:
    """A tokenizer whose tokens are letters."""

    eos_token_id = 0
    chat_template = None

    def __call__(self, text: str, **_: Any) -> Any:
        return SimpleNamespace(input_ids=[ord(each) for each in text])


def record(text: str = "?capital 3\n!cites sources\n") -> Trajectory:
    turns = (ModelStep("=x\n", token_ids=(1, 2), logprobs=(-0.5, -0.25)), ToolStep("y"))
    return Trajectory("3/0", "t", "t", steps=(UserStep(text), *turns), outcome=0.5)


def test_what_was_read_is_taken_away_and_noted() -> None:
    made = bare(record(), "!cites sources", Capital(), 3, Line(Letters()))
    assert made.rescue == Rescue(rung="scaffold", given="!cites sources")
    assert made.steps[0] == UserStep("?capital 3\n", token_ids=tuple(map(ord, "?capital 3\n")))
    assert made.steps[1:] == record().steps[1:]
    assert (made.id, made.outcome) == ("3/0", 0.5)
    assert scaffolded(made)
    assert not scaffolded(record())
    assert not scaffolded(structs.replace(record(), rescue=Rescue(rung="oracle")))
    with pytest.raises(DataError, match=r"task of seed 13: reset raised RuntimeError"):
        bare(record(), "!a", Capital(), 13, Line(Letters()))


def test_what_a_log_line_says() -> None:
    helped = bare(record(), "!cites sources", Capital(), 3, Line(Letters()))
    # two of four read 1 and .5 of the items; (.5 + .5) / 2 is what came of it
    found = aided([helped, helped, record(), record()], [1.0, 0.5, 0.0, 0.0])
    assert found == {"rubric/shown": 0.375, "rubric/aided": 0.5, "rubric/aided_reward": 0.5}
    assert aided([record()], [0.0])["rubric/aided_reward"] is None


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"scaffold": {"kind": "rubric"}}, "no item of recipe.rubric has a text"),
        ({"scaffold": {"gap": 2}}, "no item of recipe.rubric has a text"),
        ({"rollout": {"kind": "tree"}}, "expected rollout.kind=chain"),
        ({"rollout": {"oversample": 2}}, "rollout.oversample=1 and rescue.kind=none"),
        ({"rescue": {"kind": "ladder"}}, "rescue.kind=none"),
        ({"scaffold": {"kind": "none"}}, "recipe.importance: none is RuscaRL's"),
        ({"scaffold": {"kind": "rubic"}}, "scaffold.kind"),
        ({"scaffold": {"start": 0}}, "scaffold.start: got 0; expected above 0 and at most 1"),
        ({"scaffold": {"steep": 0}}, "scaffold.steep: got 0; expected above 0"),
    ],
)
def test_what_cannot_be_is_refused(tables: dict[str, Any], says: str) -> None:
    items = [{"id": "a", "text": "" if "no item" in says else "is kind", "checked_by": "world"}]
    base: dict[str, Any] = {
        "scaffold": {"kind": "rubric"},
        "recipe": {"method": "grpo", "importance": "none", "rubric": {"items": items}},
    }
    with pytest.raises(UsageError) as caught:
        parsed({**base, **tables})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    sound = [{"id": "a", "text": "is kind"}]
    parsed({**base, "recipe": {**base["recipe"], "rubric": {"items": sound}}})
