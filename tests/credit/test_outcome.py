"""Outcome methods against values worked out by hand, to 1e-5."""

import numpy as np
import pytest

from assay.credit import method
from assay.errors import MethodError
from tests.credit.worlds import group, groups, per_trajectory

NAN = float("nan")
EIGHT = 8


def advantages(name, outcomes, **options):
    batch = group(outcomes)
    return per_trajectory(batch, method(name, **options)(batch))


def passed(c, n=EIGHT):
    """c passes among n, passes first."""
    return [1.0] * c + [0.0] * (n - c)


def of_pass_and_fail(name, c, n=EIGHT, **options):
    """What a pass and a fail get; NaN where there is none."""
    found = advantages(name, passed(c, n), **options)
    high, low = (found[0] if c else NAN), (found[-1] if c < n else NAN)
    np.testing.assert_allclose(found, [high] * c + [low] * (n - c), atol=1e-12)
    return high, low


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, atol=1e-5)


# [1, 0, 0, 0]: mean 1/4, centred 3/4 and -1/4; squares 9/16 + 3/16 = 3/4
#   ddof 1: 3/4 / 3 = 1/4, std 1/2 -> 1.5, -.5;   ddof 0: 3/16, std .433013 -> 1.732051, -.577350
@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("grpo", {}, (1.5, -0.5)),
        ("grpo", {"eps": 1e-4}, (0.75 / 0.5001, -0.25 / 0.5001)),
        ("grpo", {"ddof": 0}, (1.7320508, -0.5773503)),
        ("grpo", {"scale": "none"}, (0.75, -0.25)),
        ("grpo", {"scale": "mean", "eps": 0.0}, (3.0, -1.0)),
        ("grpo", {"cap": 1.0}, (1.0, -0.5)),
        ("grpo", {"sign": "negative"}, (0.0, -0.5)),
        ("dr_grpo", {}, (0.75, -0.25)),
        ("rloo", {}, (1.0, -1 / 3)),  # 1 - 0; 0 - 1/3
        ("max_rl", {}, (0.75 / 0.250001, -0.25 / 0.250001)),
        ("max_rl", {"cap": 2.0}, (2.0, -1.0)),
        ("grpo_positive", {}, (1.5, 0.0)),
        ("grpo_positive", {"scale": "none"}, (0.75, 0.0)),
        ("grpo_positive", {"ddof": 0, "cap": 1.6}, (1.6, 0.0)),
        ("grpo_negative", {}, (0.0, -0.5)),
        ("grpo_negative", {"ddof": 0, "cap": 0.5}, (0.0, -0.5)),
        ("grpo_negative", {"scale": "none", "eps": 7.0}, (0.0, -0.25)),
        ("psr", {}, (1.0, 0.0)),
        ("nsr", {}, (0.0, -1.0)),
        ("w_reinforce", {}, (0.1, -1.0)),
        ("w_reinforce", {"lam": 1.0}, (1.0, -1.0)),
        ("w_reinforce", {"lam": 0.0}, (0.0, -1.0)),
        ("reinforce", {}, (1.0, -1.0)),
        ("reinforce", {"baseline": 0.0, "scale": 1.0}, (1.0, 0.0)),
        ("asym_re", {}, (1 - (0.25 - 0.1), 0 - (0.25 - 0.1))),
        ("asym_re", {"shift": -0.3}, (1.05, 0.05)),
        ("asym_re", {"v": 0.5}, (1 - 0.4, -0.4)),
        ("ms_grpo", {}, (1.7320508, -0.5773503)),
    ],
)
def test_one_pass_in_four(name, options, expected):
    close(of_pass_and_fail(name, 1, 4, **options), expected)


@pytest.mark.parametrize(
    ("c", "expected"),
    [
        # GRPO, G = 8: sqrt(7/8 * ...): std ddof 1 of c passes is sqrt(c (8-c) / 56)
        (1, (0.875 / (7 / 56) ** 0.5, -0.125 / (7 / 56) ** 0.5)),  # 2.474874, -.353553
        (7, (0.125 / (7 / 56) ** 0.5, -0.875 / (7 / 56) ** 0.5)),  # .353553, -2.474874
    ],
)
def test_grpo_extremes(c, expected):
    close(of_pass_and_fail("grpo", c), expected)


