"""One answer out of several, by hand; and what the attempts of a policy state of themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import DataError
from assay.evaluate.calibration import reliability
from assay.evaluate.confidence import summary, votes
from assay.evaluate.voting import elected, elected_right

few = settings(max_examples=50, deadline=None)


def test_ways_of_electing_by_hand() -> None:
    answers, stated = ["a", "a", "b", "c", ""], [0.2, 0.3, 0.6, 0.55, 0.99]
    # a has two of four; a .5, b .6, c .55; the empty answer elects nothing
    assert elected(answers, stated) == ["a"]
    assert elected(answers, stated, "weighted") == ["b"]
    assert elected(answers, stated, "surest") == ["b"]
    # .5 and .5 tie by weight; by the surest .5 wins over .3
    assert elected(["a", "a", "b"], [0.2, 0.3, 0.5], "weighted") == ["a", "b"]
    assert elected(["a", "a", "b"], [0.2, 0.3, 0.5], "surest") == ["b"]
    assert elected(["", ""], [0.5, None]) == []
    # nobody says how sure it is: all that answered tie
    assert elected(["a", "b"], [None, None], "weighted") == ["a", "b"]
    with pytest.raises(DataError, match="1 answers, 2 confidences"):
        elected(["a"], [0.5, 0.5])


def test_how_right_what_is_elected_is() -> None:
    answers, stated, right = ["a", "a", "b"], [0.2, 0.3, 0.9], [False, True, True]
    assert elected_right(answers, stated, right, "majority") == 0.5  # half of those that said a
    assert elected_right(answers, stated, right, "weighted") == 1.0
    assert elected_right(["a", "b"], [0.5, 0.5], [True, False], "weighted") == 0.5  # a tie
    assert elected_right([""], [None], [False], "majority") == 0.0


@few
@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", ""]), st.none() | st.floats(0, 1)), max_size=8
    ),
    seed=st.integers(0, 99),
)
def test_the_order_of_attempts_says_nothing(
    pairs: list[tuple[str, float | None]], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(pairs))
    moved = [pairs[at] for at in order]
    for way in ("majority", "weighted", "surest"):
        first = elected([a for a, _ in pairs], [q for _, q in pairs], way)
        assert set(first) == set(elected([a for a, _ in moved], [q for _, q in moved], way))
    # of equal confidence the weighted vote is the majority's
    even = [0.5] * len(pairs)
    names = [a for a, _ in pairs]
    assert elected(names, even) == elected(names, even, "weighted")


def test_a_diagram_by_hand() -> None:
    q = np.array([0.15, 0.15, 0.85, 0.85, 0.85])
    right = np.array([False, True, True, True, False])
    low, high = reliability(q, right)
    assert (low.stated, low.right, low.samples) == pytest.approx((0.15, 0.5, 2))
    assert (high.stated, high.right, high.samples) == pytest.approx((0.85, 2 / 3, 3))
    assert low.low < 0.5 < low.high
    # equal confidences lie in one bin, also of equal mass
    assert len(reliability(np.full(10, 0.9), np.arange(10) < 6, edges="mass")) == 1


def test_what_is_stated_in_numbers() -> None:
    rng = np.random.default_rng(0)
    q = np.array([0.9, 0.9, 0.3, 0.3])
    right = np.array([True, True, False, True])
    task = np.array([0, 0, 1, 1])
    made = summary(q, right, task, np.array([1.0, 0.5]), rng)
    assert made is not None
    # (.01 + .01 + .09 + .49)/4
    assert made["brier"] == pytest.approx(0.15)
    # off the tasks' rates by .1 .1 .2 .2: root of (.01 + .04)/2; and at weight 1 that is the edge
    assert made["spread"] == pytest.approx(np.sqrt(0.025))
    assert made["gives_up_below"]["1"] == pytest.approx(np.sqrt(0.025))
    assert made["gives_up_below"]["0.5"] < 0.03
    assert [each["samples"] for each in made["reliability"]] == [2, 2]
    assert made["auroc"] == pytest.approx(2.5 / 3)  # above the wrong one twice, level once
    assert set(made["recalibrated"]) == {"brier", "ece", "ece_null", "ece_debiased", "auroc"}
    assert summary(np.zeros(0), np.zeros(0, bool), np.zeros(0, int), np.zeros(1), rng) is None


def test_votes_over_tasks() -> None:
    made = votes(
        [["a", "a", "b"], ["c"]], [[0.2, 0.3, 0.9], [None]], [[False, False, True], [True]]
    )
    assert made == {"majority": 0.5, "weighted": 1.0, "surest": 1.0}
