"""Bare completions as records."""

from assay.records import ModelStep, ToolStep, Trajectory, UserStep
from assay.trainers.trl.completions import (
    calls_of,
    completion_record,
    filled,
    lacking,
    stretches,
    text_of,
)


def test_stretches() -> None:
    assert stretches([1, 1, 0, 1]) == ((0, 2), (3, 4))
    assert stretches([0, 0]) == ()
    assert stretches([]) == ()


def test_a_completion_is_one_model_step() -> None:
    record = completion_record(
        [4, 5, 6],
        identity="0/1",
        group="0",
        text="x",
        outcome=0.5,
        rewards={"a": 0.5, "b": None},
        sampled=[1, 0, 1],
        answered=False,
        logprobs=[-1.0, 0.0, float("nan")],
    )
    (step,) = record.steps
    assert isinstance(step, ModelStep)
    assert (step.token_ids, step.sampled) == ((4, 5, 6), ((0, 1), (2, 3)))
    assert step.logprobs == (-1.0, None)  # of the sampled tokens; NaN is unknown
    assert (record.outcome, record.rewards, record.end) == (0.5, {"a": 0.5, "b": None}, "budget")


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
