"""Help of a skill by inverse probability weighting: each rollout by the chance that drew it."""

from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from assay.errors import DataError
from assay.records import Trajectory
from assay.skills.bank import Bank
from assay.skills.credit import Tally, difference, exposures, overall, rows, tallied, used
from assay.skills.settings import Skills
from assay.skills.shelf import Shown
from assay.skills.skill import Arm, Exposure
from tests.skills.made import LOST, WON
from tests.skills.test_bank import skill

A = skill("a", category="lookup", status="active")


def drew(chance: float | None, *, shown: bool, passed: bool, **more: Any) -> Trajectory:
    """A rollout that A was retrieved for."""
    on, off = ((A,), ()) if shown else ((), (A,))
    record = Shown("bank0", on, off, "!a" * shown, chance).stamped(WON if passed else LOST)
    return structs.replace(record, **more)


def seen(records: list[Trajectory]) -> Exposure:
    return overall(exposures(records).values())


def arm(chance: float | None, shown: bool, passed: int, lost: int) -> list[Trajectory]:
    return [drew(chance, shown=shown, passed=n < passed) for n in range(passed + lost)]


# Of a skill that does nothing. Early, p = 3/4: 3 of 6 shown and 1 of 2 held back pass. Late,
# p = 1/4, all do: 2 shown, 6 held back. A rollout weighs 1 / p = 4/3, 4 where shown, and
# 1 / (1 - p) = 4, 4/3 where held back:
#   shown       (3 4/3 + 2 4) / (6 4/3 + 2 4)   = 12 / 16 = .75     plain 5 / 8
#   held back   (1 4 + 6 4/3) / (2 4 + 6 4/3)   = 12 / 16 = .75     plain 7 / 8: help -.25
# Kish: 16^2 / (6 (4/3)^2 + 2 4^2) = 256 / (128 / 3) = 6 of either. Wilson of 4.5 of 6,
# z^2 = 3.8415:
#   d = 1 + z^2 / 6 = 1.64024     middle (.75 + z^2 / 12) / d = .65242
#   half 1.95996 sqrt(.75 .25 / 6 + z^2 / 144) / d = .28759: from .36482 to .94001
# Newcombe: 0 -+ hypot(.75 - .36482, .94001 - .75) = -+ .42950
EARLY = [*arm(0.75, True, 3, 3), *arm(0.75, False, 1, 1)]
LATE = [*arm(0.25, True, 2, 0), *arm(0.25, False, 6, 0)]


def test_help_by_hand():
    found = seen([*EARLY, *LATE])
    assert found.help == pytest.approx((0.0, -0.42950, 0.42950), abs=1e-5)
    assert (found.shown, found.passed, found.held, found.held_passed) == (8, 5, 8, 7)
    assert found.on
    assert found.off
    assert (found.on.weight, found.on.won, found.on.square) == pytest.approx((16, 12, 128 / 3))
    assert (found.off.weight, found.off.won, found.off.square) == pytest.approx((16, 12, 128 / 3))
    assert found.on.effective == pytest.approx((4.5, 6))
    # the late ones alone: 2 of 2 against 6 of 6, at one chance
    assert seen(LATE).help == difference((6, 6), (2, 2))


def test_what_was_not_drawn_by_chance_says_nothing_of_help():
    """Shown for sure it counts as shown, and for harm; never shown it counts as held back."""
    certain = [*arm(1.0, True, 0, 30), *arm(0.0, False, 40, 0)]
    assert seen(certain).help is None
    assert used(seen(certain).help) == "untold"
    found = seen([*EARLY, *LATE, *certain])
    assert found.help == seen([*EARLY, *LATE]).help
    assert (found.shown, found.passed, found.held, found.held_passed) == (38, 5, 48, 47)
    (row,) = rows(Bank(skills=(A,)), exposures([*EARLY, *LATE, *certain]))
    assert row["harm"][0] == 33 / 38
    # one side only by chance
    assert seen([*arm(0.5, True, 3, 3), *arm(0.0, False, 6, 0)]).help is None
    assert seen([*arm(1.0, True, 3, 3), *arm(0.5, False, 6, 0)]).help is None
    # too near to be told from it
    assert seen([*arm(1e-10, True, 3, 3), *arm(1 - 1e-10, False, 6, 0)]).help is None
    assert seen([*arm(1e-9, True, 3, 3), *arm(1e-9, False, 6, 0)]).help


COUNTS = st.tuples(st.integers(0, 20), st.integers(0, 20))
CHANCES = st.floats(0.01, 0.99)


