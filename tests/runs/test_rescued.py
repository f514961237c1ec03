"""A log in which a dead group was rescued: what sampled the rescued one is no teacher's word, and
everybody counts the same groups as dead."""

import json
import sys
from math import log
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from assay.cli import main
from assay.recipes import Recipe
from assay.records import Hint, ModelStep, Rescue, Trajectory, UserStep, write
from assay.runs.audit import audit_log
from assay.signal import signal
from tests.report.samples import index_of
from tests.runs.tiny import rows

STEP = ModelStep(text="ab", token_ids=(4, 5), logprobs=(log(0.2), log(0.5)))
HINTED = structs.replace(
    STEP, hints=(Hint(text="no", source="env"),), told=(log(0.4),) * 2, neutral=(log(0.1),) * 2
)
HELPED = structs.replace(STEP, helped=(log(0.8), log(0.5)))


def one(name: str, outcome: float, step: ModelStep = STEP, **more: Any) -> Trajectory:
    """A trajectory of the group that its name begins with."""
    steps = (UserStep(text="?", token_ids=(3,)), step)
    made = Trajectory(id=name, task=name[0], group=name[0], outcome=outcome, steps=steps)
    return structs.replace(made, end="answered", **more)


def rescued() -> list[Trajectory]:
    """Group "a" failed and one was rescued, "b" failed, of "c" one passed by itself."""
    saved = one("a0", 1.0, HELPED, rescue=Rescue(rung="oracle", of="a9"))
    return [saved, one("a1", 0.0), one("a2", 0.0), one("b0", 0.0), one("b1", 0.0),
            one("c0", 1.0), one("c1", 0.0)]  # fmt: skip


def audited(folder: Path, records: list[Trajectory], *, report: bool = False) -> Path:
    write(folder / "log.jsonl", records)
    audit_log(folder / "log.jsonl", out=folder / "run", report=report)
    return folder / "run"


def test_no_method_that_asks_a_teacher_reads_what_sampled_a_rescued_one(tmp_path: Path) -> None:
    run = audited(tmp_path, rescued())
    refused = json.loads((run / "audit.json").read_bytes())["not_applicable"]
    for method in ("opd", "additive", "rlsd", "agreement", "routing"):
        assert refused[method].startswith(f"{method} needs told, and no step has one")


def test_beside_one_that_a_teacher_was_asked_about_it_gets_its_outcome_alone(
    tmp_path: Path,
) -> None:
    records = [one(each.id, 0.0, HINTED) if each.id in "a1 b0" else each for each in rescued()]
    run = audited(tmp_path, records)
    of = {
        method: {row["id"]: row for row in rows(run / "credit" / f"{method}.jsonl")}
        for method in ("grpo", "opd", "agreement", "routing")
    }
    assert of["opd"]["a0"]["step_advantage"] == [None]
    assert of["opd"]["a1"]["carried"] == [1], "its last token is a stop, which is spared"
    for method in ("agreement", "routing"):
        assert of[method]["a0"]["step_advantage"] == of["grpo"]["a0"]["step_advantage"]


def everything() -> list[Trajectory]:
    """Beside the three: "d" has one failure left beside the rescued one, "e" one unscored, "f" one
    attempt, "g" one failure left beside a try that came to nothing."""
    saved, vain = (Rescue(rung=rung, of=None) for rung in ("relabel", "oracle"))
    return [*rescued(), one("d0", 0.0), one("d1", 1.0, rescue=saved),
            one("e0", 0.0), one("e1", 0.0), structs.replace(one("e2", 0.0), outcome=None),
            one("f0", 0.0), one("g0", 0.0), one("g1", 0.0, rescue=vain)]  # fmt: skip


def test_all_that_count_dead_groups_count_those_that_failed_without_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # without help a, b, d, e and g failed as a whole, c is mixed, f a single one
    run = tmp_path / "run"
    write(tmp_path / "log.jsonl", everything())
    options = (tmp_path / "log.jsonl", "--explain-dead", "--out", run)
    monkeypatch.setattr(sys, "argv", ["assay", "audit", *map(str, options)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main()
    printed = " ".join(capsys.readouterr().out.split())
    assert "all fail 5 5 of 7" in printed
    assert "teach GRPO nothing 6 6 of 7" in printed
    assert "What could rescue 5 groups in which every trajectory failed" in printed
    assert "3 trajectories were sampled with help: they count in no pass rate" in printed

    audit = json.loads((run / "audit.json").read_bytes())
    groups = {"total": 7, "all_fail": 5, "mixed": 1, "single": 1, "dead": 6}
    assert {name: n for name, n in audit["groups"].items() if n} == groups
    whole = audit["trajectories"]
    assert (whole["total"], whole["rescued"], whole["scored"], whole["passed"]) == (15, 3, 11, 1)
    assert audit["pass_at_k"]["1"] == pytest.approx(0.5 / 7)  # of c alone
    assert audit["recovered"]["grpo"]["groups"] == 0
    assert audit["fate"]["trained_up"]["trajectories"] == 3  # a0, c0, d1: GRPO learns from help

    index = index_of(run / "report.html")
    assert [index["groups"]["id"][g] for g in index["dead"]] == ["a", "b", "d", "e", "g"]
    assert [g for g, dead in enumerate(index["groups"]["dead"]) if dead] == [0, 1, 3, 4, 5, 6]
    assert index["groups"]["passed"] == [0, 0, 1, 0, 0, 0, 0]
    assert [each["group"] for each in rows(run / "explain_dead.jsonl")] == ["a", "b", "d", "e", "g"]

    facts = signal(everything(), Recipe.of("grpo")).facts()
    assert facts["dead_share"] == 6 / 7
    assert (facts["dead/all_fail"], facts["dead/single"]) == (5 / 7, 1 / 7)
    assert facts["pass_rate"] == 1 / 11
