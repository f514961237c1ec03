"""From rewards and verdicts to what is compared: by hand, against loops in Python, and as laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernels.composition import (
    accepted,
    best,
    conjunction,
    dispersion,
    standardised,
    vetoed,
)

NAN = float("nan")


def array(*values):
    return np.array(values, float)


def zeros(n):
    return np.zeros(n, np.int64)


def close(got, expected):
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_all_items_must_pass_and_one_failure_decides():
    # 1 and 1; 1 and 0; 1 and unknown; 0 and unknown
    close(conjunction(np.array([[1, 1], [1, 0], [1, NAN], [0, NAN]], float)), array(1, 0, NAN, 0))
    close(conjunction(np.zeros((2, 0))), array(1, 1))  # nothing is asked


def test_a_veto_lies_one_below_the_least_of_the_group():
    # least of .9 .4 .5 .6 is .4: the first fails and gets -.6. Less its mean .225, over the
    # population deviation .481534: -1.713 .363 .571 .779
    r = vetoed(array(0.9, 0.4, 0.5, 0.6), array(0, 1, 1, 1), zeros(4), 1)
    close(r, array(-0.6, 0.4, 0.5, 0.6))
    close((r - r.mean()) / (r.std() + 1e-6), array(-1.713271, 0.363421, 0.571090, 0.778760))
    close(vetoed(array(0.9, 0.4), array(0, 1), zeros(2), 1, 0.5), array(-0.1, 0.4))
    # who is not known moves no minimum, and groups are apart
    got = vetoed(array(5, 1, -9, 3, 2), array(0, 1, NAN, 0, 1), np.array([0, 0, 0, 1, 1]), 2)
    close(got, array(0, 1, NAN, 1, 2))
    close(vetoed(array(NAN, 1), array(1, 1), zeros(2), 1), array(NAN, 1))


def test_dispersion_is_the_population_deviation_of_two_or_more():
    # 1 and 3: mean 2, deviation 1; the one that is NaN is left out; one alone has none
    group = np.array([0, 0, 0, 1, 2, 2])
    close(dispersion(array(1, 3, NAN, 7, 4, 4), group, 3), array(1, NAN, 0))


def test_standardised_by_group():
    # 1, 2, 3: mean 2, deviation sqrt(2/3) = .816497; a group without a spread gets 0
    group = np.array([0, 0, 0, 1, 1, 1])
    got = standardised(array(1, 2, 3, 0.1 + 0.2, 0.3, NAN), group, 2)
    close(got, array(-1.224745, 0, 1.224745, 0, 0, NAN))
    close(standardised(array(1, 2, 3) * 1e-7, zeros(3), 1), array(-1.224745, 0, 1.224745))


VERDICTS = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]], float)


@pytest.mark.parametrize(
    ("verdict", "rank", "expected"),
    [
        # best 1 of 4 is the first: 3 of 4 items, .75 >= .6
        (VERDICTS, (0.9, 0.4, 0.5, 0.6), (True, True)),
        # ... the second: 2 of 4, .5 < .6
        (VERDICTS, (0.4, 0.9, 0.5, 0.6), (True, False)),
        # nobody passes the second item; the best passes 1 of 2
        (np.array([[1, 0]] * 4, float), (0.1, 0.2, 0.3, 0.4), (False, False)),
        # no items
        (np.zeros((4, 0)), (0.1, 0.2, 0.3, 0.4), (True, True)),
    ],
)
def test_a_group_is_accepted_by_coverage_and_consistency(verdict, rank, expected):
    coverage, consistency = accepted(verdict, array(*rank), zeros(4), 1)
    assert (bool(coverage[0]), bool(consistency[0])) == expected


def test_what_nobody_judged_is_no_pass_and_no_failure():
    verdict = np.array([[1, NAN], [NAN, NAN], [1, 0]])
    # the second item has no pass; the best, of which nothing is known, is not held against them
    coverage, consistency = accepted(verdict, array(1, 2, 0), zeros(3), 1)
    assert not coverage[0]
    assert consistency[0]
    # .5 of two is below .6, 1 of one is not
    assert accepted(verdict, array(1, 0, 2), zeros(3), 1)[1][0] == np.False_
    assert accepted(verdict, array(2, 0, 1), zeros(3), 1)[1][0]
    # an item that the group is not asked needs no pass; who is not ranked is not in the group
    asked = np.array([[True, False]])
    assert accepted(verdict, array(1, 2, 0), zeros(3), 1, asked_GJ=asked)[0][0]
    assert not accepted(verdict, array(NAN, 2, NAN), zeros(3), 1, asked_GJ=asked)[0][0]


def test_mu_rho_and_nu():
    rank = array(4, 3, 2, 1)
    for mu, holds in ((0, True), (2, True), (3, False)):  # the third item is passed twice
        assert accepted(VERDICTS, rank, zeros(4), 1, mu=mu)[0][0] == holds
    # shares .75 .5 .75 1: the best two hold the second
    for rho, holds in ((0.25, True), (0.26, False), (0.5, False)):
        assert accepted(VERDICTS, rank, zeros(4), 1, rho=rho)[1][0] == holds
    for nu, holds in ((0.75, True), (0.76, False)):
        assert accepted(VERDICTS, rank, zeros(4), 1, nu=nu)[1][0] == holds


def test_the_best_of_each_group_and_all_that_are_equal_to_the_last_of_them():
    group = np.array([1, 0, 1, 0, 1, 0, 1])
    rank = array(1, 5, 3, 5, 3, 1, 0)
    # group 0: ceil(.5 * 3) = 2 of 5 5 1; group 1: 2 of 3 3 1 0
    assert best(rank, group, 0.5).tolist() == [False, True, True, True, True, False, False]
    # one of three: both of rank 5
    assert best(rank, group, 0.25).tolist() == [False, True, True, True, True, False, False]
    # .07 * 100 is 7.000000000000001 in floats
    assert best(np.arange(100.0), zeros(100), 0.07).sum() == 7


# --- against loops


def by_hand(dense, ok, group):
    """r of a veto, one trajectory at a time."""
    found = []
    for d, o, g in zip(dense, ok, group, strict=True):
        known = [x for x, y, h in zip(dense, ok, group, strict=True)
                 if h == g and not math.isnan(x) and not math.isnan(y)]  # fmt: skip
        if math.isnan(d) or math.isnan(o):
            found.append(NAN)
        else:
            found.append(d if o else min(known) - 1.0)
    return found


number = st.one_of(st.just(NAN), st.floats(-5, 5).map(lambda x: round(x, 3)))
word = st.sampled_from([0.0, 1.0, NAN])
rows = st.lists(st.tuples(number, st.integers(0, 2), st.lists(word, min_size=3, max_size=3)),
                min_size=1, max_size=12)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(rows)
def test_vetoes_and_acceptance_as_loops_have_them(made):
    dense = array(*(r[0] for r in made))
    group = np.array([r[1] for r in made])
    verdict = np.array([r[2] for r in made], float)
    ok = conjunction(verdict)
    for each, said in zip(ok, verdict.tolist(), strict=True):
        expected = 0.0 if 0.0 in said else NAN if any(map(math.isnan, said)) else 1.0
        assert each == expected or (math.isnan(each) and math.isnan(expected))
    close(vetoed(dense, ok, group, 3), by_hand(dense.tolist(), ok.tolist(), group.tolist()))
    coverage, consistency = accepted(verdict, dense, group, 3, mu=1, rho=0.4, nu=0.5)
    for g in range(3):
        inside = [k for k in range(len(made)) if group[k] == g and not math.isnan(dense[k])]
        passed = [sum(verdict[k, j] == 1 for k in inside) for j in range(3)]
        assert bool(coverage[g]) == all(n >= 1 for n in passed)
        order = sorted((dense[k] for k in inside), reverse=True)
        edge = order[max(math.ceil(0.4 * len(order)), 1) - 1] if order else 0.0
        shares = []
        for k in inside:
            judged = [v for v in verdict[k] if not math.isnan(v)]
            if dense[k] >= edge and judged:
                shares.append(sum(judged) / len(judged))
        assert bool(consistency[g]) == all(share >= 0.5 for share in shares)


@settings(max_examples=60, deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_trajectories_does_not_matter(made, random):
    mixed = list(range(len(made)))
    random.shuffle(mixed)
    group = np.array([r[1] for r in made])
    dense, verdict = array(*(r[0] for r in made)), np.array([r[2] for r in made], float)
    close(
        vetoed(dense, conjunction(verdict), group, 3)[mixed],
        vetoed(dense[mixed], conjunction(verdict[mixed]), group[mixed], 3),
    )
    for one, other in zip(
        accepted(verdict, dense, group, 3),
        accepted(verdict[mixed], dense[mixed], group[mixed], 3),
        strict=True,
    ):
        assert one.tolist() == other.tolist()
    close(dispersion(dense, group, 3), dispersion(dense[mixed], group[mixed], 3))
    close(standardised(dense, group, 3)[mixed], standardised(dense[mixed], group[mixed], 3))
