"""Formulas of rubrics, by hand; values of the specification where it has some."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernels.rubrics import (
    LABELS,
    exploitation_rate,
    implicit,
    internalised,
    kept_items,
    pruned,
    scored,
    shown_count,
    shown_share,
)

NAN = float("nan")


def array(*values):
    return np.array(values, float)


def rows(*given):
    return np.array(given, float)


def close(got, expected):
    np.testing.assert_allclose(got, expected, atol=1e-6)


POINTS = np.array([5.0, 3.0, -6.0])
MET = rows((1, 1, 0), (1, 0, 1), (0, 0, 1))


def test_points_with_pitfalls():
    # over 5 + 3: 8/8, (5 - 6)/8, -6/8
    close(scored(MET, POINTS, "positive"), [1.0, -0.125, -0.75])
    # over 5 + 3 + 6, a pitfall that is not met earns its 6: 14/14, 5/14, 0
    close(scored(MET, POINTS, "absolute"), [1.0, 0.357143, 0.0])
    # without a positive item there is nothing to divide by
    close(scored(rows((1,)), np.array([-6.0]), "positive"), [0.0])


def test_rar_weighs_by_label():
    # (1 + .3 + .8) / (1 + .7 + .3 + .8) = 2.1 / 2.8
    weights = np.array([LABELS[x] for x in ("essential", "important", "optional", "pitfall")])
    close(scored(rows((1, 0, 1, 1)), weights, "explicit"), [0.75])


def test_rler_divides_by_one_at_least():
    # (1 + .5 - 1) / 2; .5 * .4 / 1; -1 / 1
    close(scored(rows((1, 0.5, 1)), np.array([1.0, 1, -1]), "rler"), [0.25])
    close(scored(rows((0.5,)), np.array([0.4]), "rler"), [0.2])
    close(scored(rows((1,)), np.array([-1.0]), "rler"), [-1])


def test_what_was_not_judged_counts_nowhere():
    # 5 of 5; 3 of 3 and a pitfall of 6 that is not met: 9 of 9, 3 of 3; nobody judged anything
    close(scored(rows((1, NAN, NAN)), POINTS, "explicit"), [1.0])
    close(scored(rows((NAN, 1, 0)), POINTS, "absolute"), [1.0])
    assert np.isnan(scored(rows((NAN, NAN, NAN)), POINTS, "rler")).all()
    assert np.isnan(scored(np.zeros((1, 0)), np.zeros(0), "explicit")).all()


def test_a_rating_of_one_to_ten():
    # (1 - 1) / 9, (5.5 - 1) / 9, (10 - 1) / 9; what nobody rated stays so
    close(implicit(array(1, 5.5, 10, NAN)), [0, 0.5, 1, NAN])


@pytest.mark.parametrize(
    ("i", "step", "expected"),
    [(0, 1, 1.0), (7, 1, 0.0), (0, 71, 0.482099), (3, 66, 0.484586), (0, 100, 0.000029)],
)
def test_how_much_of_a_rubric_is_shown(i, step, expected):
    # step 71 of 350: x = 70/349 = .200573, 1/(1 + exp(125 * .000573)) = .482099; i = 3: 4/7 of it
    assert shown_share(i, 8, step, 350) == pytest.approx(expected, abs=1e-6)


def test_who_is_alone_sees_all_and_halves_go_to_the_even_number():
    assert shown_share(0, 1, 1, 350) == pytest.approx(1.0, abs=1e-9)
    assert shown_share(0, 2, 1, 1, start=0.0) == 0.5
    assert [shown_count(1, x) for x in (0.5, 1.5, 2.5)] == [0, 2, 2]
    assert shown_share(0, 2, 100, 100, steep=1e9) == pytest.approx(0, abs=1e-300)


def test_dropped_items_are_drawn_by_hash():
    # floor(.4 * 5) = 2 are dropped
    assert kept_items("q1", 3, 5, 0.4) == [0, 1, 2]
    assert kept_items("q1", 4, 5, 0.4) == [0, 1, 2]
    assert kept_items("q2", 3, 5, 0.4) == [0, 2, 4]
    assert len(kept_items("q1", 3, 1, 0.99)) == 1  # one stays
    assert kept_items("q1", 3, 0, 0.5) == []
    # floor(.25 * 10) = 2 are dropped; of floor(.99 * 3) = 2 one may be, where two are to stay
    assert len(kept_items("q1", 3, 10, 0.25)) == 8
    assert len(kept_items("q1", 3, 3, 0.99, least=2)) == 2
    # each is dropped as often as the others: 2 in 5 of 1,000 steps, within four errors
    kept = np.array([[j in kept_items("q", step, 5, 0.4) for j in range(5)]
                     for step in range(1000)])  # fmt: skip
    assert (abs(kept.mean(0) - 0.6) < 4 * math.sqrt(0.24 / 1000)).all()


def test_items_that_tell_rollouts_apart_stay():
    scores = {
        "a": [1.0, 1.0, 1.0, 1.0],
        "b": [0.0, 1.0, 0.0, 1.0],
        "c": [0.0, 0.0, 0.0, 1.0],
        "d": [0.5, 0.5, 0.5, 1.0],
    }
    live, spread = pruned(scores, 2)
    # deviations 0; .5; sqrt(3)/4 = .433013; .216506
    assert live == ["b", "c"]
    close(list(spread.values()), [0, 0.5, 0.433013, 0.216506])
    assert pruned({"y": [0.0, 1.0], "x": [0.0, 1.0], "z": [NAN, NAN]})[0] == ["x", "y"]
    assert pruned({"a": [0.1, NAN, 0.1, 0.1]})[0] == []


def test_how_much_of_what_is_new_a_panel_rejects():
    # new are the first, second and fourth: (1 + 0 + 1) / (1 + 2 + 1)
    one = np.ones(4)
    w, before, no = array(1, 2, 1, 1), array(0, 0, 1, 0), array(1, 0, 1, 1)
    assert exploitation_rate(w, before, one, no) == 0.5
    # of the first nobody knows what it was, of the last what the panel says
    before, no = array(NAN, 0, 0, 1), array(1, 1, NAN, 1)
    assert exploitation_rate(w, before, one, no) == 1.0
    assert math.isnan(exploitation_rate(one, one, one, one))


def test_the_gap_between_with_and_without_the_rubric():
    # -.2 -.1 -.4
    gap = internalised(array(-1.2, -0.9, -1.5), array(-1.0, -0.8, -1.1))
    assert gap == pytest.approx(-7 / 30)
    assert internalised(array(-1.2, NAN), array(-1.0, -0.8)) == pytest.approx(-0.2)
    assert math.isnan(internalised(array(), array()))


verdict = st.sampled_from([0.0, 1.0, NAN])
weight = st.sampled_from([-6.0, -1.0, 0.3, 1.0, 5.0])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(verdict, weight), min_size=1, max_size=8))
def test_scores_as_loops_have_them(given):
    known = [(v, w) for v, w in given if not math.isnan(v)]
    ups = [(v, w) for v, w in known if w > 0]
    got = {
        by: float(scored(rows([v for v, _ in given]), np.array([w for _, w in given]), by)[0])
        for by in ("absolute", "positive", "rler")
    }
    if not known:
        assert all(map(math.isnan, got.values()))
        return
    earned = sum(v * w for v, w in known)
    top = sum(w for _, w in ups)
    close(got["positive"], earned / top if top else 0.0)
    close(got["rler"], earned / max(top, 1.0))
    right = sum(v * w if w > 0 else -w * (1 - v) for v, w in known)
    close(got["absolute"], right / sum(abs(w) for _, w in known))
    assert -1e-9 <= got["absolute"] <= 1 + 1e-9
