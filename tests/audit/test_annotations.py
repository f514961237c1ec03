"""Advantages per model step. Means worked out by hand; exactness and additivity as laws."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.audit.annotations import annotations, nullable, step_credit
from assay.batch import Batch
from assay.credit import credit, method
from assay.gate import gate
from assay.kernels.advantages import Advantages, advantages
from assay.kernels.term import Term
from assay.records import Call, ModelStep, ToolStep, Trajectory

NAN = float("nan")


def ids(n: int) -> tuple[int, ...]:
    return tuple(range(n))


def two_terms(batch: Batch, outcome: list[float], tools: list[float]) -> Advantages:
    """What ToolPO does: one value on all sampled tokens, another on call tokens, both as given."""
    none = {"baseline": "none", "scale": "none"}
    return advantages(
        [
            Term(name="outcome", value_U=np.array(outcome), unit_R=batch.all_sampled_R, **none),
            Term(name="tools", value_U=np.array(tools), unit_R=batch.call_tokens_R, **none),
        ],
        batch.length_R,
    )


def called(n: int, start: int, end: int, **fields) -> ModelStep:
    call = Call(name="f", arguments="{}", start=start, end=end)
    return ModelStep(text="x", token_ids=ids(n), calls=(call,), **fields)


def hand() -> Batch:
    """Two trajectories of two model steps; a tool answers in between."""
    return Batch.of(
        [
            Trajectory(
                id="a",
                task="t",
                group="g",
                outcome=1.0,
                steps=(
                    called(10, 4, 8),  # 6 text, 4 call
                    ToolStep(text="r", token_ids=ids(5)),
                    ModelStep(text="x", token_ids=ids(4), sampled=((1, 4),)),  # 3 sampled
                ),
            ),
            Trajectory(
                id="b",
                task="t",
                group="g",
                outcome=0.0,
                steps=(
                    called(3, 0, 3, untrainable="drifted"),
                    ModelStep(text="", token_ids=()),
                    called(5, 0, 5),
                ),
            ),
        ]
    )


def test_two_terms_by_hand():
    """outcome +0.5 / -0.5 on all sampled tokens, tools +0.25 / -2 on call tokens.

    a, step 0: 6 tokens at 0.5 and 4 at 0.75: (3 + 3) / 10 = 0.6, of it 0.5 + 4 * 0.25 / 10 = 0.1.
    a, step 1: 3 sampled tokens at 0.5. b, step 0 is drifted and step 1 empty: nothing is carried.
    b, step 2: 5 tokens at -0.5 - 2 = -2.5.
    """
    batch = hand()
    credited = step_credit(batch, two_terms(batch, [0.5, -0.5], [0.25, -2.0]))
    np.testing.assert_allclose(credited.advantage_S, [0.6, 0.5, NAN, NAN, -2.5], rtol=1e-15)
    np.testing.assert_allclose(credited.magnitude_S, [0.6, 0.5, NAN, NAN, 2.5], rtol=1e-15)
    assert credited.carried_S.tolist() == [10, 3, 0, 0, 5]
    assert list(credited.terms) == ["outcome", "tools"]
    np.testing.assert_allclose(credited.terms["outcome"], [0.5, 0.5, NAN, NAN, -0.5], rtol=1e-15)
    np.testing.assert_allclose(credited.terms["tools"], [0.1, 0.0, NAN, NAN, -2.0], rtol=1e-15)


def test_parts_that_cancel_keep_their_magnitude():
    # 6 tokens at 0.2 and 4 at -0.3: the mean is 0 and the mean absolute value 2.4 / 10.
    batch = hand()
    credited = step_credit(batch, two_terms(batch, [0.2, 0.0], [-0.5, 0.0]))
    assert credited.advantage_S[0] == pytest.approx(0.0, abs=1e-15)
    assert credited.magnitude_S[0] == pytest.approx(0.24)


def test_unscored_is_null_and_not_carried_is_null():
    batch = hand()
    credited = step_credit(batch, two_terms(batch, [0.5, NAN], [NAN, NAN]))
    np.testing.assert_array_equal(credited.advantage_S, [0.5, 0.5, NAN, NAN, NAN])
    # the tool term is unscored on step 0, so its share is unknown there; step 1 carries none of it
    np.testing.assert_array_equal(credited.terms["tools"], [NAN, 0.0, NAN, NAN, NAN])
    assert credited.carried_S.tolist() == [10, 3, 0, 0, 5]  # carried, though nobody scored it


def test_per_token_weights():
    """A term with a weight per token: the mean is over tokens, not over runs."""
    batch = Batch.of(
        [Trajectory(id="a", task="t", group="g", steps=(ModelStep(token_ids=ids(4)),))]
    )
    term = Term(
        name="weighted",
        value_U=np.array([2.0]),
        unit_R=batch.all_sampled_R,
        weight_N=np.array([1.0, 0.5, 0.0, -1.0]),
        baseline="none",
        scale="none",
    )
    credited = step_credit(batch, advantages([term], batch.length_R))
    # 2, 1, 0, -2: mean 1/4, mean absolute value 5/4
    assert credited.advantage_S.tolist() == [0.25]
    assert credited.magnitude_S.tolist() == [1.25]
    assert credited.carried_S.tolist() == [4]


def test_characters_are_weighed_like_tokens():
    step = ModelStep(text="abcdef", calls=(Call(name="f", arguments="{}"),))  # 6 and 3 characters
    batch = Batch.of([Trajectory(id="a", task="t", group="g", steps=(step,))])
    credited = step_credit(batch, two_terms(batch, [1.0], [2.0]))
    # (6 * 1 + 3 * 3) / 9
    assert credited.advantage_S[0] == pytest.approx(15 / 9, rel=1e-15)
    assert credited.carried_S.tolist() == [9]


SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=5)
VALUE = st.floats(-1e6, 1e6)


@settings(deadline=None, max_examples=60)
@given(VALUE, SIZES)
def test_equal_values_have_exactly_that_mean(value: float, sizes: list[int]):
    """A sum divided by a count would round: 0.1 three times is not 0.3."""
    steps = tuple(called(n + 1, 0, 1) for n in sizes)
    batch = Batch.of([Trajectory(id="a", task="t", group="g", steps=steps)])
    credited = step_credit(batch, two_terms(batch, [value], [0.0]))
    assert credited.advantage_S.tolist() == [value] * len(sizes)
    assert credited.magnitude_S.tolist() == [abs(value)] * len(sizes)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(VALUE, VALUE, st.integers(1, 5), st.integers(1, 5)), min_size=1))
def test_means_are_right_and_terms_add_up(rows: list[tuple[float, float, int, int]]):
    """Against exact rational arithmetic, trajectory by trajectory."""
    records = [
        Trajectory(id=str(i), task="t", group="g", steps=(called(text + call, 0, call),))
        for i, (_, _, text, call) in enumerate(rows)
    ]
    batch = Batch.of(records)
    credited = step_credit(
        batch, two_terms(batch, [row[0] for row in rows], [row[1] for row in rows])
    )
    for s, (outcome, tools, text, call) in enumerate(rows):
        n = text + call
        mean = (Fraction(outcome) * n + Fraction(tools) * call) / n
        scale = max(abs(outcome), abs(tools), 1e-300)
        assert abs(credited.advantage_S[s] - float(mean)) <= 1e-14 * scale
        parts = sum(values[s] for values in credited.terms.values())
        assert abs(parts - credited.advantage_S[s]) <= 1e-14 * scale


def test_annotations_by_hand():
    records = [
        Trajectory(
            id=identity,
            task="t",
            group="g",
            outcome=outcome,
            steps=tuple(ModelStep(text="x" * n) for n in sizes),
        )
        for identity, outcome, sizes in (
            ("win", 1.0, (2, 3)),
            ("none", 1.0, ()),
            ("loss", 0.0, (4, 0)),
            ("unscored", None, (1,)),
        )
    ]
    batch = Batch.of(records)
    decisions = gate(batch)
    gated = batch.gated(decisions)
    credited = step_credit(gated, credit(gated, method("dr_grpo")))
    assert list(annotations(gated, decisions, "dr_grpo", credited)) == [
        {
            "schema": "assay.credit/1",
            "id": "win",
            "group": "g",
            "method": "dr_grpo",
            "keep": True,
            "reason": "ok",
            "step_advantage": [0.5, 0.5],
            "carried": [2, 3],
            "terms": {"outcome": [0.5, 0.5]},
        },
        {
            "schema": "assay.credit/1",
            "id": "none",
            "group": "g",
            "method": "dr_grpo",
            "keep": False,
            "reason": "empty",
            "step_advantage": [],
            "carried": [],
            "terms": {"outcome": []},
        },
        {
            "schema": "assay.credit/1",
            "id": "loss",
            "group": "g",
            "method": "dr_grpo",
            "keep": True,
            "reason": "ok",
            "step_advantage": [-0.5, None],  # an empty step carries nothing
            "carried": [4, 0],
            "terms": {"outcome": [-0.5, None]},
        },
        {
            "schema": "assay.credit/1",
            "id": "unscored",
            "group": "g",
            "method": "dr_grpo",
            "keep": False,
            "reason": "unscored",
            "step_advantage": [None],
            "carried": [0],
            "terms": {"outcome": [None]},
        },
    ]


def test_nullable():
    assert nullable(np.array([1.0, NAN, -0.0])) == [1.0, None, 0.0]
    assert nullable(np.array([])) == []
