"""Harbor: expected values are those of tests/fixtures/make_harbor.py."""

import json
import shutil
from pathlib import Path

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import ModelStep, UserStep

JOB = Path(__file__).parent.parent / "fixtures" / "harbor"


def test_a_job_gives_one_trajectory_for_each_trial() -> None:
    losses = Losses()
    name, trajectories = load(JOB, losses=losses)
    found = list(trajectories)
    assert name == "harbor"
    assert [(t.id, t.group, t.trial, t.outcome, t.end) for t in found] == [
        # Two parts and none called "reward": 0.25 + 0.5.
        ("parse__0000004", "parse@c0ffeec0ffee", 0, 0.75, "answered"),
        ("parse__0000005", "parse@c0ffeec0ffee", 1, None, "answered"),  # nobody verified it
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
