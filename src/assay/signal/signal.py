"""Trajectories to one number per token, safety included: everything a trainer needs, no torch.

Axes: N tokens, R spans, K trajectories, T padded length.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay import pipeline
from assay.batch import Batch
from assay.credit.blame import blamed
from assay.credit.controls import controlled, dose_factor
from assay.credit.groups import all_failed, unaided_fates
from assay.credit.statistics import updated
from assay.kernels.advantages import Advantages, advantages
from assay.kernels.constancy import bar
from assay.kernels.groups import FATES
from assay.recipes import Recipe
from assay.records import Decision, Trajectory
from assay.signal.controllers import Scales, bounded_term, flat_term, share_factor
from assay.signal.importance import rescue_weight
from assay.signal.rows import Side, cells, check_outcomes, padded_rows
from assay.signal.rubric import rubric_facts


@final
@dataclass(frozen=True, slots=True)
class Signal:
    """The credit of one batch, per token, and what it was made of."""

    batch: Batch
    decisions: Sequence[Decision]
    parts: Mapping[str, Float64[np.ndarray, " N"]]
    """Per term, weighted, before caps and controllers."""
    advantage_N: Float64[np.ndarray, " N"]
    """What trains; NaN: carried and unscored."""
    carried_N: Bool[np.ndarray, " N"]
    failed_K: Bool[np.ndarray, " K"]
    """Scored members of groups in which all failed alike."""
    pass_at: float = 1.0

    @property
    def length_K(self) -> Int64[np.ndarray, " K"]:
        """Tokens of each trajectory."""
        batch = self.batch
        length = np.bincount(batch.traj_R, batch.length_R, len(batch.ids))
        return length.astype(np.int64)

    @property
    def statistics(self) -> dict[str, float]:
        """Running statistics (`credit.statistics`) with this batch in them, for the next one."""
        return dict(updated(self.batch, pass_at=self.pass_at))

    def rows(
        self,
        *,
        skip_K: Int64[np.ndarray, " K"] | None = None,
        width: int | None = None,
        side: Side = "right",
    ) -> tuple[Float64[np.ndarray, "K T"], Float64[np.ndarray, "K T"]]:
        """Returns (advantage_KT, weight_KT), see `padded_rows`.

        Args:
            skip_K: leading tokens of each trajectory that are its prompt, not its row.
            width: T. None: the longest row.
            side: where the padding goes.
        """
        length_K, kept_N = self._cut(skip_K)
        return padded_rows(
            self.advantage_N[kept_N],
            length_K,
            carried_N=self.carried_N[kept_N],
            width=width,
            side=side,
        )

    def spans(
        self, *, skip_K: Int64[np.ndarray, " K"] | None = None, width: int | None = None
    ) -> Int64[np.ndarray, "K T"]:
        """Returns a number per action, -1 elsewhere: a stretch of sampled tokens of one step."""
        step_R = self.batch.steps_R
        starts_R = np.diff(step_R, prepend=-1) != 0
        span_R = np.where(step_R >= 0, np.cumsum(starts_R) - 1, -1)
        return self._grid(span_R, skip_K, width, fill=-1)

    def sampled(
        self, *, skip_K: Int64[np.ndarray, " K"] | None = None, width: int | None = None
    ) -> Int64[np.ndarray, "K T"]:
        """Returns 1 per token that the policy sampled, gated or not, 0 per token it was shown; 1 in
        the padding, as TRL's `tool_mask` has it."""
        sampled_R = (self.batch.step_R >= 0).astype(np.int64)
        return self._grid(sampled_R, skip_K, width, fill=1)

    def _grid(
        self,
        value_R: Int64[np.ndarray, " R"],
        skip_K: Int64[np.ndarray, " K"] | None,
        width: int | None,
        *,
        fill: int,
    ) -> Int64[np.ndarray, "K T"]:
        length_K, kept_N = self._cut(skip_K)
        value_N = np.repeat(value_R, self.batch.length_R)[kept_N]
        cell_KT = cells(length_K, n_tokens=value_N.size, width=width, side="right")
        value_KT = np.full(cell_KT.shape, fill, np.int64)
        value_KT[cell_KT] = value_N
        return value_KT

    def _cut(
        self, skip_K: Int64[np.ndarray, " K"] | None
    ) -> tuple[Int64[np.ndarray, " K"], Bool[np.ndarray, " N"]]:
        length_K = self.length_K
        if skip_K is None or not skip_K.any():
            return length_K, np.ones(self.advantage_N.size, bool)
        start_K = np.cumsum(length_K) - length_K
        at_N = np.arange(self.advantage_N.size) - np.repeat(start_K, length_K)
        return length_K - skip_K, at_N >= np.repeat(skip_K, length_K)

    @property
    def mass(self) -> tuple[float, float]:
        """Sums of |A| over the tokens with A > 0, and over those with A < 0."""
        return _by_sign(self.advantage_N)

    def facts(self) -> dict[str, float]:
        """Returns what a log line says of the batch; shares lie in [0, 1], masses are sums of A.

        Reward and passes are those of trajectories without help."""
        batch = self.batch
        known_K = ~np.isnan(batch.outcome_K)
        own = batch.outcome_K[known_K & ~batch.rescued_K]
        facts = {
            "reward": float(own.mean()) if own.size else np.nan,
            "pass_rate": float((own >= bar(self.pass_at)).sum()) / max(own.size, 1),
            "unscored_share": 1.0 - float(known_K.mean()) if known_K.size else 0.0,
            "dropped_share": 1.0 - float(batch.kept_K.mean()) if known_K.size else 0.0,
        }
        facts |= self._dead() | rubric_facts(batch, self.decisions)
        total = np.nan_to_num(self.advantage_N)
        facts["mass/positive"], facts["mass/negative"] = self.mass
        failed_N = np.repeat(self.failed_K, self.length_K)
        size = float(np.abs(total).sum())
        facts["mass/all_fail_share"] = float(np.abs(total[failed_N]).sum()) / size if size else 0.0
        for name, part_N in self.parts.items():
            up, down = _by_sign(part_N)
            facts[f"mass/{name}/positive"], facts[f"mass/{name}/negative"] = up, down
        return facts

    def _dead(self) -> dict[str, float]:
        """Returns the share of groups without signal unless help gives it, in all and by cause: by
        what the outcomes say, or else, where a gate took what differed, by what it left."""
        batch = self.batch
        outcome_G, alike_G = unaided_fates(batch, batch.earned_K, self.pass_at)
        left_G, dead_G = unaided_fates(batch, batch.voted_K, self.pass_at)
        cause_G = np.where(alike_G, outcome_G, left_G)
        count = max(batch.n_groups, 1)
        facts = {"dead_share": float(dead_G.sum()) / count}
        for code, fate in enumerate(FATES):
            if fate != "mixed":
                facts[f"dead/{fate}"] = float((dead_G & (cause_G == code)).sum()) / count
        return facts


