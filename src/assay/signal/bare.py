"""Rows of which a trainer knows reward, length and group, and no more: one advantage a row."""

from collections.abc import Hashable, Iterable
from dataclasses import fields, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from assay import pipeline
from assay.batch import Batch
from assay.batch.build import Builder
from assay.batch.columns import Codes
from assay.batch.completions import Completions, categories
from assay.errors import AlignmentError, MethodError
from assay.recipes import Recipe
from assay.signal.rows import check_outcomes


def bare(
    outcome_K: Float64[np.ndarray, " K"],
    groups: Iterable[Hashable],
    length_K: Int64[np.ndarray, " K"],
    *,
    pass_at: float = 1.0,
) -> Batch:
    """Returns a batch of one model step a row, of the tokens that the policy sampled.

    Args:
        outcome_K: NaN: unscored.
        groups: what each row is compared within; equal ones are one group.
        length_K: tokens that the policy sampled; others are nowhere.
        pass_at: see `Batch.of`.

    Raises:
        AlignmentError: they are not of as many rows.
    """
    rows, codes = _rows(length_K.size), Codes()
    group_K = np.fromiter(map(codes.__getitem__, groups), np.int64)
    if not outcome_K.size == group_K.size == length_K.size:
        raise AlignmentError(
            f"rows: {outcome_K.size} outcomes, {group_K.size} groups and {length_K.size} lengths; "
            "expected one of each a row"
        )
    names = tuple(map(str, codes))
    wrote_R = np.flatnonzero(length_K)
    spans = ("traj_R", "step_R", "call_R", "role_R")
    return replace(
        rows,
        groups=names,
        tasks=names,
        group_K=group_K,
        task_K=group_K,
        outcome_K=outcome_K,
        category_K=categories(outcome_K, pass_at),
        spans_K=np.minimum(length_K, 1),
        wrote_K=length_K,
        seen_S=group_K,
        length_R=length_K[wrote_R],
        statistics={},
        **{name: getattr(rows, name)[wrote_R] for name in spans},
    )


@lru_cache(maxsize=8)
def _rows(count: int) -> Batch:
    """Returns a batch of so many rows of one token, unscored, each a group of its own: nothing is
    known of them, and so it is the same for every batch of the size: nobody may write on it."""
    names = [str(k) for k in range(count)]
    builder = Builder(measure="tokens")
    builder.complete(
        Completions(
            ids=names,
            groups=names,
            texts=names,  # nobody knows which are alike
            outcome_K=np.full(count, np.nan),
            rewards=[{}] * count,
            answered_K=np.ones(count, bool),
            length_K=np.ones(count, np.int64),
        )
    )
    made = Batch(**builder.arrays())
    for each in fields(made):
        if isinstance(value := getattr(made, each.name), np.ndarray):
            value.flags.writeable = False
    return made


def per_row(batch: Batch, recipe: Recipe) -> Float64[np.ndarray, " K"]:
    """Returns what each token of a row gets: gates and methods, added up by their weights; 0 where
    nobody scored or carries it. Safety, control, blame and dose of the recipe are not read.

    Args:
        batch: as `bare` makes it.
        recipe: its gates and methods.

    Raises:
        DataError: an outcome is none that a trainer can hold (`rows.LARGEST`).
        MethodError: a method tells tokens of a row apart, or cannot run on such rows.
    """
    check_outcomes(batch.ids, batch.outcome_K)
    batch, _ = pipeline.gated(batch, recipe)
    total_R = np.zeros(batch.length_R.size)
    for part, (name, made) in zip(recipe.parts, pipeline.credits(batch, recipe), strict=True):
        total = made.total
        if total.size != total_R.size:
            raise MethodError(f"{name} tells tokens of a row apart: it needs records, or log-probs")
        total_R += part.weight * np.where(np.isnan(total), 0.0, total)
    advantage_K = np.zeros(len(batch.ids))
    advantage_K[batch.traj_R] = total_R
    return advantage_K
