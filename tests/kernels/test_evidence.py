"""Which calls also occur in a successful trajectory of the task, said by hand and by an oracle."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernels.evidence import sibling_evidence


def found(calls, task_K, passed_K):
    """`calls`: (trajectory, key) pairs."""
    key_C = np.array([key for _, key in calls], np.int64)
    traj_C = np.array([traj for traj, _ in calls], np.int64)
    passed = np.array(passed_K, bool)
    return sibling_evidence(key_C, traj_C, np.array(task_K, np.int64), passed).tolist()


def test_by_hand():
    # task 0: trajectory 0 passes with calls 7 and 7, 1 fails with 7 and 8, 2 passes with 8
    # task 1: trajectory 3 passes alone with 7, 4 fails with 7 and 9; task 2: 5 fails with 7
    calls = [(0, 7), (0, 7), (1, 7), (1, 8), (2, 8), (3, 7), (4, 7), (4, 9), (5, 7)]
    expected = [
        0,  # only trajectory 0 itself succeeds with 7
        0,  # and twice is not two witnesses
        1,  # trajectory 0
        1,  # trajectory 2
        0,  # trajectory 0 passes, without 8
        -1,  # nobody else passes task 1
        1,  # trajectory 3
        0,
        -1,  # nobody passes task 2, and task 0 is no witness
    ]
    assert found(calls, [0, 0, 0, 1, 1, 2], [1, 0, 1, 1, 0, 0]) == expected


def test_two_successes_are_each_others_witness():
    assert found([(0, 3), (1, 3)], [0, 0], [1, 1]) == [1, 1]


def test_keys_are_told_apart_however_large():
    large = 2**62
    assert found([(0, large), (1, large), (1, large + 1)], [0, 0], [1, 0]) == [-1, 1, 0]


def test_nothing():
    assert found([], [], []) == []
    assert found([], [0, 1], [1, 0]) == []
    assert found([(0, 1), (1, 1)], [0, 0], [0, 0]) == [-1, -1]


@st.composite
def worlds(draw):
    n = draw(st.integers(1, 6))
    calls = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, 3)), max_size=12))
    task_K = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    passed_K = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return calls, task_K, passed_K


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_matches_the_definition(world):
    calls, task_K, passed_K = world
    expected = []
    for traj, key in calls:
        others = [
            k for k in range(len(task_K)) if k != traj and task_K[k] == task_K[traj] and passed_K[k]
        ]
        expected.append(int(any((k, key) in calls for k in others)) if others else -1)
    assert found(*world) == expected
