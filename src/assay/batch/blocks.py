"""A batch in blocks of whole groups: what is worked out of one needs memory for its steps alone."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Final, final

import numpy as np
from jaxtyping import Int64

from assay.batch.batch import Batch
from assay.batch.mapped import AT_ONCE, give_back, let_go, stretches
from assay.batch.parts import Place, add_rows, place, starts, together
from assay.kernels.codes import numbered

MOST: Final = 64
"""Blocks of a large batch, at most."""
ROWS: Final = 2
"""Rows that a block has for each trajectory of the batch, at least."""


@final
@dataclass(frozen=True)
class Block:
    """Some trajectories of a batch, and where what is theirs stands in the whole."""

    batch: Batch
    """All trajectories and groups, but steps, calls, spans and tokens of these alone: steps and
    calls are numbered anew, trajectories are not."""
    ks: Int64[np.ndarray, " _"]
    """The trajectories, ascending."""
    S: Place
    C: Place
    R: Place
    N: Place

    @cached_property
    def alone(self) -> Batch:
        """The same without any other trajectory or group: they are numbered anew too."""
        batch, ks = self.batch, self.ks
        groups, group_K = np.unique(batch.group_K[ks], return_inverse=True)
        of_K = {
            each.name: _taken(getattr(batch, each.name), ks)
            for each in fields(batch)
            if each.name.endswith(("_K", "_KJ"))
        }
        new_K = np.zeros(len(batch.ids), np.int64)
        new_K[ks] = np.arange(ks.size)
        return replace(
            batch,
            **of_K
            | {
                "ids": tuple(batch.ids[k] for k in ks.tolist()),
                "groups": tuple(batch.groups[g] for g in groups.tolist()),
                "group_K": group_K,
                **{name: _anew(of_K[name]) for name in ("session_K", "tree_K")},
                "traj_S": new_K[batch.traj_S],
                "traj_R": new_K[batch.traj_R],
            },
        )


@final
class Blocks:
    """The blocks of a batch, as many as its size asks for: one of a small batch."""

    def __init__(self, batch: Batch) -> None:
        """Finds where each trajectory's rows begin."""
        self.batch = batch
        self.facts: frozenset[str] | None = None
        """What the batch holds, where somebody has looked: told to every block, `Batch.facts`."""
        n = len(batch.ids)
        self.start = starts(batch.traj_S, batch.step_C, n)
        self.start["R"] = np.searchsorted(batch.traj_R, np.arange(n + 1))
        let_go()

    @property
    def _has_tokens(self) -> bool:
        of_tokens = (each for each in fields(self.batch) if each.name.endswith("_N"))
        return any(getattr(self.batch, each.name) is not None for each in of_tokens)

    @cached_property
    def start_N(self) -> Int64[np.ndarray, " _"]:
        """Where the tokens of each trajectory begin, and the end."""
        batch, count_K = self.batch, np.zeros(len(self.batch.ids), np.int64)
        for at in stretches(batch.traj_R.size):
            add_rows(count_K, batch.traj_R[at], batch.length_R[at])
        return np.append(0, np.cumsum(count_K))

    def counted(self, axis: str) -> Int64[np.ndarray, " K"]:
        """Returns how many steps (S), calls (C), spans (R) or tokens (N) each trajectory has."""
        return np.diff(self.start_N if axis == "N" else self.start[axis])

    @cached_property
    def _parts(self) -> list[Int64[np.ndarray, " _"]]:
        size_K = np.ones(len(self.batch.ids), np.int64)
        for axis in "SCRN" if self._has_tokens else "SCR":
            size_K += self.counted(axis)
        # every block looks at all trajectories: with as many rows of its own that stays linear
        most = max(AT_ONCE, int(size_K.sum()) // MOST, ROWS * len(self.batch.ids))
        parts = list(together(self.batch.group_K, size_K, most))
        whole = [np.arange(len(self.batch.ids))]
        return whole if len(parts) < 2 or self._ambiguous(parts) else parts

    def _ambiguous(self, parts: list[Int64[np.ndarray, " _"]]) -> bool:
        """Has a part as many tokens as spans? Then what is kept per token looks as if per span."""
        spans_K, tokens_K = self.counted("R"), self.counted("N")
        return any(spans_K[ks].sum() == tokens_K[ks].sum() for ks in parts)

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self._parts)

    def __getitem__(self, number: int) -> Block:
        """Returns a block by its number."""
        return self.of(self._parts[number]) if len(self) > 1 else self.whole()

    def __iter__(self) -> Iterator[Block]:
        """Yields one block after the other; memory that the last one took is given back."""
        for number in range(len(self)):
            yield self[number]
            give_back()

    def whole(self) -> Block:
        """Returns the batch as one block."""
        every = slice(None)
        return Block(self.batch, np.arange(len(self.batch.ids)), every, every, every, every)

    def of(self, ks: Int64[np.ndarray, " _"]) -> Block:
        """Returns the block of some trajectories, ascending."""
        batch, n = self.batch, len(self.batch.ids)
        at = {axis: place(start_K, ks) for axis, start_K in self.start.items()}
        at["N"] = place(self.start_N, ks) if self._has_tokens else slice(0, 0)
        of = {
            each.name: _taken(getattr(batch, each.name), at[axis])
            for each in fields(batch)
            if (axis := each.name.rpartition("_")[2][:1]) in at
        }
        down = {}  # how far the rows of each trajectory move
        for axis in "SC":
            start_K, down_K = self.start[axis], np.zeros(n, np.int64)
            size = start_K[ks + 1] - start_K[ks]
            down_K[ks] = start_K[ks] - (np.cumsum(size) - size)
            down[axis] = down_K
        traj_C = np.repeat(ks, self.start["C"][ks + 1] - self.start["C"][ks])
        of["step_C"] = of["step_C"] - down["S"][traj_C]
        for name, axis in (("step_R", "S"), ("call_R", "C")):
            of[name] = np.where(of[name] >= 0, of[name] - down[axis][of["traj_R"]], -1)
        return Block(replace(batch, **of, facts=self.facts), ks, **at)


def _anew(code_K: Int64[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """Returns codes numbered anew, as few as there are; -1 stays -1."""
    return np.where(code_K < 0, -1, numbered(code_K))


def _taken(values: Any, at: Place) -> Any:
    return None if values is None else values[at]
