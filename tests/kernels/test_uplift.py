"""Uplift by hand and by enumeration: how often useless hints are admitted."""

import re
from itertools import product
from math import comb, inf, isnan, sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import MethodError
from assay.kernels.uplift import (
    FEWEST,
    Measured,
    Uplift,
    again,
    by_chance,
    levels,
    looks,
    paired,
)


def test_by_hand() -> None:
    """14 of 20 against 8 of 20: .7 - .4 = .3; error sqrt(.7 x .3 / 20 + .4 x .6 / 20) = .15;
    bound .3 - 1.281552 x .15 = .1077672 > 0."""
    found = Uplift(14, 8, 20)
    assert found.value == pytest.approx(0.3)
    assert found.error == pytest.approx(0.15)
    assert found.lower == pytest.approx(0.1077672, abs=1e-6)
    assert found.admits


@pytest.mark.parametrize(
    ("told", "neutral", "pairs", "admits"),
    [
        (8, 8, 20, False),
        (0, 0, 20, False),
        (20, 20, 20, False),
        (20, 0, 20, True),
        (10, 8, 20, False),  # .1 - 1.281552 x .1575 < 0
        (15, 0, 15, False),  # too few to conclude anything
        (16, 0, 16, True),
        (8, 14, 20, False),
    ],
)
def test_who_is_admitted(told: int, neutral: int, pairs: int, admits: bool) -> None:
    assert Uplift(told, neutral, pairs).admits == admits


@pytest.mark.parametrize(
    ("won", "lost", "chance"),
    [
        (0, 0, 1.0),
        (2, 0, 1 / 4),
        (4, 0, 1 / 16),
        (4, 1, 6 / 32),  # 5 + 1 of 32
        (6, 2, 37 / 256),  # 28 + 8 + 1
        (0, 3, 1.0),
        (4.5, 0, 1 / 16),  # rounded against the hint: 4 of 4
        (4, 0.25, 6 / 32),  # and 4 of 5
    ],
)
def test_the_sign_test_by_hand(won: float, lost: float, chance: float) -> None:
    assert by_chance(won, lost) == pytest.approx(chance)


@given(st.integers(0, 5), st.integers(0, 5))
def test_the_sign_test_counts_all_ways(won: int, lost: int) -> None:
    ways = [*product((0, 1), repeat=won + lost)]
    assert by_chance(won, lost) == pytest.approx(sum(sum(w) >= won for w in ways) / len(ways))


def test_nothing_played_says_nothing() -> None:
    nothing = Uplift(0, 0, 0)
    assert all(map(isnan, (nothing.value, nothing.error, nothing.lower)))
    assert not nothing.admits
    for wrong in ((3, 0, 2), (0, 3, 2), (-1, 0, 2)):
        with pytest.raises(MethodError, match="expected passes between"):
            Uplift(*wrong)


def test_what_was_seen_before_counts_less() -> None:
    """10 of 20 and 4 of 20 at a half: 5 and 2 of 10; with 8 and 8 of 16 it is 13 and 10 of 26."""
    later = Uplift(10, 4, 20).after(Uplift(8, 8, 16), 0.5)
    assert (later.told, later.neutral, later.pairs) == (13, 10, 26)
    assert later.value == pytest.approx(3 / 26)


@pytest.mark.parametrize("pairs", [FEWEST, 20, 32, 64])
def test_useless_hints_are_rarely_admitted(pairs: int) -> None:
    """All outcomes of pairs that pass alike at p, with and without: the worst p admits 13.5 %."""
    seen = np.arange(pairs + 1)
    ways = np.array([comb(pairs, int(k)) for k in seen], float)
    admits = np.array(
        [[Uplift(a, b, pairs).admits for b in range(pairs + 1)] for a in range(pairs + 1)]
    )
    worst = 0.0
    for p in np.linspace(0.01, 0.99, 99):
        chance = ways * p**seen * (1 - p) ** (pairs - seen)
        worst = max(worst, float((np.outer(chance, chance) * admits).sum()))
    assert 0.09 < worst < 0.135


@given(st.integers(1, 60), st.data())
def test_laws(pairs: int, data: st.DataObject) -> None:
    told, neutral = (data.draw(st.integers(0, pairs)) for _ in range(2))
    found, back = Uplift(told, neutral, pairs), Uplift(neutral, told, pairs)
    assert found.value == -back.value
    assert found.error == back.error
    assert found.lower <= found.value
    assert not (found.admits and back.admits)
    # as many pairs again, alike: the same uplift, known better by the root of two
    twice = found.after(found, 1.0)
    assert twice.value == pytest.approx(found.value)
    assert twice.error == pytest.approx(found.error / sqrt(2))


