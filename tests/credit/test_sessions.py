"""One rollout, one vote: outputs of one session count once and share its advantage. By hand."""

import math

import numpy as np
import pytest

from assay.audit import audit
from assay.batch import Batch
from assay.credit import credit, method
from assay.credit.statistics import updated
from assay.gate import gate
from assay.records import Call, ModelStep, ToolStep
from tests.credit.worlds import NAN, answer, batch_of, one, per_trajectory

# three branches of one rollout, worth 1, and two rollouts worth 0
FAN = [one(1.0, session="A"), one(1.0, session="A"), one(1.0, session="A"), one(0.0), one(0.0)]


def given(batch: Batch, name: str, **options) -> list[float]:
    return per_trajectory(batch, credit(batch, method(name, **options)))


def test_a_fan_has_one_vote():
    # votes 1, 0, 0: mean 1/3, squares 2/3, ddof 1: deviation sqrt(1/3) = 0.577
    batch, root = batch_of(FAN), 3**0.5
    # 1.155, -0.577
    assert given(batch, "grpo", eps=0.0) == pytest.approx([2 / root] * 3 + [-1 / root] * 2)
    like = credit(batch, method("grpo", like="prime-rl"))
    assert per_trajectory(batch, like) == pytest.approx([2 / 3] * 3 + [-1 / 3] * 2)
    assert given(batch, "rloo") == pytest.approx([1.0] * 3 + [-0.5] * 2)
    assert given(batch, "max_rl", eps=0.0) == pytest.approx([2.0] * 3 + [-1.0] * 2)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        # k = 2 of votes 1, 0, 0: rho = 1 - C(2,2)/C(3,2) = 2/3, a fail's q = 1 - C(1,1)/C(2,1)
        ("pass_at_k", {}, [(1 - 2 / 3) / (2 / 9) ** 0.5, (1 / 2 - 2 / 3) / (2 / 9) ** 0.5]),
        # and a virtual 1: mean 1/2, squares 1, ddof 1: sqrt(1/3)
        ("ngrpo", {"eps": 0.0}, [0.5 * 3**0.5, -0.5 * 3**0.5]),
        ("asym_re", {}, [2 / 3 + 0.1, -1 / 3 + 0.1]),
        # the least x with F(x) >= 0.4 of votes 0, 0, 1 is 0; deviation, ddof 0: sqrt(2/9)
        ("quantile", {"eps": 0.0}, [1 / (2 / 9) ** 0.5, 0.0]),
        # one group: pulled towards its own mean
        ("ebpo", {}, [2 / 3, -1 / 3]),
    ],
)
def test_whatever_a_method_counts_it_counts_votes(name, options, expected):
    got = given(batch_of(FAN), name, **options)
    assert got == pytest.approx([expected[0]] * 3 + [expected[1]] * 2)


def test_variance_is_of_votes():
    # votes 1, 0, 0 and 0, 0: squares 2/3 and 0 over 2 + 1 degrees of freedom
    other = [one(0.0, group="h"), one(0.0, group="h")]
    measured = updated(batch_of([*FAN, *other]))
    assert measured["outcome mean"] == pytest.approx(1 / 6)
    assert measured["outcome within"] == pytest.approx(2 / 9)


def test_ranks_are_of_votes():
    # likelihoods 0.9 and 0.5, which votes, and 0.2: of two votes the session's is the likelier,
    # rank 1 of 2: R' = 1 - 0.25 / 2 = 0.875; the other's 1. Mean 0.9375, deviation 0.125 / sqrt(2)
    def said(p: float) -> list[ModelStep]:
        return [ModelStep(text="x", token_ids=(1,), logprobs=(math.log(p),))]

    two = [one(1.0, session="A", steps=said(p)) for p in (0.9, 0.5)]
    got = given(batch_of([*two, one(1.0, steps=said(0.2))]), "unlikeliness", eps=0.0)
    assert got == pytest.approx([-(0.5**0.5)] * 2 + [0.5**0.5])


def test_where_outcomes_differ_the_last_scored_one_that_is_kept_decides_for_all():
    differ = [one(0.0, session="A"), one(1.0, session="A"), one(None, session="A"), one(0.0)]
    batch = batch_of(differ)
    gated = batch.gated(gate(batch))
    np.testing.assert_array_equal(gated.value_K, [1.0, 1.0, NAN, 0.0])
    assert gated.vote_K.tolist() == [1, 1, 1, 3]
    np.testing.assert_array_equal(gated.voted_K, [NAN, 1.0, NAN, 0.0])
    assert given(gated, "rloo") == [1.0, 1.0, 0.0, -1.0]
    # the one that votes is dropped: another one does
    dropped = batch.weighted(np.array([1.0, 0.0, 0.0, 1.0]))
    np.testing.assert_array_equal(dropped.value_K, [0.0, NAN, NAN, 0.0])
    assert given(dropped, "rloo") == [0.0] * 4


def test_a_session_counts_inside_its_group():
    batch = batch_of([one(1.0, session="A", group="g"), one(0.0, session="A", group="h")])
    assert batch.session_K.tolist() == [0, 1]
    assert batch.vote_K.tolist() == [0, 1]


def test_outputs_of_one_rollout_are_no_siblings():
    def calls(name: str) -> list[ModelStep | ToolStep]:
        step = ModelStep(text="x", token_ids=(1,), calls=(Call(name=name, arguments="{}"),))
        return [step, answer()]

    two = [one(1.0, session="A", steps=calls("f")) for _ in range(2)]
    assert batch_of(two).sibling_C.tolist() == [-1, -1], "there is no other rollout to look at"
    assert batch_of([*two, one(1.0, steps=calls("f"))]).sibling_C.tolist() == [1, 1, 1]
    assert batch_of([*two, one(1.0, steps=calls("g"))]).sibling_C.tolist() == [0, 0, 0]


def test_an_audit_counts_sessions():
    batch = batch_of(FAN)
    gated = batch.gated(gate(batch))
    found = audit(gated, gate(batch), {"grpo": credit(gated, method("grpo"))})
    counts = found["trajectories"]
    names = ("total", "sessions", "scored", "unscored", "passed")
    assert [counts[key] for key in names] == [5, 3, 3, 0, 1]
    assert (counts["pass_rate"], found["pass_at_k"]["1"]) == pytest.approx((1 / 3, 1 / 3))
    assert list(found["pass_at_k"]) == ["1", "2", "3"]
    assert found["groups"]["mixed"] == 1
    alone = batch_of(FAN[:3])
    found = audit(alone, gate(alone), {"grpo": credit(alone, method("grpo"))})
    assert (found["groups"]["single"], found["groups"]["dead"]) == (1, 1)


@pytest.mark.parametrize(
    "name", ["grpo", "dr_grpo", "rloo", "max_rl", "quantile", "ngrpo", "asym_re", "ebpo"]
)
def test_a_rollout_with_more_outputs_changes_nothing_for_the_others(name):
    more = given(batch_of(FAN), name)
    assert more == pytest.approx([more[2], more[2], *given(batch_of(FAN[2:]), name)])
