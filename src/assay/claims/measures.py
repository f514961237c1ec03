"""What predictions are read from: differences, shares and signs, each with a 95 % interval.

Both environments count alike: their held-out tasks stand side by side. Seeds are resampled as whole
runs and tasks together for all arms, so what tasks or runs have in common is not counted twice.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from assay.claims.cells import ENVIRONMENTS
from assay.claims.results import Rows, rate
from assay.evaluate.curves import matched
from assay.evaluate.intervals import Estimate, paired_difference
from assay.evaluate.null import expansion

Measure = Callable[[Rows], Estimate | None]
Zone = tuple[float, float]
NOWHERE: Final[Zone] = (0.0, 0.0)
DRAWS: Final = 4000
_Scores = Float64[np.ndarray, "S G"]
_Task = Float64[np.ndarray, " G"]


def largest(rows: Rows) -> int:
    """Returns the largest power of two k that the samples bear, n >= 2k."""
    fewest = min((row.samples for row in rows.rows), default=2)
    return 1 << ((fewest // 2).bit_length() - 1)


def together(
    rows: Rows, arms: Sequence[tuple[str, dict[str, Any]]], start: str, k: int = 1
) -> list[_Scores] | None:
    """Returns pass@k of arms over the same seeds and the tasks of all environments that have them.

    None: there is no environment in which every arm was run at the same seed.
    """
    parts: list[list[_Scores]] = []
    for env in ENVIRONMENTS:
        sets = [set(rows.seeds(env, start, [arm], **more)) for arm, more in arms]
        seeds = sorted(set[int].intersection(*sets))
        if not seeds:
            continue
        found = [rows.passes(env, start, arm, k, seeds, **more) for arm, more in arms]
        parts.append([each for each in found if each is not None])
    if not parts:
        return None
    fewest = min(part[0].shape[0] for part in parts)
    return [np.concatenate([part[at][:fewest] for part in parts], 1) for at in range(len(arms))]


def base_of(rows: Rows, arm: str, start: str, k: int = 1, **more: Any) -> _Scores | None:
    """Returns the untrained policy's pass@k on the tasks of `together` for one arm, one row."""
    found = [
        rows.base(env, start, k) for env in ENVIRONMENTS if rows.seeds(env, start, [arm], **more)
    ]
    known = [each for each in found if each is not None]
    return np.concatenate(known)[None, :] if known and len(known) == len(found) else None


def difference(
    rows: Rows,
    first: str,
    second: str,
    start: str,
    k: int = 1,
    *,
    more_first: dict[str, Any] | None = None,
    more_second: dict[str, Any] | None = None,
) -> Estimate | None:
    """Returns pass@k of the second arm less that of the first; k = 0: as large as samples bear."""
    k = k or largest(rows)
    found = together(rows, [(first, more_first or {}), (second, more_second or {})], start, k)
    if found is None:
        return None
    return paired_difference(found[0], found[1], rng=_rng(), draws=DRAWS)


def over_base(rows: Rows, arm: str, start: str, k: int = 0, **more: Any) -> Estimate | None:
    """Returns pass@k of an arm less that of the untrained policy."""
    k = k or largest(rows)
    found, base = together(rows, [(arm, more)], start, k), base_of(rows, arm, start, k, **more)
    if found is None or base is None:
        return None
    return _over(base, found[0])


def gain(rows: Rows, env: str, start: str, arm: str, k: int = 1, **more: Any) -> Estimate | None:
    """Returns pass@k of an arm less that of the untrained policy on the tasks of one family."""
    found, base = rows.passes(env, start, arm, k, **more), rows.base(env, start, k)
    if found is None or base is None:
        return None
    return _over(base, found)


def by_tokens(
    rows: Rows, first: str, second: str, start: str, share: float
) -> dict[int, tuple[_Task, _Task]]:
    """Returns, by seed, pass@1 per task with which the first arm ended, and that of the second
    after `share` of the tokens that the first had generated then: at its last checkpoint for which
    they suffice. Tasks are those of the first environment; seeds without such a checkpoint are
    left out."""
    found: dict[int, tuple[_Task, _Task]] = {}
    env = ENVIRONMENTS[0]
    for seed in rows.seeds(env, start, [first, second]):
        ended, other = (
            next(row for row in rows.find(env, start, arm) if row.cell["seed"] == seed)
            for arm in (first, second)
        )
        early = other.within(share * ended.tokens)
        if early is not None:
            found[seed] = rate(ended.last, ended.samples, 1), rate(early, other.samples, 1)
    return found


def for_tokens(rows: Rows, first: str, second: str, start: str, share: float) -> Estimate | None:
    """Returns second less first of `by_tokens`. None: a seed has no checkpoint that early."""
    found = by_tokens(rows, first, second, start, share)
    if not found or len(found) < len(rows.seeds(ENVIRONMENTS[0], start, [first, second])):
        return None
    ended_SG, early_SG = (np.stack(each) for each in zip(*found.values(), strict=True))
    return paired_difference(ended_SG, early_SG, rng=_rng(), draws=DRAWS)


def share_of_gain(rows: Rows, arm: str, of: str, start: str) -> Estimate | None:
    """Returns (arm - base) / (of - base) in pass@1. None: also where `of` gained nothing."""
    found = together(rows, [(arm, {}), (of, {})], start)
    base = base_of(rows, arm, start)
    if found is None or base is None or base.shape[1] != found[0].shape[1]:
        return None
    return _of_draws([found[0] - base, found[1] - base], _ratio)


