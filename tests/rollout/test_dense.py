"""Dense rewards against plain passes over whole texts, one by one, and against sums by hand."""

from math import exp, log
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from assay.errors import DataError, UsageError  # noqa: E402
from assay.records import Ledger, ModelStep, Span, ToolStep, Trajectory, UserStep  # noqa: E402
from assay.rollout.dense import Certainty, certainty, facts, rewarded  # noqa: E402
from assay.rollout.reward import Reward  # noqa: E402
from tests.rollout.plain import logp  # noqa: E402

PROMPT = UserStep("", token_ids=(3, 4))
CALL = ModelStep("", token_ids=(5, 6, 7))
HEARD = ToolStep("", token_ids=(8,))
ANSWER = (Span(role="think", start=0, end=1), Span(role="answer", start=1, end=4))
STEPS = (PROMPT, CALL, HEARD, ModelStep("", token_ids=(9, 2, 12, 1), spans=ANSWER))


def rollout(name: str, *steps: Any, reference: str | None = "12 13") -> Trajectory:
    return Trajectory(name, "t", "t", steps=steps or STEPS, reference=reference)


class Words:
    """Tokens are numbers with a blank between them."""

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [int(each) for each in text.split()]}

    def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return " ".join(map(str, ids))


def test_the_reference_is_scored_behind_the_reasoning_and_not_behind_the_answer(
    policy: Any,
) -> None:
    """The answer begins at its span, after the thought: 3 4 | 5 6 7 | 8 | 9 | 2 12 1. One without
    an answer is scored behind all of it, and one that another rollout reads alike costs nothing."""
    twin = rollout("b", *STEPS[:3], ModelStep("", token_ids=(9, 2, 11), spans=ANSWER))
    broken = rollout("c", *STEPS[:3], ModelStep("", token_ids=(10, 10)))
    known = [rollout("a"), twin, broken, rollout("d", reference=None)]
    first, second, third, none = certainty(known, policy, Words(), mark="2")
    assert none is None
    assert first is not None
    assert second is not None
    assert third is not None
    expected = logp(policy, [3, 4, 5, 6, 7, 8, 9, 2], [12, 13])
    assert first.logp_T == pytest.approx(expected, abs=1e-6)
    assert second.logp_T == first.logp_T
    whole = [3, 4, 5, 6, 7, 8, 10, 10, 2]
    assert third.logp_T == pytest.approx(logp(policy, whole, [12, 13]), abs=1e-6)
    assert [each.forwards for each in (first, second, third)] == [1, 0, 1]
    # the mark at its beginning is no part of an answer's length; without an answer there is none
    assert [each.length for each in (first, second, third)] == [2, 2, 0]


def test_another_mark_is_put_before_the_reference_and_counted_with_an_answer(policy: Any) -> None:
    (found,) = certainty([rollout("a")], policy, Words(), mark="14 15")
    assert found is not None
    expected = logp(policy, [3, 4, 5, 6, 7, 8, 9, 14, 15], [12, 13])
    assert found.logp_T == pytest.approx(expected, abs=1e-6)
    assert found.length == 3
    (bare,) = certainty([rollout("a")], policy, Words())
    assert bare is not None
    expected = logp(policy, [3, 4, 5, 6, 7, 8, 9], [12, 13])
    assert bare.logp_T == pytest.approx(expected, abs=1e-6)


def test_masked_the_reference_stands_behind_the_task_alone(policy: Any) -> None:
    other = rollout("b", PROMPT, ModelStep("", token_ids=(11,)))
    first, second = certainty([rollout("a"), other], policy, Words(), mark="2", masked=True)
    assert first is not None
    assert second is not None
    assert first.logp_T == pytest.approx(logp(policy, [3, 4, 2], [12, 13]), abs=1e-6)
    assert (second.logp_T, second.forwards) == (first.logp_T, 0)


@pytest.mark.parametrize(
    ("steps", "leaked"),
    [
        (STEPS, False),
        # the answer itself may hold it
        ((*STEPS[:3], ModelStep("", token_ids=(9, 12, 13, 1), spans=ANSWER)), False),
        ((PROMPT, CALL, ToolStep("", token_ids=(8, 12, 13)), STEPS[3]), True),
        ((UserStep("", token_ids=(3, 12, 13, 4)), *STEPS[1:]), True),
        ((PROMPT, ModelStep("", token_ids=(12,)), ToolStep("", token_ids=(13,))), True),
        ((PROMPT, CALL, ToolStep("", token_ids=(13, 12)), STEPS[3]), False),
    ],
)
def test_a_reference_in_the_reasoning_is_a_leak(policy: Any, steps: Any, leaked: bool) -> None:
    (found,) = certainty([rollout("a", *steps)], policy, Words(), mark="2")
    assert found is not None
    assert found.leaked is leaked


def test_a_leak_is_seen_whatever_its_case_and_white_space() -> None:
    class Said(Words):
        def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
            return "so  THE\nanswer is"

        def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
            return {"input_ids": [12]}

    config = transformers.LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    said, other = certainty(
        [rollout("a", reference="The answer"), rollout("b", reference="Answers")], model, Said()
    )
    assert said is not None
    assert other is not None
    assert (said.leaked, other.leaked) == (True, False)


def test_a_step_without_ids_is_refused(policy: Any) -> None:
    with pytest.raises(DataError, match=r"steps\[1\]: no token ids"):
        certainty([rollout("a", PROMPT, ModelStep(""))], policy, Words())


def said(*p: float, leaked: bool = False, length: int = 0, forwards: int = 1) -> Certainty:
    return Certainty(tuple(map(log, p)), length, leaked, forwards)


THREE = [said(0.8, 0.6, length=2), said(0.2, 0.6, forwards=0, length=4), said(0.5, 0.6)]
KNOWN = [rollout(name) for name in "abc"]


