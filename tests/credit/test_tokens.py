"""Methods that read log-probabilities or entropies, against values worked out by hand, to 1e-5."""

import math

import numpy as np
import pytest

from assay.credit import method
from assay.errors import MethodError
from assay.records import ModelStep
from tests.credit.worlds import answer, batch_of, group, groups, one, per_trajectory


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def likely(outcome, *chances, group="g", **fields):
    """A trajectory whose sampled tokens had these probabilities."""
    step = ModelStep(
        text="x",
        token_ids=tuple(range(len(chances))),
        logprobs=tuple(None if p is None else math.log(p) for p in chances),
    )
    return one(outcome, group=group, steps=(step, answer()), **fields)


def uncertain(outcome, *turns, group="g"):
    """A trajectory of steps whose sampled tokens had these entropies."""
    steps = []
    for entropies in turns:
        ids = tuple(range(len(entropies)))
        steps += [ModelStep(text="x", token_ids=ids, entropies=tuple(entropies)), answer()]
    return one(outcome, group=group, steps=steps)


# pi = .5 .4 .3 .2 all fail: D = 2 * .5 = 1, penalties (1/4) pi/(1 - pi) =
#   .25, .1666667, .1071429, .0625: mean .1465774; centred and negated, times alpha .25
LENS_ALL_FAIL = [-0.0258557, -0.0050223, 0.0098586, 0.0210193]


def test_lens_all_fail():
    batch = batch_of(likely(0.0, p) for p in (0.5, 0.4, 0.3, 0.2))
    close(per_trajectory(batch, method("lens")(batch)), LENS_ALL_FAIL)
    doubled = per_trajectory(batch, method("lens", alpha=0.5)(batch))
    close(doubled, [2 * a for a in LENS_ALL_FAIL])


def test_lens_takes_the_mean_of_logprobs_and_skips_what_is_missing():
    # geometric means: sqrt(.25 * 1) = .5; .4; .3 with a token nobody measured; .2
    batch = batch_of(
        [likely(0.0, 0.25, 1.0), likely(0.0, 0.4), likely(0.0, None, 0.3), likely(0.0, 0.2)]
    )
    close(per_trajectory(batch, method("lens")(batch)), LENS_ALL_FAIL)


@pytest.mark.parametrize("reason", ["logprobs", "copied"])
def test_lens_does_not_read_steps_that_cannot_be_trusted(reason):
    odd = ModelStep(text="y", token_ids=(1,), logprobs=(-9.0,), untrainable=reason)
    masked = ModelStep(text="y", token_ids=(1,), logprobs=(math.log(0.4),), untrainable="masked")
    trajectories = [likely(0.0, p) for p in (0.5, 0.4, 0.3, 0.2)]
    trajectories[0] = one(0.0, steps=[*trajectories[0].steps, odd])
    trajectories[1] = one(0.0, steps=[masked])  # not trained, and what it says is still true
    batch = batch_of(trajectories)
    term = method("lens").terms(batch)[1]
    expected = [-0.25, -1 / 6, -0.1071429, -0.0625]  # penalties of test_lens_all_fail, negated
    close(term.value_U, expected)


def test_lens_mixed():
    # one pass at .2, fails at .5 and .3: sum R/pi = 5, 1/mean = 3/5 = .6 < 2 * .5, so D = 1
    # penalties (1/3) * .5/.5 = 1/3 and (1/3) * .3/.7 = 1/7: R' = 1, -1/3, -1/7
    # mean .1746032, centred .8253968 -.5079365 -.3174603
    # squares .6812799 + .2579995 + .1007811 = 1.0400605, /2 = .5200302, std .7211312
    batch = batch_of([likely(1.0, 0.2), likely(0.0, 0.5), likely(0.0, 0.3)])
    close(per_trajectory(batch, method("lens")(batch)), [1.1445857, -0.7043604, -0.4402252])