@given(CHANCES, st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=4))
def test_one_constant_chance_is_the_plain_difference_to_the_digit(chance: float, parts: Any):
    found = overall(
        Exposure(shown=a + b, passed=a, held=c + d, held_passed=c).at(chance)
        for (a, b), (c, d) in parts
    )
    if not found.shown or not found.held:
        assert found.help is None
    else:
        plain = difference((found.held_passed, found.held), (found.passed, found.shown))
        assert found.help == plain


ROLLOUT = st.tuples(st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.8, 1.0]), st.booleans(), st.booleans())


def oracle(rollouts: list[tuple[float, bool, bool]]) -> tuple[float, float, float] | None:
    """Sums over rollouts one by one, as fractions; ends of a rate are the roots of
    (n + z^2) x^2 - (2 n s + z^2) x + n s^2, and of a difference by squares of four distances."""
    sides = list[tuple[float, float, float]]()
    for side in (True, False):
        some = [
            (1 / (Fraction(p) if side else 1 - Fraction(p)), passed)
            for p, shown, passed in rollouts
            if 0 < p < 1 and shown == side
        ]
        if not some:
            return None
        whole = sum(w for w, _ in some)
        share = float(sum(w for w, passed in some if passed) / whole)
        n = float(whole**2 / sum(w * w for w, _ in some))
        z2 = 1.959963984540054**2
        ends = np.roots([n + z2, -(2 * n * share + z2), n * share**2]).real
        sides.append((share, min(ends), max(ends)))
    (on, on_low, on_high), (off, off_low, off_high) = sides
    down = ((on - on_low) ** 2 + (off_high - off) ** 2) ** 0.5
    up = ((on_high - on) ** 2 + (off - off_low) ** 2) ** 0.5
    return on - off, on - off - down, on - off + up


@given(st.lists(ROLLOUT, max_size=30))
def test_records_weigh_as_in_sums_over_each_of_them(rollouts: list[tuple[float, bool, bool]]):
    found = seen([drew(p, shown=shown, passed=passed) for p, shown, passed in rollouts])
    expected = oracle(rollouts)
    assert (found.help is None) == (expected is None)
    if found.help and expected:
        assert found.help == pytest.approx(expected, abs=1e-6)


def faded(seed: int, gain: float = 0.0) -> list[tuple[float, Exposure]]:
    """A training of 100 steps of 16 rollouts, whose policy goes from .1 to .9: what became of each
    step's, and its chance."""
    rng, settings = np.random.default_rng(seed), Skills(bank="x", fade=0.5, gone=0.8)
    made = list[tuple[float, Exposure]]()
    for step in range(100):
        chance = settings.shown(step / 100)
        on = rng.random(16) < chance
        passed = rng.random(16) < 0.1 + 0.008 * step + gain * on
        sums = (on, on & passed, ~on, ~on & passed)
        names = ("shown", "passed", "held", "held_passed")
        made.append(
            (chance, Exposure(**dict(zip(names, map(int, map(np.sum, sums)), strict=True))))
        )
    return made


def test_a_skill_that_does_nothing_is_not_blamed_for_the_policy_s_learning():
    """Of 300 trainings 95 % hold 0 (of a right interval fewer than 92 or more than 98 come once in
    a hundred times), and about 2.5 % find harm; the plain difference finds it always."""
    plain, weighed = list[Any](), list[Any]()
    for seed in range(300):
        steps = faded(seed)
        plain.append(overall(each for _, each in steps).help)
        weighed.append(overall(each.at(chance) for chance, each in steps).help)
    assert all(high < 0 for _, _, high in plain)
    assert 0.92 <= np.mean([low <= 0 <= high for _, low, high in weighed]) <= 0.98
    assert np.mean([high < 0 for _, _, high in weighed]) < 0.05
    assert abs(np.mean([value for value, _, _ in weighed])) < 0.01


def test_an_effect_is_found_where_it_is():
    """A tenth more wherever it is shown, the policy learning all the while."""
    found = [overall(each.at(p) for p, each in faded(seed, 0.1)).help for seed in range(60)]
    assert np.mean([each[0] for each in found if each]) == pytest.approx(0.1, abs=0.015)
    assert np.mean([each[1] <= 0.1 <= each[2] for each in found if each]) >= 0.9


def test_outputs_of_one_session_are_one_rollout():
    """Two shown, of which one passed, one held back that passed; each wrote 25 outputs."""
    alone = [drew(0.8, shown=s, passed=p) for s, p in ((True, True), (True, False), (False, True))]
    one = [structs.replace(each, session=f"s{n}", group="g") for n, each in enumerate(alone)]
    many = [structs.replace(each, id=f"{n}") for each in one for n in range(25)]
    assert exposures(many) == exposures(one) == exposures(alone)
    whole, made = tallied(many), Tally()
    for part in (many[:13], many[13:40], many[40:]):
        made.absorb(tallied(part))
    assert (vars(made), made.found) == (vars(whole), whole.found)
    assert whole.banks == {"bank0": 75}, "attempts are all outputs"
    assert whole.found == whole.found, "to look changes nothing"
    elsewhere = [structs.replace(each, group="h") for each in one]
    assert seen([*one, *elsewhere]).shown == 4, "a session is one inside its group"


