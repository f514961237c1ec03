"""What is said of judges, and of what nobody scores, while a run goes on."""

from dataclasses import replace

import pytest

from assay.credit.statistics import updated
from assay.records import Grade
from assay.signal.trust import trust
from assay.verify.rates import Audits, rates
from tests.credit.worlds import batch_of, one


def audits(passed, failed, wrong_yes=0, wrong_no=0):
    """Counts of a judge "j": of `passed` it rejected `wrong_no`, of `failed` accepted `wrong_yes`;
    and who it is."""
    yes, no = passed - wrong_no, failed - wrong_yes
    counts = (yes, wrong_yes, wrong_no, no, yes + wrong_yes, passed + failed)
    names = ("accepted passed", "accepted failed", "rejected passed", "rejected failed",
             "accepted", "judged")  # fmt: skip
    told = {f"judge j/none: {name}": float(n) for name, n in zip(names, counts, strict=True)}
    return {**told, "unscored share": 0.0, "unscored share, least": 0.0}


def test_what_a_judge_says_is_in_every_row():
    facts, said = trust({}, audits(50, 50))
    known = rates(Audits(50, 0, 0, 50, accepted_share=0.5))
    assert facts["judge/j/j"] == pytest.approx(known.j)
    assert facts["judge/j/rho0"] == pytest.approx(known.rho0)
    assert said == []


def test_a_judge_that_says_less_is_named():
    _, said = trust(audits(50, 50), audits(50, 50, wrong_yes=3))
    assert said == []  # J .92 to .84
    _, said = trust(audits(50, 50), audits(50, 50, wrong_yes=12))
    (first,) = said
    assert first.startswith("judge 'j' says less than it did: J 0.92, now 0.64")
    _, said = trust(audits(50, 50), audits(50, 50, wrong_yes=45))
    (gone,) = said
    assert "says too little to be used" in gone
    _, said = trust(audits(50, 50, wrong_yes=45), audits(50, 50, wrong_yes=45))
    assert said == []  # once


def test_more_that_nobody_scores_is_said_once():
    def batches(*outcomes):
        return batch_of(one(outcome) for outcome in outcomes)

    kept, heard = {}, []
    for _ in range(3):
        kept, before = dict(updated(replace(batches(1.0, 0.0), statistics=kept))), kept
        heard += trust(before, kept)[1]
    assert (kept["unscored share"], heard) == (0.0, [])
    for _ in range(3):
        kept, before = dict(updated(replace(batches(1.0, None), statistics=kept))), kept
        facts, said = trust(before, kept)
        heard += said
    # half of each batch: .05, .095, .1355 on average; .05 is not more than .05
    assert facts["unscored/mean"] == pytest.approx(0.1355)
    (only,) = heard
    assert only.startswith("9% of trajectories are unscored, and 0% were")


def test_counts_of_an_empty_batch():
    assert updated(batch_of([]))["unscored share"] == 0.0


def test_grades_of_a_batch_are_counted():
    grades = (
        Grade(level="E1", value=1.0, source="j"),
        Grade(level="E3", value=0.0, source="s"),
    )
    graded = [one(None, grades=grades) for _ in range(3)]
    kept = updated(batch_of(graded))
    assert kept["judge j/none: accepted failed"] == 3.0
