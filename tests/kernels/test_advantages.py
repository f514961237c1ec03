"""Terms to tokens, against values worked out by hand."""

import numpy as np
import pytest

from assay.errors import AlignmentError, MethodError
from assay.kernels.advantages import advantages
from assay.kernels.term import Term

NAN = float("nan")
# Five runs of 2, 1, 3, 1, 2 tokens; run 1 and 3 are not sampled.
LENGTH_R = np.array([2, 1, 3, 1, 2])
UNIT_R = np.array([0, -1, 1, -1, 2])
VALUE_U = np.array([5.0, 7.0, NAN])
ON_TOKENS = [5, 5, 0, 7, 7, 7, 0, NAN, NAN]


def runs(name="a", value=VALUE_U, unit=UNIT_R, **options):
    return Term(name=name, value_U=np.array(value, float), unit_R=np.array(unit), **options)


def tokens(name, value, unit, **options):
    return Term(name=name, value_U=np.array(value, float), unit_N=np.array(unit), **options)


def test_a_run_carries_its_unit_and_minus_one_carries_nothing():
    actual = advantages([runs()], LENGTH_R)
    np.testing.assert_array_equal(actual.advantage_N, ON_TOKENS)
    assert actual.total.size == 5, "one number per run while nothing is finer"
    np.testing.assert_array_equal(actual.carried, [True, False, True, False, True])


def test_a_token_term_and_a_run_term_add_up():
    fine = tokens("fine", [10.0, 20.0, 40.0], [0, -1, 1, -1, 2, -1, -1, 2, -1])
    actual = advantages([runs(), fine], LENGTH_R)
    # token 7 has no outcome but a finer value: 40 alone; token 8 has only the missing one: NaN
    expected = [15, 5, 20, 7, 47, 7, 0, 40, NAN]
    np.testing.assert_array_equal(actual.advantage_N, expected)
    np.testing.assert_array_equal(actual.parts["a"], [5, 0, 7, 0, NAN])
    np.testing.assert_array_equal(actual.on_tokens(actual.parts["a"]), ON_TOKENS)
    np.testing.assert_array_equal(actual.carried, [1, 1, 1, 1, 1, 1, 0, 1, 1])


def test_two_run_terms_stay_per_run():
    second = runs("b", [1.0, NAN, 100.0], [0, -1, 1, 2, -1])
    actual = advantages([runs(), second], LENGTH_R)
    # run 2: 7, and NaN counts nothing; run 3: carried by b alone; run 4: NaN and nobody else
    np.testing.assert_array_equal(actual.total, [6, 0, 7, 100, NAN])
    np.testing.assert_array_equal(actual.carried, [True, False, True, True, True])


def test_token_weights_multiply_and_never_revive():
    weight_N = np.array([1.0, 2.0, NAN, 0.0, 1.0, 3.0, NAN, 1.0, 1.0])
    actual = advantages([runs(weight_N=weight_N)], LENGTH_R)
    # NaN weights stand where nothing is carried, so they are not read
    np.testing.assert_array_equal(actual.advantage_N, [5, 10, 0, 0, 7, 21, 0, NAN, NAN])
    np.testing.assert_array_equal(actual.carried, [1, 1, 0, 1, 1, 1, 0, 1, 1])


def test_a_weighted_run_term_beside_a_run_term():
    weighted = runs("w", [1.0], [0, 0, -1, -1, -1], weight_N=np.arange(9.0))
    actual = advantages([runs(), weighted], LENGTH_R)
    np.testing.assert_array_equal(actual.advantage_N, [5, 6, 2, 7, 7, 7, 0, NAN, NAN])


def test_as_many_runs_as_tokens_is_not_ambiguous():
    # two runs, one of them empty: two tokens, both of run 1
    length_R = np.array([0, 2])
    actual = advantages([runs(value=[3.0, 4.0], unit=[0, 1])], length_R)
    np.testing.assert_array_equal(actual.advantage_N, [4, 4])
    np.testing.assert_array_equal(actual.carried, [True, True])
    fine = tokens("fine", [10.0], [0, -1])
    both = advantages([runs(value=[3.0, 4.0], unit=[0, 1]), fine], length_R)
    np.testing.assert_array_equal(both.advantage_N, [14, 4])


def test_no_terms_and_no_tokens():
    np.testing.assert_array_equal(advantages([], LENGTH_R).advantage_N, np.zeros(9))
    empty = np.array([], np.int64)
    assert advantages([runs(unit=empty)], empty).advantage_N.size == 0


@pytest.mark.parametrize("stray", [3, -2])
def test_a_run_of_no_unit_is_refused(stray):
    with pytest.raises(AlignmentError, match=rf"unit_R must lie in \[-1, 3\).*got {min(stray, 0)}"):
        advantages([runs(unit=[0, 1, 2, 0, stray])], LENGTH_R)


def test_the_carrier_must_be_of_one_kind_and_long_enough():
    with pytest.raises(AlignmentError, match="exactly one of unit_R and unit_N"):
        advantages([Term(name="t", value_U=VALUE_U)], LENGTH_R)
    with pytest.raises(AlignmentError, match="exactly one of unit_R and unit_N"):
        advantages([Term(name="t", value_U=VALUE_U, unit_R=UNIT_R, unit_N=UNIT_R)], LENGTH_R)
    with pytest.raises(AlignmentError, match="unit_R has 3 entries; expected 5"):
        advantages([runs(unit=[0, 1, 2])], LENGTH_R)
    with pytest.raises(AlignmentError, match="unit_N has 5 entries; expected 9"):
        advantages([tokens("t", VALUE_U, UNIT_R)], LENGTH_R)
    with pytest.raises(AlignmentError, match="weight_N has 2 entries; expected 9"):
        advantages([runs(weight_N=np.ones(2))], LENGTH_R)


def test_names_of_terms_are_their_own():
    with pytest.raises(MethodError, match="two terms are called 'a'"):
        advantages([runs(), runs()], LENGTH_R)