def hurt(rows: Rows, arm: str, than: str, start: str, factor: float) -> Estimate | None:
    """Returns how much more an erring verifier costs `arm` than `factor` times what it costs
    `than`, in pass@1."""
    noisy = {"false_negatives": 0.2}
    found = together(rows, [(arm, {}), (arm, noisy), (than, {}), (than, noisy)], start)
    if found is None:
        return None
    clean, wrong, other, other_wrong = found
    return _of_draws(
        [clean - wrong, other - other_wrong], lambda means: means[0] - factor * means[1]
    )


def gap_by_batch(rows: Rows, start: str, times: int) -> Estimate | None:
    """Returns by how much |PSR - NSR| in pass@1 changes with `times` the batch; below 0: falls."""
    large = {"batch": times}
    found = together(rows, [("psr", {}), ("nsr", {}), ("psr", large), ("nsr", large)], start)
    if found is None:
        return None
    gaps = [found[0] - found[1], found[2] - found[3]]
    return _of_draws(gaps, lambda means: np.abs(means[1]) - np.abs(means[0]))


def entropy_gap(rows: Rows, first: str, second: str, start: str) -> Estimate | None:
    """Returns the entropy of the second arm less that of the first at equal steps, nats a token."""
    gaps: list[float] = []
    for env in ENVIRONMENTS:
        for seed in rows.seeds(env, start, [first, second]):
            pair = [
                next(r.entropy for r in rows.find(env, start, arm) if r.cell["seed"] == seed)
                for arm in (first, second)
            ]
            if pair[0] is not None and pair[1] is not None:
                gaps.append(pair[1] - pair[0])
    if not gaps:
        return None
    gap_S = np.array(gaps)[:, None]
    return paired_difference(np.zeros_like(gap_S), gap_S, rng=_rng(), over="seeds", draws=DRAWS)


def at_equal_height(rows: Rows, first: str, second: str, start: str) -> Estimate | None:
    """Returns pass@k of the second arm less that of the first at the same pass@1, k the largest.

    Passes of all seeds are added up at every checkpoint; the base is the first of both runs.
    """
    k = largest(rows)
    tables: list[list[np.ndarray]] = [[], []]
    samples = 0
    for env in ENVIRONMENTS:
        seeds = rows.seeds(env, start, [first, second])
        base = rows.find(env, start, "base")
        if not seeds or not base:
            continue
        samples = base[0].samples * len(seeds)
        for table, arm in zip(tables, (first, second), strict=True):
            chosen = [row for row in rows.find(env, start, arm) if row.cell["seed"] in seeds]
            steps = sorted(chosen[0].passed, key=int)
            sums = [np.sum([row.passed[step] for row in chosen], axis=0) for step in steps]
            table.append(np.array([np.asarray(base[0].last) * len(seeds), *sums]))
    if not tables[0] or len({each.shape[1] for each in tables[0]}) > 1:
        return None
    wide = [np.concatenate(table, 1).astype(np.int64) for table in tables]
    return matched(wide[0], wide[1], [k], total=samples, rng=_rng(), draws=1000).difference[0]


def frozen_expansion(rows: Rows) -> Estimate | None:
    """Returns the share of tasks that the base never solved and an untrained copy solved once."""
    unreached, once = 0, 0.0
    for base in (row for row in rows.rows if row.cell["arm"] == "base"):
        for copy in rows.find(base.cell["env"], base.cell["start"], "null"):
            base_G, copy_G = np.asarray(base.last, np.int64), np.asarray(copy.last, np.int64)
            new = expansion(copy_G, base_G, base_G, total=base.samples, pooled_total=base.samples)
            unreached += new.unreached
            once += 0.0 if np.isnan(new.once) else new.once * new.unreached
    if not unreached:
        return None
    reached = np.repeat([1.0, 0.0], [round(once), unreached - round(once)])[None, :]
    return paired_difference(np.zeros_like(reached), reached, rng=_rng(), over="prompts")


def squeezed(rows: Rows, which: str) -> Estimate | None:
    """Returns the mean change of entropy where tokens are pushed down; "rare" or "likely"."""
    for row in rows.find("lookup", "weak", "base"):
        if "squeezing" in row.about:
            value, low, high, _ = row.about["squeezing"][which]
            return Estimate(value, low, high)
    return None


def pass_at(rows: Rows, arm: str, env: str, start: str, k: int, **more: Any) -> float | None:
    """Returns mean pass@k of an arm over seeds and tasks. None: it was not run."""
    found = rows.find(env, start, arm, **more)
    if not found:
        return None
    return float(np.mean([rate(row.last, row.samples, k).mean() for row in found]))


def _over(base: np.ndarray, found: _Scores) -> Estimate:
    """Returns what every seed has more than one measured base, by task."""
    same = np.broadcast_to(base, found.shape).copy()
    return paired_difference(same, found, rng=_rng(), draws=DRAWS)


def _of_draws(scores: Sequence[_Scores], of: Callable[[np.ndarray], np.ndarray]) -> Estimate | None:
    """Returns a function of several means, seeds and tasks resampled together for all of them."""
    rng = _rng()
    seeds, tasks = scores[0].shape
    at_S = rng.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS) / seeds
    at_G = rng.multinomial(tasks, np.full(tasks, 1 / tasks), DRAWS) / tasks
    draws = of(np.stack([((at_S @ each) * at_G).sum(1) for each in scores]))
    value = of(np.stack([np.array([each.mean()]) for each in scores]))
    if np.isnan(draws).mean() > 0.025 or np.isnan(value).any():
        return None
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Estimate(float(value[0]), float(low), float(high))


def _ratio(means: np.ndarray) -> np.ndarray:
    """Returns the ratio of two means; NaN where the second is not above 0."""
    return np.where(means[1] > 0, means[0] / np.where(means[1] > 0, means[1], 1.0), np.nan)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
