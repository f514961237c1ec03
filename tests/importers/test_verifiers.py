"""verifiers: expected values are those of tests/fixtures/make_verifiers.py, by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import Trajectory, decode, encode

FOLDER = Path(__file__).parent.parent / "fixtures" / "verifiers"


def read(path: Path = FOLDER) -> tuple[list[Trajectory], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "verifiers"
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return found, losses


def test_every_leaf_is_a_trajectory() -> None:
    found, losses = read()
    assert [(t.id, t.tree, t.group, t.trial, t.end) for t in found] == [
        ("a", None, "g-7", 0, "answered"),
        ("b/0", "b", "g-7", 1, "budget"),
        ("b/1", "b", "g-7", 1, "budget"),
        ("c", None, "g-7", 2, "infra"),
    ]
    assert losses.counts["branch_as_trajectory"] == 1
    assert {t.policy_version for t in found} == {"12-13"}


def test_scores_are_weighted_and_null_is_not_zero() -> None:
    found, _ = read()
    # 1.0 x 1.0 + 0.5 x 0.2 = 1.1
    assert found[0].outcome == pytest.approx(1.1)
    assert found[0].rewards == {"correct": 1.0, "brevity": 0.5}
    assert (found[1].outcome, found[1].rewards) == (None, {"correct": None})
    assert found[3].outcome == 0.0


def test_one_part_that_was_not_computed_leaves_no_sum(tmp_path: Path) -> None:
    rewards = {"a": {"score": 1.0}, "b": None, "c": {"score": 2.0}}
    path = changed(tmp_path, lambda trace, _: trace.update(rewards=rewards))
    one = read(path)[0][0]
    assert (one.outcome, one.rewards) == (None, {"a": 1.0, "b": None, "c": 2.0})


def test_masks_become_sampled_ranges() -> None:
    steps: tuple[Any, ...] = read()[0][0].steps
    assert [s.token_ids for s in steps] == [(1, 2), (3, 4), (5, 6, 7), (8,), (9, 9), (5, 10)]
    assert (steps[2].sampled, steps[2].logprobs) == (((1, 3),), (-0.5, -0.25))
    assert steps[2].entropies == (0.75, 0.5)
    assert (steps[5].sampled, steps[5].logprobs) == (((1, 2),), (-1.0,))
    assert (steps[3].call, steps[4].call) == ((2, 0), (2, 1))
    assert [(s.node, s.parent) for s in (steps[2], steps[5])] == [("a/2", None), ("a/5", "a/2")]


def test_newly_sampled_tokens_are_counted_once() -> None:
    # a sampled 6 7 and 10; each leaf of b one; c has no ids.
    assert [t.ledger.tokens for t in read()[0]] == [3, 1, 1, None]


def test_a_message_that_was_not_sampled_is_copied() -> None:
    steps: tuple[Any, ...] = read()[0][3].steps
    assert [s.untrainable for s in steps[1:]] == ["copied", None]


def test_losses() -> None:
    assert read()[1].counts == {
        "reward_weight": 1,
        "engine_advantages": 1,
        "span_in_characters": 1,
        "reward_not_computed": 1,
        "branch_as_trajectory": 1,
    }


def changed(tmp_path: Path, change: Any) -> Path:
    episode = json.loads((FOLDER / "traces.jsonl").read_text().splitlines()[0])
    change(episode["traces"][0], episode)
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps(episode) + "\n")
    return path


def test_an_agent_that_is_not_trained_is_masked(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda trace, _: trace["agent"].update(trainable=False))
    steps: tuple[Any, ...] = read(path)[0][0].steps
    assert steps[2].untrainable == "masked"


def test_agents_of_one_episode_are_not_compared(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda _, e: e["traces"][1]["agent"].update(name="judge"))
    assert [t.group for t in read(path)[0]] == ["g-7", "g-7@judge", "g-7@judge"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda t, _: t["nodes"][2].update(parent=2), "parent: got 2"),
        (lambda t, _: t["nodes"][1].update(parent=-1), "parent: got -1"),
        (lambda t, _: t["nodes"][2].update(mask=[True]), "mask: got 1 values"),
        (lambda t, _: t["rewards"].update(correct=1.0), "rewards"),
        (lambda t, _: t["nodes"][2].update(message="hi"), "message"),
    ],
)
def test_malformed_traces_are_one_line(tmp_path: Path, change: Any, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read(changed(tmp_path, change))


def test_a_long_trace_is_not_taken_for_a_bomb(tmp_path: Path) -> None:
    # 200 turns of 160 sampled tokens with mask, content mask, log-probabilities and advantages.
    node = {
        "message": {"role": "assistant", "content": "Yes."},
        "sampled": True,
        "token_ids": list(range(1000, 1160)),
        "mask": [True] * 160,
        "is_content": [True] * 160,
        "logprobs": [-0.1234] * 160,
        "advantages": [0.5] * 160,
    }
    nodes = [{**node, "parent": at - 1 if at else None} for at in range(200)]
    (one, *_), _ = read(changed(tmp_path, lambda trace, _: trace.update(nodes=nodes)))
    assert one.ledger.tokens == 32_000


def test_a_comb_does_not_unfold(tmp_path: Path) -> None:
    # Node `at` of the spine has a leaf beside its child; both are at + 2 deep. The leaves have
    # 3000 x 2 + (0 + ... + 2999) = 4,504,500 steps, the spine's own end 3,001.
    message = {"role": "user", "content": "words " * 40}
    nodes: list[Any] = [{"parent": None, "message": message}]
    for at in range(3000):
        nodes += [{"parent": max(0, 2 * at - 1), "message": message}] * 2
    path = changed(tmp_path, lambda trace, _: trace.update(nodes=nodes))
    with pytest.raises(DataError, match="unfolds to 4,507,501 steps"):
        read(path)


def episode(name: str, *, score: float = 1.0, **rest: Any) -> dict[str, Any]:
    """One rollout of one message, which two answers follow where `name` has two letters."""
    nodes: list[dict[str, Any]] = [{"message": {"role": "user", "content": "q"}}]
    nodes += [
        {"parent": 0, "message": {"role": "assistant", "content": one}, "sampled": True}
        for one in name
    ]
    trace = {"id": name, "nodes": nodes, "rewards": {"r": {"score": score}}, "is_completed": True}
    return {"id": f"e-{name}", "task": {"key": "k"}, "traces": [trace], **rest}


def write(path: Path, *episodes: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in episodes))
    return path


def test_branches_of_one_rollout_are_one_session(tmp_path: Path) -> None:
    found, _ = read(write(tmp_path / "traces.jsonl", episode("ab"), episode("c")))
    assert [(t.id, t.session, t.trial) for t in found] == [
        ("ab/0", "ab", 0),
        ("ab/1", "ab", 0),
        ("c", None, 1),
    ]


def test_runs_of_several_environments_below_one_folder(tmp_path: Path) -> None:
    def by(model: str, name: str, key: str) -> dict[str, Any]:
        one = episode(name)
        one["task"]["key"], one["traces"][0]["agent"] = key, {"config": {"model": model}}
        return one

    evals = tmp_path / "outputs" / "evals"
    write(evals / "x--m" / "1" / "traces.jsonl", by("m", "a", "x1"))
    write(evals / "x--m" / "2" / "traces.jsonl", by("m", "b", "x1"))
    write(evals / "x--n" / "3" / "traces.jsonl", by("n", "c", "x1"))
    write(evals / "y--m" / "4" / "traces.jsonl", by("m", "d", "y1"))
    (evals / "x--m" / "1" / "metadata.json").write_text("{}")
    (evals / "x--m" / "1" / "configs").mkdir()
    (evals / "x--m" / "1" / "configs" / "eval.json").write_text("{}")
    for level in (tmp_path, tmp_path / "outputs", evals):
        found, losses = read(level)
        # Two runs of one model are attempts at one task; another model has groups of its own.
        assert [t.group for t in found] == ["x1", "x1", "x1@n", "y1"]
        assert losses.counts == {}


def test_a_prime_rl_run_is_read_at_every_level_and_each_episode_once(tmp_path: Path) -> None:
    run = tmp_path / "run" / "rollouts"
    write(run / "step_1/train/all/traces.jsonl", episode("a"), episode("b"))
    write(run / "step_1/train/effective/traces.jsonl", episode("b"))
    write(run / "step_2/train/all/traces.jsonl", episode("c"))
    write(run / "step_2/eval/all/traces.jsonl", episode("d"))
    for level in (tmp_path, tmp_path / "run", run):
        found, losses = read(level)
        assert [t.id for t in found] == ["a", "b", "d", "c"]
        # One task, three policies or uses: they are not compared with each other.
        groups = ["k", "k", "k@step_2/eval", "k@step_2/train"]
        assert [t.group for t in found] == groups
        assert losses.counts == {"repeated_episode": 1, "of_evaluation:eval": 1}
    assert [t.id for t in read(run / "step_1/train/effective")[0]] == ["b"]


def test_an_episode_that_names_its_group_keeps_it_across_steps(tmp_path: Path) -> None:
    for step, name in enumerate("ab"):
        one = episode(name, group={"id": "g"})
        write(tmp_path / f"step_{step}/train/all/traces.jsonl", one)
    assert [t.group for t in read(tmp_path)[0]] == ["g", "g"]


def test_a_trace_stream_is_read_with_what_lies_beside_it(tmp_path: Path) -> None:
    traces = tmp_path / "monitors" / "file" / "traces"
    write(traces / "stream.jsonl", episode("a"), episode("b"))
    write(traces / "stream.index.jsonl", {"id": "e-a", "offset": 0})
    write(traces / "annotations" / "trainer.jsonl", {"id": "e-a", "advantage": 1.0})
    for level in (tmp_path, traces, traces / "stream.jsonl"):
        found, losses = read(level)
        assert [t.id for t in found] == ["a", "b"]
        assert losses.counts == {"annotations_not_read": 1}


def test_a_stream_of_numbered_chunks_is_read_from_any_folder_above_it(tmp_path: Path) -> None:
    traces = tmp_path / "monitors" / "file" / "traces"
    write(traces / "stream" / "00001.jsonl", episode("b"))
    write(traces / "stream.index.jsonl", {"id": "e-a", "chunk": 0, "offset": 0})
    write(traces / "annotations" / "orch" / "00000.jsonl", {"trace_id": "a"})
    write(tmp_path / "first.jsonl", episode("a"))
    sealed = zstandard.ZstdCompressor().compress((tmp_path / "first.jsonl").read_bytes())
    (traces / "stream" / "00000.jsonl.zst").write_bytes(sealed)
    (tmp_path / "first.jsonl").unlink()
    for level in (tmp_path, traces, traces / "stream"):
        found, losses = read(level)
        assert [t.id for t in found] == ["a", "b"]
        assert losses.counts == {"annotations_not_read": 1}
