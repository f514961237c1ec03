"""What few steps have: nodes of a tree, stated confidence, named scores."""

import numpy as np

from assay.batch import Batch
from assay.records import ModelStep, Trajectory

NAN = float("nan")


def test_nodes_confidence_and_scores_by_hand():
    def leaf(name, tree, *steps, group="g"):
        return Trajectory(id=name, task="t", group=group, tree=tree, steps=steps)

    shared = ModelStep(text="a", node="n0", scores={"judge": 0.5, "rule": None})
    batch = Batch.of(
        [
            leaf("0", "one", shared, ModelStep(text="b", node="n1", parent="n0", confidence=0.25)),
            leaf("1", "one", shared, ModelStep(text="c", node="n2", parent="n0")),
            # the same names in another tree, in another group's, and without a tree
            leaf("2", "two", shared, ModelStep(text="d", scores={"rule": -1.0})),
            leaf("3", "one", shared, group="h"),
            leaf("4", None, shared),
            leaf("5", None, shared),
        ]
    )
    a, b, _, c, d, none, *others = batch.node_S.tolist()
    assert batch.node_S[2] == a
    assert none == -1
    assert len({a, b, c, d, *others}) == 7
    assert batch.parent_S.tolist() == [-1, a, -1, a, -1, -1, -1, -1, -1]
    assert batch.score_names == ("judge", "rule")
    np.testing.assert_array_equal(batch.score_SJ[:2], [[0.5, NAN], [NAN, NAN]])
    np.testing.assert_array_equal(batch.score_SJ[5], [NAN, -1.0])
    np.testing.assert_array_equal(batch.confidence_S[:3], [NAN, 0.25, NAN])
    assert batch.statistics == {}
