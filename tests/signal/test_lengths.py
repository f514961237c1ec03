"""A method that says that it does not read lengths gives rows the same whatever they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.credit import METHODS
from assay.errors import AssayError
from assay.recipes import Recipe
from assay.signal import bare, per_row

FREE = [name for name in METHODS.names() if not METHODS.get(name).lengths]
ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9), st.integers(0, 2)), max_size=12)


def rows(name, found, lengths):
    outcome_K = np.array([float(outcome) for outcome, _, _ in found])
    batch = bare(outcome_K, [group for _, _, group in found], np.array(lengths, np.int64))
    try:
        return per_row(batch, Recipe.of(name))
    except AssayError as error:
        return str(error)


@pytest.mark.parametrize("name", FREE)
@settings(max_examples=15, deadline=None)
@given(found=ROWS)
def test_rows_get_the_same_whether_or_not_their_tokens_are_counted(name, found):
    counted = rows(name, found, [length for _, length, _ in found])
    known = rows(name, found, [min(length, 1) for _, length, _ in found])
    assert isinstance(counted, str) == isinstance(known, str)
    np.testing.assert_array_equal(known, counted)


def test_those_that_read_lengths_say_so():
    short, long = ([(1, 1, 0), (0, n, 0), (0, 1, 1), (1, 1, 1)] for n in (1, 8))
    for name in ("opo", "reinforce_plus_plus", "reinforce_plus_plus_baseline"):
        assert METHODS.get(name).lengths
        given_ = [rows(name, found, [length for _, length, _ in found]) for found in (short, long)]
        assert not np.array_equal(*given_)
    assert {"grpo", "dr_grpo", "rloo", "gpg", "nsr"} <= set(FREE)
