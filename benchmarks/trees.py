"""Trees against chains: leaves for the same sampled tokens; replays that differ; replay or copy.

    python benchmarks/trees.py [--tasks 64]

The shipped policy plays lookup: chains of eight calls that end with their sixth turn, so that most
have six, and chains of five calls and an answer, which end when the policy answers. Leaves a token
are those of trees of each shape over those of chains of the same tasks; the interval resamples
tasks. Of six equal steps trees of one round of N branches give 6 (1 + N) / (6 + 3.5 N) times the
leaves: 1.38 with two, 1.56 with six. Where lengths differ it is less: the branch of a short chain
is as long as any. Then records of nine worlds, four of other libraries, are played again up to each
of their turns.
"""

import argparse
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from assay.errors import DataError
from assay.policy.loading import load as policy
from assay.records import ModelStep, Trajectory
from assay.rollout import Sampling, Shape, Start, collect, grow, points, stand, tasks
from assay.rollout.backends.local import Transformers
from assay.rollout.protocols.line import LINE
from assay.rollout.recording import Recorder
from assay.world import Environment, load
from measure import Ratio, publish

SIX = partial(load, "lookup", hops=8, steps=6)
ENDING = partial(load, "lookup", hops=5, steps=6)
SHAPES = {
    "M=2 N=2 L=1": Shape(),
    "M=2 N=3 L=1": Shape(expansions=3),
    "M=2 N=6 L=1": Shape(expansions=6),
    "M=1 N=2 L=3": Shape(chains=1, rounds=3),
    "M=2 N=2 L=1, entropy": Shape(choose="entropy"),
    "M=2 N=3 L=1, entropy": Shape(expansions=3, choose="entropy"),
}
FAMILIES = {
    "lookup": {"hops": 4, "flaky": 0.3},
    "countdown": {"numbers": 3, "flaky": 0.3},
    "twenty": {"pool": 40, "flaky": 0.3},
    "report": {"facts": 3, "flaky": 0.3},
    "lake": {"size": 6, "slip": 0.3},
}
"""Dials under which what is answered depends on hidden chance."""
FOREIGN = {
    "gymnasium:FrozenLake-v1": ["right", "down", "left", "down", "up", "right"],
    "textarena:TowerOfHanoi-v0": ["[A C]", "[A B]", "[C B]", "[A C]", "[B A]", "[B C]"],
    "textarena:2048-v0-ultra-easy": ["[up]", "[left]", "[down]", "[right]", "[up]", "[left]"],
    "scienceworld:boil": ["look around", "open door to hallway", "go to hallway", "inventory"],
}
"""Turns to play."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=64)
    seeds = range(parser.parse_args().tasks)
    backend = Transformers(*policy())
    leaves = measured_leaves(backend, SIX, seeds)
    ending = measured_leaves(backend, ENDING, seeds)
    records = [*families(backend), *foreign()]
    replays = [replayed(*each) for each in records]
    compared = sum(each["observations"] for each in replays)
    differ = sum(each["differ"] for each in replays)
    copied = [each["replay_over_copy"] for each in replays if each["replay_over_copy"]]
    many, few = leaves["M=2 N=6 L=1"], leaves["M=2 N=2 L=1"]
    publish(
        "trees",
        [
            Ratio("leaves a token, 6 steps, N=6, over chains", many["ratio"], 1.4, "at least",
                  f"[{many['low']:.2f}, {many['high']:.2f}]; six equal steps: 1.56"),
            Ratio("leaves a token, 6 steps, N=2, over chains", few["ratio"], 1.3, "at least",
                  f"[{few['low']:.2f}, {few['high']:.2f}]; six equal steps: 1.38"),
            Ratio("replayed observations that differ", float(differ), 0.0, "at most",
                  f"of {compared:,}"),
        ],
        six_turns=leaves, ending=ending, worlds=replays, replay_over_copy=median(copied),
    )  # fmt: skip


def measured_leaves(
    backend: Transformers, make: Any, seeds: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Returns leaves a token of each shape over chains', and the mean turns of a chain."""
    sampling = Sampling(max_tokens=160, turn_tokens=32)
    options: dict[str, Any] = {"sampling": sampling, "clock": None}
    chains = list(collect(backend, tasks(make, seeds, 6), seed=(0,), **options))
    spent_G = spent(chains, seeds) / 6
    found: dict[str, dict[str, float]] = {}
    for number, (name, shape) in enumerate(SHAPES.items(), 1):
        planned = tasks(make, seeds, shape.chains)
        made = grow(backend, planned, shape, make, seed=(number,), **options)
        tree_G = spent(made, seeds) / shape.leaves
        rng = np.random.default_rng(0)
        at_BG = rng.integers(len(seeds), size=(4000, len(seeds)))
        low, high = np.quantile(spent_G[at_BG].mean(1) / tree_G[at_BG].mean(1), (0.025, 0.975))
        found[name] = {
            "leaves": shape.leaves,
            "tokens_per_leaf": float(tree_G.mean()),
            "ratio": float(spent_G.mean() / tree_G.mean()),
            "low": float(low),
            "high": float(high),
        }
    turns = [sum(isinstance(s, ModelStep) for s in record.steps) for record in chains]
    found["chains"] = {
        "tokens_per_leaf": float(spent_G.mean()),
        "turns": float(np.mean(turns)),
        "of_six_turns": float(np.mean([n == 6 for n in turns])),
        "passed": float(np.mean([record.outcome or 0.0 for record in chains])),
    }
    return found


