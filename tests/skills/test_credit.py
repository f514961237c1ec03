"""What a skill did, from records that name what they saw."""

import numpy as np
import pytest
from msgspec import structs

from assay.records import Origin, Trajectory, decode, encode
from assay.rollout.recording import FORMAT
from assay.skills.bank import Bank
from assay.skills.credit import (
    Tally,
    audited,
    by_skill,
    difference,
    exposures,
    overall,
    rows,
    tallied,
    used,
)
from assay.skills.shelf import Shown
from assay.skills.skill import Evidence, Exposure
from tests.skills.made import LOST, WON
from tests.skills.test_bank import skill

A, B = skill("a", category="lookup", evidence=(Evidence(trajectory="x", task="t", steps=(3,)),)), \
    skill("b", category="lookup")  # fmt: skip


def saw(record: Trajectory, *shown: str, held: tuple[str, ...] = ()) -> Trajectory:
    by = {"a": A, "b": B}
    one = Shown(
        "bank0", tuple(by[n] for n in shown), tuple(by[n] for n in held), "!a" * bool(shown)
    )
    return one.stamped(record)


def counts(seen: Exposure) -> tuple[int, int, int, int]:
    return seen.shown, seen.passed, seen.held, seen.held_passed


RECORDS = [
    saw(WON, "a"), saw(WON, "a", "b"), saw(LOST, "a", held=("b",)), saw(LOST, held=("a", "b")),
    saw(WON, held=("a",)), LOST, saw(structs.replace(LOST, outcome=None), "a"),
]  # fmt: skip


def test_exposures_by_hand():
    """a: shown 3 times, 2 passed; held back twice, 1 passed. b: shown once, passed; held twice."""
    found = exposures(RECORDS)
    assert counts(found[A.id, "lookup"]) == (3, 2, 2, 1)
    assert counts(found[B.id, "lookup"]) == (1, 1, 2, 0)
    assert by_skill(found)[A.id] == found[A.id, "lookup"]
    assert counts(overall(found.values())) == (4, 3, 4, 1)
    tally = tallied(RECORDS)
    assert tally.banks == {"bank0": 6, "": 1}
    # four were shown something, one of which nobody scored
    assert (tally.read, tally.unscored) == (4, 1)


def test_what_is_counted_in_parts_comes_to_the_same():
    whole, made = tallied(RECORDS), Tally()
    for part in (RECORDS[:3], RECORDS[3:], []):
        made.absorb(tallied(part))
    assert (vars(made), made.found) == (vars(whole), whole.found)


def test_a_record_that_names_a_skill_twice_read_it_once():
    twice = structs.replace(
        WON, origin=Origin(format=FORMAT, extra={"skills_shown": f"{A.id} {A.id}"})
    )
    assert [counts(each) for each in exposures([twice]).values()] == [(1, 1, 0, 0)]


def test_an_audit_says_which_banks_are_not_the_one_that_is_looked_at():
    found = audited(Bank(skills=(A,)), tallied(RECORDS), {"bank1"})
    assert found["strange"] == ["bank0"]
    assert audited(Bank(), tallied(RECORDS), {"bank0"})["strange"] == []
    assert audited(Bank(), tallied([]), ())["used"] == "untold"


def test_an_attempt_that_names_no_bank_is_not_one_of_a_bank_that_nobody_scored():
    nobody = structs.replace(LOST, outcome=None)
    assert tallied([nobody]).unscored == 0, "it names no bank"


def test_a_record_that_names_its_bank_is_written_and_read_as_it_is():
    record = saw(WON, "a", held=("b",))
    extra = record.origin.extra if record.origin else {}
    assert extra["skills_bank"] == "bank0"
    assert (extra["skills_shown"], extra["skills_held"]) == (A.id, B.id)
    assert extra["skills_block"] == "!a"
    assert decode(encode(record)) == record
    bare = Shown("bank0", (A,), (), "!a").stamped(WON, stands=False)
    assert "skills_block" not in (bare.origin or Origin(format=FORMAT)).extra


def test_categories_are_kept_apart():
    other = structs.replace(WON, origin=Origin(format=FORMAT, extra={"family": "lake"}))
    found = exposures([saw(WON, "a"), saw(other, "a")])
    assert counts(found[A.id, "lake"]) == (1, 1, 0, 0)
    assert by_skill(found)[A.id].shown == 2


def test_used_in_a_word():
    """56 of 70 against 48 of 80 is .2, .052 to .334; the other way round it harms."""
    helps = Exposure(shown=70, passed=56, held=80, held_passed=48)
    harms = Exposure(shown=80, passed=48, held=70, held_passed=56)
    assert [used(each.help) for each in (helps, harms)] == ["helps", "harms"]
    assert used(Exposure(shown=3, passed=2, held=3, held_passed=1).help) == "unclear"
    assert used(Exposure(shown=3).help) == "untold"
    assert difference((48, 80), (56, 70)) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_rows_name_where_a_skill_comes_from_and_what_it_did():
    retired = structs.replace(B, status="retired", why="harm")
    bank = Bank(skills=tuple(sorted([A, retired], key=lambda each: each.id)))
    made = {each["id"]: each for each in rows(bank, exposures(RECORDS))}
    assert made[A.id]["from"] == [{"trajectory": "x", "task": "t", "steps": [3], "level": "none"}]
    # failures where shown: 1 of 3, Wilson .0615 to .7923
    assert made[A.id]["harm"] == pytest.approx([1 / 3, 0.061490, 0.792340], abs=1e-5)
    assert made[A.id]["help"][0] == pytest.approx(2 / 3 - 1 / 2)
    assert (made[B.id]["status"], made[B.id]["why"]) == ("retired", "harm")
    unseen = [*rows(bank, {})]
    assert [each["shown"] for each in unseen] == [0, 0]
    assert unseen[0]["help"] is None
    assert next(rows(Bank(), exposures(RECORDS)))["status"] == "unknown"


def test_chance_finds_an_effect_that_is_there_and_none_that_is_not():
    """Attempts at easy and hard tasks; a skill worth .3, retrieved at all of them."""
    for gain, expected in ((0.3, 0.3), (0.0, 0.0)):
        rng, seen = np.random.default_rng(2), Exposure()
        for _ in range(8000):
            chance = 0.1 if rng.random() < 0.5 else 0.6
            on = rng.random() < 0.8
            passed = int(rng.random() < chance + gain * on)
            seen = seen.plus(
                Exposure(shown=1, passed=passed) if on else Exposure(held=1, held_passed=passed)
            )
        assert seen.help is not None
        value, low, high = seen.help
        assert value == pytest.approx(expected, abs=0.04)
        assert low <= expected <= high
