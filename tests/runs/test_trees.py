"""Runs on trees, oversampled runs, and runs that end where a budget of tokens does."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.errors import UsageError
from assay.records import ModelStep, Trajectory, read
from assay.runs.config import parsed
from assay.runs.ledger import check, used_up
from tests.runs import tiny
from tests.runs.tiny import rows

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TREE = {
    "env__name": "tests.runs.tiny:Twice",
    "train__max_tokens": 24,
    "train__max_length": 48,
    "recipe__method": "tree_grpo",
    "rollout__kind": "tree",
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.policy(tmp_path_factory.mktemp("policy"))


def tables(policy: Path, **more: Any) -> dict[str, Any]:
    made = tiny.settings(policy, **{**TREE, **more})
    if made["rollout"].get("kind") == "tree":
        made["train"].pop("group")
    return made


def started(tables: dict[str, Any], out: Path) -> Path:
    from assay.runs.start import start

    return start(parsed(tables), out, seed=5).path


def records(run: Path, step: int) -> list[Trajectory]:
    return list(read(run / "rollouts" / f"step_{step:06d}.jsonl"))


def contents(run: Path) -> dict[str, bytes]:
    kept = ("ledger.jsonl", "metrics.jsonl", "model.safetensors")
    found = {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.name in kept or path.parent.name in ("rollouts", "credit")
    }
    assert len(found) > 4
    return found


@pytest.fixture(scope="module")
def grown(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(tables(policy), tmp_path_factory.mktemp("runs") / "tree")


def test_a_batch_is_whole_trees_and_counts_what_was_sampled(grown: Path) -> None:
    made = records(grown, 1)
    assert len(made) == 4 * 6
    assert [len({r.group for r in made[at : at + 6]}) for at in range(0, 24, 6)] == [1] * 4
    assert [len({r.tree for r in made[at : at + 3]}) for at in range(0, 24, 3)] == [1] * 8
    nodes = {(r.tree, s.node): s for r in made for s in r.steps if isinstance(s, ModelStep)}
    sampled = sum(len(step.token_ids or ()) for step in nodes.values())
    steps = sum(isinstance(step, ModelStep) for r in made for step in r.steps)
    assert len(nodes) < steps
    first = rows(grown / "ledger.jsonl")[0]
    assert (first["tokens"], first["trajectories"]) == (sampled, 24)
    assert first["env_steps"] == len(nodes)
    assert rows(grown / "metrics.jsonl")[0]["tokens_generated"] == sampled
    check(rows(grown / "ledger.jsonl"))


def test_a_run_on_trees_is_repeated_and_resumed_to_the_byte(
    grown: Path, policy: Path, tmp_path: Path
) -> None:
    found = tiny.resumed(lambda out: started(tables(policy), out), tmp_path / "run", 2)
    assert contents(found) == contents(grown)


@pytest.mark.parametrize("kind", ["tree", "chain"])
def test_a_run_ends_where_its_tokens_do(kind: str, policy: Path, tmp_path: Path) -> None:
    """Nearest: one batch more would be as far over the budget, or farther, as it is under it."""
    method = {"recipe__method": "grpo"} if kind == "chain" else {}
    more = tables(policy, rollout__kind=kind, rollout__budget_tokens=900, **method)
    more["train"]["steps"] = 50
    run = started(more, tmp_path / "run")
    ledger = rows(run / "ledger.jsonl")
    totals = [each["total"]["tokens"] for each in ledger]
    after = [abs(total - 900) for total in totals]
    assert 1 < len(ledger) < 50
    assert after[-1] <= ledger[-1]["tokens"] / 2
    assert all(a > b for a, b in pairwise(after))
    about = json.loads((run / "run.json").read_text())
    assert (about["status"], about["step"]) == ("finished", len(ledger))
    assert (run / "checkpoints" / f"step_{len(ledger)}" / "COMMITTED").is_file()


def test_a_run_that_was_killed_with_its_tokens_spent_takes_no_other_step(
    policy: Path, tmp_path: Path
) -> None:
    from assay.runs.folder import Folder
    from assay.runs.start import resume

    more = tables(policy, rollout__budget_tokens=300)
    run = started(more, tmp_path / "run")
    before = contents(run)
    Folder.open(run).update(status="running")
    assert contents(resume(run).path) == before
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_a_budget_is_between_batches_that_are_used_up() -> None:
    def last(tokens: int, total: int) -> dict[str, Any]:
        return {"tokens": tokens, "total": {"tokens": total}}

    assert not used_up({}, 100)
    assert not used_up(last(10, 1000), 0)
    # 95 + 10 / 2 reaches 100; 94 + 5 does not
    assert used_up(last(10, 95), 100)
    assert not used_up(last(10, 94), 100)


def test_oversampling_makes_so_many_times_the_rows(policy: Path, tmp_path: Path) -> None:
    more = tables(
        policy, rollout__kind="chain", rollout__oversample=2, recipe__method="grpo",
        train__steps=1, train__group=3,
    )  # fmt: skip
    run = started(more, tmp_path / "run")
    made = records(run, 1)
    assert len(made) == 4 * 6
    assert {r.group: sum(s.group == r.group for s in made) for r in made} == {
        r.group: 6 for r in made
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"rollout": {"kind": "tree"}, "train": {"group": 8}}, "got 8; expected 6, the leaves of"),
        ({"rollout": {"kind": "tree", "oversample": 2}}, "expected oversample=1: a gate that"),
        ({"rollout": {"kind": "tree", "chains": 0}}, "rollout.chains: got 0; expected"),
        ({"rollout": {"kind": "tree", "choose": "best"}}, "rollout.choose: .*'best'"),
        ({"rollout": {"budget_tokens": -1}}, "rollout.budget_tokens: got -1; expected"),
        ({"rollout": {"oversample": 3}, "train": {"micro": 7}}, "16 prompts x 24 rows"),
    ],
)
def test_what_does_not_fit_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parsed(more)


def test_the_group_of_trees_is_their_leaves() -> None:
    shape = {"kind": "tree", "chains": 2, "expansions": 3, "rounds": 2}
    config = parsed({"rollout": shape})
    assert config.train.group == 2 * (1 + 2 * 3)
    assert parsed({"rollout": shape, "train": {"group": 14}}) == config
