"""How far rescued trajectories count: worked values, bounds, and what a batch makes of them."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from assay.batch import Batch
from assay.recipes import Recipe
from assay.recipes.recipe import Importance
from assay.records import ModelStep, Rescue, Trajectory, UserStep
from assay.signal import signal
from assay.signal.importance import importance, rescue_weight

KINDS: tuple[Importance, ...] = ("truncated", "shaped", "f")
P = np.array([0.001, 0.01, 0.1, 0.3, 0.5, 1.0])


def weights(kind: Importance, pi: np.ndarray, mu: float = 1.0) -> np.ndarray:
    return importance(np.log(pi), np.full(pi.size, log(mu)), kind, 0.1)


def test_shaping_at_worked_values() -> None:
    # f = p / (p + 1/10): .001 / .101 = 1/101; .01 / .11 = 1/11; .1 / .2 = 1/2; .3 / .4 = 3/4;
    # .5 / .6 = 5/6; 1 / 1.1 = 10/11
    np.testing.assert_allclose(weights("f", P), [1 / 101, 1 / 11, 1 / 2, 3 / 4, 5 / 6, 10 / 11])
    # 1/10 p / (p + 1/10)^2 = f (1 - f), as 1 - f = 1/10 / (p + 1/10):
    # 100/10201, 10/121, 1/4, 3/16, 5/36, 10/121
    expected = [100 / 10201, 10 / 121, 1 / 4, 3 / 16, 5 / 36, 10 / 121]
    np.testing.assert_allclose(weights("shaped", P), expected)


def test_a_truncated_ratio_at_worked_values() -> None:
    # pi / mu with mu = 1/2: .1 / .5 = 1/5, .3 / .5 = 3/5; .5 / .5 and 1 / .5 are cut to 1
    np.testing.assert_allclose(weights("truncated", P[2:], 0.5), [1 / 5, 3 / 5, 1, 1])


def test_none_pretends_that_nobody_helped() -> None:
    np.testing.assert_allclose(weights("none", P, 0.5), np.ones(6))
    # what nobody knows the log-probability of counts nowhere, there too
    nan = np.array([np.nan, 0.0])
    np.testing.assert_allclose(importance(nan, nan[::-1], "none"), [0, 0])
    np.testing.assert_allclose(importance(nan, np.zeros(2), "none"), [0, 1])


LOGS = st.floats(-50, 0)


@settings(deadline=None)
@given(LOGS, LOGS, st.sampled_from(KINDS), st.floats(0.01, 10))
def test_no_weight_is_above_one_or_below_zero(
    new: float, told: float, kind: Importance, gamma: float
) -> None:
    (weight,) = importance(np.array([new]), np.array([told]), kind, gamma)
    assert 0.0 <= weight <= 1.0


@settings(deadline=None)
@given(LOGS, LOGS)
def test_a_ratio_is_one_only_where_the_policy_is_as_sure_without_help(
    new: float, told: float
) -> None:
    (weight,) = importance(np.array([new]), np.array([told]))
    assert weight == pytest.approx(min(1.0, np.exp(new - told)))


@settings(deadline=None)
@given(LOGS, st.sampled_from(("shaped", "f")))
def test_the_shapings_are_the_gradient_of_f_and_f_by_differences(
    new: float, kind: Importance
) -> None:
    f = lambda x: np.exp(x) / (np.exp(x) + 0.1)  # noqa: E731
    (weight,) = importance(np.array([new]), np.array([new]), kind, 0.1)
    # the gradient of f(pi) to log pi, which is the weight of grad log pi
    slope = (f(new + 1e-5) - f(new - 1e-5)) / 2e-5
    assert weight == pytest.approx(slope if kind == "shaped" else f(new), abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_knows_counts_nothing(kind: Importance) -> None:
    weight = importance(np.array([np.nan, -1.0]), np.array([-1.0, np.nan]), kind)
    np.testing.assert_array_equal(weight, [0.0, 0.0])


def row(k: int, outcome: float, **given: object) -> Trajectory:
    steps = (
        UserStep(text="?", token_ids=(3,)),
        ModelStep(text="ab", token_ids=(4, 5), logprobs=(log(0.2), log(0.5))),
    )
    made = Trajectory(id=str(k), task="t", group="g", outcome=outcome, steps=steps)
    return structs.replace(made, **given)


def helped(record: Trajectory, *told: float) -> Trajectory:
    first, last = record.steps
    assert type(last) is ModelStep
    last = structs.replace(last, helped=tuple(map(log, told)))
    return structs.replace(record, steps=(first, last), rescue=Rescue(rung="oracle"))


def test_a_rescued_trajectory_is_weighted_token_by_token_and_no_other_is() -> None:
    # dr_grpo: outcomes 1, 0, 0, 0 have the mean 1/4, so 3/4 and -1/4
    plain = [row(0, 1.0), row(1, 0.0), row(2, 0.0), row(3, 0.0)]
    batch = [helped(plain[0], 0.8, 0.4), *plain[1:]]
    # 0.2 / 0.8 = 1/4 of 3/4; 0.5 / 0.4 is cut to 1
    got = signal(batch, Recipe.of("dr_grpo"))
    np.testing.assert_allclose(got.advantage_N, [0, 3 / 16, 3 / 4] + [0, -1 / 4, -1 / 4] * 3)
    np.testing.assert_allclose(sum(got.parts.values()), got.advantage_N)
    shaped = signal(batch, Recipe.of({"method": "dr_grpo", "importance": "f", "gamma": 0.3}))
    # 0.2 / 0.5 and 0.5 / 0.8 of 3/4
    np.testing.assert_allclose(shaped.advantage_N[:3], [0, 3 / 10, 15 / 32])


def test_one_that_goes_on_from_an_earlier_one_is_the_policy_s_own() -> None:
    own = structs.replace(row(0, 1.0), rescue=Rescue(rung="prefix"))
    got = signal([own, helped(row(1, 0.0), 0.4, 0.5)], Recipe.of("dr_grpo"))
    # the other one, helped, counts half at its first token
    np.testing.assert_allclose(got.advantage_N, [0, 1 / 2, 1 / 2, 0, -1 / 4, -1 / 2])


def test_a_batch_knows_which_are_rescued() -> None:
    batch = Batch.of([row(0, 1.0), helped(row(1, 0.0), 0.4, 0.5)])
    assert batch.rescued_K.tolist() == [False, True]


def test_passes_are_counted_of_those_without_help() -> None:
    facts = signal(
        [helped(row(0, 1.0), 0.8, 0.4), row(1, 0.0), row(2, 0.5)], Recipe.of("grpo")
    ).facts()
    assert (facts["pass_rate"], facts["reward"], facts["unscored_share"]) == (0.0, 0.25, 0.0)


def hinted(record: Trajectory) -> Trajectory:
    """With a teacher that would have said each token with .4, and .1 told nothing."""
    first, last = record.steps
    assert type(last) is ModelStep
    last = structs.replace(last, told=(log(0.4),) * 2, neutral=(log(0.1),) * 2)
    return structs.replace(record, steps=(first, last))


def test_what_a_teacher_says_is_no_weight_and_of_a_rescued_one_none_either() -> None:
    plain, saved = hinted(row(0, 0.0)), hinted(helped(row(1, 1.0), 0.4, 0.5))
    assert rescue_weight(Batch.of([plain]), "truncated", 0.1) is None
    weight = rescue_weight(Batch.of([plain, saved]), "truncated", 0.1)
    # pi / mu: .2 / .4 and .5 / .5
    np.testing.assert_allclose(weight, [1, 1, 1, 1, 0.5, 1])  # pyright: ignore


@pytest.mark.parametrize("method", ["agreement", "routing", "opd", "additive", "rlsd"])
def test_what_sampled_a_rescued_trajectory_is_no_teacher_s_word(method: str) -> None:
    # the rescued one has no hint: what it gets is the outcome's part, weighted by 1/4 and 1
    group = [helped(row(0, 1.0), 0.8, 0.5), hinted(row(1, 0.0)), row(2, 0.0), row(3, 0.0)]
    other = structs.replace(row(4, 0.0), task="u", group="u")
    got = signal([*group, hinted(other), other], Recipe.of(method))
    np.testing.assert_array_equal(got.parts["teacher"][:3], 0)
    outcome = got.parts["outcome"][:3] if "outcome" in got.parts else np.zeros(3)
    np.testing.assert_allclose(got.advantage_N[:3], outcome)
    if method == "routing":  # its group lives, so nobody in it is taught; the dead one is
        assert not got.parts["teacher"][:12].any()
        assert got.parts["teacher"][13] > 0


def test_a_rescued_trajectory_with_a_hint_is_taught_as_any_and_weighed_by_what_sampled_it() -> None:
    saved = hinted(helped(row(0, 1.0), 0.8, 0.5))
    got = signal([saved, row(1, 0.0)], Recipe.of("opd"))
    # log .4 - log .2, of which min(1, .2 / .8) counts; its last token, a stop, is spared
    np.testing.assert_allclose(got.advantage_N[:3], [0, log(2) / 4, 0])
