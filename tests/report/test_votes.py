"""Who counts in what pages say of a group: each session once, and nobody whom a gate dropped."""

import json
from pathlib import Path

import msgspec

from assay.records import ModelStep, Trajectory
from tests.report.samples import LOOK, attempt, report_of


def masked(trajectory: Trajectory) -> Trajectory:
    steps = tuple(
        msgspec.structs.replace(step, untrainable="masked") if type(step) is ModelStep else step
        for step in trajectory.steps
    )
    return msgspec.structs.replace(trajectory, steps=steps)


def test_sentences_count_sessions_once_and_masked_attempts_never(tmp_path: Path):
    fan = [attempt(n, "g", 1.0, [LOOK], f"Done, {n}.", session="s") for n in range(3)]
    failed = attempt(3, "g", 0.0, [], "No.")
    out = masked(attempt(4, "g", 1.0, [], "Done."))
    page, audit = report_of([*fan, failed, out], tmp_path / "report.html")
    twin = json.loads(page.with_suffix(".json").read_bytes())
    why = [list(each["why"].values()) for each in twin["members"]]
    assert "Pushed up: this attempt passed, and 1 attempt of its group did not." in why[0]
    assert "Pushed down: this attempt failed, and 1 attempt of its group passed." in why[3]
    assert why[4] == ["Left out by the gate integrity (masked)."]
    # 2 of 3 sessions passed; what a gate left out is no attempt less
    assert (twin["groups"]["passed"], twin["groups"]["sessions"]) == ([2], [3])
    assert audit["trajectories"]["passed"] == 2
