"""Several rewards and a rubric to what is compared inside a group: categorical judgements gate,
continuous ones rank.

It takes the place of the outcome that methods read (`Batch.composed_K`); the verified outcome
stays, and counts and rates are of it. Axes: K trajectories, G groups, J items of the rubric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Literal, final

import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import Batch
from assay.errors import UsageError
from assay.gate.base import Gate, Verdicts
from assay.gate.rewards import BROKEN, by_group, groups_asked, named, rated, verdicts
from assay.gate.watching import watched
from assay.judges.ranked import PREFIX
from assay.judges.rubric import Item, with_verdicts
from assay.judges.tested import Trust
from assay.kernels.composition import accepted, conjunction, dispersion, standardised, vetoed
from assay.kernels.rubrics import Score, kept_items, pruned, scored
from assay.records import Trajectory

NAME: Final = "rubric"
"""What decisions call the stage, and what the graded items' score is called among rewards."""
SCORE: Final = "rubric, score"
"""Statistic of a run: mean score of the graded items in the last batch, where some are a model's;
`PERSISTENT` is that of those that a person wrote."""
PERSISTENT: Final = "rubric, persistent"
TRUST: Final = "rubric, trust"
"""Statistic of a run: agreement with outcomes of the judge whose word ranks, at least; the lowest
of several."""
SEEN: Final = "dispersion, seen"
"""Statistic of a run: groups whose dispersion was looked at; those of the last `window` are
"dispersion 0", "dispersion 1", ..."""


