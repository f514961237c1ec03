"""Runs in which dead groups are replaced, and runs that measure their start first."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.records import Trajectory, read
from assay.rollout.resampling import dead
from assay.runs.config import parsed
from assay.runs.ledger import check
from tests.runs import tiny
from tests.runs.conftest import Assay
from tests.runs.tiny import rows

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def started(policy: Path, out: Path, **more: Any) -> Path:
    from assay.runs.start import start

    made = tiny.settings(policy, env__name="tests.runs.tiny:Letter", recipe__method="grpo", **more)
    return start(parsed(made), out, seed=5).path


def groups(run: Path, step: int) -> list[list[Trajectory]]:
    found: dict[str, list[Trajectory]] = {}
    for record in read(run / "rollouts" / f"step_{step:06d}.jsonl"):
        found.setdefault(record.group, []).append(record)
    return [*found.values()]


@pytest.fixture(scope="module")
def plain(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(policy, tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture(scope="module")
def again(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(policy, tmp_path_factory.mktemp("runs") / "again", rollout__resample=2)


def test_living_groups_stay_and_dead_ones_are_other_tasks_in_their_places(
    plain: Path, again: Path
) -> None:
    before, after = groups(plain, 1), groups(again, 1)
    lost = dead(before)
    assert lost
    assert len(dead(after)) < len(lost)
    for at, (old, new) in enumerate(zip(before, after, strict=True)):
        assert (at in lost) == (old != new)
        place = f"{at}/"
        assert old[0].group.startswith(place)
        assert new[0].group.startswith(place)
    sizes = {len(each) for each in (*before, *after)}
    assert len(sizes) == 1


def test_what_was_thrown_away_is_paid_for(plain: Path, again: Path) -> None:
    bare, full = (rows(run / "ledger.jsonl")[0] for run in (plain, again))
    thrown = full["thrown"]
    kept = sum(each.ledger.tokens or 0 for one in groups(again, 1) for each in one)
    assert "thrown" not in bare
    size = len(groups(plain, 1)[0])
    lost = [each for at in dead(groups(plain, 1)) for each in groups(plain, 1)[at]]
    assert thrown["trajectories"] >= len(lost)
    assert thrown["trajectories"] % size == 0
    assert full["trajectories"] == bare["trajectories"] + thrown["trajectories"]
    assert full["tokens"] == kept + thrown["tokens"]
    assert thrown["tokens"] >= sum(each.ledger.tokens or 0 for each in lost)
    last = rows(again / "ledger.jsonl")[-1]["total"]
    assert check(rows(again / "ledger.jsonl")) == last
    seen = rows(again / "metrics.jsonl")[-1]
    assert (seen["tokens_generated"], seen["trajectories"]) == (
        last["tokens"], last["trajectories"],
    )  # fmt: skip


def test_it_is_repeated_and_resumed_to_the_byte(again: Path, policy: Path, tmp_path: Path) -> None:
    found = tiny.resumed(lambda out: started(policy, out, rollout__resample=2), tmp_path / "run")
    for name in ("ledger.jsonl", "metrics.jsonl", "rollouts/step_000002.jsonl"):
        assert (found / name).read_bytes() == (again / name).read_bytes()


def test_a_probe_says_before_the_first_step_what_can_help_and_changes_nothing(
    plain: Path, policy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = started(policy, tmp_path / "run", probe__tasks=3, probe__samples=8)
    found = json.loads((run / "headroom.json").read_bytes())
    assert (found["schema"], found["tasks"], found["samples"]) == ("assay.headroom/1", 3, 8)
    first = rows(run / "metrics.jsonl")[0]
    told = [line for line in first["events"] if line.startswith("probe: ")]
    assert any("comparison can" in line for line in told)
    assert told[0].endswith(f"{found['tokens']:,} tokens")
    for name in ("ledger.jsonl", "rollouts/step_000002.jsonl"):
        assert (run / name).read_bytes() == (plain / name).read_bytes()
    assert not (plain / "headroom.json").exists()


def test_the_verb_says_what_a_run_would_say(assay: Assay, policy: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text('[train]\nprompts = 4\ngroup = 4\nmax_tokens = 12\n[recipe]\nmethod="grpo"\n')
    common = ("--model", policy, "--env", "tests.runs.tiny:Letter", "--tasks", 3, "--samples", 8)
    said = assay("headroom", recipe, *common, "--json", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_bytes())
    assert said.code == 0, said.err
    assert said.out.startswith("3 tasks, 8 samples each, ")
    assert (found["group"], found["prompts"]) == (4, 4)
    assert assay("headroom", recipe, *common, "--json", "-").out == (
        (tmp_path / "found.json").read_text()
    )
    assert assay("headroom", "nothing", *common).code == 2
