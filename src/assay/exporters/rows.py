"""The credit of a batch as one row a trajectory: its tokens, and one advantage for each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import msgspec
import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import Batch
from assay.credit import Advantages
from assay.errors import DataError
from assay.importers import Losses
from assay.records import Decision, ModelStep, Trajectory


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One trajectory, and what a method gave each of its tokens."""

    trajectory: Trajectory
    decision: Decision
    token_ids: tuple[int, ...]
    """Those of all its steps, in their order; () for a trajectory without ids."""
    starts: tuple[int, ...]
    """Where the tokens of each step begin, and last where they end."""
    sampled: Bool[np.ndarray, " N"]
    """What the policy sampled and may be trained on."""
    advantage: Float64[np.ndarray, " N"]
    """NaN: unscored; 0 where nothing carries the token."""
    carried: Bool[np.ndarray, " N"]
    logprobs: tuple[float | None, ...] | None
    """One a token, None where it was not sampled or the log has none. None: it has none at all."""
    scalar: float | None
    """The one advantage of all that is carried; None: there are several, or none."""

    @property
    def kept(self) -> bool:
        """Did the gates let it through?"""
        return self.decision.verdict != "drop"

    @property
    def scored(self) -> Bool[np.ndarray, " N"]:
        """Sampled tokens that are not unscored; 0 where nothing carries one."""
        return self.sampled & ~np.isnan(self.advantage)

    @property
    def trained(self) -> Bool[np.ndarray, " N"]:
        """Scored tokens that are carried: what a loss may count."""
        return self.scored & self.carried

    @property
    def values(self) -> list[float]:
        """One advantage a token for a form that has no word for unscored: 0 there."""
        return np.where(self.trained, self.advantage, 0.0).tolist()

    @property
    def prompt(self) -> int:
        """Tokens before the first sampled one: the prompt; all of them where none was sampled."""
        return int(np.argmax(self.sampled)) if self.sampled.any() else self.sampled.size

    @property
    def sampled_logprobs(self) -> list[float] | None:
        """One log-probability a token, 0 where none was sampled; None where one is missing."""
        if self.logprobs is None:
            return None
        pairs = zip(self.logprobs, self.sampled.tolist(), strict=True)
        values = [value if sampled else 0.0 for value, sampled in pairs]
        return None if None in values else [value for value in values if value is not None]


