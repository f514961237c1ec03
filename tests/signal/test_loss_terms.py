"""What a row is trained on, and rows that no rollout of the step made."""

import numpy as np
import pytest

from assay.errors import AlignmentError, UsageError
from assay.signal.losses import LossTerm, Reference, TopK, closest
from assay.signal.origins import OriginRow

TWO = np.ones(2)


def test_the_teacher_that_names_most_of_what_the_policy_names() -> None:
    # overlaps over two places: 2 + 3, 3 + 1, 1 + 4: the first of the two fives
    own = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    a = np.array([[1, 2, 9, 10], [5, 6, 7, 11]])
    b = np.array([[1, 2, 3, 9], [5, 12, 13, 14]])
    c = np.array([[1, 9, 10, 11], [5, 6, 7, 8]])
    assert closest(own, [a, b, c]) == 0
    assert closest(own, [b, c, a]) == 1
    assert closest(own, [b]) == 0


def test_a_term_has_the_target_of_its_kind() -> None:
    reference = Reference(logprob_N=-TWO)
    named = TopK(token_NV=np.zeros((2, 1), np.int64), logprob_NV=-np.ones((2, 1)))
    assert LossTerm("kl", "ref_kl", TWO, reference).target is reference
    assert LossTerm("kl", "topk_kl", TWO, named).target is named
    for kind, target in (("ce", reference), ("ref_kl", None), ("ref_kl", named), ("topk_kl", None)):
        with pytest.raises(
            UsageError, match="expected one of rl, ce, ref_kl, topk_kl, a Reference"
        ):
            LossTerm("x", kind, TWO, target)  # type: ignore[arg-type]
    with pytest.raises(AlignmentError, match="2 weights and a target of 3 tokens"):
        LossTerm("x", "ref_kl", TWO, Reference(logprob_N=np.zeros(3)))
    with pytest.raises(UsageError, match="a weight is not finite"):
        LossTerm("x", "ce", np.array([1.0, np.nan]))


def test_a_top_k_target_is_of_one_shape_and_in_range() -> None:
    tokens = np.zeros((2, 3), np.int64)
    with pytest.raises(AlignmentError, match="expected one, "):
        TopK(token_NV=tokens, logprob_NV=np.zeros((2, 2)))
    for wrong in ({"alpha": 1.5}, {"alpha": -0.1}, {"cap": 0.0}):
        with pytest.raises(UsageError, match="expected alpha in"):
            TopK(token_NV=tokens, logprob_NV=np.zeros((2, 3)), **wrong)


def test_a_row_has_one_entry_per_token_of_its_completion() -> None:
    row = OriginRow((1,), (2, 3), (1, 0), record="t/0")
    assert row.sampled_N.tolist() == [1.0, 0.0]
    with pytest.raises(AlignmentError, match=r"1 entries of sampled; expected .* 2"):
        OriginRow((1,), (2, 3), (1,), record="t/0")
    with pytest.raises(AlignmentError, match="3 entries of logprobs"):
        OriginRow((1,), (2, 3), (1, 1), (0.0, 0.0, 0.0))
    with pytest.raises(AlignmentError, match="2 entries of loss 'echo'"):
        OriginRow((1,), (2,), (1,), losses=(LossTerm("echo", "ce", TWO),))
    with pytest.raises(UsageError, match="expected a prompt"):
        OriginRow((), (2,), (1,))