def spent(records: Sequence[Trajectory], seeds: Sequence[int]) -> np.ndarray:
    """Returns the tokens newly sampled for each task, as the ledgers have them."""
    of: dict[str, int] = {}
    for record in records:
        of[record.group] = of.get(record.group, 0) + (record.ledger.tokens or 0)
    assert len(of) == len(seeds)
    return np.array([*of.values()], float)


World = tuple[str, Any, list[tuple[Trajectory, int]]]


def families(backend: Transformers) -> Iterator[World]:
    for name, dials in FAMILIES.items():
        make = partial(load, name, **dials)
        plans = tasks(make, range(16), 2)
        made = collect(backend, plans, sampling=Sampling(max_tokens=160), seed=(9,), clock=None)
        yield name, make, [(record, plan.seed) for record, plan in zip(made, plans, strict=True)]


def foreign() -> Iterator[World]:
    warnings.simplefilter("ignore")
    for name, turns in FOREIGN.items():
        make, found = partial(load, name), list[tuple[Trajectory, int]]()
        for seed in range(4):
            recorder = Recorder(make(), seed)
            for turn in turns:
                if recorder.act(f"{turn}\n").done:
                    break
            found.append((recorder.trajectory(), seed))
        yield name, make, found


def replayed(name: str, make: Any, records: list[tuple[Trajectory, int]]) -> dict[str, Any]:
    """Plays records again up to each of their turns; returns what differed and how long it took."""
    environment: Environment = make()
    seen = differ = starts = 0
    took: list[float] = []
    copied: list[float] = []
    for record, seed in records:
        for at in points(record):
            start = Start(record, at)
            began = time.perf_counter()
            try:
                stand(start, environment, seed, LINE)
            except DataError:
                differ += 1
            took.append(time.perf_counter() - began)
            seen += sum(type(step) is not ModelStep for step in start.shared)
            starts += 1
            began = time.perf_counter()
            if environment.fork() is not None:
                copied.append(time.perf_counter() - began)
    replay, copy = float(np.mean(took)), float(np.mean(copied)) if copied else None
    return {
        "world": name,
        "starts": starts,
        "observations": seen,
        "differ": differ,
        "replay_seconds": replay,
        "copy_seconds": copy,
        "replay_over_copy": replay / copy if copy else None,
    }


if __name__ == "__main__":
    main()
