"""Methods that verl has too, by hand; `tests/conventions/test_verl.py` holds them to verl's own."""

import numpy as np
import pytest

from assay.credit import method
from assay.records import ModelStep
from tests.credit.worlds import NAN, answer, batch_of, one, per_trajectory


def long(outcome, tokens, *, masked=0, group="g", **fields):
    """A trajectory that sampled so many tokens, and some more that are not to be trained."""
    steps = [ModelStep(text="x", token_ids=tuple(range(tokens))), answer()]
    if masked:
        step = ModelStep(text="y", token_ids=tuple(range(masked)), untrainable="masked")
        steps.append(step)
    return one(outcome, group=group, steps=steps, **fields)


def given(records, name, **options):
    batch = batch_of(records)
    found = method(name, **options)(batch).advantage_N
    first_K = [int(np.flatnonzero(np.repeat(batch.traj_R, batch.length_R) == k)[0])
               for k in range(len(batch.ids))]  # fmt: skip
    return [float(found[n]) for n in first_K]


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


# 1 by 1 token, 0 by 2 and by 5: the mean by length is 1/8
OPO = [long(1.0, 1), long(0.0, 2), long(0.0, 5)]


def test_opo_by_hand():
    close(given(OPO, "opo"), [0.875, -0.125, -0.125])
    # 0.5 by 4, 1 by 1, 0 by 3: (2 + 1)/8 = 0.375, apart from the other group
    other = [long(o, n, group="h") for o, n in ((0.5, 4), (1.0, 1), (0.0, 3))]
    close(given([*OPO, *other], "opo"), [0.875, -0.125, -0.125, 0.125, 0.625, -0.375])


def test_opo_counts_what_may_be_trained_and_is_scored():
    records = [long(1.0, 1, masked=9), long(0.0, 2), long(0.0, 5), long(None, 7)]
    close(given(records, "opo"), [0.875, -0.125, -0.125, NAN])
    # a dropped one is in no mean; one that a lot passed over is
    batch = batch_of([*OPO, long(1.0, 8)])
    by = method("opo")
    dropped = batch.weighted(np.array([1.0, 1.0, 1.0, 0.0]))
    close(per_trajectory(batch_of(OPO), by(batch_of(OPO))), [0.875, -0.125, -0.125])
    close(by(dropped).made[0].scaled_U, [0.875, -0.125, -0.125, NAN])
    undrawn = batch.weighted(np.array([1.0, 1.0, 1.0, 0.0]), np.arange(4) == 3)
    close(by(undrawn).made[0].scaled_U, [7 / 16, -9 / 16, -9 / 16, 7 / 16])


def test_opo_gives_a_rollout_of_several_outputs_one_vote_of_all_their_tokens():
    # 1 by 1 + 2 tokens, 0 by 5: 3/8
    records = [long(1.0, 1, session="A"), long(1.0, 2, session="A"), long(0.0, 5)]
    close(given(records, "opo"), [0.625, 0.625, -0.375])
    # without the first output, which a gate dropped: 1 by 2, 0 by 5, so 2/7
    batch = batch_of(records).weighted(np.array([0.0, 1.0, 1.0]))
    close(method("opo")(batch).made[0].scaled_U, [NAN, 5 / 7, -2 / 7])


@pytest.mark.parametrize("name", ["opo"])
def test_alone_and_constant(name):
    close(given([long(0.7, 3)], name), [0.0])
    close(given([long(0.7, 3)], name, singleton="raw"), [0.7])
    # 0.7 is no number of base two: round-off is no signal
    close(given([long(0.7, n) for n in range(1, 13)], name), [0.0] * 12)
    close(given([long(0.7, n) for n in range(1, 13)], name, singleton="raw"), [0.0] * 12)
    assert all(a == 0.0 for a in given([long(0.7, n) for n in range(1, 13)], name))


def test_opo_of_equal_lengths_is_dr_grpo():
    records = [long(o, 3) for o in (1.0, 0.25, 0.0, 0.5)]
    close(given(records, "opo"), given(records, "dr_grpo"))
