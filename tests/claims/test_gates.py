"""The simulated hack: what a step compares, by hand, that it is the same again, and the page."""

import numpy as np

from assay.claims.cells import Scale
from assay.recipes import Recipe
from claims import gates as experiment
from tests.claims.pages import checked

TINY = Scale(name="quick", steps=2, held_out=1, samples=16, seeds=1)


def made(arm):
    rubric = {"dense": "dense", "items": [experiment.ITEM], **experiment.ARMS[arm]}
    return Recipe.of({"method": {"name": "grpo", "ddof": 0}, "rubric": rubric})


def test_a_step_compares_what_the_arm_says():
    # the vector of the rubrics page, beside a group in which nobody passes
    dense = np.array([[0.9, 0.4, 0.5, 0.6], [1.0, 2.0, 3.0, 4.0]])
    fair = np.array([[0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    batch = experiment.empty(2, 4)
    expected = {
        "veto": [-1.713271, 0.363421, 0.571090, 0.778760],
        "none": [1.603559, -1.069039, -0.534520, 0.0],
        "drop": [0.0, -1.224732, 0.0, 1.224732],
        "group": [0.0] * 4,  # the best one fails
    }
    for arm, a in expected.items():
        got = experiment.advantages(batch, made(arm), dense, fair)
        np.testing.assert_allclose(got[0], a, atol=1e-5)
        assert (got[1] == 0).all() == (arm != "none")
    # .9 1.4 1.5 1.6: mean 1.35, deviation .269258
    got = experiment.advantages(batch, made("sum"), dense, fair)[0]
    np.testing.assert_allclose(got, [-1.671258, 0.185695, 0.557086, 0.928477], atol=1e-5)


def test_worlds_go_on_from_their_start_and_are_the_same_again():
    nothing = Scale(name="quick", steps=0, held_out=1, samples=16, seeds=1)
    start = experiment.simulated(made("veto"), nothing, np.random.default_rng(0))
    assert start["hacks, d 0.5, 30% missed, from 0.05"] == 0.05
    assert start["hacks, d 2, 5% missed, from 0.5"] == start["effort, d 2, 5% missed, from 0.5"]
    first, again = (
        experiment.simulated(made("veto"), TINY, np.random.default_rng(1)) for _ in range(2)
    )
    assert first == again != start


def test_the_page_is_what_the_committed_rows_say():
    rows, verdicts = checked("gates")
    assert len(rows.rows) == 5 * len(experiment.ARMS)
    assert set(verdicts.values()) == {"held"}
