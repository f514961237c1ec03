"""A log in which a dead group was rescued: what sampled the rescued one is no teacher's word."""

import json
from math import log
from pathlib import Path
from typing import Any

from msgspec import structs

from assay.records import Hint, ModelStep, Rescue, Trajectory, UserStep, write
from assay.runs.audit import audit_log

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


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]