def test_of_a_session_s_outputs_the_last_scored_decides():
    first = drew(0.8, shown=True, passed=False, session="s")
    last = drew(0.5, shown=True, passed=True, session="s")
    nobody = structs.replace(first, outcome=None, grades=())
    parted = Tally()
    for each in (first, last, nobody):
        parted.absorb(tallied([each]))
    for found in (seen([first, last, nobody]), overall(parted.found.values())):
        assert (found.shown, found.passed) == (1, 1)
        assert found.on == Arm(count=1, passed=1, weight=2.0, won=2.0, square=4.0)


def test_a_session_counts_for_each_skill_that_it_saw():
    b = skill("b", category="lookup")
    record = structs.replace(Shown("bank0", (A, b), (), "!a", 0.8).stamped(WON), session="s")
    assert [each.shown for each in exposures([record, record]).values()] == [1, 1]


@pytest.mark.parametrize("text", ["", "often", "nan", "-0.1", "1.1"])
def test_what_is_no_probability_is_refused(text: str):
    record = drew(0.8, shown=True, passed=True)
    assert record.origin
    extra = {**record.origin.extra, "skills_chance": text}
    broken = structs.replace(record, origin=structs.replace(record.origin, extra=extra))
    with pytest.raises(DataError, match=r"a/1: origin.extra.skills_chance .* expected a prob"):
        tallied([broken])


def test_a_record_names_the_chance_of_what_was_drawn():
    extra = (drew(0.3, shown=False, passed=True).origin or WON.origin).extra  # type: ignore
    assert extra["skills_chance"] == "0.3"
    for nobody in (Shown("bank0", (A,)), Shown("bank0", (), (), "", 0.8)):
        made = nobody.stamped(WON)
        assert made.origin
        assert "skills_chance" not in made.origin.extra


def test_of_a_log_that_names_no_chance_it_is_one_constant():
    """The plain difference; beside rollouts that name one, the share of the others that was shown:
    8 of 16 here, weights 2."""
    old = [*arm(None, True, 2, 6), *arm(None, False, 3, 5)]
    assert seen(old).help == difference((3, 8), (2, 8))
    assert seen([*old, *EARLY]) == overall(
        [
            Exposure(shown=8, passed=2, held=8, held_passed=3).at(0.5),
            Exposure(shown=6, passed=3, held=2, held_passed=1).at(0.75),
        ]
    )


def test_a_bank_from_before_chances_were_named_is_read_and_goes_on():
    """It counted 8 shown and 8 held back: weights 2, as at a chance of 1/2."""
    text = b'{"shown":8,"passed":2,"held":8,"held_passed":3}'
    old = msgspec.json.decode(text, type=Exposure)
    assert msgspec.json.encode(old) == text, "its hash stays"
    assert old.help == difference((3, 8), (2, 8))
    new = seen(EARLY)
    assert old.plus(new).help == new.plus(old).help == old.at(0.5).plus(new).help
    assert old.plus(old).plus(new).help == old.plus(new).plus(old).help
    only_shown = Exposure(shown=5, passed=5)
    assert only_shown.help is None
    assert only_shown.plus(new).help == new.help, "chance may have drawn none of these"
    certain = Exposure(shown=5, passed=5).at(1.0)
    assert old.plus(certain).help == old.help
    again = msgspec.json.decode(msgspec.json.encode(old.plus(new)), type=Exposure)
    assert again == old.plus(new)


@pytest.mark.parametrize("named", [{}, {"session": "s"}])
def test_skills_that_are_drawn_together_say_no_more_than_one(named: dict[str, str]):
    """Of the bank as a whole 16 rollouts are 16, though each drew three skills alike."""
    b, c = (skill(name, category="lookup") for name in "bc")
    made, parted = Tally(), Tally()
    for n, record in enumerate([*EARLY, *LATE]):
        assert record.origin
        extra = dict(record.origin.extra)
        for key in ("skills_shown", "skills_held"):
            if extra.get(key):
                extra[key] = " ".join((A.id, b.id, c.id))
        more = {key: f"{text}{n}" for key, text in named.items()}
        origin = structs.replace(record.origin, extra=extra)
        one = structs.replace(record, origin=origin, **more)
        for each in [one] * (3 if named else 1):
            made.add(each)
            parted.absorb(tallied([each]))
    assert made.help == pytest.approx((0.0, -0.42950, 0.42950), abs=1e-5)  # as test_help_by_hand
    assert parted.help == made.help
    assert overall(made.found.values()).shown == 24