def test_pairs_share_their_task_and_that_is_taken_off() -> None:
    """Ten of 20 tasks that always pass, six that pass told alone, two untold alone: 16 against 12,
    d = 4 / 20 = .2, squares 8; error sqrt((8 / 20 - .04) / 20) = sqrt(.018) = .1341641 (apart it
    were sqrt(.8 x .2 / 20 + .6 x .4 / 20) = .1414214); bound .2 - 1.281552 x .1341641 = .0280617.
    """
    values = [(1.0, 1.0)] * 10 + [(1.0, 0.0)] * 6 + [(0.0, 1.0)] * 2 + [(0.0, 0.0)] * 2
    found = paired(values)
    assert found == Uplift(16, 12, 20, 8)
    assert found.error == pytest.approx(0.1341641, abs=1e-7)
    assert found.lower == pytest.approx(0.0280617, abs=1e-6)
    assert Uplift(16, 12, 20).error == pytest.approx(0.1414214, abs=1e-7)


def test_progress_by_hand() -> None:
    """Of 16 pairs four come .5 further told, one .25 less: d = 1.75 / 16 = .109375, squares 1.0625;
    error sqrt((.06640625 - .01196289) / 16) = .0583327; bound .109375 - .0747564 = .0346186."""
    found = paired([(0.5, 0.0)] * 4 + [(0.25, 0.5)] + [(0.25, 0.25)] * 11)
    assert found == Uplift(5.0, 3.25, 16, 1.0625)
    assert found.error == pytest.approx(0.0583327, abs=1e-7)
    assert found.lower == pytest.approx(0.0346186, abs=1e-6)
    with pytest.raises(MethodError, match="got squares 17 of 16 pairs"):
        Uplift(5, 3, 16, 17)


def passes_given(pairs: int) -> list[float]:
    """How often useless hints are admitted where m pairs differ in passes: then each of them is a
    coin."""
    return [
        sum(comb(m, b) * 0.5**m for b in range(m + 1) if Uplift(b, m - b, pairs, m).admits)
        for m in range(pairs + 1)
    ]


def often(many: int, rate: float) -> np.ndarray:
    return np.array([comb(many, k) * rate**k * (1 - rate) ** (many - k) for k in range(many + 1)])


@pytest.mark.parametrize(("most", "worst"), [(0.5, 0.135), (0.75, 0.16)])
@pytest.mark.parametrize("pairs", [FEWEST, 64])
def test_useless_hints_are_as_rarely_admitted_by_pairs(
    pairs: int, most: float, worst: float
) -> None:
    """Whatever each task passes at: two replays of it differ with chance 2 p (1 - p), .5 at most;
    of four levels of progress with .75 at most. By Hoeffding (1956) no mixture of tasks is worse
    than some at the most, some at one chance between, and the rest at none."""
    admits = np.array(passes_given(pairs))
    found = [0.0]
    for full in range(pairs + 1):
        for more in (0, 1, 2, 4, 8, 16):
            for rate in np.linspace(0.05, most, 10) if full + more <= pairs else ():
                chance = np.convolve(often(full, most), often(more, rate))
                found.append(float(chance @ admits[: chance.size]))
    assert worst - 0.006 < max(found) < worst


@pytest.mark.parametrize("pairs", [32, 64])
@pytest.mark.parametrize("spread", ["rare", "stuck", "even", "ends"])
def test_useless_hints_are_rarely_admitted_by_progress(pairs: int, spread: str) -> None:
    """Simulated, 4,000 measurements: both replays of a task draw from the task's own levels."""
    rng = np.random.default_rng([pairs, len(spread)])
    shape = (4000, pairs)
    chance = {
        "rare": rng.choice([0.01, 0.05, 0.1], shape),  # as on lookup/dead
        "stuck": np.where(rng.random(shape) < 0.9, 0.0, 0.5),
        "even": np.full(shape, 0.5),
        "ends": rng.beta(0.3, 0.3, shape),
    }[spread]
    told, bare = ((rng.random((3, *shape)) < chance).sum(0) / 4 for _ in range(2))
    gap, squares = (told - bare).sum(1), ((told - bare) ** 2).sum(1)
    error = np.sqrt(np.maximum(0, squares / pairs - (gap / pairs) ** 2) / pairs)
    admits = gap / pairs - NormalDist().inv_cdf(0.9) * error > 0
    first = paired([*zip(told[0].tolist(), bare[0].tolist(), strict=True)])
    assert (first.admits, first.error) == (admits[0], pytest.approx(error[0]))
    assert admits.mean() < 0.135


