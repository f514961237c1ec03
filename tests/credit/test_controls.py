"""Controls: what they keep of a method's credit, what they lose, and what a dose comes to."""

from itertools import permutations

import numpy as np
import pytest

from assay import pipeline
from assay.credit import METHODS, method
from assay.credit.controls import CONTROLS, controlled, dose_factor, dosed
from assay.errors import UnknownNameError, UsageError
from assay.kernels.advantages import advantages
from assay.kernels.term import Term
from assay.recipes import Recipe
from assay.signal import signal
from tests.credit.worlds import NAN, answer, batch_of, group, one, turn


def steps_of(value_S, lengths):
    """One trajectory of steps of so many tokens, and credit that is the same inside a step."""
    steps = []
    for length in lengths:
        steps += [turn(tokens=length), answer()]
    batch = batch_of([one(1.0, steps=steps)])
    value_U = np.array(value_S, float)
    term = Term(name="t", value_U=value_U, unit_R=batch.steps_R)
    return batch, advantages([term], batch.length_R)


def by_step(batch, made):
    """The credit of each token of each step, in order."""
    step_N, value_N = np.repeat(batch.step_R, batch.length_R), made.advantage_N
    return [tuple(value_N[step_N == s].tolist()) for s in range(batch.traj_S.size)]


def test_shuffled_by_hand():
    # steps of one token: 1, 2, 3 in some order, each of the six orders about as often
    batch, made = steps_of([1.0, 2.0, 3.0], [1, 1, 1])
    seen = [
        tuple(x for (x,) in by_step(batch, controlled(batch, made, "shuffled", (7, n))))
        for n in range(600)
    ]
    counts = {order: seen.count(order) for order in permutations((1.0, 2.0, 3.0))}
    assert sum(counts.values()) == 600
    assert min(counts.values()) > 60, "every order is equally likely: 100 of 600 each"


def test_a_step_is_stretched_token_by_token():
    # 2 tokens a b and 4 tokens c d e f: swapped they are c e and a a b b
    steps = [turn(tokens=2), answer(), turn(tokens=4)]
    batch = batch_of([one(1.0, steps=steps)])
    own_N = np.repeat(batch.step_R, batch.length_R) >= 0
    unit_N = np.where(own_N, np.cumsum(own_N) - 1, -1)
    value_U = np.array([10.0, 11.0, 20.0, 21.0, 22.0, 23.0])
    made = advantages([Term(name="t", value_U=value_U, unit_N=unit_N)], batch.length_R)
    both = {tuple(by_step(batch, controlled(batch, made, "shuffled", (0, n)))) for n in range(20)}
    assert both == {
        ((10.0, 11.0), (20.0, 21.0, 22.0, 23.0)),
        ((20.0, 22.0), (10.0, 10.0, 11.0, 11.0)),
    }


def test_what_is_not_carried_and_what_is_unscored_moves_too():
    batch, _ = steps_of([0.0, 0.0, 0.0], [1, 1, 1])
    unit_R = np.where(batch.steps_R == 1, -1, batch.steps_R)
    term = Term(name="t", value_U=np.array([5.0, 0.0, NAN]), unit_R=unit_R)
    made = advantages([term], batch.length_R)
    seen = set()
    for n in range(40):
        got = controlled(batch, made, "shuffled", (0, n))
        own_N = np.repeat(batch.step_R, batch.length_R) >= 0
        pairs = zip(got.advantage_N[own_N].tolist(), got.carried[own_N].tolist(), strict=True)
        seen.add(tuple("n" if v != v else f"{v:g}{'c' if c else '-'}" for v, c in pairs))
    assert seen == set(permutations(("5c", "0-", "n")))


def test_nothing_crosses_trajectories_and_untrained_steps_stay():
    steps = [turn(), turn(untrainable="masked"), turn()]
    batch = batch_of([one(1.0, steps=steps, id=f"k{k}") for k in range(3)])
    value_S = np.arange(9.0)
    made = advantages([Term(name="t", value_U=value_S, unit_R=batch.steps_R)], batch.length_R)
    got = by_step(batch, controlled(batch, made, "shuffled", (3, 4)))
    assert [got[s] for s in (1, 4, 7)] == [(0.0,)] * 3
    assert [sorted(got[3 * k] + got[3 * k + 2]) for k in range(3)] == [[0, 2], [3, 5], [6, 8]]


@pytest.mark.parametrize("name", ["grpo", "rloo", "dr_grpo", "psr", "nsr", "ngrpo"])
def test_credit_that_knows_no_steps_is_unchanged(name):
    steps = [turn(tokens=3), answer(), turn(tokens=2)]
    batch = batch_of([one(float(k % 2), steps=steps, id=f"k{k}") for k in range(4)])
    made = method(name)(batch)
    got = controlled(batch, made, "shuffled", (1, 1))
    np.testing.assert_array_equal(got.advantage_N, made.advantage_N)


def test_random_has_the_variance_and_no_mean():
    batch, made = steps_of([1.0, -2.0, 4.0, 0.5], [1, 2, 3, 1])
    own_N = np.repeat(batch.steps_R, batch.length_R) >= 0
    means = []
    for n in range(200):
        got = controlled(batch, made, "random", (0, n))
        value = got.advantage_N[own_N]
        assert value.mean() == pytest.approx(0.0, abs=1e-12)
        assert value.std() == pytest.approx(made.advantage_N[own_N].std())
        assert [len(set(step)) for step in by_step(batch, got)] == [1, 1, 1, 1]
        means.append(value[0])
    assert abs(np.mean(means)) < 0.5, "and it says nothing of the step"


