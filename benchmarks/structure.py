"""Credit from trees and states: against a loop over rows, writing, and dictionaries.

The loop takes each row by itself: it gathers the outcomes of the row's tree and of its task, takes
mean and deviation of both, and writes the row span by span. The dictionaries take each step by
itself, as verl-agent groups them: by group, then by the text of the state, the mean of each
cluster taken off every step in it. Neither is anybody's code. Both give our numbers, to 1e-9.
"""

from collections import defaultdict
from statistics import fmean, stdev

import numpy as np

from assay.batch import Batch
from assay.credit import method
from assay.records import ModelStep, ToolStep, Trajectory
from measure import Ratio, best, paired, parser, publish

LEAVES, TREES, TASKS, DEPTH = 8, 2, 64, 6
WROTE, SHOWN = 60, 120
"""Tokens of a step and of its observation."""
STEPS, CHAIN, STATES = 100_000, 50, 40


def forest(seed: int = 0) -> Batch:
    """Returns 1,024 leaves: 64 tasks of two trees of eight, each leaf but the first a branch."""
    rng, ids = np.random.default_rng(seed), tuple(range(SHOWN))
    made: list[Trajectory] = []
    for task in range(TASKS):
        for tree in range(TREES):
            for leaf in range(LEAVES):
                shared = int(rng.integers(0, DEPTH)) if leaf else 0
                names = [f"{0 if d < shared else leaf}.{d}" for d in range(DEPTH)]
                steps: list[ModelStep | ToolStep] = []
                for d, name in enumerate(names):
                    parent = names[d - 1] if d else None
                    steps += [ModelStep(token_ids=ids[:WROTE], node=name, parent=parent)]
                    steps += [ToolStep(text="", token_ids=ids)]
                made.append(
                    Trajectory(
                        id=f"{task}-{tree}-{leaf}",
                        task=str(task),
                        group=str(task),
                        tree=str(tree),
                        outcome=float(rng.random() < 0.4),
                        steps=tuple(steps),
                    )
                )
    return Batch.of(made)


def row_by_row(batch: Batch, rows: list[tuple[int, int, float, list[tuple[bool, int]]]]):
    """Returns tree_grpo's advantages by a loop over rows."""
    trees, tasks = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
    for tree, task, outcome, _ in rows:
        trees[tree].append(outcome)
        tasks[task].append(outcome)
    found = np.zeros(int(batch.length_R.sum()))
    at = 0
    for tree, task, outcome, spans in rows:
        advantage = 0.0
        for peers in (trees[tree], tasks[task]):
            if max(peers) > min(peers):
                advantage += (outcome - fmean(peers)) / (stdev(peers) + 1e-6)
        for sampled, length in spans:
            if sampled:
                found[at : at + length] = advantage
            at += length
    return found


def rows_of(batch: Batch) -> list[tuple[int, int, float, list[tuple[bool, int]]]]:
    """Returns what the loop reads, as Python has it: tree, task, outcome, spans."""
    spans: list[list[tuple[bool, int]]] = [[] for _ in batch.ids]
    for k, step, length in zip(
        batch.traj_R.tolist(), batch.step_R.tolist(), batch.length_R.tolist(), strict=True
    ):
        spans[k].append((step >= 0, length))
    of_K = (batch.tree_K.tolist(), batch.group_K.tolist(), batch.outcome_K.tolist(), spans)
    return list(zip(*of_K, strict=True))


def against_rows() -> tuple[list[Ratio], dict[str, float]]:
    """Returns ratios of the methods on trees, and times in seconds."""
    batch = forest()
    rows = rows_of(batch)
    ours = method("tree_grpo")
    np.testing.assert_allclose(ours(batch).advantage_N, row_by_row(batch, rows), atol=1e-9)
    loop = lambda: row_by_row(batch, rows)  # noqa: E731
    work = lambda: ours(batch).advantage_N  # noqa: E731
    result = ours(batch).total
    write = lambda: np.repeat(result, batch.length_R)  # noqa: E731
    ratios = [
        Ratio("a loop over rows / tree_grpo", paired(loop, work, repeat=15), 20.0, "at least"),
        Ratio("tree_grpo / np.repeat", paired(work, write, repeat=31), 3.0, "at most"),
    ]
    times = {"loop": best(loop), "tree_grpo": best(work), "repeat": best(write)}
    for name in ("carl", "tree_rl", "tree_po"):
        by = method(name)
        times[name] = best(lambda by=by: by(batch).advantage_N)
    return ratios, {**times, "tokens": float(batch.length_R.sum())}


def walks(seed: int = 0) -> tuple[Batch, list[tuple[str, float, list[str]]]]:
    """Returns 100,000 steps in chains of 50 over 40 states, and the same as Python has them."""
    rng = np.random.default_rng(seed)
    chains = [
        (
            str(k // 8),
            float(rng.random() < 0.4),
            [f"room {s}" for s in rng.integers(0, STATES, CHAIN)],
        )
        for k in range(STEPS // CHAIN)
    ]
    batch = Batch.of(
        Trajectory(
            id=str(k),
            task=group,
            group=group,
            outcome=outcome,
            steps=tuple(ModelStep(token_ids=(1, 2), state_key=state) for state in states),
        )
        for k, (group, outcome, states) in enumerate(chains)
    )
    return batch, chains


def by_dictionary(chains: list[tuple[str, float, list[str]]], gamma: float = 0.95):
    """Returns gigpo's advantage of each step, steps grouped in dictionaries."""
    outcomes = defaultdict[str, list[float]](list)
    clusters = defaultdict[str, dict[str, list[int]]](lambda: defaultdict(list))
    returns, at = list[float](), 0
    for group, outcome, states in chains:
        outcomes[group].append(outcome)
        returns += [outcome * gamma ** (len(states) - 1 - t) for t in range(len(states))]
        for state in states:
            clusters[group][state].append(at)
            at += 1
    step = np.zeros(at)
    for by_state in clusters.values():
        for members in by_state.values():
            if len(members) > 1:
                values = np.array([returns[i] for i in members])
                mean = values.mean()
                for i in members:
                    step[i] = returns[i] - mean
    episode = [o - fmean(outcomes[group]) for group, o, states in chains for _ in states]
    return np.array(episode) + step


def against_dictionaries() -> tuple[Ratio, dict[str, float]]:
    """Returns the ratio of gigpo, and times in seconds."""
    batch, chains = walks()
    ours = method("gigpo")
    np.testing.assert_allclose(ours(batch).total, by_dictionary(chains), atol=1e-9)
    theirs = lambda: by_dictionary(chains)  # noqa: E731
    work = lambda: ours(batch).total  # noqa: E731
    ratio = Ratio("dictionaries / gigpo", paired(theirs, work, repeat=9), 10.0, "at least")
    return ratio, {"dictionaries": best(theirs), "gigpo": best(work)}


def main() -> None:
    parser(__doc__).parse_args()
    ratios, trees = against_rows()
    ratio, states = against_dictionaries()
    publish("structure", [*ratios, ratio], trees=trees, states=states)


if __name__ == "__main__":
    main()