def signal(
    trajectories: Iterable[Trajectory] | Batch,
    recipe: Recipe,
    *,
    scales: Sequence[Scales] = (),
    by_row: bool = False,
    seed: Sequence[int] = (0, 0),
    statistics: Mapping[str, float] | None = None,
) -> Signal:
    """Returns one advantage per token: gates, methods, control, blame, importance of what was
    rescued (`assay.signal.importance`), safety, then dose, in this order.

    `seed` is the control's: the run's seed and the number of the batch. Safety: all-fail groups, as
    `safety.all_fail` says; cap on |A|; the controllers' scales; the share that all-fail groups may
    hold, last, so that it holds of what trains. With `by_row` the share is of rows' means, as a
    loss has it that takes them (TRL's grpo and sapo); else of tokens. `statistics` are those of the
    batches before (`Signal.statistics`); None: the batch's own, if it has any.

    Raises:
        DataError: an outcome is none that a trainer can hold (`rows.LARGEST`).
    """
    batch, decisions = pipeline.gated(
        trajectories, recipe, measure="tokens", step=seed[-1], statistics=statistics
    )
    check_outcomes(batch.ids, batch.outcome_K)
    parts, total, carried_N = mixed(batch, recipe, seed)
    safety = recipe.safety
    failed_K = all_failed(batch, recipe.pass_at)
    failed_N = failed_K[np.repeat(batch.traj_R, batch.length_R)]
    if safety.all_fail != "method":
        parts = {name: np.where(failed_N, 0.0, part) for name, part in parts.items()}
        total = np.where(failed_N, 0.0, total)
    if safety.all_fail in ("bounded", "flat"):
        made = bounded_term if safety.all_fail == "bounded" else flat_term
        given = advantages([made(batch, failed_K)], batch.length_R)
        parts["all_fail"] = given.advantage_N
        total = total + given.advantage_N
        carried_N = carried_N | carried_by(given)
    rescued_N = rescue_weight(batch, recipe.importance, recipe.gamma)
    if rescued_N is not None:
        parts = {name: part * rescued_N for name, part in parts.items()}
        total = total * rescued_N
    if safety.cap != np.inf:
        total = np.clip(total, -safety.cap, safety.cap)
    for each in scales:
        total = each.applied(total)
    if safety.all_fail == "bounded":
        counted_N = total / _sampled_N(batch) if by_row else total
        factor = share_factor(counted_N, failed_N, safety.all_fail_share)
        total = np.where(failed_N, total * factor, total)
    total = total * dose_factor(batch, total, recipe.dose)
    return Signal(batch, decisions, parts, total, carried_N, failed_K, recipe.pass_at)


