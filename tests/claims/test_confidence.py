"""Confidence taught after the answers: its arithmetic by hand, its environment, and the page."""

import numpy as np
import pytest

from assay.claims import load
from assay.claims.results import Row
from assay.errors import UsageError
from assay.records import ModelStep, Trajectory
from assay.world import load as load_environment
from claims import confidence as experiment
from tests.claims.pages import checked
from tests.claims.test_structure import CLAIMS


def said(q, right, group="a", logprobs=(-1.0, -0.5, -9.0, -9.0, -9.0, -9.0)):
    step = ModelStep(text="=x ~1", confidence=q, logprobs=logprobs)
    return Trajectory(id="t", task="t", group=group, outcome=float(right), steps=(step,))


def test_what_is_stated_and_how_likely_the_rest_was():
    stated, right, task = experiment.stated(
        [said(0.5, True), said(None, False), said(0.9, False, "b")]
    )
    assert (stated.tolist(), right.tolist(), task.tolist()) == ([0.5, 0.9], [True, False], [0, 1])
    assert experiment.likely(said(0.5, True)) == -1.5


def test_what_labels_mend():
    # 200 attempts that state .9, every other one labelled; a half is right: (.9^2 + .1^2) / 2 = .41
    found = experiment.elsewhere("there", [said(0.9, at % 4 < 2) for at in range(200)])
    assert (found["labels"], found["mean"], found["right"]) == (100, pytest.approx(0.9), 0.5)
    assert found["brier"] == pytest.approx(0.41)
    assert found["mended"] == pytest.approx(0.25, abs=1e-3)
    assert found["constant"] == 0.25
    assert experiment.elsewhere("there", [said(0.9, True)]) == {"level": "there", "stated": 1}


def row(levels, **arm):
    return Row({}, {"1": [0]}, 1, about={"arms": {"unscaled": arm, "answers": arm}, "away": levels})


def test_numbers_of_a_row():
    levels = [
        {"mean": 0.7, "right": 0.4, "brier": 0.5, "mended": 0.3, "constant": 0.2},
        {"level": "nothing", "stated": 0},
    ]
    of = row(
        levels, mean=0.8, right=0.6, ece=0.25, ece_null={"upper": 0.0625}, brier=0.2,
        drawn={"ece": 0.75},
    )  # fmt: skip
    assert experiment.value(of, "unscaled", "excess") == 0.125
    assert experiment.value(of, "unscaled", "over") == pytest.approx(-0.04)
    assert experiment.value(of, "unscaled", "drawn") == 0.5
    # (.8 - .7) / (.6 - .4), and (.5 - .3) / (.5 - .2)
    assert experiment.slope(of) == pytest.approx(0.5)
    assert experiment.mended(of) == pytest.approx(2 / 3)


def test_tasks_are_of_several_difficulties():
    world = load_environment("claims.mixed:Mixed", hops=[1, 3])
    words = [world.reset(seed).count(" of ") for seed in range(4)]
    assert words == [1, 3, 1, 3]
    world.reset(0)
    assert world.step(f"{world.best()}\n").found
    assert world.step(f"{world.best()}\n").score == 1.0
    with pytest.raises(UsageError, match="got no hops"):
        load_environment("claims.mixed:Mixed", hops=[])


def test_every_arm_has_a_configuration_that_is_accepted():
    from assay.runs.config import parsed

    scale = experiment.SCALES["full"]
    (cell,) = load(CLAIMS)["confidence"].cells(scale, 1)
    for arm in experiment.ARMS:
        found = parsed(experiment._tables(arm, cell, scale))
        assert (found.env.dials, found.train.first_task) == ({"hops": [1, 2, 3, 4, 5]}, 10_000)


def test_the_page_is_what_the_committed_rows_say():
    rows, _ = checked("confidence")
    assert np.isfinite([each.seconds for each in rows.rows]).all()
