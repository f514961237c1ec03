"""Claims held against checks, by hand; and what saying so earns."""

import numpy as np
import pytest

from assay.credit import method
from assay.errors import UsageError
from assay.records import Grade
from tests.credit.worlds import batch_of, one, per_trajectory


def group(*said, **fields):
    """Trajectories of one group: (outcome, claim)."""
    return batch_of(one(outcome, claim=claim, **fields) for outcome, claim in said)


MIXED = [(0.0, "claimed"), (0.0, "admitted"), (0.0, "none"), (1.0, "admitted")]


def given(batch, **options):
    return per_trajectory(batch, method("honest_claims", **options)(batch))


def test_claims_by_hand():
    # h -.25 .05 0 -.25, mean -.45/4 = -.1125
    np.testing.assert_allclose(given(group(*MIXED)), [-0.1375, 0.1625, 0.1125, -0.1375], atol=1e-12)
    assert given(group(*MIXED), baseline="none") == [-0.25, 0.05, 0.0, -0.25]
    # under .8: (.25 + .05)(1/.8 - 1) = .075
    found = given(group(*MIXED), baseline="none", above=0.8)
    np.testing.assert_allclose(found, [-0.25, 0.05, 0.0, -0.075], atol=1e-12)
    # a success that is claimed, or of which nothing is said, costs nothing
    assert given(group((1.0, "claimed"), (1.0, "none")), baseline="none") == [0.0, 0.0]


def test_a_judge_s_word_costs_nothing():
    judged = one(None, claim="claimed", grades=(Grade(level="E1", value=0.0),))
    assert given(batch_of([judged, one(1.0)]), baseline="none") == [0.0, 0.0]
    assert np.isnan(given(group((None, "claimed"), (1.0, "none")))[0])


def test_where_all_claim_falsely():
    batch = group(*[(0.0, "claimed")] * 3)
    assert given(batch) == [0.0] * 3
    assert given(batch, baseline="none") == [-0.25] * 3


def test_a_session_says_one_thing():
    records = [
        one(0.0, claim="claimed", session="s"),
        one(0.0, claim="admitted", session="s"),
        one(0.0, claim="none"),
    ]
    # the last votes: .05 and 0
    found = given(batch_of(records))
    np.testing.assert_allclose(found, [0.025, 0.025, -0.025], atol=1e-12)


def test_when_claiming_pays():
    by = method("honest_claims")
    assert by.pays_above == pytest.approx(0.3 / 0.55, abs=1e-12)  # .5455
    assert by.earned(0.5) == pytest.approx((0.375, 0.4), abs=1e-12)
    assert by.earned(0.6) == pytest.approx((0.5, 0.47), abs=1e-12)
    assert method("honest_claims", above=0.8).pays_above == pytest.approx(0.8, abs=1e-12)
    assert method("honest_claims", above=0.8).under_cost == pytest.approx(0.075, abs=1e-12)
    free = method("honest_claims", false_claim=0.0, admission=0.0, under_claim=0.0)
    assert np.isnan(free.pays_above)


@pytest.mark.parametrize("above", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("costs", [(0.25, 0.05), (1.0, 0.0), (0.1, 0.9)])
def test_claiming_pays_exactly_above(above, costs):
    by = method("honest_claims", false_claim=costs[0], admission=costs[1], above=above)
    for belief in np.linspace(0.0, 1.0, 101):
        claimed, admitted = by.earned(float(belief))
        if abs(belief - above) > 1e-9:
            assert (claimed > admitted) == (belief > above)
        # a failure that is admitted never earns more than a success that is claimed
        assert by.earned(1.0)[0] > by.earned(0.0)[1]


def test_impossible_costs_are_refused():
    for bad in ({"false_claim": -1}, {"admission": 1}, {"above": 0}, {"above": 1},
                {"under_claim": -0.1}):  # fmt: skip
        with pytest.raises(UsageError):
            method("honest_claims", **bad)