def test_random_of_credit_that_does_not_vary_is_zero_and_unscored_stays():
    batch, made = steps_of([2.0, 2.0, NAN], [1, 2, 1])
    got = controlled(batch, made, "random", (0, 0))
    steps = by_step(batch, got)
    assert steps[:2] == [(0.0,), (0.0, 0.0)]
    assert np.isnan(steps[2][0])


@pytest.mark.parametrize("control", ["shuffled", "random"])
def test_the_seed_decides_and_the_batch_number_too(control):
    batch, made = steps_of([1.0, -2.0, 4.0, 0.5, 7.0], [1, 2, 3, 1, 1])
    one_, again, other = (
        controlled(batch, made, control, seed).advantage_N for seed in ((5, 1), (5, 1), (5, 2))
    )
    np.testing.assert_array_equal(one_, again)
    assert (one_ != other).any()


def test_a_dose_is_the_mean_over_trained_tokens():
    # |A| 1, 2, 4 over 1, 2, 3 tokens: 17 in all, over 6 tokens
    batch, made = steps_of([1.0, -2.0, 4.0], [1, 2, 3])
    assert dose_factor(batch, made.advantage_N, 0.5) == pytest.approx(0.5 * 6 / 17)
    got = dosed(batch, made, 0.5)
    assert np.abs(got.advantage_N).sum() == pytest.approx(3.0)
    assert got.parts["t"].tolist() == got.total.tolist()
    assert dosed(batch, made, None) is made
    assert dose_factor(batch, made.advantage_N / 1e3, 0.5) == pytest.approx(0.5 * 6 / 0.017)


def test_zeros_stay_zeros_and_what_is_carried_by_few_has_the_same_dose():
    dead = group([0.0, 0.0])
    made = method("grpo")(dead)
    assert dosed(dead, made, 1.0).advantage_N.tolist() == [0.0] * 4
    batch, _ = steps_of([0.0, 0.0], [1, 3])
    unit_R = np.where(batch.steps_R == 0, 0, -1)  # one of four tokens carries all of it
    term = Term(name="t", value_U=np.array([1.0]), unit_R=unit_R)
    made = dosed(batch, advantages([term], batch.length_R), 0.25)
    assert np.abs(made.advantage_N).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("name", METHODS.names())
@pytest.mark.parametrize("control", CONTROLS)
def test_every_method_can_be_controlled(name, control):
    # whatever a method needs and these have not, it says; what it gives is finite or unscored
    def scored(outcome, k):
        extra = {"state_key": f"s{k % 2}", "reward": outcome, "belief": -1.0 - k, "logprobs": None}
        return turn(True, **{key: v for key, v in extra.items() if v is not None})

    batch = batch_of(
        one(float(k % 3 == 0), steps=[scored(1.0, k), answer(), scored(0.0, k + 1)], id=f"k{k}")
        for k in range(6)
    )
    recipe = Recipe.of({"method": name, "control": control, "dose": 0.5})
    refused: dict[str, str] = {}
    for _, made in pipeline.credits(batch, recipe, refused):
        trained_N = np.repeat(batch.steps_R >= 0, batch.length_R)
        value_T = np.nan_to_num(made.advantage_N[trained_N])
        mean = np.abs(value_T).mean()
        assert mean == pytest.approx(0.5) or not value_T.any()
        assert not np.isinf(made.advantage_N).any()
        assert (made.advantage_N[~trained_N] == 0.0).all()


def test_training_and_credit_agree():
    steps = [turn(state_key="a"), answer(), turn(state_key="b"), answer(), turn(state_key="a")]
    records = [one(float(k % 2), steps=steps, id=f"k{k}") for k in range(4)]
    recipe = Recipe.of({"method": "gigpo", "control": "shuffled", "dose": 0.1})
    made = signal(records, recipe, seed=(3, 5))
    ((_, alone),) = pipeline.credits(made.batch, recipe, seed=(3, 5))
    np.testing.assert_allclose(made.advantage_N, alone.advantage_N, atol=1e-15)
    plain = signal(records, Recipe.of("gigpo"))
    assert (made.advantage_N != plain.advantage_N).any()


def test_a_mix_is_controlled_as_a_whole_and_has_one_dose():
    steps = [turn(state_key="a"), answer(), turn(state_key="b"), answer(), turn(state_key="a")]
    records = [one(float(k % 2), steps=steps, id=f"k{k}") for k in range(4)]
    mix = {"methods": ["grpo", {"name": "gigpo", "weight": 0.3}], "dose": 0.2}
    made = signal(records, Recipe.of({**mix, "control": "shuffled"}))
    plain = signal(records, Recipe.of(mix))
    assert np.abs(made.advantage_N).mean() == pytest.approx(np.abs(plain.advantage_N).mean())
    assert sorted(made.advantage_N) == pytest.approx(sorted(plain.advantage_N))


def test_an_unknown_control_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"recipe.control: no control 'shufled'. .*shuffled"):
        Recipe.of({"method": "grpo", "control": "shufled"})
    for dose in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(
            UsageError, match=r"recipe.dose: got .*; expected a finite number above"
        ):
            Recipe.of({"method": "grpo", "dose": dose})
    with pytest.raises(UsageError, match=r"recipe\.dose"):
        Recipe.of({"method": "grpo", "dose": "much"})


def test_credit_is_called_after_its_control():
    assert Recipe.of("grpo").label == "grpo"
    mix = Recipe.of({"methods": ["grpo", "gigpo"], "control": "random"})
    assert mix.label == "grpo+gigpo-random"
