"""trajectories -> Batch.of -> gate -> credit -> advantages -> trainer.

The one path: the audit, `assay credit` and training call it. Evidence is read off the records by
`Batch.of`; from there on every stage is a pure function of arrays, so any value on the way can be
saved and recomputed. What needs a model or a tool to find out is written into the records
beforehand.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from assay.batch import Batch, Measure
from assay.batch.blocks import Block, Blocks
from assay.credit import Advantages, credit
from assay.credit.blame import blamed
from assay.credit.blocks import in_blocks
from assay.credit.controls import controlled, dosed
from assay.credit.facts import held
from assay.errors import AssayError, MethodError
from assay.gate import passed
from assay.recipes import Part, Recipe
from assay.records import Decision, Trajectory


@final
@dataclass(frozen=True, slots=True)
class Result:
    """What each stage returned: a trainer takes the last, the report draws them all."""

    batch: Batch
    decisions: Sequence[Decision]
    advantages: Mapping[str, Advantages]
    """Per method, with every part: `advantages["grpo"].advantage_N` goes to the trainer."""


def gated(
    trajectories: Iterable[Trajectory] | Batch,
    recipe: Recipe,
    *,
    measure: Measure | None = None,
    step: int = 0,
    statistics: Mapping[str, float] | None = None,
) -> tuple[Batch, Sequence[Decision]]:
    """Returns the batch behind the recipe's gates and its rubric, and what they decided.

    Args:
        trajectories: read once and not kept; or their batch.
        recipe: its gates, rubric and `pass_at` are read, and records prepared for its methods.
        measure: of a new batch, see `Batch.of`.
        step: number of the batch, for what a rubric draws.
        statistics: running ones, of the batches before. None: the batch's own.
    """
    batch = (
        trajectories
        if isinstance(trajectories, Batch)
        else Batch.of(map(recipe.prepared, trajectories), measure=measure, pass_at=recipe.pass_at)
    )
    if statistics is not None:
        batch = replace(batch, statistics=statistics)
    if recipe.rubric is None:
        return passed(batch, recipe.gates)
    return passed(recipe.rubric.ranked(batch, step), (*recipe.gates, recipe.rubric))


def credits(
    batch: Batch,
    recipe: Recipe,
    refused: dict[str, str] | None = None,
    *,
    seed: Sequence[int] = (0, 0),
) -> Iterator[tuple[str, Advantages]]:
    """Yields each method's advantages on a gated batch, unweighted: computed once and not kept.

    Args:
        batch: after the gates.
        recipe: its parts, control, blame and dose are read: each method by itself.
        seed: of the control: the run's, and the number of the batch.
        refused: gets the reason of each method that cannot run on the batch, by name.

    Raises:
        MethodError: a method cannot run on the batch, and nobody takes the reason.
    """
    for part in recipe.parts:
        try:
            advantages = credit(batch, part.method)
            advantages = controlled(batch, advantages, recipe.control, seed)
            advantages = blamed(batch, advantages, recipe.blame)
        except FAILS as error:
            if refused is None:
                raise
            refused[part.name] = reason_of(part.name, error)
        else:
            yield part.name, dosed(batch, advantages, recipe.dose)
            del advantages  # or two methods' lie in memory at once


def credits_in_blocks(
    blocks: Blocks, recipe: Recipe
) -> Iterator[tuple[str, Iterator[tuple[Block, Advantages]]]]:
    """Yields each method with its advantages block by block, for which little memory is needed.

    `credits` does not go through here: its methods return one array each, and to join blocks to one
    takes the memory that blocks save. A control, a blame and a dose need the whole set: they are
    not read.

    Raises:
        MethodError: while the blocks of a method are asked for: it cannot run on the batch, and
            what it gave of blocks before does not count.
    """
    if blocks.facts is None:
        blocks.facts = held(blocks.batch)
    for part in recipe.parts:
        yield part.name, _blocks(part, blocks)


def _blocks(part: Part, blocks: Blocks) -> Iterator[tuple[Block, Advantages]]:
    try:
        yield from in_blocks(part.method, blocks)
    except FAILS as error:
        raise MethodError(reason_of(part.name, error)) from error


FAILS = (AssayError, ArithmeticError, ValueError, LookupError, TypeError)
"""How methods of others fail too."""


def reason_of(name: str, error: Exception) -> str:
    """Returns why a method does not run: what it says itself, or how it failed."""
    if isinstance(error, MethodError):
        return str(error)
    return f"{name} failed, {type(error).__name__}: {error}"


def run(trajectories: Iterable[Trajectory] | Batch, recipe: Recipe | None = None) -> Result:
    """Turns trajectories into one advantage per token, by each method of the recipe, in memory."""
    recipe = Recipe() if recipe is None else recipe
    batch, decisions = gated(trajectories, recipe)
    return Result(batch, decisions, dict(credits(batch, recipe)))
