"""Harbor: expected values are those of tests/fixtures/make_harbor.py."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Choices, Losses, load
from assay.records import ModelStep, ToolStep, UserStep

JOB = Path(__file__).parent.parent / "fixtures" / "harbor"


def test_a_job_gives_one_trajectory_for_each_trial() -> None:
    losses = Losses()
    name, trajectories = load(JOB, losses=losses)
    found = list(trajectories)
    assert name == "harbor"
    assert [(t.id, t.group, t.trial, t.outcome, t.end) for t in found] == [
        # Two parts and none called "reward": which of them is the outcome is the reader's to say.
        ("parse__0000004", "parse@c0ffeec0ffee", 0, None, "answered"),
        (
            "parse__0000005",
            "parse@c0ffeec0ffee",
            1,
            None,
            "unknown",
        ),  # nobody verified it; no steps
        ("sort__0000001", "sort@c0ffeec0ffee", 0, 1.0, "answered"),
        ("sort__0000002", "sort@c0ffeec0ffee", 1, 0.0, "budget"),  # the agent's own time ran out
        ("sort__0000003", "sort@c0ffeec0ffee", 2, None, "infra"),  # 1.0 of a broken sandbox
    ]
    assert found[0].rewards == {"style": 0.25, "tests": 0.5}
    assert found[4].rewards == {"reward": 1.0}
    assert found[2].steps == (UserStep(text="Please sort."), ModelStep(text="Done."))
    assert found[2].policy_version == "small-1"
    assert losses.counts == {
        "no_trajectory": 1,
        "no_outcome": 1,
        "invalid_reward": 1,
        "trial_without_result": 1,
        "outcome_not_named": 1,
    }


@pytest.mark.parametrize("part", ["", "result.json"])
def test_one_trial_is_enough(part: str) -> None:
    name, trajectories = load(JOB / "sort__0000001" / part)
    assert (name, [t.id for t in trajectories]) == ("harbor", ["sort__0000001"])


def test_another_agent_in_one_job_gets_groups_of_its_own(tmp_path: Path) -> None:
    job = tmp_path / "job"
    shutil.copytree(JOB, job)
    path = job / "sort__0000002" / "result.json"
    path.write_text(path.read_text().replace('"small-1"', '"large-2"'))
    groups = {t.id: t.group for t in load(job)[1]}
    assert groups["sort__0000001"] == "sort@c0ffeec0ffee"
    assert groups["sort__0000002"] == "sort@c0ffeec0ffee@clerk:large-2"
    assert groups["sort__0000003"] == "sort@c0ffeec0ffee"


def test_a_reward_that_is_no_number_is_one_line(tmp_path: Path) -> None:
    job = tmp_path / "job"
    shutil.copytree(JOB / "sort__0000001", job / "sort__0000001")
    path = job / "sort__0000001" / "result.json"
    record = json.loads(path.read_text())
    record["verifier_result"]["rewards"]["reward"] = "high"
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"rewards.reward: got str"):
        list(load(job)[1])


def trial(folder: Path, name: str = "t__1", **result: Any) -> Path:
    """Writes a trial of that result, whose agent called one tool, and returns its folder."""
    at = folder / name
    (at / "agent").mkdir(parents=True)
    whole = {"task_name": "t", "trial_name": name, "task_checksum": "c" * 40, **result}
    (at / "result.json").write_text(json.dumps(whole))
    (at / "agent" / "trajectory.json").write_text(json.dumps(document("go", "c1")))
    return at


def document(task: str, call: str, **rest: Any) -> dict[str, Any]:
    made = {"tool_call_id": call, "function_name": "bash", "arguments": {"command": "ls"}}
    steps = [
        {"step_id": 1, "source": "user", "message": task},
        {
            "step_id": 2,
            "source": "agent",
            "message": "run",
            "tool_calls": [made],
            "observation": {"results": [{"source_call_id": call, "content": "a"}]},
        },
    ]
    return {"schema_version": "ATIF-v1.8", "session_id": "s", "steps": steps, **rest}


def read(path: Path, choices: Choices | None = None) -> tuple[list[Any], dict[str, int]]:
    losses = Losses()
    name, trajectories = load(path, losses=losses, choices=choices or Choices())
    assert name == "harbor"
    return list(trajectories), losses.counts


def test_several_jobs_below_one_folder(tmp_path: Path) -> None:
    for job in ("a", "b"):
        trial(tmp_path / "jobs" / job, f"{job}__1", verifier_result={"rewards": {"reward": 1}})
        (tmp_path / "jobs" / job / "result.json").write_text('{"n_total_trials": 1, "stats": {}}')
    (tmp_path / "jobs" / "b" / "t__2").mkdir()
    (tmp_path / "jobs" / "b" / "t__2" / "config.json").write_text("{}")
    (tmp_path / "jobs" / "notes").mkdir()
    (tmp_path / "jobs" / "notes" / "a.json").write_text("{}")
    for level in (tmp_path, tmp_path / "jobs"):
        found, losses = read(level)
        assert [(t.id, t.trial, t.outcome) for t in found] == [("a__1", 0, 1.0), ("b__1", 1, 1.0)]
        assert losses == {"trial_without_result": 1, "not_a_log": 1}
    assert [t.id for t in read(tmp_path / "jobs" / "b")[0]] == ["b__1"]


@pytest.mark.parametrize("format", [None, "harbor"])
def test_logs_of_another_format_beside_a_job_are_named(format: str | None, tmp_path: Path) -> None:
    """Within a trial lie its agent's own files, beside the trials the job's."""
    chat = json.dumps({"task": "t", "messages": []})
    at = trial(tmp_path / "job", verifier_result={"rewards": {"reward": 1}})
    for file in (at / "agent" / "log.jsonl", tmp_path / "job" / "config.json"):
        file.write_text(chat if file.suffix == ".jsonl" else "{}")
    for folder in (tmp_path / "job", tmp_path / "more"):
        folder.mkdir(exist_ok=True)
        (folder / "chat.jsonl").write_text(chat)
    losses = Losses()
    name, found = load(tmp_path, format=format, losses=losses)
    assert (name, [t.id for t in found]) == ("harbor", ["t__1"])
    assert losses.counts == {"other_format:chat": 2}


@pytest.mark.parametrize(
    ("rewards", "chosen", "outcome", "lost"),
    [
        ({"tests": 3, "style": 4}, None, None, {"outcome_not_named": 1}),
        ({"tests": 3, "style": 4}, "tests", 3.0, {}),
        ({"tests": 0.5}, None, 0.5, {}),  # the only one, as in Harbor's own means
        ({"tests": 3, "reward": 0}, None, 0.0, {}),
        ({"reward": None}, None, None, {}),
    ],
)
def test_parts_are_never_added_up(
    tmp_path: Path,
    rewards: dict[str, Any],
    chosen: str | None,
    outcome: float | None,
    lost: dict[str, int],
) -> None:
    trial(tmp_path, verifier_result={"rewards": rewards})
    (found,), losses = read(tmp_path, Choices(outcome=chosen))
    assert (found.outcome, losses) == (outcome, lost)


def test_a_part_of_a_broken_trial_is_no_outcome(tmp_path: Path) -> None:
    broken = {"exception_type": "EnvironmentStartError"}
    trial(tmp_path, verifier_result={"rewards": {"reward": 1}}, exception_info=broken)
    trial(tmp_path, "t__2", verifier_result={"rewards": {"reward": 1}})
    found, _ = read(tmp_path, Choices(outcome="reward"))
    assert [(t.end, t.outcome) for t in found] == [("infra", None), ("answered", 1.0)]


def test_a_trial_of_several_steps_is_one_trajectory(tmp_path: Path) -> None:
    steps = [
        {"step_name": "one", "verifier_result": {"rewards": {"reward": 1}}},
        {"step_name": "two", "verifier_result": {"rewards": {"reward": 0.5}}},
        {"step_name": "../three"},
    ]
    at = trial(tmp_path, step_results=steps, verifier_result={"rewards": {"reward": 0.75}})
    (at / "agent" / "trajectory.json").unlink()
    for name in ("one", "two"):
        (at / "steps" / name / "agent").mkdir(parents=True)
        path = at / "steps" / name / "agent" / "trajectory.json"
        path.write_text(json.dumps(document(name, "c1")))
    (found,), losses = read(at)
    assert found.outcome == 0.75
    assert found.rewards == {"reward": 0.75, "one/reward": 1.0, "two/reward": 0.5}
    assert [s.text for s in found.steps] == ["one", "run", "a", "two", "run", "a"]
    assert [s.call for s in found.steps if type(s) is ToolStep] == [(1, 0), (4, 0)]
    assert losses == {"step_without_trajectory": 1}


@pytest.mark.parametrize("parts", [False, True])
def test_a_trajectory_that_goes_on_in_another_file_is_joined(parts: bool, tmp_path: Path) -> None:
    at = trial(tmp_path, verifier_result={"rewards": {"reward": 1}})
    first = document("go", "c1", continued_trajectory_ref="trajectory.cont-1.json")
    (at / "agent" / "trajectory.json").write_text(json.dumps(first))
    more = document("go", "c2")
    copied = [dict(step, is_copied_context=True) for step in more["steps"][:2]]
    if parts:
        copied[0]["message"] = [{"type": "text", "text": copied[0]["message"]}]
    summary = {"source": "user", "message": "So far: a.", "is_copied_context": True}
    last = [summary, *copied, more["steps"][1]]
    more["steps"] = [{**step, "step_id": i + 1} for i, step in enumerate(last)]
    (at / "agent" / "trajectory.cont-1.json").write_text(json.dumps(more))
    (found,), losses = read(at)
    assert [s.text for s in found.steps] == ["go", "run", "a", "So far: a.", "run", "a"]
    assert [s.call for s in found.steps if type(s) is ToolStep] == [(1, 0), (4, 0)]
    assert losses == {"copied_step": 2}


def test_torn_files_of_a_killed_job_are_passed_over(tmp_path: Path) -> None:
    for name in ("t__1", "t__2"):
        trial(tmp_path, name, verifier_result={"rewards": {"reward": 1}})
    trial(tmp_path, "t__3", verifier_result={"rewards": {"reward": 1}})
    path = tmp_path / "t__2" / "agent" / "trajectory.json"
    path.write_text(path.read_text()[:-20])
    path = tmp_path / "t__3" / "result.json"
    path.write_text(path.read_text()[:-3])
    found, losses = read(tmp_path)
    assert [(t.id, t.outcome, len(t.steps)) for t in found] == [("t__1", 1.0, 3), ("t__2", 1.0, 1)]
    assert found[1].steps == (ModelStep(),)  # it was verified, so it counts
    assert losses["torn_record"] == 2
    assert losses["no_trajectory"] == 1
