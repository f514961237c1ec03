"""How far a task has come, by the worlds' own word, and what records keep of it."""

from itertools import pairwise

import pytest

from assay.records import ModelStep
from assay.rollout.recording import Recorder, follow
from assay.world import Environment, Reply, load


@pytest.mark.parametrize("name", ["lookup", "countdown", "twenty", "report", "lake"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_expert_comes_nearer_with_every_step(name, seed):
    try:
        environment = load(name)
    except Exception as error:  # gymnasium is an extra
        pytest.skip(str(error))
    environment.reset(seed)
    values = [environment.progress()]
    assert values == [0.0]
    while (turn := environment.best()) is not None:
        if follow(environment, turn).done:
            break
        values.append(environment.progress())
    assert all(0 <= value < 1 for value in values)
    assert all(after > before for before, after in pairwise(values))


def test_lookup_counts_links_and_the_answer():
    environment = load("lookup", hops=2)
    recorder = Recorder(environment, 0)
    recorder.act(">nothing(here)\n")
    for _ in range(2):
        recorder.act(f"{environment.best()}\n")
    recorder.act("=wrong\n")
    steps = [step for step in recorder.trajectory().steps if type(step) is ModelStep]
    assert [step.scores for step in steps] == [
        {"state": 0.0}, {"state": pytest.approx(1 / 3)}, {"state": pytest.approx(2 / 3)},
        {"state": 0.0},
    ]  # fmt: skip


def test_what_was_cut_off_comes_to_nothing_and_a_world_that_does_not_say_has_no_score():
    recorder = Recorder(load("lookup", hops=2), 0)
    recorder.act(">home(Lima)\n")
    recorder.cut_off("#think")
    *_, last = recorder.trajectory().steps
    assert last.scores == {"state": 0.0}

    class Plain(Environment):
        def reset(self, seed: int) -> str:
            return "?"

        def step(self, text: str) -> Reply:
            return Reply(done=True, score=1.0)

    recorder = Recorder(Plain(), 0)
    recorder.act("=1\n")
    assert recorder.trajectory().steps[-1].scores == {}


def test_countdown_that_can_no_longer_be_won_is_back_at_0():
    environment = load("countdown", numbers=3)
    for seed in range(20):
        environment.reset(seed)
        for move in environment.moves():
            made = environment.fork()
            reply = made.step(f">calc({move})\n")
            assert made.progress() == pytest.approx(1 / 3 if reply.on_path else 0.0)
