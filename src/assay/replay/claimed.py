"""What methods, and levels of evidence, say of each step: what is held against the truth."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float64, Int8, Int64

from assay.audit.annotations import step_credit
from assay.batch import Batch
from assay.credit import METHODS
from assay.errors import DataError, MethodError, MixedTokensError
from assay.pipeline import credits, gated
from assay.recipes import Recipe
from assay.records import Trajectory

EVIDENCE: Final = ("ran", "sibling", "expert", "state")


def batch_of(records: Sequence[Trajectory], *, pass_at: float = 1.0) -> Batch:
    """Returns the gated batch of records, with what methods work out of a record, in characters
    where some have no token ids."""
    recipe = Recipe.compared(pass_at=pass_at)
    try:
        return gated(records, recipe)[0]
    except MixedTokensError:
        return gated(records, recipe, measure="characters")[0]


def claimed(
    batch: Batch, named: Sequence[str], *, pass_at: float = 1.0
) -> tuple[dict[str, Float64[np.ndarray, " S"]], dict[str, str]]:
    """Returns each method's credit of each step, and why the others say nothing.

    Args:
        batch: gated.
        named: methods that must be among them, with options as `Recipe.compared` takes them; every
            other one is, where the records allow it.
        pass_at: a trajectory passes at this outcome or above.

    Raises:
        MethodError: a named method cannot run on these records.
        UsageError: there is no such method or option.
    """
    recipe = Recipe.compared([*METHODS.names(), *named], pass_at=pass_at)
    found, refused = credited(batch, recipe)
    for name in named:
        if name in refused:
            raise MethodError(f"-m {name}: {refused[name]}")
    return found, refused


def credited(
    batch: Batch, recipe: Recipe
) -> tuple[dict[str, Float64[np.ndarray, " S"]], dict[str, str]]:
    """Returns the credit of each step by each method of a recipe, and why others have none."""
    refused: dict[str, str] = {}
    found = {
        name: step_credit(batch, advantages).advantage_S
        for name, advantages in credits(batch, recipe, refused)
    }
    return found, refused


def evidence(batch: Batch) -> dict[str, Float64[np.ndarray, " S"]]:
    """Returns each level of evidence as credit of steps.

    The share of a step's calls of which it is true, less the mean share of the steps of its group;
    NaN where the step has no call of which the level says anything.
    """
    columns = (batch.ran_C, batch.sibling_C, batch.expert_C, batch.on_path_C)
    return {
        name: _centred(_share(batch, column), batch.group_K[batch.traj_S], batch.n_groups)
        for name, column in zip(EVIDENCE, columns, strict=True)
    }


def _share(batch: Batch, column_C: Int8[np.ndarray, " C"]) -> Float64[np.ndarray, " S"]:
    at, size = batch.step_C[column_C >= 0], batch.traj_S.size
    known = np.bincount(at, minlength=size)
    yes = np.bincount(at, column_C[column_C >= 0].astype(float), size)
    return yes / np.where(known > 0, known, np.nan)


def _centred(
    share_S: Float64[np.ndarray, " S"], group_S: Int64[np.ndarray, " S"], groups: int
) -> Float64[np.ndarray, " S"]:
    at = ~np.isnan(share_S)
    count = np.bincount(group_S[at], minlength=groups)
    total = np.bincount(group_S[at], share_S[at], groups)
    return share_S - (total / np.where(count > 0, count, np.nan))[group_S]


def places(batch: Batch, steps: Sequence[tuple[str, int]]) -> Int64[np.ndarray, " D"]:
    """Returns the places in the batch of steps that are given by trajectory and index.

    Raises:
        DataError: one is not in it: the log was changed.
    """
    number = {name: k for k, name in enumerate(batch.ids)}
    pairs = zip(batch.traj_S.tolist(), batch.index_S.tolist(), strict=True)
    known: Mapping[tuple[int, int], int] = {pair: s for s, pair in enumerate(pairs)}
    found: list[int] = []
    for trajectory, step in steps:
        at = known.get((number.get(trajectory, -1), step))
        if at is None:
            raise DataError(
                f"trajectory {trajectory!r} steps[{step}]: planned, and not in the log any more; "
                "replay it into another folder with -o"
            )
        found.append(at)
    return np.array(found, np.int64)


def shuffled(
    credit_S: Float64[np.ndarray, " S"],
    traj_S: Int64[np.ndarray, " S"],
    at_D: Int64[np.ndarray, " D"],
    times: int,
    rng: np.random.Generator,
) -> Float64[np.ndarray, "P D"]:
    """Returns the credit of decisions after it was shuffled among the scored steps of each
    trajectory; steps without credit stay without.

    Args:
        credit_S: of all steps.
        traj_S: trajectory of each, ascending.
        at_D: which steps are decisions.
        times: shuffles.
        rng: source of chance.
    """
    result = np.empty((times, at_D.size))
    scored = np.flatnonzero(~np.isnan(credit_S) & np.isin(traj_S, traj_S[at_D]))
    mixed_S = np.full(credit_S.size, np.nan)
    for row in result:
        order = np.lexsort((rng.random(scored.size), traj_S[scored]))
        mixed_S[scored] = credit_S[scored[order]]
        row[:] = mixed_S[at_D]
    return result