@pytest.mark.parametrize(
    ("kind", "expected", "dispersion"),
    [
        # token 1 does not differ: z = 1 and -1, weights 1 / (1 + e^-3) = .952574 and .047426;
        # .952574 x .8 + .047426 x .6; sigma of .8 .2 .5 is .244949
        ("r3", [0.790515, 0.218970, 0.504743], 0.244949),
        # only token 0 differs: log .8, log .2, log .5; sigma of these .575645
        ("r3_v1", [-0.223144, -1.609438, -0.693147], 0.575645),
        ("mean_p", [0.7, 0.4, 0.55], 0.244949),
        # (log .8 + log .6) / 2
        ("mean_logp", [-0.366985, -1.060132, -0.601986], 0.244949),
    ],
)
def test_rewards_by_hand(kind: Any, expected: list[float], dispersion: float) -> None:
    made = rewarded(KNOWN, THREE, Reward(kind=kind))
    assert [each.rewards[kind] for each in made] == pytest.approx(expected, abs=1e-6)
    assert [each.rewards["dispersion"] for each in made] == pytest.approx([dispersion] * 3)
    assert [each.rewards["leaked"] for each in made] == [0.0] * 3
    assert [each.ledger for each in made] == [Ledger(scoring_forwards=n) for n in (1, 0, 1)]
    assert [each.outcome for each in made] == [None] * 3, "it is no outcome"
    assert "length" not in made[0].rewards


def test_sharpness_bounds_and_length_are_the_settings() -> None:
    """At omega 0 both tokens weigh alike; .8 is clipped to .7. Lengths 2, 4 and none against 2:
    1, 1 - .5 x 2 / 2, 1 - .5 x 2 / 2."""
    made = rewarded(KNOWN, THREE, Reward(kind="r3", omega=0.0, high=0.7, length=0.5))
    assert [each.rewards["r3"] for each in made] == pytest.approx([0.65, 0.4, 0.55])
    assert [each.rewards["length"] for each in made] == pytest.approx([1.0, 0.5, 0.5])
    low = rewarded(KNOWN, THREE, Reward(kind="r3", omega=0.0, low=0.3))
    assert low[1].rewards["r3"] == pytest.approx(0.45)


def test_what_leaked_is_unscored_and_moves_nothing() -> None:
    """Of .8, .2 and a leak of .99 the first two are compared: sigma .3 and 0, weights .952574 and
    .047426 again."""
    found = [*THREE[:2], said(0.99, 0.99, leaked=True)]
    first, second, third = rewarded(KNOWN, found, Reward(kind="r3"))
    assert first.rewards["r3"] == pytest.approx(0.790515, abs=1e-6)
    assert second.rewards["r3"] == pytest.approx(0.218970, abs=1e-6)
    assert (third.rewards["r3"], third.rewards["leaked"]) == (None, 1.0)
    assert first.rewards["dispersion"] == pytest.approx(0.3)
    kept = rewarded(KNOWN, found, Reward(kind="mean_p", leaks="kept"))
    assert kept[2].rewards["mean_p"] == pytest.approx(0.99)
    assert kept[2].rewards["leaked"] == 1.0
    seen = facts([first, second, third], "r3")
    assert seen["reward/leaked"] == pytest.approx(1 / 3)
    assert seen["reward/missing"] == pytest.approx(1 / 3)
    assert seen["reward/r3"] == pytest.approx((0.790515 + 0.218970) / 2, abs=1e-6)
    assert seen["reward/dispersion"] == pytest.approx(0.3)


def test_groups_and_references_are_compared_apart() -> None:
    other = Trajectory("x", "t", "u", steps=STEPS, reference="12 13")
    longer = rollout("y", reference="12 13 14")
    none = rollout("z", reference=None)
    records = [KNOWN[0], other, KNOWN[1], longer, none]
    found = [THREE[0], said(0.1, 0.1), THREE[1], said(0.1, 0.1, 0.1), None]
    made = rewarded(records, found, Reward(kind="r3"))
    assert [each.rewards["r3"] for each in made] == pytest.approx(
        [0.790515, None, 0.218970, None, None], abs=1e-6
    )
    assert made[4].ledger == none.ledger
    assert "leaked" not in made[4].rewards
    plain = rewarded(records, found, Reward(kind="mean_p"))
    assert plain[1].rewards["mean_p"] == pytest.approx(0.1), "a mean needs nobody beside it"


def test_what_a_record_has_stays_and_none_is_not_zero() -> None:
    held = Trajectory(
        "a", "t", "t", steps=STEPS, reference="12 13", rewards={"short": 1.0}, outcome=0.5
    )
    made = rewarded([held, KNOWN[1]], [said(0.99, 0.01), said(0.99, 0.01)], Reward(kind="r3"))
    assert made[0].rewards["short"] == 1.0
    assert made[0].rewards["r3"] is None, "no token says anything of them"
    assert made[0].outcome == 0.5
    empty = facts([], "r3")
    assert empty["reward/missing"] == 1.0 - 0.0
    assert empty["reward/r3"] != empty["reward/r3"]


def test_order_does_not_matter() -> None:
    made = rewarded(KNOWN, THREE, Reward(kind="r3"))
    turned = rewarded(KNOWN[::-1], THREE[::-1], Reward(kind="r3"))
    assert [each.rewards for each in turned[::-1]] == [each.rewards for each in made]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"low": 0.9, "high": 0.8}, "low below high"),
        ({"kind": "r4"}, "reward"),
        ({"rate": 0.0}, "rate"),
        ({"omega": -1.0}, "omega"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Reward(**given)


def test_by_hand_weights() -> None:
    assert 1 / (1 + exp(-3)) == pytest.approx(0.952574, abs=1e-6)