def test_max_rl_reaches_group_size_less_one():
    close(of_pass_and_fail("max_rl", 1, eps=0.0), (7.0, -1.0))


@pytest.mark.parametrize(
    ("c", "options", "expected"),
    [
        # n = 8, k = 4: rho = 1 - C(8-c,4)/70, s = sqrt(rho (1-rho)), q = 1 - C(7-c,3)/35
        # c = 1: rho = 1 - 35/70 = .5, s = .5;        q = 1 - 20/35 = 3/7:  (3/7 - .5)/.5 = -1/7
        (1, {}, (1.0, -1 / 7)),
        # c = 2: rho = 1 - 15/70 = .785714, s = .410326; q = 1 - 10/35 = .714286
        (2, {}, (0.5222330, -0.1740777)),
        # c = 4: rho = 1 - 1/70, s = .118673;          q = 1 - 1/35
        (4, {}, (0.1203859, -0.1203859)),
        # c >= 5: every four contain a pass, rho = 1
        (5, {}, (0.0, 0.0)),
        (7, {}, (0.0, 0.0)),
        (0, {}, (NAN, 0.0)),
        (8, {}, (0.0, NAN)),
        # k = 1 is GRPO with the population deviation: sqrt(7), -1/sqrt(7)
        (1, {"k": 1}, (7**0.5, -(7**-0.5))),
        # k = n: any pass makes the whole group pass, rho is 0 or 1
        (3, {"k": 8}, (0.0, 0.0)),
    ],
)
def test_pass_at_k(c, options, expected):
    close(of_pass_and_fail("pass_at_k", c, **{"k": 4, **options}), expected)


def test_pass_at_k_refuses_groups_that_are_too_small():
    batch = groups(big=[1, 0, 0], small=[1, None])
    with pytest.raises(MethodError, match=r"needs 2 scored members .* 'small' has 1; lower k"):
        method("pass_at_k")(batch)
    unscored = groups(big=[1, 0, 0], none=[None, None])
    assert np.isnan(per_trajectory(unscored, method("pass_at_k")(unscored))[3:]).all()


@pytest.mark.parametrize(
    ("c", "options", "expected"),
    [
        # K = .4: the baseline is 0 while the pass rate is at most .6, else 1
        (1, {}, (1 / (7 / 64) ** 0.5, 0.0)),  # std ddof 0: sqrt(1/8 * 7/8); 3.02372
        (4, {}, (2.0, 0.0)),
        (5, {}, (0.0, -1 / (15 / 64) ** 0.5)),  # -2.06559
        (7, {}, (0.0, -1 / (7 / 64) ** 0.5)),
        (0, {}, (NAN, 0.0)),
        (8, {}, (0.0, NAN)),
        (4, {"ddof": 1}, (1 / (2 / 7) ** 0.5, 0.0)),
        (1, {"cap": 2.5}, (2.5, 0.0)),
        (4, {"level": 0.6}, (0.0, -2.0)),  # pass rate .5 > .4
    ],
)
def test_quantile(c, options, expected):
    close(of_pass_and_fail("quantile", c, **options), expected)


def test_quantile_switches_where_the_pass_rate_is_exactly_one_less_k():
    close(advantages("quantile", passed(3, 5))[0], 1 / (6 / 25) ** 0.5)  # .6 <= .6: baseline 0
    close(advantages("quantile", passed(4, 5))[-1], -2.5)  # .8 > .6: baseline 1, std .4


