"""Simulated worlds: chance is drawn from a cell's seed, and from nothing else."""

import pytest

from assay.claims.cells import Cell, Scale
from claims import judges, label_noise

ARMS = [
    (experiment, arm, scale)
    for experiment, scale in (
        (judges, Scale(name="quick", steps=60, prompts=30, held_out=1, samples=8, seeds=1)),
        (label_noise, Scale(name="quick", steps=50, prompts=500, held_out=1, samples=8, seeds=1)),
    )
    for arm in experiment.WORLDS
]


@pytest.mark.parametrize(("experiment", "arm", "scale"), ARMS)
def test_a_cell_is_the_same_again_and_another_at_another_seed(experiment, arm, scale, tmp_path):
    def run(seed):
        cell = Cell(env="simulated", start="known", arm=arm, seed=seed)
        return experiment.work(cell, scale, tmp_path).about["seen"]

    assert run(1) == run(1)
    assert run(1) != run(2)
