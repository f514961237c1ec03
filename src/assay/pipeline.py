"""trajectories -> Batch.of -> gate -> credit -> advantages -> trainer.

`run` is the whole path, one line a stage. Evidence is read off the records by `Batch.of`; from
there on every stage is a pure function of arrays, so any value on the way can be saved and
recomputed. What needs a model or a tool to find out is written into the records beforehand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import final

from assay.batch import Batch
from assay.credit import Advantages, Method, credit, method
from assay.gate import Gate, Integrity, gate
from assay.records import Decision, Trajectory


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """Every choice that a run makes. Nothing else decides."""

    methods: Mapping[str, Method] = field(default_factory=lambda: {"grpo": method("grpo")})
    gates: tuple[Gate, ...] = (Integrity(),)
    pass_at: float = 1.0
    """A trajectory passes at this outcome or above."""


@final
@dataclass(frozen=True, slots=True)
class Result:
    """What each stage returned: a trainer takes the last, the report draws them all."""

    batch: Batch
    decisions: tuple[Decision, ...]
    advantages: Mapping[str, Advantages]
    """Per method, with every part: `advantages["grpo"].advantage_N` goes to the trainer."""


def run(trajectories: Iterable[Trajectory], recipe: Recipe | None = None) -> Result:
    """Turns trajectories into one advantage per token, by each method of the recipe."""
    recipe = Recipe() if recipe is None else recipe
    batch = Batch.of(trajectories, pass_at=recipe.pass_at)
    decisions = gate(batch, recipe.gates)
    gated = batch.gated(decisions)
    credited = {name: credit(gated, by) for name, by in recipe.methods.items()}
    return Result(gated, decisions, credited)
