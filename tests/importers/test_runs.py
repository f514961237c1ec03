"""Several runs in one log: what each counts for itself is of no group with what another does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assay.importers import Losses, load
from assay.records import Trajectory

FIXTURES = Path(__file__).parent.parent / "fixtures"
RUNS = ("tinker", "atropos", "nemo_gym", "art", "skyrl", "areal", "nemo", "trl", "verl/legacy")


def read(path: Path) -> tuple[list[Trajectory], dict[str, int]]:
    losses = Losses()
    return list(load(path, losses=losses)[1]), losses.counts


@pytest.mark.parametrize("name", [*RUNS, "rllm/logged"])
def test_groups_are_of_one_run(name: str, tmp_path: Path) -> None:
    alone = read(shutil.copytree(FIXTURES / name, tmp_path / "alone"))[0]
    for run in ("a", "b"):
        shutil.copytree(FIXTURES / name, tmp_path / "runs" / run)
    found, lost = read(tmp_path / "runs")
    first, second = found[: len(alone)], found[len(alone) :]
    # those of the first run are called as they are without the other
    assert [(t.id, t.group, t.trial) for t in first] == [(t.id, t.group, t.trial) for t in alone]
    assert [t.trial for t in second] == [t.trial for t in alone]
    assert {t.group for t in first}.isdisjoint(t.group for t in second)
    if name != "rllm/logged":  # whose trajectories have ids that are theirs alone
        assert "repeated_id" not in lost


def written(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_tau_bench_counts_tasks_in_each_domain_anew(tmp_path: Path) -> None:
    """Task 0 of two domains, and of one of them by two models."""
    for name, told in (("air-a", "fly"), ("air-b", "fly"), ("shop-a", "buy")):
        task = {"instruction": told, "actions": []}
        row = {"task_id": 0, "reward": 1.0, "info": {"task": task}, "traj": []}
        written(tmp_path / f"{name}.json", [{**row, "trial": trial} for trial in (0, 1)])
    found, lost = read(tmp_path)
    assert len({t.group for t in found}) == 3
    assert [t.task for t in found][:4] == ["0"] * 4
    assert found[4].task != "0"
    assert lost == {}


def test_tau2_bench_keeps_domains_and_models_apart(tmp_path: Path) -> None:
    for name, domain, model in (("1", "air", "m"), ("2", "air", "n"), ("3", "shop", "m")):
        about = {"agent_info": {"llm": model}, "environment_info": {"domain_name": domain}}
        run = {"task_id": "0", "trial": 0, "termination_reason": "user_stop", "messages": []}
        document = {"info": about, "tasks": [{"id": "0"}], "simulations": [run]}
        written(tmp_path / f"{name}.json", document)
    found, lost = read(tmp_path)
    assert [(t.task, t.group) for t in found] == [
        ("0", "0"),
        ("0", "0@n"),
        ("0@shop", "0@shop"),
    ]
    assert "repeated_id" not in lost


def test_terminal_bench_keeps_agents_apart(tmp_path: Path) -> None:
    for run, agent in (("1", "a"), ("2", "a"), ("3", "b")):
        written(tmp_path / run / "run_metadata.json", {"agent_name": agent, "model_name": "m"})
        trial = {"trial_name": f"t.{run}", "task_id": "t", "failure_mode": "unset"}
        trial |= {"instruction": "do", "is_resolved": True}
        written(tmp_path / run / "t" / f"t.{run}" / "results.json", trial)
    assert [(t.group, t.trial) for t in read(tmp_path)[0]] == [("t", 0), ("t", 1), ("t@b:m", 0)]
