"""A set that is worked through in parts is the set that is worked through whole."""

from functools import partial

import numpy as np

from assay.batch import Batch, arrays, parts
from assay.records import ModelStep, Trajectory
from tests.batch.test_batch import call, made


def test_a_session_of_two_tasks_is_asked_of_its_voter_in_whichever_part_that_is(monkeypatch):
    """First and second are outputs of session s, and the second, of another task, votes for both.
    So the first's call f is asked of task u: the second's only sibling there is the fourth, which
    passes (not -1) and makes no call f: 0. The third's call f, of task t: the first votes in no
    task t and there is no other: -1. Second and fourth pass and both call g: 1."""

    def of(identity: str, task: str, name: str, session: str | None = None) -> Trajectory:
        step = ModelStep(text="x", calls=(call(name),))
        fields = {"task": task, "group": "g", "session": session, "outcome": 1.0}
        return made(step, identity=identity, **fields)

    rows = [of("a", "t", "f", "s"), of("b", "u", "g", "s"), of("c", "t", "f"), of("d", "u", "g")]
    for most in (1, 100):  # in two parts, and in one
        monkeypatch.setattr(arrays, "together", partial(parts.together, most=most))
        assert Batch.of(rows).sibling_C.tolist() == [0, 1, -1, 1]


def test_rows_are_added_where_they_reach():
    """Rows of 1, 1 and 3: two and one of them; 2 + 3 and 4 in all. None: nothing is added."""
    of, traj = np.array([5, 5, 5, 5, 5]), np.array([1, 1, 3])
    parts.add_rows(of, traj)
    assert of.tolist() == [5, 7, 5, 6, 5]
    parts.add_rows(of, traj, np.array([2, 3, 4]))
    assert of.tolist() == [5, 12, 5, 10, 5]
    parts.add_rows(of, traj[:0])
    assert of.tolist() == [5, 12, 5, 10, 5]