@pytest.mark.parametrize(
    ("c", "options", "expected"),
    [
        # nine members, one of them the virtual success
        # c = 0: mean 1/9, std ddof 1: sqrt(8/9 / 8) = 1/3
        (0, {}, (NAN, -1 / 3)),
        # c = 1: mean 2/9, squares 2*(7/9)^2 + 7*(2/9)^2 = 126/81, std sqrt(126/648) = .440959
        (1, {}, (1.7638342, -0.5039526)),
        # c = 4: mean 5/9, squares 5*16/81 + 4*25/81 = 180/81, std sqrt(180/648) = .527046
        (4, {}, (0.8432740, -1.0540926)),
        # c = 7: mean 8/9, squares 8/81 + 64/81 = 72/81, std 1/3
        (7, {}, (1 / 3, -8 / 3)),
        (8, {}, (0.0, NAN)),
        (0, {"ddof": 0}, (NAN, -1 / 8**0.5)),
        (7, {"cap": 2.0}, (1 / 3, -2.0)),
        # a virtual success of 2: mean 2/9, squares 8*(2/9)^2 + (16/9)^2 = 288/81, std 2/3
        (0, {"best": 2.0}, (NAN, -1 / 3)),
    ],
)
def test_ngrpo(c, options, expected):
    close(of_pass_and_fail("ngrpo", c, **options), expected)


def test_ngrpo_all_fail_shrinks_with_the_group():
    for n in (4, 8, 16):
        close(advantages("ngrpo", passed(0, n))[0], -1 / (n + 1) ** 0.5)


def test_ngrpo_sums_below_zero_in_mixed_groups():
    close(sum(advantages("ngrpo", passed(4))), 4 * (0.8432740 - 1.0540926))  # -.843274


def test_ngrpo_of_one():
    # with the success: values 0 and 1, mean .5, std sqrt(.5): -.5/.707107
    close(advantages("ngrpo", [0.0]), [-(0.5**0.5)])
    close(advantages("ngrpo", [1.0]), [0.0])
    # the released code compares it with nothing
    close(advantages("ngrpo", [0.0], variant="repo"), [0.0])
    close(advantages("ngrpo", [1.0], variant="repo"), [1.0])
    close(advantages("ngrpo", passed(0), variant="repo"), [-1 / 3] * 8)


def test_ngrpo_refuses_outcomes_above_its_success():
    with pytest.raises(MethodError, match=r"at most 1, its best, and group .g. has 2"):
        advantages("ngrpo", [0.0, 2.0])


@pytest.mark.parametrize(
    ("acr", "added"),
    [(0.1, 3), (0.25, 4), (0.5, 6), (1.0, 8), (0.0001, 1)],  # ceil(8 sqrt(acr)), at least 1
)
@pytest.mark.parametrize("anchor", [0.1, 0.9])
def test_avspo_all_fail_does_not_know_its_anchor(acr, added, anchor):
    found = advantages("avspo", passed(0), acr=acr, trigger=0.0, anchor=anchor)
    close(found, [-((added / 8) ** 0.5)] * 8)


def test_avspo_all_pass_is_pulled_up_by_its_strata():
    # G = 4, acr 1: K = 4 virtual members at .2 .4 .6 .8; eight values, mean (4 + 2)/8 = .75
    # squares 4*.0625 + .3025 + .1225 + .0225 + .0025 = .7, std sqrt(.0875) = .295804
    close(advantages("avspo", passed(4, 4), acr=1.0), [0.25 / 0.0875**0.5] * 4)
    # power 1, acr .25: K = ceil(4 * .25) = 1 member at .5: mean .9, squares .04 + .16, std .2
    found = advantages("avspo", passed(4, 4), acr=0.25, trigger=0.0, power=1.0)
    close(found, [0.5] * 4)


def test_avspo_mixed_groups_are_plain_and_nothing_is_added_below_the_trigger():
    batch = groups(dead=[0, 0], mixed=[1, 0, 0, 0], lone=[0])
    found = per_trajectory(batch, method("avspo")(batch))  # ACR 1/2, not above .5
    close(found, [0, 0, 3**0.5, *[-(3**-0.5)] * 3, 0])
    found = per_trajectory(batch, method("avspo", trigger=0.4)(batch))
    # ACR 1/2: K = ceil(2 * .707) = 2, -sqrt(2/2)
    close(found, [-1, -1, 3**0.5, *[-(3**-0.5)] * 3, 0])


