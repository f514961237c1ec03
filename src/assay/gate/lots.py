"""Lots that depend on a seed and on who is asked, never on the order or on other groups."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.batch.columns import hash_of


def uniform_K(batch: Batch, seed: int) -> Float64[np.ndarray, " K"]:
    """Returns a number in (0, 1) for each trajectory, by its group's name and its id."""
    names = (
        f"{seed}\0{batch.groups[g]}\0{i}" for g, i in zip(batch.group_K, batch.ids, strict=True)
    )
    drawn = np.fromiter((hash_of(name) >> 10 for name in names), float, len(batch.ids))
    return (drawn + 0.5) / 2.0**53


def generator(batch: Batch, seed: int, ks: Int64[np.ndarray, " _"]) -> np.random.Generator:
    """Returns a generator of its own for some trajectories, given in the order of their ids."""
    group = batch.groups[int(batch.group_K[ks[0]])]
    named = "\0".join([str(seed), group, *(batch.ids[k] for k in ks.tolist())])
    return np.random.default_rng(hash_of(named))


def members(batch: Batch) -> Iterator[Int64[np.ndarray, " _"]]:
    """Yields those of each group that vote: kept, scored, one of each session, in order."""
    scored = np.flatnonzero(~np.isnan(batch.voted_K))
    scored = scored[np.argsort(batch.group_K[scored], kind="stable")]
    ends = np.cumsum(np.bincount(batch.group_K[scored], minlength=batch.n_groups))
    yield from (part for part in np.split(scored, ends[:-1]) if part.size)