@final
class Rows:
    """What each trajectory of a batch got."""

    def __init__(
        self, batch: Batch, decisions: Sequence[Decision], advantages: Advantages, lost: Losses
    ) -> None:
        """Finds where the values of each trajectory stand.

        Args:
            batch: after the gates.
            decisions: of the gates, one a trajectory.
            advantages: of one method on the batch.
            lost: what no row can say is counted here.
        """
        self._batch, self._decisions, self._lost = batch, decisions, lost
        self._tokens = batch.measure == "tokens"
        self._advantage = advantages.advantage_N
        carried, n_tokens = advantages.carried, self._advantage.size
        each = carried.size == n_tokens
        self._carried = carried if each else np.repeat(carried, batch.length_R)
        n = np.bincount(batch.traj_R, batch.length_R, len(batch.ids)).astype(np.int64)
        self._start = np.concatenate(([0], np.cumsum(n)))
        self._step = np.repeat(batch.step_R, batch.length_R)
        self._first = np.searchsorted(batch.traj_S, np.arange(len(batch.ids) + 1))

    def of(self, trajectories: Iterable[Trajectory]) -> Iterator[Row]:
        """Yields a row for each trajectory, read again in the batch's order.

        Raises:
            DataError: they are not those of the batch.
        """
        k = -1
        for k, trajectory in enumerate(trajectories):
            if k >= len(self._batch.ids) or trajectory.id != self._batch.ids[k]:
                raise DataError(f"{trajectory.id}: the log changed while it was read; run it again")
            # labels and the gates' view of infrastructure decide, as they do for the advantages
            value = float(self._batch.outcome_K[k])
            outcome = None if np.isnan(value) else value
            row = self._row(k, msgspec.structs.replace(trajectory, outcome=outcome))
            if row is not None:
                yield row
        if k + 1 != len(self._batch.ids):
            raise DataError(
                f"{k + 1} trajectories instead of {len(self._batch.ids)}: "
                "the log changed while it was read; run it again"
            )

    def _row(self, k: int, trajectory: Trajectory) -> Row | None:
        at = slice(int(self._start[k]), int(self._start[k + 1]))
        advantage, carried = self._advantage[at], self._carried[at]
        scalar = _one(advantage[carried])
        ids, starts, sampled, logprobs = _tokens(trajectory)
        if not self._tokens:
            spread = self._spread(k, trajectory, starts, sampled)
            if spread is None:
                self._lost.add("not_per_token", trajectory.id)
                return None
            advantage, carried = spread
        return Row(
            trajectory=trajectory,
            decision=self._decisions[k],
            token_ids=ids,
            starts=starts,
            sampled=sampled,
            advantage=np.where(carried, advantage, 0.0),
            carried=carried,
            logprobs=logprobs,
            scalar=scalar,
        )

    def _spread(
        self,
        k: int,
        trajectory: Trajectory,
        starts: tuple[int, ...],
        sampled: Bool[np.ndarray, " N"],
    ) -> tuple[Float64[np.ndarray, " N"], Bool[np.ndarray, " N"]] | None:
        """Returns what a log that is measured in characters gives to tokens, a step at a time; None
        where a step has several advantages: which token gets which is not known."""
        advantage, carried = np.zeros(starts[-1]), np.zeros(starts[-1], bool)
        own = slice(int(self._start[k]), int(self._start[k + 1]))
        steps, first = self._step[own], int(self._first[k])
        values, carries = self._advantage[own], self._carried[own]
        for s in range(first, int(self._first[k + 1])):
            mine = steps == s
            if not carries[mine].any():
                continue
            index = int(self._batch.index_S[s])
            tokens = np.zeros(starts[-1], bool)
            tokens[starts[index] : starts[index + 1]] = True
            one = _one(values[mine & carries])
            every = carries[mine].all()
            if tokens.any() and not (every and (one is not None or np.isnan(values[mine]).all())):
                return None
            advantage[tokens & sampled] = np.nan if one is None else one
            carried |= tokens & sampled
        return advantage, carried


def _one(values: Float64[np.ndarray, " N"]) -> float | None:
    """Returns the one value of all; None where they differ, are NaN or are none."""
    return float(values[0]) if values.size and bool((values == values[0]).all()) else None


def _tokens(
    trajectory: Trajectory,
) -> tuple[
    tuple[int, ...], tuple[int, ...], Bool[np.ndarray, " N"], tuple[float | None, ...] | None
]:
    """Returns the tokens of a trajectory, where each step begins, what was sampled, and its
    log-probabilities."""
    ids: list[int] = []
    starts, ranges = [0], list[tuple[int, int]]()
    logprobs: list[float | None] = []
    known = False
    for step in trajectory.steps:
        own = step.token_ids or ()
        begin = len(ids)
        ids += own
        starts.append(len(ids))
        logprobs += [None] * len(own)
        if type(step) is not ModelStep or step.untrainable is not None:
            continue
        sampled = ((0, len(own)),) if step.sampled is None else step.sampled
        ranges += [(begin + start, begin + end) for start, end in sampled]
        if step.logprobs is not None and own:
            known = True
            places = [i for start, end in sampled for i in range(begin + start, begin + end)]
            for place, value in zip(places, step.logprobs, strict=True):
                logprobs[place] = value
    mask = np.zeros(len(ids), bool)
    for start, end in ranges:
        mask[start:end] = True
    return tuple(ids), tuple(starts), mask, tuple(logprobs) if known else None
