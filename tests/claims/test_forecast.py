"""How long cells will take, worked out by hand with a clock that is told the time."""

from dataclasses import replace

import pytest

from assay.claims import Row
from assay.claims.cells import Cell, Scale
from assay.claims.forecast import Forecast

SCALE = Scale(name="full", steps=1, seconds=5.0)
GRPO = [Cell(env="lookup", start="dead", arm="grpo", seed=seed) for seed in (1, 2)]
NSR = replace(GRPO[0], arm="nsr")
BASE = replace(GRPO[0], arm="base")


def row(cell: Cell, seconds: float, scale: str = "full") -> Row:
    return Row(cell.data(), {"0": [1]}, 1, seconds=seconds, about={"scale": scale})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_cell_takes_what_it_took_at_other_seeds_or_what_others_like_it_did():
    known = [row(GRPO[0], 20.0), row(GRPO[1], 40.0), row(replace(NSR, arm="psr"), 60.0)]
    known += [row(BASE, 10.0), row(NSR, 9_999.0, scale="quick")]
    clock = Clock()
    # grpo (20 + 40) / 2, twice; nsr as what is trained: (20 + 40 + 60) / 3; the base 10
    forecast = Forecast([*GRPO, NSR, BASE], SCALE, known, workers=2, clock=clock)
    assert forecast.left == (30 + 30 + 40 + 10) / 2
    alone = Forecast([NSR], SCALE, known, workers=2, clock=clock)
    assert alone.left == 40, "one cell is not halved by a second worker"
    clock.now += 15
    assert alone.left == 25


def test_what_cells_took_corrects_what_others_will_take():
    clock = Clock()
    forecast = Forecast([*GRPO, NSR], SCALE, [], workers=1, slower=2.0, clock=clock)
    assert forecast.left == 3 * 5 * 2, "the scale's 5 seconds, and half of a core for them"
    clock.now += 30
    forecast.ended(GRPO[0], 30.0)
    assert forecast.left == pytest.approx(3 * 5 * 6 - 30)
    clock.now += 1_000
    assert forecast.left == 0


def test_of_what_nobody_measured_the_first_cell_tells():
    bare, clock = replace(SCALE, seconds=0.0), Clock()
    forecast = Forecast([*GRPO, NSR], bare, [row(GRPO[0], 0.0)], workers=1, clock=clock)
    assert forecast.left is None
    clock.now += 12
    forecast.ended(GRPO[1], 12.0)
    assert forecast.left == 24
    assert Forecast([], SCALE, [], workers=1).left is None
