"""What a term was made of stays on the advantages: every baseline and scale, worked out by hand."""

import numpy as np
import pytest

from assay.errors import AlignmentError
from assay.kernels.advantages import advantages
from assay.kernels.term import Term

NAN = float("nan")
# peers 0: 1, 0, 0.5 (mean 0.5, squares 0.5); peers 1: 2, nan, 4 (mean 3, squares 2);
# peers 2: 7 alone; the last has no peers. Peers 3: 3, 3 are equal.
VALUE_U = np.array([1.0, 0.0, 7.0, 2.0, 0.5, NAN, 4.0, 9.0, 3.0, 3.0])
PEER_U = np.array([0, 0, 2, 1, 0, 1, 1, -1, 3, 3])
COUNT_U = [3, 3, 1, 2, 3, 0, 2, 0, 2, 2]
ONES = [1.0] * 10
ROOT = 2**0.5


def made(**options):
    term = Term(name="t", value_U=VALUE_U, peer_U=PEER_U, unit_R=np.arange(10), **options)
    (only,) = advantages([term], np.ones(10, np.int64)).made
    assert only.term is term, "value, peers, weights and options are not copied"
    return only


BASELINES = {
    # what is taken off units 0, 1, 4 (peers 0), then 3, 6 (peers 1); 2, 8 and 9 are compared with
    # their own like, so their own value
    "mean": ({}, [0.5, 0.5, 0.5, 3.0, 3.0]),
    # the others: (0 + 0.5)/2, (1 + 0.5)/2, (1 + 0)/2; 4 and 2
    "loo": ({}, [0.25, 0.75, 0.5, 4.0, 2.0]),
    # 0 has F = 1/3, 0.5 has F = 2/3 >= 0.6; 2 has F = 1/2, 4 has F = 1
    "quantile": ({"quantile": 0.6}, [0.5, 0.5, 0.5, 4.0, 4.0]),
    # a virtual 2.5 joins peers 0: (1 + 0 + 0.5 + 2.5)/4
    "virtual": (
        {"virtual_value_V": np.array([2.5]), "virtual_peer_V": np.array([0])},
        [1.0, 1.0, 1.0, 3.0, 3.0],
    ),
}


@pytest.mark.parametrize("baseline", BASELINES)
def test_what_was_taken_off(baseline):
    options, (a, b, c, d, e) = BASELINES[baseline]
    got = made(baseline=baseline, **options)
    np.testing.assert_allclose(got.baseline_U, [a, b, 7.0, d, c, NAN, e, NAN, 3.0, 3.0])
    np.testing.assert_array_equal(got.divisor_U, ONES)
    more = np.isin(PEER_U, [0]) if baseline == "virtual" else 0
    np.testing.assert_array_equal(got.count_U, np.array(COUNT_U) + more)
    constant = [False, False, True, False, False, False, False, False, True, True]
    np.testing.assert_array_equal(got.constant_U, constant)
    scaled = [1 - a, 0 - b, 0, 2 - d, 0.5 - c, NAN, 4 - e, 0, 0, 0]
    np.testing.assert_allclose(got.scaled_U, scaled, atol=1e-12)


def test_shrunk_takes_off_part_of_the_mean():
    # half of the mean and half of 1: 0.75, 2, (7 + 1)/2 = 4 for the lone one, (3 + 1)/2 = 2
    got = made(baseline="shrunk", shrink=0.5, prior=1.0)
    expected = [0.75, 0.75, 4.0, 2.0, 0.75, NAN, 2.0, NAN, 2.0, 2.0]
    np.testing.assert_allclose(got.baseline_U, expected)
    np.testing.assert_allclose(got.scaled_U[[2, 8]], [3.0, 1.0])


@pytest.mark.parametrize(("options", "base"), [({}, 0.0), ({"given_U": 0.25}, 0.25)])
def test_compared_with_nobody(options, base):
    got = made(baseline="given" if options else "none", **options)
    np.testing.assert_array_equal(got.baseline_U, [base] * 10)
    np.testing.assert_array_equal(got.divisor_U, ONES)
    np.testing.assert_array_equal(got.count_U, [0] * 10)
    assert not got.constant_U.any()
    np.testing.assert_array_equal(got.scaled_U, VALUE_U - base)
    assert got.baseline_U.strides == (0,), "one number is kept once"


def test_a_given_number_per_unit_is_a_view():
    given = np.arange(10.0)
    assert made(baseline="given", given_U=given).baseline_U.base is given


SCALES = {
    # sample: sqrt(0.5/2) = 0.5 and sqrt(2/1); population: sqrt(0.5/3) and sqrt(2/2)
    "sample": ({"scale": "std", "ddof": 1, "eps": 0.0}, 0.5, ROOT),
    "population": ({"scale": "std", "ddof": 0, "eps": 0.0}, (1 / 6) ** 0.5, 1.0),
    "eps": ({"scale": "std", "ddof": 1, "eps": 0.25}, 0.75, ROOT + 0.25),
    "mean": ({"scale": "mean", "eps": 0.5}, 1.0, 3.5),
    # eps under the root: 0.25 + 0.75 and 2 + 0.75
    "root": ({"scale": "root", "ddof": 1, "eps": 0.75}, 1.0, 2.75**0.5),
}


