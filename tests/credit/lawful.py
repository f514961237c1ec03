"""Random sets for the laws of methods: trees, states, calls, beliefs, gaps, masks."""

from typing import Any

import numpy as np

from assay.records import ModelStep, Span, Trajectory
from tests.credit.worlds import answer, one, turn

SCORES = ("srl", "srl_step", "hindsight", "state", "next_state", "align", "quality", "coherence")
"""Scores of steps that methods ask for by name: a method that asks for another adds it here."""


def world(seed: int, *, tokens: int | None = None, gaps: bool = True) -> list[Trajectory]:
    """Four groups: mixed, all failed, alone, and anything; trees in which attempts share steps.

    Args:
        seed: of everything.
        tokens: of each step, one of them a call. None: 1 to 3, and up to two calls.
        gaps: some attempts are unscored, some beliefs missing, some steps not to be trained.
    """
    rng = np.random.default_rng(seed)
    made: list[Trajectory] = []
    for g, size in enumerate((4, 3, 1, int(rng.integers(2, 6)))):
        outcomes: list[float | None] = [float(rng.random() < 0.5) for _ in range(size)]
        if g == 0:
            outcomes[:2] = [1.0, 0.0]
        if g == 1:
            outcomes = [0.0] * size
        if g == 3 and gaps and rng.random() < 0.5:
            outcomes[0] = None
        made += _group(rng, f"g{g}", outcomes, tokens, gaps)
    return made


def _group(
    rng: np.random.Generator,
    name: str,
    outcomes: list[float | None],
    tokens: int | None,
    gaps: bool,
) -> list[Trajectory]:
    made: list[Trajectory] = []
    chains: dict[str, list[ModelStep]] = {}
    for k, outcome in enumerate(outcomes):
        tree = f"{name}-{k % 2}"
        before = chains.get(tree, [])
        shared = before[: int(rng.integers(0, len(before) + 1))] if before else []
        own = [
            _step(rng, f"{name}/{k}/{t}", tokens, gaps)
            for t in range(len(shared), len(shared) + int(rng.integers(1, 4)))
        ]
        chains.setdefault(tree, [*shared, *own])
        steps: list[Any] = []
        for t, step in enumerate([*shared, *own]):
            steps += [step, answer(f"{name}{t % 2}", error=bool(rng.random() < 0.2))]
        prior = -float(rng.exponential()) - 1.0
        fields = {"id": f"{name}/{k}", "group": name, "tree": tree, "prior": prior}
        fields["rewards"] = {"style": (k % 3) / 2, "exact": None if gaps and k == 2 else outcome}
        made.append(one(outcome, steps=steps, **fields))
    return made


def _step(rng: np.random.Generator, node: str, tokens: int | None, gaps: bool) -> ModelStep:
    ran = [bool(x < 0.7) for x in rng.random(int(rng.integers(0, 3)) if tokens is None else 1)]
    n = int(rng.integers(1, 4)) if tokens is None else tokens - 1
    size = n + len(ran)
    return turn(
        *ran,
        tokens=n,
        expert=[bool(x < 0.5) for x in rng.random(len(ran))],
        node=node,
        state_key=f"s{rng.integers(3)}",
        belief=None if gaps and rng.random() < 0.2 else -float(rng.exponential()),
        reward=float(rng.integers(-1, 2)),
        untrainable="masked" if gaps and rng.random() < 0.1 else None,
        logprobs=tuple((-rng.exponential(size=size)).tolist()),
        entropies=tuple(rng.exponential(size=size).tolist()),
        **hinted(rng, size, gaps=gaps),
        **stated(node, gaps=gaps),
        scores={
            **{name: float(rng.random()) for name in SCORES},
            "srl_step": float(rng.integers(3)),
            "hindsight": -float(rng.exponential()),
            "next_state": float(rng.integers(-1, 2)),
            "answer": float(len(node) % 3),
        },
    )


def stated(node: str, *, gaps: bool, tokens: int = 1) -> dict[str, Any]:
    """How sure a step says it is, in its first tokens; some say nothing."""
    drawn = np.random.default_rng([*node.encode()])
    if gaps and drawn.random() < 0.2:
        return {}
    span = Span(role="confidence", start=0, end=tokens)
    return {"confidence": float(drawn.random()), "spans": (span,)}


def hinted(rng: np.random.Generator, size: int, *, gaps: bool) -> dict[str, Any]:
    """What a teacher says of a step: of some steps nothing, of some tokens nothing."""
    if gaps and rng.random() < 0.3:
        return {}
    told, neutral = (-rng.exponential(size=(2, size))).tolist()
    return {"told": (None, *told[1:]) if gaps else tuple(told), "neutral": tuple(neutral)}
