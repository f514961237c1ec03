"""Calibration by hand: eight samples with ties, ten equal ones, and the null by simulation."""

from functools import partial

import numpy as np
import pytest

from assay.errors import DataError
from assay.evaluate.calibration import (
    auroc,
    brier,
    brier_parts,
    ece,
    ece_debiased,
    null_band,
    overconfidence,
)

C = np.array([0.95, 0.95, 0.85, 0.65, 0.65, 0.35, 0.15, 0.05])
Y = np.array([1, 1, 0, 1, 0, 1, 0, 0], bool)
# Width bins of .1: {.95 .95} gap .95 - 1 = -.05, {.85} .85, {.65 .65} .65 - .5 = .15,
#   {.35} .35 - 1 = -.65, {.15} .15, {.05} .05.
#   ECE = (2(.05) + .85 + 2(.15) + .65 + .15 + .05)/8 = 2.1/8 = .2625
#   over-confident bins only: (.85 + .30 + .15 + .05)/8 = 1.35/8 = .16875
# Four bins of equal mass, from below: {.05 .15} conf .10 acc 0, {.35 .65 .65}: the cut after two
#   would split the two .65, so it moves up: conf .55 acc 2/3; the cut at 6 leaves {.85} and
#   {.95 .95}: cuts 2, 5, 6: {.85} conf .85 acc 0, {.95 .95} conf .95 acc 1.
#   ECE = (2(.10) + 3(.116667) + .85 + 2(.05))/8 = 1.5/8 = .1875
# Debiased: {.05 .15} .01 - 0; {.35 .65 .65} .013611 - (2/9)/2 = -.0975; {.85} .7225, one sample so
#   nothing off; {.95 .95} .0025 - 0:
#   (2(.01) + 3(-.0975) + .7225 + 2(.0025))/8 = .455/8 = .056875, root .238485
# Brier: .0025 + .0025 + .7225 + .1225 + .4225 + .4225 + .0225 + .0025 = 1.72, /8 = .215
# Parts: rel = (2(.0025) + .7225 + 2(.0225) + .4225 + .0225 + .0025)/8 = 1.22/8 = .1525;
#   acc .5: res = (2(.25) + .25 + 0 + .25 + .25 + .25)/8 = 1.5/8 = .1875; unc .25
# AUROC, right {.95 .95 .65 .35} against wrong {.85 .65 .15 .05}:
#   4 + 4 + (2 + .5) + 2 = 12.5 of 16 = .78125


def test_eight_samples() -> None:
    assert ece(C, Y) == pytest.approx(0.2625)
    assert ece(C, Y, bins=4, edges="mass") == pytest.approx(0.1875)
    assert ece_debiased(C, Y, bins=4) == pytest.approx(0.238485, abs=1e-6)
    assert overconfidence(C, Y) == pytest.approx(0.16875)
    assert brier(C, Y) == pytest.approx(0.215)
    parts = brier_parts(C, Y)
    assert parts.reliability == pytest.approx(0.1525)
    assert parts.resolution == pytest.approx(0.1875)
    assert parts.uncertainty == pytest.approx(0.25)
    assert auroc(C, Y) == pytest.approx(0.78125)


def test_ten_equal_confidences_are_one_bin_however_many_are_asked_for() -> None:
    # .9 against 6 of 10: gap .3; noise .6 * .4 / 9 = .026667; sqrt(.09 - .026667) = .251661
    c, y = np.full(10, 0.9), np.array([1] * 6 + [0] * 4, bool)
    assert ece(c, y) == pytest.approx(0.3)
    assert ece(c, y, edges="mass") == pytest.approx(0.3)
    assert ece_debiased(c, y) == pytest.approx(0.251661, abs=1e-6)


def test_certain_throughout() -> None:
    c, y = np.ones(4), np.array([1, 1, 1, 0], bool)
    assert brier(c, y) == 0.25
    assert ece(c, y) == 0.25
    assert auroc(c, y) == 0.5


def test_row_order_changes_nothing() -> None:
    order = np.array([3, 0, 7, 5, 1, 6, 2, 4])
    ece_mass = partial(ece, edges="mass")
    for measure in (ece, ece_mass, ece_debiased, overconfidence, brier, auroc):
        assert measure(C[order], Y[order]) == pytest.approx(measure(C, Y), abs=1e-12)


def test_the_edge_rule_decides_which_bin_a_round_number_is_in() -> None:
    # .1 with .15 (left) or with .05 (right); bins of .1
    c, y = np.array([0.05, 0.1, 0.15]), np.array([0, 0, 1], bool)
    # left: {.05} gap .05; {.1 .15} conf .125 acc .5, gap .375: (.05 + .75)/3
    assert ece(c, y) == pytest.approx(0.8 / 3)
    # right: {.05 .1} gap .075; {.15} gap .85: (.15 + .85)/3
    assert ece(c, y, edges="right") == pytest.approx(1.0 / 3)


def test_a_decimal_on_an_edge_is_not_moved_by_binary_fractions() -> None:
    # .29 * 100 is 28.999999999999996: taking the whole part would put it in the bin below
    c, y = np.array([0.29, 0.285]), np.array([1, 0], bool)
    assert ece(c, y, bins=100) == pytest.approx((0.71 + 0.285) / 2)


def test_brier_parts_round_to_levels_first() -> None:
    # .501 and .499 are both .5 at 21 levels: one value, accuracy .5, so both parts vanish
    parts = brier_parts(np.array([0.501, 0.499]), np.array([1, 0], bool), levels=21)
    assert (parts.reliability, parts.resolution) == (0.0, 0.0)


def test_auroc_needs_both_kinds() -> None:
    assert np.isnan(auroc(np.array([0.2, 0.4]), np.array([1, 1], bool)))


@pytest.mark.parametrize(("n", "median", "upper"), [(100, 0.100, 0.138), (1000, 0.031, 0.045)])
def test_null_band_of_calibrated_uniform_confidences(n: int, median: float, upper: float) -> None:
    # medians of a simulation that shares no code: shaping notes, section 8.1
    confidence = (np.arange(n) + 0.5) / n
    band = null_band(confidence, rng=np.random.default_rng(0))
    assert band.median == pytest.approx(median, abs=0.006)
    assert band.upper == pytest.approx(upper, abs=0.008)


def test_null_band_is_zero_where_nothing_is_left_to_chance() -> None:
    band = null_band(np.array([0.0, 1.0, 1.0]), rng=np.random.default_rng(0))
    assert (band.median, band.upper) == (0.0, 0.0)


@pytest.mark.parametrize("bad", [1.2, -0.1, float("nan")])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(DataError, match="confidence 1 is"):
        ece(np.array([0.5, bad]), np.array([True, False]))


def test_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no sample"):
        brier(np.array([]), np.array([], bool))
