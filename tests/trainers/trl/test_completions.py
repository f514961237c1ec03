"""Bare completions as records."""

import dataclasses
import math
from typing import Any

import numpy as np

from assay.batch import Batch
from assay.batch.build import Builder
from assay.batch.completions import Completions
from assay.records import ModelStep, ToolStep, Trajectory, UserStep
from assay.signal.given import filled, lacking
from assay.trainers.trl.completions import calls_of, text_of


def test_a_completion_is_one_model_step() -> None:
    # the same as the batch of its record, but for what it claims, which nothing that trains reads
    logprobs = [-1.0, 0.0, math.nan, -3.0]
    record = Trajectory(
        id="0/1",
        task="0",
        group="0",
        steps=(
            ModelStep(
                text="I have done it.",
                token_ids=(4, 5, 6, 7),
                sampled=((0, 1), (2, 4)),
                logprobs=(-1.0, None, -3.0),
            ),
        ),
        outcome=0.5,
        rewards={"a": 0.5, "b": None},
        claim="none",
        end="budget",
    )
    builder = Builder(measure="tokens")
    for _ in range(2):
        builder.complete(
            Completions(
                ids=["0/1"],
                groups=["0"],
                texts=["I have done it."],
                outcome_K=np.array([0.5]),
                rewards=[{"a": 0.5, "b": None}],
                answered_K=np.array([False]),
                length_K=np.array([4]),
                sampled_N=np.array([1, 0, 1, 1], bool),
                logprob_N=np.array(logprobs),
            )
        )
    got, expected = Batch(**builder.arrays()), Batch.of([record, record], measure="tokens")
    for each in dataclasses.fields(Batch):
        np.testing.assert_equal(getattr(got, each.name), getattr(expected, each.name), each.name)
    assert got.length_R.tolist() == [1, 1, 2] * 2
    assert got.logprob_N is not None
    np.testing.assert_equal(got.logprob_N[:4], [-1.0, math.nan, math.nan, -3.0])


def test_completions_that_are_empty_whole_passed_or_unscored() -> None:
    def record(k: int, ids: tuple[int, ...], **given: Any) -> Trajectory:
        steps = (ModelStep(text=f"x{k % 2}", token_ids=ids),)
        return Trajectory(id=str(k), task="g", group="g", steps=steps, claim="none", **given)

    records = [
        record(0, (), outcome=1.0, end="answered"),
        record(1, (4, 5), outcome=0.0, end="budget"),
        record(2, (4, 5, 6), end="answered"),
    ]
    builder = Builder(pass_at=0.5)
    builder.complete(
        Completions(
            ids=["0", "1", "2"],
            groups=["g"] * 3,
            texts=["x0", "x1", "x0"],
            outcome_K=np.array([1.0, 0.0, np.nan]),
            rewards=[{}] * 3,
            answered_K=np.array([True, False, True]),
            length_K=np.array([0, 2, 3]),
        )
    )
    got, expected = Batch(**builder.arrays()), Batch.of(records, pass_at=0.5)
    for each in dataclasses.fields(Batch):
        np.testing.assert_equal(getattr(got, each.name), getattr(expected, each.name), each.name)
    assert got.content_K.tolist() == [0, 1, 0]


def test_messages_are_text_and_count_their_calls() -> None:
    messages = [
        {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}, {"name": "g"}]},
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": "3"},
    ]
    assert calls_of(messages) == 2
    assert text_of(messages) == 'assistant:  [{"name":"f"},{"name":"g"}]\ntool: 3\nassistant: 3'
    assert (calls_of("plain"), text_of("plain")) == (0, "plain")


def test_a_record_gets_the_likelihoods_that_it_lacks() -> None:
    record = Trajectory(
        id="a",
        task="t",
        group="t",
        steps=(
            UserStep(text="?", token_ids=(9, 9)),
            ModelStep(text="call", token_ids=(1, 2, 3), sampled=((0, 1), (2, 3))),
            ToolStep(text="result", token_ids=(4,)),
            ModelStep(text="answer", token_ids=(5,), entropies=(0.7,)),
        ),
    )
    assert lacking(record, "entropies")
    completion = {"entropies": [0.1, 0.2, 0.3, 0.4, 0.5]}  # of tokens 1 to 5
    for skip, values in ((2, completion), (0, {"entropies": [8.0, 9.0, *completion["entropies"]]})):
        made = filled(record, skip, values)
        assert [getattr(step, "entropies", None) for step in made.steps] == [
            None,
            (0.1, 0.3),
            None,
            (0.7,),
        ]
        assert not lacking(made, "entropies")
        assert lacking(made, "logprobs")
