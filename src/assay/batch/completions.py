"""Bare completions to columns, all at once: one model step each, without a record in between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64, Shaped
from xxhash import xxh3_64_intdigest

from assay.batch.columns import CATEGORIES, CLAIMS, ENDS, ROLES, Columns, hash_of
from assay.kernels.constancy import bar


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Completions:
    """What a trainer generated, as a trajectory of one model step each."""

    ids: Sequence[str]
    groups: Sequence[str]
    """What each is compared within; also its task."""
    texts: Sequence[str]
    """What the policy wrote; equal texts in a group are copies. What it claims is not read."""
    outcome_K: Float64[np.ndarray, " K"]
    """NaN: unscored."""
    rewards: Sequence[Mapping[str, float | None]]
    answered_K: Bool[np.ndarray, " K"]
    """It ended by itself, and not at the token limit."""
    length_K: Int64[np.ndarray, " K"]
    """Tokens, tool results included."""
    sampled_N: Bool[np.ndarray, " N"] | None = None
    """Which tokens the policy sampled, rows one after the other. None: all."""
    logprob_N: Float64[np.ndarray, " N"] | None = None
    entropy_N: Float64[np.ndarray, " N"] | None = None

    def into(self, columns: Columns, *, pass_at: float) -> None:
        """Adds them to a batch under construction; a reward is evidence of level E3."""
        k, s = len(columns.ids), len(columns.S)
        count, n_K = len(self.ids), self.length_K
        group = np.array([columns.group[each] for each in self.groups])
        task = np.array([columns.task[each] for each in self.groups])
        category = categories(self.outcome_K, pass_at)
        end = np.where(self.answered_K, ENDS.index("answered"), ENDS.index("budget"))
        none = np.full(count, CLAIMS.index("none"))
        alone = np.full(count, -1)
        content = np.array(
            [xxh3_64_intdigest(hash_of(text).to_bytes(8)) >> 1 for text in self.texts], np.int64
        )
        columns.K.add(group, task, alone, alone, alone, content, category, none, end)
        columns.outcome.add(self.outcome_K)
        zero, own = np.zeros(count, np.int64), np.arange(count)
        columns.S.add(own + k, zero, zero + 1, zero)
        for i, parts in enumerate(self.rewards, k):
            columns.rewarded(i, parts)
        columns.ids += self.ids
        row_N = np.repeat(own, n_K)
        sampled_N = np.ones(row_N.size, bool) if self.sampled_N is None else self.sampled_N
        start_R = np.flatnonzero(_starts(row_N) | _starts(sampled_N))
        row_R, sampled_R = row_N[start_R], sampled_N[start_R]
        length_R = np.diff(start_R, append=row_N.size)
        step_R = np.where(sampled_R, row_R + s, -1)
        nothing, text = np.full(start_R.size, -1), np.full(start_R.size, ROLES.index("text"))
        columns.R.add(row_R + k, step_R, nothing, text, length_R)
        for given, column in (
            (self.logprob_N, columns.logprob),
            (self.entropy_N, columns.entropy),
        ):
            value_N = np.nan if given is None else given
            column.add(np.where(sampled_N, value_N, np.nan))
        columns.has_logprob |= self.logprob_N is not None
        columns.has_entropy |= self.entropy_N is not None


def categories(outcome_K: Float64[np.ndarray, " K"], pass_at: float) -> Int8[np.ndarray, " K"]:
    """Returns what each trajectory is, of which nothing but its outcome is known; as codes."""
    failed, passed, unscored = map(
        CATEGORIES.index, ("honest_failure", "true_success", "unscorable")
    )
    category_K = np.full(outcome_K.size, failed, np.int8)
    category_K[outcome_K >= bar(pass_at)] = passed
    category_K[np.isnan(outcome_K)] = unscored
    return category_K


def _starts(value_N: Shaped[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """Returns where a value differs from the one before it; true at the first."""
    return np.append(np.ones(min(value_N.size, 1), bool), value_N[1:] != value_N[:-1])
