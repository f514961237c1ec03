import math
from itertools import count

import pytest

from assay.batch import Batch
from assay.errors import DataError
from assay.records import ModelStep, ToolStep, UserStep, decode, encode
from assay.rollout import Planned, Sampling, collect, tasks
from assay.world import Environment
from tests.rollout.fakes import END, Guess, Pays, Raises, Scripted, Silent

SAMPLING = Sampling()


def played(env: Environment, text: str, sampling: Sampling = SAMPLING):
    backend = Scripted([text])
    attempt = Planned(environment=env, seed=4)
    return next(collect(backend, [attempt], sampling=sampling, seed=(0,), clock=None))


def test_ids_and_log_probs_are_the_sampled_ones_and_observations_are_not_sampled() -> None:
    # seed 4: the number is 5. Call (7 characters and newline), observation, answer, end token.
    record = played(Guess(), ">ask(3)\n=5$")
    prompt, call, world, answer = record.steps
    assert isinstance(prompt, UserStep)
    assert isinstance(call, ModelStep)
    assert isinstance(world, ToolStep)
    assert isinstance(answer, ModelStep)
    assert prompt.token_ids == tuple(map(ord, "?a number from 1 to 9\n"))
    assert call.token_ids == tuple(map(ord, ">ask(3)\n"))
    assert call.logprobs == tuple(-i / 8 for i in range(1, 9))
    assert world.token_ids == tuple(map(ord, "<higher\n"))
    assert answer.token_ids == (ord("="), ord("5"), END)
    assert answer.logprobs == (-9 / 8, -10 / 8, -11 / 8)
    assert (record.outcome, record.end) == (1.0, "answered")
    batch = Batch.of([record])
    sampled = [int(n) for n, step in zip(batch.length_R, batch.step_R, strict=True) if step >= 0]
    assert sum(sampled) == 11


def test_the_ledger_counts_what_was_spent() -> None:
    ledger = played(Guess(), ">ask(3)\n>ask(9)\n=5$").ledger
    assert (ledger.prompts, ledger.tokens, ledger.calls, ledger.env_steps) == (1, 19, 2, 3)
    assert ledger.wall_seconds is None


def test_wall_seconds_are_shared_by_a_batch() -> None:
    attempts = tasks(Guess, [4], 2)
    clock = map(float, count()).__next__
    backend = Scripted(["=5$", "=1$"])
    records = collect(backend, attempts, sampling=SAMPLING, seed=(0,), clock=clock)
    assert [record.ledger.wall_seconds for record in records] == [0.5, 0.5]


def test_a_world_that_says_nothing_does_not_repeat_the_turn() -> None:
    record = played(Silent(), ">ask(3)\n>ask(4)\n=5$")
    said = [step.text for step in record.steps if isinstance(step, ModelStep)]
    assert said == [">ask(3)\n", ">ask(4)\n", "=5"]
    assert record.ledger.tokens == 19


def test_out_of_tokens_is_a_failure_by_budget_and_keeps_what_was_written() -> None:
    record = played(Guess(), ">ask(3)\n=5$", Sampling(max_tokens=9))
    last = record.steps[-1]
    assert isinstance(last, ModelStep)
    assert (last.text, last.token_ids, last.logprobs) == ("=", (ord("="),), (-9 / 8,))
    assert (record.outcome, record.end, record.ledger.tokens) == (0.0, "budget", 9)


def test_a_turn_that_does_not_end_is_played_as_far_as_it_got() -> None:
    record = played(Guess(), "=5555555", Sampling(turn_tokens=2))
    last = record.steps[-1]
    assert isinstance(last, ModelStep)
    assert last.text == "=5"
    assert record.outcome == 1.0


def test_records_survive_the_disk() -> None:
    record = played(Guess(), "#first\n>ask(3)\n=5 ~7\n")
    assert decode(encode(record)) == record


def test_batches_are_seeded_apart_and_order_is_kept() -> None:
    backend = Scripted(["=5$", "=1$"])
    attempts = tasks(Guess, [4, 5], 2, prefix="step 3/")
    records = list(collect(backend, attempts, sampling=SAMPLING, seed=(7,), batch=2))
    assert backend.seeds == [(7, 0), (7, 2)]
    assert [record.id for record in records] == [
        "step 3/guess[]/4/0", "step 3/guess[]/4/1", "step 3/guess[]/5/0", "step 3/guess[]/5/1",
    ]  # fmt: skip
    assert [record.group for record in records][::2] == ["step 3/guess[]/4", "step 3/guess[]/5"]
    assert [record.outcome for record in records] == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("where", "said"), [("reset", "RuntimeError: no database"), ("step", "KeyError: 'secret'")]
)
def test_an_environment_that_raises_is_named(where: str, said: str) -> None:
    with pytest.raises(DataError, match=f"Raises, task of seed 4: {where} raised {said}"):
        played(Raises(where), "=5$")


@pytest.mark.parametrize(
    ("score", "parts", "name"),
    [(math.nan, {}, "score"), (math.inf, {}, "score"), (1.0, {"tone": math.nan}, "tone")],
)
def test_a_reward_that_is_no_number_is_refused(score, parts, name: str) -> None:
    with pytest.raises(DataError, match=f"{name} is (nan|inf); expected a finite number"):
        played(Pays(score, parts), "=5$")