def test_passes_decide_as_soon_as_they_can() -> None:
    """Three pairs that differ are all told's in one case of eight by chance, four in one of 16."""
    way = Uplift(12, 4, 64, 6)
    for differ, decides in ((0, "state"), (3, "state"), (4, "passes"), (40, "passes")):
        seen = Measured(Uplift(differ, 0, 64, differ), way, "state")
        assert seen.measure == decides
        swapped = Measured(Uplift(0, differ, 64, differ), Uplift(4, 12, 64, 6), "state")
        assert swapped.measure == decides
    assert Measured(Uplift(2, 0, 64, 2)).measure == "passes"
    assert Measured(Uplift(2, 2, 64), way, "state").decides == Uplift(2, 2, 64)
    assert Measured(Uplift(2, 1, 64), way, "state").decides is way


def test_what_was_measured_otherwise_is_forgotten() -> None:
    passes, way = Uplift(1, 0, 32, 1), Uplift(8, 4, 32, 6)
    first = Measured(passes, way, "state")
    assert first.after(first, 0.5) == Measured(
        Uplift(1.5, 0, 48, 1.5), Uplift(12, 6, 48, 9), "state"
    )
    assert first.after(Measured(passes, way, "expert"), 0.5).progress == way
    assert first.after(Measured(passes), 0.5).progress is None
    assert Uplift(1, 0, 20).after(passes, 1.0).squares is None


def test_a_test_is_looked_at_when_it_has_doubled() -> None:
    """32 and 64 after 16: a sixteenth and a quarter of the last one's share: 16^2 + 32^2 + 64^2 =
    5376; .1 x 256 / 5376 = .0047619."""
    assert [looks(n) for n in (16, 17, 32, 64, 100)] == [
        [16], [16, 17], [16, 32], [16, 32, 64], [16, 32, 64, 100],
    ]  # fmt: skip
    assert levels([16]) == pytest.approx([0.9])
    assert levels([16, 32, 64]) == pytest.approx([1 - 0.0047619, 1 - 0.0190476, 1 - 0.0761905])
    assert sum(1 - level for level in levels(looks(1000))) == pytest.approx(0.1)


def test_whoever_comes_back_is_held_to_more() -> None:
    """Errors .1, .05, .025, .0125, ...: below .2 together, however many there are."""
    assert [again(look) for look in (1, 2, 3, 4)] == pytest.approx([0.9, 0.95, 0.975, 0.9875])
    assert sum(1 - again(look) for look in range(1, 60)) == pytest.approx(0.2)


@pytest.mark.parametrize("p", [0.01, 0.02, 0.04, 0.1, 0.5, 0.95])
def test_useless_hints_are_admitted_no_more_often_by_many_looks(p: float) -> None:
    """Simulated, 2,000 tests of 128 pairs at most, looked at four times."""
    rng = np.random.default_rng(int(1000 * p))
    gap = (rng.random((2000, 128)) < p).astype(int) - (rng.random((2000, 128)) < p)
    done, admitted = np.zeros(2000, bool), 0
    for at, level in zip(looks(128), levels(looks(128)), strict=True):
        for n in np.flatnonzero(~done):
            d = gap[n, :at]
            seen = Uplift(int((d > 0).sum()), int((d < 0).sum()), at, int((d != 0).sum()))
            admitted += seen.helps(level)
            done[n] = seen.helps(level) or seen.harms(level)
    assert admitted / 2000 < 0.135


def test_who_harms() -> None:
    """10 against 9 of 20 may be worse and is not surely so; 16 failures told against 16 passes
    are, and 15 are too few."""
    seen = [Uplift(10, 9, 20), Uplift(8, 10, 20), Uplift(0, 16, 16), Uplift(0, 15, 15)]
    assert [each.harms(0.9) for each in seen] == [False, False, True, False]


def test_how_many_pairs_an_uplift_needs() -> None:
    """.1 more than .1 passes: errors of .2 x .8 + .1 x .9 = .25 a pair, (1.281552 + .841621)^2 =
    4.507865; 4.507865 x .25 / .01 = 112.7."""
    assert Uplift(20, 10, 100).needed == 113
    assert Uplift(16, 1, 16).needed == FEWEST
    assert Uplift(1, 2, 20).needed == Uplift(0, 0, 0).needed == inf
    # and so many find it: 113 pairs, 8 in 10
    rng = np.random.default_rng(0)
    told, bare = rng.binomial(113, 0.2, 4000), rng.binomial(113, 0.1, 4000)
    found = [Uplift(int(a), int(b), 113).admits for a, b in zip(told, bare, strict=True)]
    assert 0.77 < np.mean(found) < 0.83


def test_the_table_of_pairs_is_what_the_formula_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "hints.md").read_text("utf-8")
    table = re.findall(r"^\| ([0-9]+) % \|((?: [0-9,]+ \|){4})$", page, re.M)
    assert len(table) == 4
    for base, cells in table:
        for gain, cell in zip((5, 10, 20, 40), cells.strip(" |").split(" | "), strict=True):
            untold = 10 * int(base)
            assert int(cell.replace(",", "")) == Uplift(untold + 10 * gain, untold, 1000).needed
