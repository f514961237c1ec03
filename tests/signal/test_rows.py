"""Credit to rows and back: nothing moves, nothing is invented."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AlignmentError
from assay.signal.rows import LAYOUTS, padded_rows, ragged

# Three rows of 2, 0 and 3 tokens; the third token is unscored, the last is carried by nothing.
ADVANTAGE = np.array([0.5, -1.0, np.nan, 2.0, 9.0])
CARRIED = np.array([True, True, True, True, False])
LENGTH = np.array([2, 0, 3])


def test_unscored_and_uncarried_leave_with_no_advantage_and_no_weight() -> None:
    advantage, weight = padded_rows(ADVANTAGE, LENGTH, carried_N=CARRIED)
    assert advantage.tolist() == [[0.5, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    assert weight.tolist() == [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_left_padding_puts_tokens_last() -> None:
    advantage, weight = padded_rows(ADVANTAGE, LENGTH, width=4, side="left")
    assert advantage.tolist() == [[0, 0, 0.5, -1.0], [0, 0, 0, 0], [0, 0.0, 2.0, 9.0]]
    assert weight.tolist() == [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1]]


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=6),
    extra=st.integers(0, 3),
    engine=st.sampled_from(sorted(LAYOUTS)),
    seed=st.integers(0, 99),
)
def test_readback_is_the_input_on_every_token(
    lengths: list[int], extra: int, engine: str, seed: int
) -> None:
    length = np.array(lengths)
    rng = np.random.default_rng(seed)
    credit = rng.normal(size=int(length.sum()))
    side = LAYOUTS[engine].side
    width = int(length.max()) + extra
    advantage, weight = padded_rows(credit, length, width=width, side=side)
    assert ragged(advantage, length, side=side).tolist() == credit.tolist()
    assert ragged(weight, length, side=side).all()
    # nothing else is anywhere: what is not a token sums to 0 exactly
    assert np.count_nonzero(advantage) == np.count_nonzero(credit)
    assert weight.sum() == credit.size


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(AlignmentError, match="rows of 4 tokens in all; got 5"):
        padded_rows(ADVANTAGE, np.array([2, 2]))
    with pytest.raises(AlignmentError, match="row 2 has 3 tokens; expected at most the width, 2"):
        padded_rows(ADVANTAGE, LENGTH, width=2)
    with pytest.raises(AlignmentError, match="got 2 rows and 3 lengths"):
        ragged(np.zeros((2, 3)), LENGTH)
