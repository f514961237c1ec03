"""Rates of the judges of a log: by hand, against scipy's beta distribution, and on the terminal."""

import sys
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import beta

from assay.audit.judged import judged, sentence
from assay.batch import Batch
from assay.cli import main
from assay.records import Grade, ModelStep, Rescue, Trajectory, write


def said(judge: str, verdict: float, truth: float | None, count: int = 1, **more: Any) -> Any:
    """So many trajectories of which a judge says this, and a check that."""
    grades = [Grade(level="E1", value=verdict, source=judge)]
    grades += [] if truth is None else [Grade(level="E3", value=truth, source="state")]
    step = ModelStep(text="x")
    return [
        Trajectory(
            id=f"{judge}{verdict}{truth}{n}{more}",
            task="t",
            group="g",
            steps=(step,),
            grades=tuple(grades),
            outcome=truth,
            **more,
        )
        for n in range(count)
    ]


GOOD = [*said("good", 1.0, 0.0, 3), *said("good", 0.0, 0.0, 27),
        *said("good", 0.0, 1.0), *said("good", 1.0, 1.0, 19)]  # fmt: skip
YES = [*said("yes", 1.0, 0.0, 25), *said("yes", 1.0, 1.0, 25)]
FEW = [*said("few", 1.0, 0.0, 2), *said("few", 0.0, 0.0, 1)]


def test_rates_of_what_a_check_looked_at_by_judge() -> None:
    rescued = said("good", 0.0, 1.0, 9, rescue=Rescue(rung="oracle"))  # help is no evidence
    found = judged(Batch.of([*GOOD, *YES, *FEW, *said("alone", 1.0, None, 4), *rescued]))
    assert set(found) == {"few", "good", "yes"}
    good = found["good"]
    names = ("accepted_passed", "accepted_failed", "rejected_passed", "rejected_failed")
    assert [good[name] for name in names] == [19, 3, 1, 27]
    # 22 of 50 were accepted; both shares from above at .95, so that rho0 is at .9
    s, wrong_yes, wrong_no = 22 / 50, beta.ppf(0.95, 4, 19), beta.ppf(0.95, 2, 27)
    rho0 = wrong_yes * s / (wrong_yes * s + (1 - wrong_no) * (1 - s))
    # posterior means (3 + 1) / 24 and (1 + 1) / 30
    rho1 = (2 / 30) * (28 / 50) / ((2 / 30) * (28 / 50) + (20 / 24) * (22 / 50))
    assert (good["rho0"], good["rho1"]) == pytest.approx((rho0, rho1), abs=1e-9)
    assert good["j"] == pytest.approx(1 - rho0 - rho1)
    assert [found[name]["trust"] for name in ("good", "yes", "few")] == [
        "calibrated",
        "quarantined",
        "uncalibrated",
    ]


def test_each_judge_has_a_line_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "log.jsonl", [*GOOD, *YES, *FEW])
    monkeypatch.setattr(sys, "argv", ["assay", "audit", f"{tmp_path / 'log.jsonl'}", "--no-report"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main()
    lines = capsys.readouterr().out
    assert "Judges, where a check or a person looked too" in lines
    assert (
        "judge good: accepted 3 of 30 failures that were checked (false positives at most 22.8% by "
        "90 %), rejected 1 of 20 passes; J 0.68, its word counts" in lines
    )
    assert "judge yes: accepted 25 of 25 failures" in lines
    assert "quarantined: below 0.2 nothing that it says counts" in lines
    assert "uncalibrated: of 20 failures that must be looked at 3 were" in lines


def test_a_log_without_such_pairs_says_nothing_of_judges() -> None:
    assert judged(Batch.of(said("alone", 1.0, None, 4))) == {}
    assert sentence("j", judged(Batch.of(YES))["yes"]).startswith("judge j: accepted 25 of 25")
