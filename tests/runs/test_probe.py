"""Known-good trajectories, by the tokens that a policy would have sampled."""

import pytest

pytest.importorskip("torch")

from assay.rollout.protocols.line import Line
from assay.runs.probe import known_good
from assay.world import Environment, Reply, load


class Letters:
    """A tokenizer whose ids are code points."""

    eos_token_id, chat_template = 0, None

    def __call__(self, text: str, **_: object) -> "Letters":
        self.input_ids = [ord(letter) for letter in text]
        return self


def read(ids: tuple[int, ...]) -> str:
    return "".join(map(chr, ids))


def test_the_experts_turns_are_sampled_and_the_worlds_answers_are_not() -> None:
    (found,) = known_good(lambda: load("lookup", hops=1), Line(Letters()), [3], longest=400)
    world = load("lookup", hops=1)
    prompt = world.reset(3)
    assert read(found.prompt_ids).startswith(prompt)
    written, told = "", []
    for one, letter in zip(found.sampled, read(found.completion_ids), strict=True):
        written += letter if one else ""
        told += [] if one else [letter]
    turns = written.splitlines()
    assert len(turns) == 2  # a call and the answer
    assert turns[1] == f"={world.answer()}"
    assert f"<{world.answer()}" in "".join(told)


def test_a_solution_longer_than_a_row_is_left_out() -> None:
    (found,) = known_good(lambda: load("lookup", hops=1), Line(Letters()), [3], longest=400)
    size = len(found.prompt_ids) + len(found.completion_ids)
    for longest, many in ((size, 1), (size - 1, 0)):
        got = known_good(lambda: load("lookup", hops=1), Line(Letters()), [3], longest=longest)
        assert len(got) == many


class Without(Environment):
    """No expert."""

    name = "without"

    def reset(self, seed: int) -> str:
        return f"?{seed}"

    def step(self, text: str) -> Reply:
        return Reply(done=True, score=0.0)


def test_where_there_is_no_expert_nothing_is_followed() -> None:
    assert known_good(Without, Line(Letters()), range(3), longest=400) == []
