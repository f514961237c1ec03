"""Rows of the log, without a trainer."""

import json
from pathlib import Path

from assay.trainers.trl.metrics import append_row, step_line, trackers


def test_one_object_a_line_and_null_for_what_is_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "metrics.jsonl"
    append_row(path, {"step": 1, "reward": float("nan"), "events": ["a"]})
    append_row(path, {"step": 2, "reward": 0.5})
    rows = [json.loads(each) for each in path.read_text().splitlines()]
    assert rows == [{"step": 1, "reward": None, "events": ["a"]}, {"step": 2, "reward": 0.5}]


def test_a_line_for_a_person() -> None:
    row = {
        "step": 12,
        "reward": 0.25,
        "pass_rate": 0.125,
        "dead_share": 0.75,
        "dead/all_fail": 0.5,
        "dead/all_pass": 0.25,
        "dead/single": 0.0,
        "mass/positive": 10.0,
        "mass/negative": 8.0,
        "entropy": 1.5,
        "ratio/max": 1.25,
        "length/mean": 20.0,
        "tokens_generated": 81920,
        "tool_calls": 1200,
        "probe_logprob": -0.5,
        "skipped": 1,
    }
    assert step_line(row) == (
        "step 12  reward 0.250  pass@1 0.125  dead 75% (all_fail 50% all_pass 25%)  |A| +10.0 -8.0"
        "  H 1.500  ratio 1.25  length 20.0  81,920 tokens  1,200 calls  probe -0.500  skipped"
    )
    begun = step_line(row | {"start": 1, "reward": 0.5})
    assert begun.startswith("step 12  start  similarity 0.500  dead 75%")
    assert "pass@1" not in begun
    helped = step_line(row | {"rescue/groups": 30, "rescue/rescued": 28})
    assert "dead 75% (all_fail 50% all_pass 25%)  rescued 28 of 30  |A| +10.0" in helped
    assert "rescued" not in step_line(row | {"rescue/groups": 0, "rescue/rescued": 0})


def test_trackers_are_those_installed() -> None:
    assert trackers() == ["none"] or set(trackers()) <= {"trackio", "wandb"}
