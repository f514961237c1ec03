"""Returns along chains, worked out by hand."""

import numpy as np
import pytest

from assay.errors import AlignmentError
from assay.kernels.returns import along, returns

NAN = float("nan")


def test_two_chains_in_any_order():
    # 3 -> 0 -> 4 with 1, 2, 4: 1 + 0.5 * (2 + 0.5 * 4) = 3, 2 + 2 = 4, 4; and 2 -> 1 with 8, 6
    value, next_U = np.array([2.0, 6.0, 8.0, 1.0, 4.0]), np.array([4, -1, 1, 0, -1])
    got = returns(value, next_U, 0.5)
    assert got.tolist() == [4.0, 6.0, 11.0, 3.0, 4.0]
    assert value.tolist() == [2.0, 6.0, 8.0, 1.0, 4.0], "not written"
    assert next_U.tolist() == [4, -1, 1, 0, -1], "not written"


def test_a_decay_per_unit_and_a_fork():
    # both 0 and 1 come before 2: 1 + 1 * 10, 1 + 0.1 * 10
    got = returns(np.array([1.0, 1.0, 10.0]), np.array([2, 2, -1]), np.array([1.0, 0.1, 7.0]))
    assert got.tolist() == [11.0, 2.0, 10.0]


def test_the_unscored_count_nothing():
    # 0 -> 1 -> 2 and 3 -> 4: 1 + 0.5 * (0 + 0.5 * 4) = 2, 0 + 2, 4; nobody scored 3 and 4
    got = returns(np.array([1.0, NAN, 4.0, NAN, NAN]), np.array([1, 2, -1, 4, -1]), 0.5)
    np.testing.assert_array_equal(got, [2.0, 2.0, 4.0, NAN, NAN])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 63, 64, 65])
def test_a_chain_of_any_length(n):
    # 1 + 0.5 + 0.25 + ...: 2 - 2 ** -(left - 1)
    got = returns(np.ones(n), np.append(np.arange(1, n), -1)[:n], 0.5)
    np.testing.assert_allclose(got, [2 - 2.0 ** -(n - 1 - u) for u in range(n)], rtol=1e-15)


@pytest.mark.parametrize(
    ("next_U", "message"),
    [([1, 0], "circle"), ([0, -1], "circle"), ([2, -1], "got -1 to 2"), ([-2, -1], "got -2")],
)
def test_where_no_chain_goes(next_U, message):
    with pytest.raises(AlignmentError, match=message):
        returns(np.ones(2), np.array(next_U))


def test_along_rows_is_returns_of_the_next_one():
    # 1 + .5 (2 + .5 4), 2 + .5 4, 4 | 8, alone
    goes_on_U = np.array([True, True, False, False])
    value_U, half_U = np.array([1.0, 2.0, 4.0, 8.0]), np.full(4, 0.5)
    np.testing.assert_array_equal(along(value_U, goes_on_U, half_U), [3.0, 4.0, 4.0, 8.0])
    none = np.zeros(0)
    assert along(none, np.zeros(0, bool), none).size == 0


def test_along_rows_of_any_length():
    rng = np.random.default_rng(0)
    sizes = [1, 3, 1_023, 1_024, 1_025, 2, 3_000]
    last = np.cumsum(sizes) - 1
    goes_on_U = ~np.isin(np.arange(sum(sizes)), last)
    value_U, decay_U = rng.normal(size=sum(sizes)), rng.random(sum(sizes))
    expected, after = np.zeros(value_U.size), 0.0
    for u in range(value_U.size - 1, -1, -1):
        after = value_U[u] + (decay_U[u] * after if goes_on_U[u] else 0.0)
        expected[u] = after
    np.testing.assert_allclose(along(value_U, goes_on_U, decay_U), expected, atol=1e-12)