@pytest.mark.parametrize("baseline", ["none", "mean", "given"])
@pytest.mark.parametrize("scale", SCALES)
def test_what_it_was_divided_by(scale, baseline):
    options, first, second = SCALES[scale]
    got = made(baseline=baseline, **options)
    divisor = [first, first, 1.0, second, first, 1.0, second, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(got.divisor_U, divisor)
    base = {"none": [0.0] * 3, "given": [0.0] * 3, "mean": [0.5, 3.0, 7.0]}[baseline]
    expected = [(1.0 - base[0]) / first, (2.0 - base[1]) / second, 7.0 - base[2]]
    np.testing.assert_allclose(got.scaled_U[[0, 3, 2]], expected)


def test_a_lone_unit_that_keeps_its_raw_value():
    got = made(baseline="mean", scale="std", eps=0.5, singleton="raw")
    assert (got.baseline_U[2], got.divisor_U[2], got.count_U[2]) == (0.0, 1.5, 1)
    assert got.scaled_U[2] == 7 / 1.5


def test_a_lone_unit_over_the_root_of_a_variance_of_one():
    got = made(baseline="mean", scale="root", eps=3.0, singleton="raw")
    assert (got.divisor_U[2], got.scaled_U[2]) == (2.0, 3.5)


def test_some_count_more_than_others():
    # 1, 0, 0.5 by 1, 2 and 5: mean 3.5/8 = 0.4375. Squares 0.31640625 + 2 * 0.19140625
    # + 5 * 0.00390625 = 0.71875, over 8 - 1; 2 and 4 by 3 and 1: mean 2.5, squares 3 * 0.25 + 2.25
    # = 3, over 4 - 1. What has no mass moves nothing: the 9 that joins peers 1 is 6.5 off.
    mass_U = np.array([1.0, 2.0, 1.0, 3.0, 5.0, 1.0, 1.0, 0.0, 1.0, 4.0])
    peer_U = np.where(np.arange(10) == 7, 1, PEER_U)
    fields = {"name": "t", "value_U": VALUE_U, "peer_U": peer_U, "unit_R": np.arange(10)}
    term = Term(baseline="mean", scale="std", eps=0.0, mass_U=mass_U, **fields)
    (got,) = advantages([term], np.ones(10, np.int64)).made
    std = (0.71875 / 7) ** 0.5
    np.testing.assert_allclose(
        got.baseline_U, [0.4375, 0.4375, 7.0, 2.5, 0.4375, NAN, 2.5, 2.5, 3.0, 3.0]
    )
    expected = [0.5625 / std, -0.4375 / std, 0, -0.5, 0.0625 / std, NAN, 1.5, 6.5, 0, 0]
    np.testing.assert_allclose(got.scaled_U, expected)
    assert got.count_U.tolist() == [3, 3, 1, 2, 3, 0, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("baseline", "mass", "said"),
    [
        ("loo", [1.0, 2.0], "needs baseline 'mean'"),
        ("mean", [1.0, 0.5], "0 or at least 1"),
        ("mean", [1.0, NAN], "0 or at least 1"),
    ],
)
def test_masses_are_counts_and_the_mean_s(baseline, mass, said):
    fields = {"value_U": np.array([1.0, 0.0]), "unit_R": np.arange(2)}
    term = Term(name="t", baseline=baseline, mass_U=np.array(mass), **fields)
    with pytest.raises(AlignmentError, match=f"term 't': mass_U .*{said}"):
        advantages([term], np.ones(2, np.int64))


def test_sign_cap_and_weights_come_after():
    # centred 0.5, -0.5, .., -1, .., 1: the positive half, at most 0.75, times 2, times the unit's
    weight_U = np.arange(10.0) + 1
    options = {"sign": "positive", "cap": 0.75, "weight": 2.0, "weight_U": weight_U}
    got = made(baseline="mean", **options)
    assert got.scaled_U[[0, 1, 3, 6]].tolist() == [0.5, -0.5, -1.0, 1.0]
    assert got.advantage_U[[0, 1, 3, 6]].tolist() == [1.0, 0.0, 0.0, 10.5]
    np.testing.assert_array_equal(got.term.weight_U, weight_U)


def test_one_entry_per_term_in_order():
    terms = [
        Term(name=n, value_U=np.array([float(v)]), unit_R=np.array([0]))
        for n, v in (("b", 1), ("a", 2))
    ]
    got = advantages(terms, np.array([3]))
    assert [each.term.name for each in got.made] == list(got.parts) == ["b", "a"]
    assert [each.advantage_U.tolist() for each in got.made] == [[1.0], [2.0]]


def test_units_that_do_not_count_are_compared_and_move_nothing():
    # leaves 1, 0, 0 count; two nodes, worth 0.5 and 0.25, do not. Mean 1/3, squares 2/3, ddof 1:
    # std sqrt(1/3). Leave-one-out: the first leaf against 0, a node against all three.
    value = np.array([1.0, 0.0, 0.0, 0.5, 0.25])
    vote = np.array([0, 1, 2, -1, -1])
    fields = {"name": "t", "value_U": value, "vote_U": vote, "unit_R": np.arange(5)}
    (got,) = advantages(
        [Term(baseline="mean", scale="std", eps=0.0, **fields)], np.ones(5, np.int64)
    ).made
    root = 3**0.5
    expected = [2 / root, -1 / root, -1 / root, 0.5 / root, -0.25 / root]
    np.testing.assert_allclose(got.scaled_U, expected)
    assert got.count_U.tolist() == [3] * 5
    (got,) = advantages([Term(baseline="loo", **fields)], np.ones(5, np.int64)).made
    np.testing.assert_allclose(got.baseline_U, [0, 0.5, 0.5, 1 / 3, 1 / 3])


def test_units_with_one_vote_count_once_and_are_compared_with_what_the_others_voted():
    # three rollouts: units 0, 1 and 2 are outputs of the first, worth 1, and 2 votes for them; 3
    # and 4 are worth 0. Mean 1/3 of 3 votes, squares 2/3, ddof 1: std sqrt(1/3). Leave-one-out: the
    # first three against 0, the mean of the other two votes; the others against 1/2.
    fields = {"name": "t", "value_U": np.array([1.0, 1.0, 1.0, 0.0, 0.0]), "unit_R": np.arange(5)}
    fields["vote_U"] = np.array([2, 2, 2, 3, 4])
    ones = np.ones(5, np.int64)
    (got,) = advantages([Term(baseline="mean", scale="std", eps=0.0, **fields)], ones).made
    np.testing.assert_allclose(got.scaled_U, [2 / 3**0.5] * 3 + [-1 / 3**0.5] * 2)
    assert got.count_U.tolist() == [3] * 5
    (got,) = advantages([Term(baseline="loo", **fields)], ones).made
    np.testing.assert_allclose(got.scaled_U, [1, 1, 1, -0.5, -0.5])
    # two outputs of the only rollout are alone
    fields |= {"value_U": np.array([1.0, 1.0]), "vote_U": np.array([1, 1]), "unit_R": np.arange(2)}
    (got,) = advantages([Term(baseline="mean", singleton="raw", **fields)], ones[:2]).made
    assert got.scaled_U.tolist() == [1.0, 1.0]
    # a vote that nobody scored is none: the two others are compared with each other
    fields |= {"value_U": np.array([1.0, NAN, 0.0, 2.0]), "vote_U": np.array([1, 1, 2, 3])}
    (got,) = advantages([Term(baseline="loo", **fields | {"unit_R": np.arange(4)})], ones[:4]).made
    np.testing.assert_allclose(got.baseline_U, [1.0, NAN, 2.0, 0.0])


@pytest.mark.parametrize("vote", [[0, 2], [-2, 1]])
def test_a_vote_is_one_of_a_unit(vote):
    fields = {"value_U": np.array([1.0, 0.0]), "unit_R": np.arange(2)}
    term = Term(name="t", baseline="mean", vote_U=np.array(vote), **fields)
    with pytest.raises(AlignmentError, match=r"term 't': vote_U "):
        advantages([term], np.ones(2, np.int64))


def test_what_comes_after_is_added_last():
    # centred -1, 0, 1 (mean 3), capped at 0.5: -0.5, 0, 0.5, times 4: -2, 0, 2;
    # unit 0 is before 1, 1 before 2, half of each: 0 + 2/2 = 1, -2 + 1/2 = -1.5
    fields = {"value_U": np.array([2.0, 3.0, 4.0]), "next_U": np.array([1, 2, -1]), "decay": 0.5}
    term = Term(name="t", baseline="mean", cap=0.5, weight=4.0, unit_R=np.arange(3), **fields)
    (got,) = advantages([term], np.ones(3, np.int64)).made
    assert got.scaled_U.tolist() == [-1.0, 0.0, 1.0]
    assert got.advantage_U.tolist() == [-1.5, 1.0, 2.0]


def test_parts_can_be_combined_in_another_way():
    terms = [
        Term(name="a", value_U=np.array([2.0, 3.0]), unit_R=np.array([0, 1])),
        Term(name="b", value_U=np.array([5.0, 7.0]), unit_N=np.array([0, -1, 1])),
    ]

    def product(parts, carried):
        assert [carries.tolist() for carries in carried.values()] == [
            [True] * 3,
            [True, False, True],
        ]
        return parts["a"] * parts["b"]

    got = advantages(terms, np.array([2, 1]), product)
    assert got.total.tolist() == [10.0, 0.0, 21.0]
    assert got.carried.tolist() == [True] * 3
    assert got.parts["a"].tolist() == [2.0, 3.0], "a part stays as it is"
