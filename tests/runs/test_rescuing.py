"""Runs in which dead groups are rescued: what is trained, what is paid, and a kill on the way."""

import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.errors import UsageError
from assay.records import ModelStep, Trajectory, read
from assay.runs.config import parsed
from assay.runs.ledger import check
from tests.runs import tiny
from tests.runs.tiny import rows

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

LADDER: dict[str, Any] = {
    "rescue__kind": "ladder",
    "rescue__rungs": ["oracle"],
    "rescue__after": 1,
    "rescue__tries": 4,
    "rescue__share": 1.0,
    "rescue__budget": 9.0,
    "train__group": 2,
    "train__prompts": 8,
}


def config(policy: Path, **more: Any) -> Any:
    made = tiny.settings(policy, env__name="tests.runs.tiny:Hinted", **{**LADDER, **more})
    return parsed(made)


def started(policy: Path, out: Path, **more: Any) -> Path:
    from assay.runs.start import start

    return start(config(policy, **more), out, seed=5).path


def records(run: Path, folder: str = "rollouts", step: int = 1) -> list[Trajectory]:
    return list(read(run / folder / f"step_{step:06d}.jsonl"))


@pytest.fixture(scope="module")
def run(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(policy, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def plain(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(policy, tmp_path_factory.mktemp("runs") / "plain", rescue__kind="none")


def test_one_of_each_dead_group_is_rescued_and_the_others_stay(run: Path, plain: Path) -> None:
    before = {name: list(group) for name, group in groupby(records(plain), lambda r: r.group)}
    after = {name: list(group) for name, group in groupby(records(run), lambda r: r.group)}
    assert before.keys() == after.keys()
    helped = 0
    for name, group in after.items():
        dead = all(each.outcome == 0 for each in before[name])
        rescued = [each for each in group if each.rescue is not None]
        assert len(rescued) <= dead
        own = [each for each in group if each.rescue is None]
        assert all(each in before[name] for each in own)
        assert len(group) == len(before[name])
        helped += len(rescued)
    assert helped


def test_it_is_trained_without_the_hint_that_it_was_sampled_with(run: Path) -> None:
    rescued = [each for each in records(run) if each.rescue is not None]
    for record in rescued:
        assert record.outcome == 1.0
        prompt, step = record.steps
        assert prompt.text == f"?{(record.rescue and record.rescue.given)}\n"
        assert type(step) is ModelStep
        assert step.helped
        assert step.logprobs
        assert step.helped != step.logprobs
        assert record.ledger.scoring_forwards == 1


def test_all_of_it_is_paid_for_and_kept(run: Path) -> None:
    rescued = [each for each in records(run) if each.rescue is not None]
    beside = records(run, "rescues")
    replaced = [each for each in beside if each.rescue is None]
    assert len(replaced) == len(rescued)
    assert all(each.outcome == 0 for each in replaced)
    first, *_ = ledger = rows(run / "ledger.jsonl")
    everything = [*records(run), *beside]
    assert first["tokens"] == sum(each.ledger.tokens or 0 for each in everything)
    assert first["scoring_forwards"] == len(rescued)
    assert first["trajectories"] == len(everything)
    last = rows(run / "metrics.jsonl")[-1]
    assert check(ledger)["tokens"] == last["tokens_generated"]


def test_a_row_of_metrics_says_what_each_rung_cost_and_brought(run: Path, plain: Path) -> None:
    first, *_, last = rows(run / "metrics.jsonl")
    rescued = [each for each in records(run) if each.rescue is not None]
    assert first["rescue/rescued"] == first["rescue/oracle/rescued"] == len(rescued)
    tried = [each for each in [*rescued, *records(run, "rescues")] if each.rescue is not None]
    assert first["rescue/tokens"] == sum(each.ledger.tokens or 0 for each in tried)
    assert last["rescue/oracle/tried"] >= first["rescue/oracle/tried"]
    assert first["rescue/oracle/later"] is None
    assert 0.0 <= last["rescue/oracle/later"] <= 1.0  # a pool of ten is met again
    own = [each.outcome or 0.0 for each in records(run) if each.rescue is None]
    assert first["pass_rate"] == pytest.approx(sum(own) / len(own))
    assert not any(name.startswith("rescue/") for name in rows(plain / "metrics.jsonl")[0])
    assert not (plain / "rescues").exists()


AGAIN: dict[str, Any] = {
    "rescue__again": 2, "rescue__lag": 1, "train__pool": 4096, "train__prompts": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def met_once(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(policy, tmp_path_factory.mktemp("runs") / "again", **AGAIN)


def test_where_tasks_are_met_once_rescued_ones_are_played_again(met_once: Path) -> None:
    steps = {step: records(met_once, "rescues", step) for step in (1, 2, 3)}
    again = {
        step: [each for each in beside if "+again/" in each.id] for step, beside in steps.items()
    }
    assert [len(again[step]) for step in (1, 2, 3)] == [0, 1, 2]  # one was rescued first
    rescued = {each.task for each in records(met_once) if each.rescue is not None}
    assert {each.task for each in again[2]} <= rescued
    played = [*again[2], *again[3]]
    assert len({each.task for each in played}) == 3  # once each
    assert all(each.rescue is None and each.steps[0].text.startswith("?") for each in played)
    first, second, third, *_ = rows(met_once / "metrics.jsonl")
    assert (first["rescue/again"], first["rescue/later"], first["rescue/later_of"]) == (0, None, 0)
    assert second["rescue/again_tokens"] == sum(each.ledger.tokens or 0 for each in again[2])
    assert third["rescue/later_of"] == 3
    assert third["rescue/later"] == sum(each.outcome == 1.0 for each in played) / 3
    assert third["rescue/oracle/later"] == third["rescue/later"]
    ledger = rows(met_once / "ledger.jsonl")
    everything = [*records(met_once, step=2), *steps[2]]
    assert ledger[1]["tokens"] == sum(each.ledger.tokens or 0 for each in everything)


@pytest.mark.parametrize("more", [{}, AGAIN])
def test_a_killed_run_is_resumed_to_the_byte(
    more: dict[str, Any], request: pytest.FixtureRequest,
    policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = request.getfixturevalue("met_once" if more else "run")
    from assay.runs import rollouts
    from assay.runs.start import resume

    play = rollouts.Rollouts.__call__

    def killed(self: Any, prompts: Any, trainer: Any) -> Any:
        made = play(self, prompts, trainer)
        if trainer.state.global_step == 2:  # the third batch is on disk, and trained on by nobody
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(rollouts.Rollouts, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        started(policy, tmp_path / "run", **more)
    monkeypatch.undo()
    again = resume(tmp_path / "run").path
    names = ["ledger.jsonl", "metrics.jsonl"]
    names += [f"{folder}/step_{step:06d}.jsonl" for step in (3, 4) for folder in ("rollouts",)]
    names += [f"rescues/{path.name}" for path in (run / "rescues").iterdir()]
    for name in names:
        assert (again / name).read_bytes() == (run / name).read_bytes(), name


def test_two_processes_help_their_own_groups_and_remember_the_same(
    policy: Path, tmp_path: Path
) -> None:
    """Each plays for its half of the groups; what is known, what is due and what is paid is one."""
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr"]
    launcher += ["127.0.0.1", "--master_port", str(28500 + os.getpid() % 1000)]
    module = ["-m", "tests.runs.two_rescuing", str(policy), str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *launcher, *module], cwd=tiny.REPO, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": tiny.PATHS, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (rows(tmp_path / f"memory{rank}.jsonl") for rank in (0, 1))
    assert [each["state"] for each in one] == [each["state"] for each in two]
    assert [each["facts"] for each in one] == [each["facts"] for each in two]
    run = tmp_path / "run"
    ledger, metrics = rows(run / "ledger.jsonl"), rows(run / "metrics.jsonl")
    assert check(ledger)["tokens"] == metrics[-1]["tokens_generated"]
    rescued_by = set[int]()
    for step in (1, 2, 3):
        made, beside = records(run, step=step), records(run, "rescues", step)
        halves = [memory[step - 1]["rows"] for memory in (one, two)]
        assert [each.id for each in made] == [*halves[0], *halves[1]]
        groups = [[*group] for _, group in groupby(made, lambda each: each.group)]
        assert [len(group) for group in groups] == [2] * 8
        helped = [sum(each.rescue is not None for each in group) for group in groups]
        assert max(helped) <= 1
        rescued_by |= {at // 4 for at, number in enumerate(helped) if number}
        assert metrics[step - 1]["rescue/rescued"] == sum(helped)
        everything = [*made, *beside]
        assert ledger[step - 1]["tokens"] == sum(each.ledger.tokens or 0 for each in everything)
        again = [each for each in beside if "+again/" in each.id]
        assert metrics[step - 1]["rescue/again"] == len(again)
        assert len({each.id for each in again}) == len(again)
    assert rescued_by == {0, 1}
    assert metrics[-1]["rescue/later_of"] > 2


@pytest.mark.parametrize("more", [{"rollout__kind": "tree"}, {"rollout__oversample": 2}])
def test_groups_of_another_kind_are_refused(policy: Path, more: dict[str, Any]) -> None:
    given: dict[str, Any] = {**LADDER, **more}
    if "rollout__kind" in more:
        del given["train__group"]
    with pytest.raises(UsageError, match="rescue: it takes the place of a failure"):
        parsed(tiny.settings(policy, env__name="tests.runs.tiny:Hinted", **given))