def test_avspo_stays_inside_its_bound():
    for n in range(2, 9):
        for c in range(n + 1):
            found = advantages("avspo", passed(c, n), acr=1.0)
            assert max(map(abs, found)) <= (n + n) ** 0.5


EBPO = {"mu": 0.3, "within": 0.15, "between": 0.05}


def test_ebpo_by_hand():
    # G = 8: S = (.15/8) / (.15/8 + .05) = .01875/.06875 = .272727; a0 = S * .3 = .081818
    close(advantages("ebpo", passed(0), **EBPO), [-0.0818182] * 8)
    close(advantages("ebpo", passed(8), **EBPO), [0.2727273 * 0.7] * 8)
    # c = 4: baseline .727273 * .5 + .272727 * .3 = .445455
    close(of_pass_and_fail("ebpo", 4, **EBPO), (0.5545455, -0.4454545))
    # alone: S = .15/.2 = .75, clipped to .5, so half of R - mu
    close(advantages("ebpo", [1.0], **EBPO), [0.35])
    close(advantages("ebpo", [1.0], max_shrink=1.0, **EBPO), [0.75 * 0.7])


def test_ebpo_estimates_by_hand():
    # groups 1 0, 1 1, 0 0, 0 and one unscored: means .5 1 0 0, mu = .375
    # within: squares .25 + .25 over (1 + 1 + 1 + 0) degrees of freedom = 1/6
    # variance of means, ddof 1: (.015625 + .390625 + .140625 + .140625)/3 = .229167
    # noise 1/6 * mean(1/2, 1/2, 1/2, 1) = .104167; between = .125
    # S of two: (1/12)/(1/12 + 1/8) = .4; of one: (1/6)/(1/6 + 1/8) = .571429, clipped to .5
    batch = groups(a=[1, 0], b=[1, 1], c=[0, 0], d=[0, None], e=[None])
    found = per_trajectory(batch, method("ebpo")(batch))
    a = 0.6 * 0.5 + 0.4 * 0.375
    expected = [1 - a, -a, 0.4 * 0.625, 0.4 * 0.625, -0.15, -0.15, -0.1875, NAN, NAN]
    close(found, expected)


def test_ebpo_where_the_batch_says_little():
    # one group: its mean is mu, so nothing is pulled anywhere
    close(advantages("ebpo", [1.0, 0.0, 0.0, 0.0]), [0.75, -0.25, -0.25, -0.25])
    # lone trajectories only: no variance inside a group is known, S is the largest allowed
    batch = groups(a=[1], b=[0], c=[0], d=[0])
    close(per_trajectory(batch, method("ebpo")(batch)), [0.375, -0.125, -0.125, -0.125])
    # everything constant and known: no noise, no pull
    batch = groups(a=[1, 1], b=[0, 0])
    close(per_trajectory(batch, method("ebpo")(batch)), [0, 0, 0, 0])
    # nothing varies at all
    close(advantages("ebpo", [0.0, 0.0]), [0, 0])


def test_asym_re_reinforces_failures():
    close(advantages("asym_re", passed(0)), [0.1] * 8)
    close(advantages("asym_re", [1.0]), [0.1])


def test_ms_grpo_by_hand():
    # mean 1, population deviation sqrt((4 + 0 + 0 + 4)/4) = sqrt(2)
    close(advantages("ms_grpo", [3.0, 1.0, 1.0, -1.0]), [1.414214, 0, 0, -1.414214])
    # mean 1.5, deviation sqrt((12.25 + .25 + 2.25 + 2.25)/4) = 2.061553
    found = advantages("ms_grpo", [5.0, 1.0, 0.0, 0.0])
    close(found, [1.697749, -0.242536, -0.727607, -0.727607])
    close(advantages("ms_grpo", [10.0, *[0.0] * 7])[:2], [2.645751, -0.377964])
