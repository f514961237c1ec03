"""Ranks by hand, what is simulated, and the page."""

import numpy as np
import pytest

from claims import r3 as experiment
from tests.claims.pages import checked

TINY = experiment.SCALES["quick"]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0, 2.0, 3.0], [10.0, 20.0, 21.0], 1.0),
        ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0], -1.0),
        # ranks 0 1.5 1.5 and 0 1 2: away from the mean -1 .5 .5 and -1 0 1, 1.5 / sqrt(1.5 x 2)
        ([1.0, 2.0, 2.0], [1.0, 2.0, 3.0], 0.866025),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], 0.0),  # says nothing
        ([float("nan")] * 3, [1.0, 2.0, 3.0], 0.0),
    ],
)
def test_ranks_by_hand(a, b, expected):
    assert experiment.ranks_alike(np.array(a), np.array(b)) == pytest.approx(expected, abs=1e-6)


def test_what_is_simulated_is_the_same_again_and_shows_in_a_few_tokens():
    first, second = (next(experiment.simulated(32, 1, TINY)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    assert first[0].shape == (TINY.samples, 32)
    assert ((first[0] > 0) & (first[0] < 1)).all()
    assert experiment.masking(first[0], first[1]) < 1e-9


def test_the_page_is_what_the_committed_rows_say():
    rows, verdicts = checked("r3")
    assert len(rows.rows) == 5 * (len(experiment.LENGTHS) + len(experiment.FACTS))
    refuted = {id for id, verdict in verdicts.items() if verdict == "refuted"}
    assert refuted == {"R1", "R1b", "R1c", "R1x"}
    assert {*verdicts.values()} == {"held", "refuted"}