def test_lens_mixed_with_a_confident_pass():
    # pass at .9, fail at .1: 1/mean(R/pi) = 2 / (1/.9) = 1.8 = 2 * .9; D = 1.8
    # penalty (1/2) * .1/1.7 = .0294118: R' = 1, -.0294118, two values are always +-1/sqrt(2)
    # three: pass .9, pass .1, fail .1: sum R/pi = 11.1111, 3/11.1111 = .27 < 1.8
    # penalty (1/3) * .1/1.7 = .0196078: R' = 1, 1, -.0196078
    batch = batch_of([likely(1.0, 0.9), likely(1.0, 0.1), likely(0.0, 0.1)])
    # two equal and one other: +-(1/sqrt(3), 2/sqrt(3)) whatever they are
    close(per_trajectory(batch, method("lens")(batch)), [0.577350, 0.577350, -1.154700])


def test_lens_takes_the_larger_of_its_two_ceilings():
    # passes at .5, .5 and a fail at .1: 3/(2 + 2) = .75 < 2 * .5 = 1
    # pass at .5, fails at .3, .1, .1: 4/2 = 2 > 1: D = 2
    # penalties (1/4): .3/1.7 = .0441176, .1/1.9 = .0131579 twice
    # R' = 1, -.0441176, -.0131579, -.0131579: mean .2323916
    # centred .7676084 -.2765093 -.2455495 -.2455495; squares .5892227 + .0764574 + 2 * .0602946
    # = .7862692, /3 = .2620897, std .5119470
    batch = batch_of([likely(1.0, 0.5), likely(0.0, 0.3), likely(0.0, 0.1), likely(0.0, 0.1)])
    found = per_trajectory(batch, method("lens")(batch))
    close(found, [1.4993865, -0.5401116, -0.4796375, -0.4796375])


def test_lens_all_pass_and_alone():
    batch = batch_of([likely(1.0, 0.5), likely(1.0, 0.2), likely(0.0, 0.3, group="alone")])
    close(per_trajectory(batch, method("lens")(batch)), [0, 0, 0])


def test_unlikeliness_by_hand():
    # likelihood ranks 2, 1, 0, 3 of 4; beta .25; R' = 1 * (1 - .25 * 2/4) = .875, 0, 1, 0
    # mean .46875; centred .40625 -.46875 .53125 -.46875
    # squares .1650391 + 2 * .2197266 + .2822266 = .8867188, /3, std .5436660
    batch = batch_of([likely(1.0, 0.4), likely(0.0, 0.3), likely(1.0, 0.2), likely(0.0, 0.5)])
    found = per_trajectory(batch, method("unlikeliness")(batch))
    close(found, [0.7472410, -0.8622011, 0.9771612, -0.8622011])


def test_unlikeliness_all_pass_has_a_signal_and_all_fail_none():
    # R' = .8125 .875 .9375 1 for ranks 3 2 1 0: mean .90625, centred -+.09375, -+.03125
    # squares 2 * .0087891 + 2 * .0009766 = .0195313, /3, std .0806871
    batch = batch_of(likely(1.0, p) for p in (0.5, 0.4, 0.3, 0.2))
    found = per_trajectory(batch, method("unlikeliness")(batch))
    np.testing.assert_allclose(found, [-1.161896, -0.387299, 0.387299, 1.161896], atol=2e-5)
    batch = batch_of(likely(0.0, p) for p in (0.5, 0.4))
    close(per_trajectory(batch, method("unlikeliness")(batch)), [0, 0])


def test_unlikeliness_ties_share_their_rank():
    # ranks of .3 .3 .2: 1.5 1.5 0 of 3: R' = 1 - .25 * .5 = .875 twice, 1
    # two equal and one other: -1/sqrt(3), -1/sqrt(3), 2/sqrt(3)
    batch = batch_of(likely(1.0, p) for p in (0.3, 0.3, 0.2))
    found = per_trajectory(batch, method("unlikeliness", eps=0.0)(batch))
    close(found, [-0.577350, -0.577350, 1.154701])


def test_unlikeliness_ranks_inside_the_group_and_among_the_scored():
    alone = [likely(1.0, 0.4), likely(0.0, 0.3), likely(1.0, 0.2), likely(0.0, 0.5)]
    others = [
        likely(None, 0.35),
        likely(1.0, 0.25, group="h"),
        likely(1.0, 0.45, group="h"),
    ]
    small, large = batch_of(alone), batch_of([others[1], *alone, others[0], others[2]])
    by = method("unlikeliness")
    close(per_trajectory(large, by(large))[1:5], per_trajectory(small, by(small)))