def _sampled_N(batch: Batch) -> Float64[np.ndarray, " N"]:
    """Returns, per token, how many tokens of its trajectory were sampled; at least 1."""
    sampled_R = np.where(batch.step_R >= 0, batch.length_R, 0)
    sampled_K = np.bincount(batch.traj_R, sampled_R, len(batch.ids))
    return np.maximum(sampled_K, 1.0)[np.repeat(batch.traj_R, batch.length_R)]


def mixed(
    batch: Batch, recipe: Recipe, seed: Sequence[int] = (0, 0)
) -> tuple[dict[str, Float64[np.ndarray, " N"]], Float64[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Returns (parts, total, carried) per token: the weighted sum of the methods, and what the
    recipe's control and blame make of it.

    A method that leaves a token unscored adds nothing there, unless no other scores it: then NaN.
    """
    terms: dict[str, Float64[np.ndarray, " N"]] = {}
    weights = {part.name: part.weight for part in recipe.parts}
    plain = replace(recipe, control="none", blame=None, dose=None)
    size = int(batch.length_R.sum())
    total, scored, carried = np.zeros(size), np.zeros(size, bool), np.zeros(size, bool)
    for method, credited in pipeline.credits(batch, plain):
        prefix, weight = f"{method}/" if len(weights) > 1 else "", weights[method]
        for name, values in credited.parts.items():
            terms[prefix + name] = weight * credited.on_tokens(values)
        values_N = credited.advantage_N
        carries_N = carried_by(credited)
        missing_N = np.isnan(values_N)
        total += weight * np.where(missing_N, 0.0, values_N)
        scored |= carries_N & ~missing_N
        carried |= carries_N
    total = np.where(carried & ~scored, np.nan, total)
    made = controlled(
        batch, Advantages(terms, total, carried, batch.length_R), recipe.control, seed
    )
    made = blamed(batch, made, recipe.blame)
    return made.parts, made.total, made.carried


def carried_by(credited: Advantages) -> Bool[np.ndarray, " N"]:
    """Returns which tokens some term of the method carries."""
    return credited.on_tokens(credited.carried.astype(float)) > 0


def _by_sign(values: Float64[np.ndarray, " N"]) -> tuple[float, float]:
    return float(values[values > 0].sum()), float(abs(values[values < 0]).sum())
