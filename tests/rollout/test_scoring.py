"""Beliefs and hindsight against plain passes over the whole texts, one by one."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from assay.errors import DataError  # noqa: E402
from assay.records import Ledger, ModelStep, ToolStep, Trajectory, UserStep  # noqa: E402
from assay.rollout.scoring import believing, elicited, hindsight  # noqa: E402
from tests.rollout.plain import logp  # noqa: E402

STEPS = (
    UserStep("", token_ids=(3, 4)),
    ModelStep("", token_ids=(5, 6, 7), sampled=((0, 2),)),
    ToolStep("", token_ids=(8,)),
    ModelStep("", token_ids=(9, 1)),
)
LEAF = Trajectory("a", "t", "t", steps=STEPS, reference="12 13", outcome=1.0)
OTHER = Trajectory(
    "b", "t", "t", steps=(*STEPS[:3], ModelStep("", token_ids=(10,))), reference="12 13"
)


def words(text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
    assert not add_special_tokens
    return {"input_ids": [int(each) for each in text.split()]}


def test_belief_is_the_answers_summed_log_probability_after_each_history(policy: Any) -> None:
    first, second = elicited([LEAF, OTHER], policy, words, elicit="14 15")
    assert first is not None
    assert second is not None
    histories = [[3, 4], [3, 4, 5, 6, 7, 8], [3, 4, 5, 6, 7, 8, 9, 1], [3, 4, 5, 6, 7, 8, 10]]
    plain = [sum(logp(policy, [*ids, 14, 15], [12, 13])) for ids in histories]
    assert (first.prior, *first.after) == pytest.approx(plain[:3], abs=1e-6)
    assert (second.prior, *second.after) == pytest.approx([*plain[:2], plain[3]], abs=1e-6)
    assert (first.forwards, second.forwards) == (3, 1)  # what leaves share is scored once
    made = believing(LEAF, first)
    after = [step.belief for step in made.steps if type(step) is ModelStep]
    assert (after, made.ledger) == ([*first.after], Ledger(scoring_forwards=3))
    assert made.prior == first.prior
    assert believing(LEAF, None) is LEAF


def test_no_answer_is_no_belief_and_an_empty_elicitation_none_at_all(policy: Any) -> None:
    unknown = Trajectory("c", "t", "t", steps=STEPS)
    found = elicited([unknown, LEAF], policy, words, elicit="")
    assert found[0] is None
    assert found[1] is not None
    assert found[1].prior == pytest.approx(sum(logp(policy, [3, 4], [12, 13])), abs=1e-6)


def test_hindsight_is_the_mean_of_sampled_tokens_under_the_told_prompt(policy: Any) -> None:
    kept = Trajectory(
        "a", "t", "t", steps=STEPS, outcome=1.0, ledger=Ledger(tokens=5, scoring_forwards=2)
    )
    made, unscored = hindsight([kept, OTHER], policy, lambda record: [3, 4, 11, 11, 11])
    plain = logp(policy, [3, 4, 11, 11, 11], [5, 6, 7, 8, 9, 1])
    means = [step.scores["hindsight"] for step in made.steps if type(step) is ModelStep]
    assert means == pytest.approx([(plain[0] + plain[1]) / 2, (plain[4] + plain[5]) / 2], abs=1e-6)
    assert made.ledger == Ledger(tokens=5, scoring_forwards=3)
    assert [s.scores for s in unscored.steps if type(s) is ModelStep] == [{"hindsight": None}] * 2
    assert unscored.ledger == OTHER.ledger


def test_a_record_without_ids_or_prompt_is_refused(policy: Any) -> None:
    bare = Trajectory("d", "t", "t", steps=(UserStep(""), ModelStep("")), reference="12")
    with pytest.raises(DataError, match=r"'d' steps\[0\]: no token ids"):
        elicited([bare], policy, words, elicit="14")
    alone = Trajectory("e", "t", "t", steps=STEPS[1:2], reference="12")
    with pytest.raises(DataError, match="expected a prompt"):
        elicited([alone], policy, words, elicit="14")
