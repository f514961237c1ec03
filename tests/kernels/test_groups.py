"""What became of each group, said by hand."""

import numpy as np
import pytest

from assay.kernels.constancy import bar
from assay.kernels.groups import FATES, fates, voters

NAN = float("nan")


def fate(*outcomes, others=(0.0, 1.0), **options):
    """The fate of one group, beside another one that spreads the batch's range."""
    outcome_K = np.array([*outcomes, *others])
    group_K = np.array([1] * len(outcomes) + [0] * len(others), np.int64)
    fate_G, dead_G = fates(outcome_K, group_K, n_groups=3, **options)
    assert FATES[fate_G[2]] == "unscored", "the third group is empty"
    assert dead_G[2]
    return FATES[fate_G[1]], bool(dead_G[1])


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((1.0, 0.0), ("mixed", False)),
        ((0.0, 0.0), ("all_fail", True)),
        ((1.0, 1.0), ("all_pass", True)),
        ((0.5, 0.5), ("constant_partial", True)),
        # nobody passes and they differ: GRPO ranks failures, so there is a signal
        ((0.2, 0.5), ("all_fail", False)),
        ((1.0,), ("single", True)),
        ((0.0,), ("single", True)),
        ((0.5,), ("single", True)),
        ((0.0, NAN), ("single", True)),
        ((1.0, NAN, 0.0), ("mixed", False)),
        ((0.0, NAN, 0.0), ("all_fail", True)),
        ((NAN, NAN), ("unscored", True)),
        ((), ("unscored", True)),
        # all pass, though not equally well
        ((1.0, 2.0), ("all_pass", False)),
        # equal but for round-off
        ((0.1 + 0.2, 0.3), ("constant_partial", True)),
        ((0.5, 0.5 + 2e-6), ("all_fail", False)),
        # a constant score below 0 is no partial success
        ((-1.0, -1.0), ("all_fail", True)),
    ],
)
def test_fates(outcomes, expected):
    assert fate(*outcomes) == expected


def test_who_passes_is_an_option():
    assert fate(0.5, 0.2, pass_at=0.5) == ("mixed", False)
    assert fate(0.5, 0.5, pass_at=0.5) == ("all_pass", True)
    assert fate(0.4, 0.4, pass_at=0.5) == ("constant_partial", True)
    assert fate(0.0, 0.0, pass_at=0.0) == ("all_pass", True)


def test_constant_is_judged_by_the_range_of_the_batch():
    # beside a range of 1000 a difference of 1e-4 is nothing
    assert fate(0.5, 0.5001, others=(0.0, 1000.0)) == ("constant_partial", True)
    assert fate(0.5, 0.5001, others=(0.0, 1.0)) == ("all_fail", False)
    # where everything is equal the range is 0, and round-off still counts as equal
    assert fate(0.7, 0.7 + 1e-13, others=(0.7,)) == ("constant_partial", True)
    assert fate(0.7, 0.7 + 1e-11, others=(0.7,)) == ("all_fail", False)


def test_large_equal_scores_are_constant():
    assert fate(-3e9, -3e9 - 1e-6, others=(-3e9,)) == ("all_fail", True)


def test_no_trajectories():
    fate_G, dead_G = fates(np.array([]), np.array([], np.int64), n_groups=2)
    assert [FATES[f] for f in fate_G] == ["unscored", "unscored"]
    assert dead_G.all()


def test_a_pass_has_the_tolerance_of_a_constant_group():
    # 0.7 + 0.2 + 0.1 is 0.9999999999999999; tau2-bench calls 1 within 1e-6 a success
    assert 0.7 + 0.2 + 0.1 < 1.0
    assert [value >= bar(1.0) for value in (0.7 + 0.2 + 0.1, 1 - 1e-6, 1 - 2e-6)] == [1, 1, 0]
    assert [value >= bar(100.0) for value in (99.9999, 99.99)] == [True, False]
    # in units of the bar, so that a low one tells nothing from little
    assert [value >= bar(1e-9) for value in (1e-9, 0.0)] == [True, False]
    assert [value >= bar(-1.0) for value in (-1.0, -1.0000005, -1.1)] == [True, True, False]
    assert [value >= bar(0.0) for value in (0.1 + 0.2 - 0.3, -1e-17, -1e-9)] == [True, True, False]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((0.9999999, 1.0), ("all_pass", True)),
        ((0.7 + 0.2 + 0.1, 0.0), ("mixed", False)),
        # one just reaches the bar and one just does not, and nothing tells them apart: all pass
        ((1 - 1e-6, 1 - 1.5e-6), ("all_pass", True)),
        ((1 - 2e-6, 1 - 2.5e-6), ("constant_partial", True)),
        ((-1.0, -1.0), ("all_fail", True)),
        ((-1.0, 1.0), ("mixed", False)),
    ],
)
def test_no_group_is_both_mixed_and_dead(outcomes, expected):
    assert fate(*outcomes, others=(-1.0, 1.0)) == expected


def test_the_last_of_a_session_that_stands_votes_for_it():
    # sessions: 0 of trajectories 0, 2, 3; none of 1; 1 of 4 and 5, of which none stands
    session, stands = np.array([0, -1, 0, 0, 1, 1]), np.array([1, 0, 1, 0, 0, 0], bool)
    assert voters(session, stands).tolist() == [2, 1, 2, 2, 5, 5]
    assert voters(np.full(2, -1), np.zeros(2, bool)).tolist() == [0, 1]
    assert voters(np.zeros(0, np.int64), np.zeros(0, bool)).tolist() == []