@final
@dataclass(frozen=True, slots=True)
class Composition(Gate):
    """What is compared: r = dense where all essential items pass, else below the group.

        veto   r = dense if ok else min(dense of the group) - margin; a group in which none passes,
               or where those that pass differ by less than `floor`, is skipped
        drop   r = dense if ok; what fails leaves the group
        sum    r = dense + lam * share of the essential items that pass
        none   r = dense

    ok: every essential item's verdict is 1. A verdict that nobody gave takes the trajectory out of
    its group, unless another item failed: it never counts as 0. With `dro` a group is accepted or
    rejected as a whole besides, DRO 2025, https://arxiv.org/abs/2506.13351 (v2). Dropping alone
    does not unlearn what a rubric forbids, and neither does `dro` alone.
    """

    name: ClassVar[str] = NAME

    items: tuple[Item, ...] = ()
    """Of the rubric. Essential ones decide `ok`; the others are graded, and read where `dense`
    names "rubric"."""
    mode: Literal["veto", "drop", "sum", "none"] = "veto"
    dense: Mapping[str, float] | str = "outcome"
    """What ranks: "outcome", "rubric" (the score of the graded items), a named reward such as "r3",
    or a table of such names and weights, which are added up."""
    aggregate: Literal["plain", "normalised"] = "plain"
    """Of several rewards: added up as they are, or each over its deviation in the group first, so
    that weights are of spreads."""
    score: Score | Literal["implicit"] = "explicit"
    """How graded items add up: `kernels.rubrics.scored`. implicit: a judge weighed, who rated all
    of them at once (`assay rubric judge --form implicit`)."""
    margin: float = 1.0
    """How far below the group a veto lies, above 0, in units of the dense reward."""
    lam: float = 1.0
    """Of mode "sum". Suppresses a hack only above gain / (pass rate without it - with it)."""
    floor: float = 0.0
    """Least population deviation of the dense reward among those that pass, of two or more;
    absolute, at least 0. Below it a division by the deviation makes noise a full gradient."""
    dro: bool = False
    """Accept a group by coverage and consistency of all items."""
    mu: int = 1
    """Coverage: so many of the group pass each item, at least 0."""
    rho: float = 0.25
    """Consistency is asked of this share of the group, the best, in (0, 1]."""
    nu: float = 0.6
    """Share of its items that each of these passes, in [0, 1]."""
    quantile: float = 0.0
    """Groups of less dispersion than this quantile of the last ones are skipped, in [0, 1); usual
    .5. 0: none is."""
    window: int = 512
    """Groups that it looks back on, of batches before; above 0."""
    warmup: int = 64
    """Groups before the first is skipped, at least 1."""
    dispersion: str = ""
    """Named reward that holds the group's dispersion. Empty: deviation of the dense reward."""
    dropout: float = 0.0
    """Share of the graded items that earn something that does not count in a step, in [0, 1), one
    draw a group: `kernels.rubrics.kept_items`."""

    trust: Mapping[str, Trust] = field(default_factory=dict[str, Trust])
    """Of each dense reward that is a judge's word, "judge:NAME", what its test found; in a recipe
    the file that `assay judge test -o` wrote. Without a test that found nothing against it the word
    is refused."""
    most: int = 0
    """RLER: of the graded items so many count in a group, those that tell its trajectories apart
    most (`kernels.rubrics.pruned`); of a group that none tells apart all do. 0: all."""

    def __post_init__(self) -> None:
        """Refuses numbers out of their range, and what nothing reads.

        Raises:
            UsageError: says which, and what was expected.
        """
        self._check_trust()
        weights = self.weights.values()
        graded = [item for item in self.items if not item.essential]
        for holds, message in (
            (bool(weights) and all(np.isfinite(w) and w != 0 for w in weights), "dense: expected "
             "a name, or names with weights other than 0"),
            (self.margin > 0, f"margin: got {self.margin:g}; expected above 0"),
            (np.isfinite(self.lam), f"lam: got {self.lam:g}; expected a finite number"),
            (self.floor >= 0, f"floor: got {self.floor:g}; expected at least 0"),
            (self.mu >= 0, f"mu: got {self.mu}; expected at least 0"),
            (0 < self.rho <= 1, f"rho: got {self.rho:g}; expected above 0, at most 1"),
            (0 <= self.nu <= 1, f"nu: got {self.nu:g}; expected in [0, 1]"),
            (0 <= self.quantile < 1, f"quantile: got {self.quantile:g}; expected in [0, 1)"),
            (self.window > 0, f"window: got {self.window}; expected above 0"),
            (self.warmup > 0, f"warmup: got {self.warmup}; expected at least 1"),
            (self.most >= 0, f"most: got {self.most}; expected at least 0"),
            (0 <= self.dropout < 1, f"dropout: got {self.dropout:g}; expected in [0, 1)"),
            (NAME not in self.weights or bool(graded), 'dense: "rubric" is the score of graded '
             "items, and there is none; expected one that is not essential"),
            (self.score != "implicit" or not (self.most or self.dropout), "score: implicit is one "
             "rating of all graded items; expected most and dropout left out"),
        ):  # fmt: skip
            if not holds:
                raise UsageError(f"recipe.rubric: {message}")

    def _check_trust(self) -> None:
        """Refuses the word of a judge that nobody tested, or whose test speaks against it."""
        judges = [name for name in self.weights if name.startswith(PREFIX)]
        for name in judges:
            if name not in self.trust:
                raise UsageError(
                    f"recipe.rubric: dense: {name!r} is a judge's word, and nobody has tested it; "
                    f'expected trust = {{ "{name}" = FILE }}, as assay judge test -o FILE writes'
                )
            if against := self.trust[name].against:
                raise UsageError(f"recipe.rubric: dense: {name!r} is not trusted: {against}")
        if unread := set(self.trust) - set(judges):
            raise UsageError(
                f"recipe.rubric: trust: {min(unread)!r} is no dense reward by a judge; expected "
                f"names among {', '.join(judges) or 'none'}"
            )

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of each reward in what ranks."""
        return {self.dense: 1.0} if isinstance(self.dense, str) else self.dense

    def prepared(self, record: Trajectory) -> Trajectory:
        """Returns a record with the verdicts of code and world: `judges.rubric.with_verdicts`."""
        return with_verdicts(self.items, record)

    def ranked(self, batch: Batch, step: int = 0) -> Batch:
        """Returns the batch with the dense reward in the outcome's place, before any gate.

        A trajectory that has no such reward, or that infrastructure stopped, is unscored.

        Args:
            batch: of all trajectories.
            step: number of the batch, for dropout.

        Raises:
            MethodError: no trajectory has a reward of that name; says which there are.
        """
        total_K = np.zeros(len(batch.ids))
        broken_K = np.isin(batch.category_K, BROKEN)
        for name, weight in self.weights.items():
            value_K = np.where(broken_K, np.nan, self._reward(batch, name, step))
            if self.aggregate == "normalised":
                value_K = standardised(value_K, batch.group_K, batch.n_groups)
            total_K = total_K + weight * value_K
        return replace(batch, composed_K=total_K)

    def __call__(self, batch: Batch) -> Verdicts:
        """Returns what is compared, and why some of it is not: of a `ranked` batch, after the other
        gates.

        Reasons: "unjudged" nobody gave a verdict; "failed" (drop); "no_pass"; "flat"; "narrow"
        (dispersion below the quantile); "coverage", "consistency" (DRO). Dispersions of the batch
        go into its `statistics`, for the batches to come.
        """
        verdict_KJ, asked_KJ = verdicts(batch, self.items)
        essential_J = np.array([item.essential for item in self.items], bool)
        must_KJ = np.where(asked_KJ, verdict_KJ, 1.0)[:, essential_J]
        ok_K = conjunction(must_KJ)
        if self.mode == "none":
            ok_K = np.ones(ok_K.size)
        elif self.mode == "sum":  # how many it passes is asked, so that all must be known
            ok_K = np.where(np.isnan(must_KJ).any(axis=1), np.nan, 1.0)
        dense_K = batch.voted_K
        ok_K = np.where(np.isnan(dense_K), np.nan, ok_K)
        value_K = np.where(np.isnan(ok_K), np.nan, dense_K)
        if self.mode == "veto":
            value_K = vetoed(dense_K, ok_K, batch.group_K, batch.n_groups, self.margin)
        elif self.mode == "drop":
            value_K = np.where(ok_K == 1.0, dense_K, np.nan)
        elif self.mode == "sum" and essential_J.any():
            value_K = value_K + self.lam * must_KJ.mean(axis=1)
        reason_G, statistics = self._skipped(batch, value_K, ok_K, verdict_KJ)
        reasons = self._reasons(batch, value_K, ok_K, reason_G)
        weight_K = np.array([float(each == "ok") for each in reasons])
        held_K = np.where(np.isnan(value_K), batch.earned_K, value_K)
        statistics = watched(batch, self.items, verdict_KJ, statistics) | self._scores(batch)
        if self.trust:
            low = [each.low for each in self.trust.values() if each.low is not None]
            statistics = {**statistics, TRUST: min(low)}
        return Verdicts(weight_K, reasons, composed_K=held_K, statistics=statistics)

    def _scores(self, batch: Batch) -> dict[str, float]:
        """Returns the mean score of the graded items, and of those among them that persist, where a
        model proposed some: scores of other items cannot be compared from version to version."""
        graded = [item for item in self.items if not item.essential]
        old = [item.born is None for item in graded]
        if all(old) or self.score == "implicit":
            return {}
        verdict_KJ, _ = verdicts(batch, graded)
        points_J = np.array([item.points for item in graded])
        found: dict[str, float] = {}
        for name, which in ((SCORE, [True] * len(old)), (PERSISTENT, old)):
            score_K = scored(verdict_KJ[:, which], points_J[which], self.score)
            if not np.isnan(score_K).all():
                found[name] = float(np.nanmean(score_K))
        return found

    def _reward(self, batch: Batch, name: str, step: int) -> Float64[np.ndarray, " K"]:
        if name == "outcome":
            return batch.outcome_K
        if name != NAME:
            return named(batch, name)
        if self.score == "implicit":
            return rated(batch)
        graded = [item for item in self.items if not item.essential]
        verdict_KJ, _ = verdicts(batch, graded)
        if self.dropout:
            verdict_KJ = np.where(self._kept(batch, graded, step), verdict_KJ, np.nan)
        if self.most:
            verdict_KJ = np.where(self._telling(batch, verdict_KJ), verdict_KJ, np.nan)
        return scored(verdict_KJ, np.array([item.points for item in graded]), self.score)

    def _telling(
        self, batch: Batch, verdict_KJ: Float64[np.ndarray, "K J"]
    ) -> Bool[np.ndarray, "K J"]:
        """Returns which items count in each one's group: those that tell it apart most."""
        told_GJ = np.zeros((batch.n_groups, verdict_KJ.shape[1]), bool)
        for g in range(batch.n_groups):
            inside = verdict_KJ[batch.group_K == g].T.tolist()
            live, _ = pruned({f"{j:06}": said for j, said in enumerate(inside)}, self.most)
            told_GJ[g, [int(j) for j in live]] = True
            told_GJ[g] |= not live
        return told_GJ[batch.group_K]

    def _kept(self, batch: Batch, graded: Sequence[Item], step: int) -> Bool[np.ndarray, "K J"]:
        """Returns which graded items count: of those that earn something some are dropped."""
        up = [j for j, item in enumerate(graded) if item.points > 0]
        kept_TJ = np.ones((len(batch.tasks), len(graded)), bool)
        for task, name in enumerate(batch.tasks):
            asked = [j for j in up if graded[j].task in (None, name)]
            stay = {asked[i] for i in kept_items(name, step, len(asked), self.dropout)}
            kept_TJ[task, [j for j in asked if j not in stay]] = False
        return kept_TJ[batch.task_K]

    def _skipped(
        self,
        batch: Batch,
        value_K: Float64[np.ndarray, " K"],
        ok_K: Float64[np.ndarray, " K"],
        verdict_KJ: Float64[np.ndarray, "K J"],
    ) -> tuple[list[str], Mapping[str, float]]:
        """Returns why each group is skipped, "ok" where it is not, and the run's statistics."""
        n, group_K = batch.n_groups, batch.group_K
        passing_K = np.where(ok_K == 1.0, value_K, np.nan)
        count_G = np.bincount(group_K[~np.isnan(passing_K)], minlength=n)
        spread_G = dispersion(passing_K, group_K, n)
        wide_G = spread_G if not self.dispersion else by_group(batch, self.dispersion)
        least, statistics = self._narrow(batch.statistics, wide_G)
        cover_G, agree_G = accepted(
            verdict_KJ, value_K, group_K, n, mu=self.mu, rho=self.rho, nu=self.nu,
            asked_GJ=groups_asked(batch, verdict_KJ, self.items),
        )  # fmt: skip
        causes = [
            ("no_pass", count_G == 0),
            ("flat", spread_G < self.floor),  # NaN, of fewer than two, is not
            ("narrow", wide_G < least),
            ("coverage", ~cover_G & self.dro),
            ("consistency", ~agree_G & self.dro),
        ]
        found = ["ok"] * n
        for name, holds_G in reversed(causes):
            for g in np.flatnonzero(holds_G).tolist():
                found[g] = name
        return found, statistics

    def _narrow(
        self, known: Mapping[str, float], wide_G: Float64[np.ndarray, " G"]
    ) -> tuple[float, Mapping[str, float]]:
        """Returns the dispersion below which a group is skipped, of batches before this one, and
        the statistics with this one's."""
        if not self.quantile:
            return -np.inf, known
        seen = int(known.get(SEEN, 0.0))
        past = [known[f"dispersion {i}"] for i in range(min(seen, self.window))]
        least = float(np.quantile(past, self.quantile)) if seen >= self.warmup else -np.inf
        fresh = wide_G[~np.isnan(wide_G)].tolist()
        added = {f"dispersion {(seen + i) % self.window}": each for i, each in enumerate(fresh)}
        return least, {**known, **added, SEEN: float(seen + len(fresh))}

    def _reasons(
        self,
        batch: Batch,
        value_K: Float64[np.ndarray, " K"],
        ok_K: Float64[np.ndarray, " K"],
        reason_G: Sequence[str],
    ) -> list[str]:
        """Returns, per trajectory, why it is not compared; outputs of one rollout go together."""
        found = [reason_G[g] for g in batch.group_K.tolist()]
        known_K = ~np.isnan(batch.voted_K)
        for k in np.flatnonzero(known_K & np.isnan(ok_K)).tolist():
            found[k] = "unjudged"
        for k in np.flatnonzero(known_K & ~np.isnan(ok_K) & np.isnan(value_K)).tolist():
            found[k] = "failed"
        return [found[k] for k in batch.vote_K.tolist()]