@pytest.mark.parametrize("name", ["lens", "unlikeliness"])
def test_likelihood_methods_name_what_is_missing(name):
    bare = group([1.0, 0.0])
    with pytest.raises(MethodError, match=f"{name} needs logprobs, and no trajectory"):
        method(name)(bare)
    with pytest.raises(MethodError, match=f"{name} needs logprobs, and no trajectory"):
        method(name).terms(bare)
    some = batch_of([likely(1.0, 0.5), one(0.0, id="bare")])
    with pytest.raises(MethodError, match="'bare' has none"):
        method(name)(some)
    # one that takes no part needs none
    fine = batch_of([likely(1.0, 0.5), likely(0.0, 0.5), one(None)])
    assert np.isfinite(per_trajectory(fine, method(name)(fine))[:2]).all()


# H = .1 .7 1.5 0, alpha .1: fail -(1.5 - H)/10, pass H/10
ENTROPIES = (0.1, 0.7, 1.5, 0.0)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(0.0, [-0.14, -0.08, 0.0, -0.15]), (1.0, [0.01, 0.07, 0.15, 0.0])],
)
def test_rl_zvp_of_one_outcome(outcome, expected):
    for outcomes in ([outcome], [outcome, outcome]):
        batch = batch_of(uncertain(o, ENTROPIES) for o in outcomes)
        advantage_N = method("rl_zvp")(batch).advantage_N
        close(advantage_N, [*expected, 0.0] * len(outcomes))  # the tool's token gets nothing


def test_rl_zvp_mixed_groups_are_grpo():
    batch = batch_of(uncertain(o, ENTROPIES) for o in (1.0, 0.0, 0.0, 0.0))
    close(per_trajectory(batch, method("rl_zvp")(batch)), [1.5, -0.5, -0.5, -0.5])


def test_rl_zvp_takes_the_largest_entropy_of_the_trajectory_or_of_the_step():
    batch = batch_of([uncertain(0.0, (0.2, 0.5), (2.0, 1.0)), uncertain(0.0, (9.0,))])
    whole = method("rl_zvp")(batch).advantage_N
    close(whole, [-0.18, -0.15, 0, 0, -0.1, 0, 0, 0])
    step = method("rl_zvp", h_max="step", alpha=0.2)(batch).advantage_N
    close(step, [-0.06, 0, 0, 0, -0.2, 0, 0, 0])


def test_rl_zvp_reads_only_tokens_that_are_trained():
    masked = ModelStep(text="x", token_ids=(1,), entropies=(7.0,), untrainable="masked")
    half = ModelStep(text="x", token_ids=(1, 2, 3), sampled=((0, 2),), entropies=(1.0, None))
    batch = batch_of([one(0.0, steps=[masked, half]), uncertain(0.0, (3.0,))])
    advantage_N = method("rl_zvp")(batch).advantage_N
    # 7.0 is no maximum; a token without an entropy keeps the outcome's 0; unsampled is 0
    close(advantage_N, [0, 0, 0, 0, 0, 0])
    batch = batch_of([one(0.0, steps=[masked, half, *uncertain(0.0, (3.0,)).steps])])
    close(method("rl_zvp")(batch).advantage_N, [0, -0.2, 0, 0, 0, 0])


def test_rl_zvp_refuses_entropies_that_cannot_be():
    with pytest.raises(MethodError, match="an entropy is -1 nats"):
        method("rl_zvp")(batch_of([uncertain(0.0, (-1.0,))]))
    with pytest.raises(MethodError, match="rl_zvp needs entropies, and no trajectory"):
        method("rl_zvp")(groups(g=[0.0]))


def test_equal_entropies_of_a_failure_are_not_punished():
    batch = batch_of([uncertain(0.0, (0.7, 0.7, 0.7))])
    np.testing.assert_array_equal(method("rl_zvp")(batch).advantage_N, np.zeros(4))
