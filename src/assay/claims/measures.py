"""What predictions are read from: differences, shares and signs, each with a 95 % interval.

Both environments count alike: their held-out tasks stand side by side. Seeds are resampled as whole
runs and tasks together for all arms, so what tasks or runs have in common is not counted twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from jaxtyping import Float64

from assay.claims.cells import ENVIRONMENTS
from assay.claims.results import Row, Rows, rate
from assay.evaluate.curves import matched
from assay.evaluate.intervals import Estimate, paired_difference, resampled, wilson

DRAWS: Final = 4000
_Scores = Float64[np.ndarray, "S G"]
_Task = Float64[np.ndarray, " G"]


@final
@dataclass(frozen=True, slots=True)
class Seen:
    """What a measure saw. A measure returns None instead where cells are missing."""

    estimate: Estimate | None
    """None: its cells were run, and it has no value there, as a share of a gain that is none."""
    seeds: int | None = None
    """Runs of each arm behind it. None: it is not about runs."""


Measure = Callable[[Rows], Seen | None]


def largest(rows: Rows) -> int:
    """Returns the largest power of two k that the samples bear, n >= 2k; of one, which is enough
    where nothing is sampled, 1."""
    fewest = min((row.samples for row in rows.rows), default=2)
    return 1 << max((fewest // 2).bit_length() - 1, 0)


def together(
    rows: Rows,
    arms: Sequence[tuple[str, dict[str, Any]]],
    start: str,
    k: int = 1,
    envs: Sequence[str] | None = None,
) -> list[_Scores] | None:
    """Returns pass@k of arms over the same seeds and the tasks of all environments that have them.

    None: there is no environment in which every arm was run at the same seed.
    """
    parts = [
        [np.stack([rate(row.last, row.samples, k) for row in runs]) for runs in found]
        for found in rows.alike(arms, start, envs)
    ]
    return _joined(parts, 1) if parts else None


def _joined(parts: Sequence[Sequence[np.ndarray]], tasks: int) -> list[np.ndarray]:
    """Returns, by arm, the scores of all environments beside each other along axis `tasks`; the
    one with the fewest seeds says how many there are."""
    fewest = min(len(part[0]) for part in parts)
    return [np.concatenate([e[:fewest] for e in each], tasks) for each in zip(*parts, strict=True)]


def difference(
    rows: Rows,
    first: str,
    second: str,
    start: str,
    k: int = 1,
    *,
    more_first: dict[str, Any] | None = None,
    more_second: dict[str, Any] | None = None,
    envs: Sequence[str] | None = None,
) -> Seen | None:
    """Returns pass@k of the second arm less that of the first; k = 0: as large as samples bear.

    What is not default of a cell of the first arm, and of the second, is in `more_...`."""
    k = k or largest(rows)
    found = together(rows, [(first, more_first or {}), (second, more_second or {})], start, k, envs)
    return None if found is None else _gap(*found)


def over_base(
    rows: Rows,
    arm: str,
    start: str,
    k: int = 0,
    *,
    envs: Sequence[str] | None = None,
    **more: Any,
) -> Seen | None:
    """Returns pass@k of an arm less that of the untrained policy; k = 0 as in `difference`."""
    gains = _gains(rows, [(arm, more)], start, k or largest(rows), envs)
    return None if gains is None else _gap(np.zeros_like(gains[0]), gains[0])


def by_tokens(
    rows: Rows,
    first: str,
    second: str,
    start: str,
    share: float,
    envs: Sequence[str] = ENVIRONMENTS[:1],
) -> dict[int, tuple[_Task, _Task]]:
    """Returns, by seed, pass@1 per task with which the first arm ended, and that of the second
    after `share` of the tokens that the first had generated then: at its last checkpoint for which
    they suffice. Tasks are those of the first environment; seeds without such a checkpoint are
    left out."""
    found: dict[int, tuple[_Task, _Task]] = {}
    for pair in rows.alike([(first, {}), (second, {})], start, envs):
        for ended, other in zip(*pair, strict=True):
            early = other.within(share * ended.tokens)
            if early is not None:
                scores = rate(ended.last, ended.samples, 1), rate(early, other.samples, 1)
                found[ended.cell["seed"]] = scores
    return found


def for_tokens(rows: Rows, first: str, second: str, start: str, share: float) -> Seen | None:
    """Returns second less first of `by_tokens`; no value: a seed has no checkpoint that early."""
    pairs = rows.alike([(first, {}), (second, {})], start, ENVIRONMENTS[:1])
    if not pairs:
        return None
    found = by_tokens(rows, first, second, start, share)
    if len(found) < len(pairs[0][0]):
        return Seen(None, len(pairs[0][0]))
    ended_SG, early_SG = (np.stack(each) for each in zip(*found.values(), strict=True))
    return _gap(ended_SG, early_SG)


def share_of_gain(rows: Rows, arm: str, of: str, start: str) -> Seen | None:
    """Returns (arm - base) / (of - base) in pass@1; no value where `of` gained nothing."""
    gains = _gains(rows, [(arm, {}), (of, {})], start)
    return None if gains is None else _of_draws([gains], lambda means: _ratio(*means))


def share_of_gain_over(
    rows: Rows, arm: str, of: str, than: str, start: str, env: str
) -> Seen | None:
    """Returns (arm - than) / (of - than) in pass@1; no value where `of` gained nothing."""
    found = together(rows, [(arm, {}), (of, {}), (than, {})], start, 1, (env,))
    if found is None:
        return None
    one, whole, base = found
    return _of_draws([[one - base, whole - base]], lambda means: _ratio(*means))


def growth_of_share(rows: Rows, arm: str, of: str, starts: tuple[str, str]) -> Seen | None:
    """Returns `share_of_gain` from the second start less that from the first.

    The two have neither tasks nor runs in common: each is resampled by itself.
    """
    first, second = (_gains(rows, [(arm, {}), (of, {})], start) for start in starts)
    if first is None or second is None:
        return None
    return _of_draws([first, second], lambda a, b: _ratio(*b) - _ratio(*a))


def hurt(rows: Rows, arm: str, than: str, start: str, factor: float) -> Seen | None:
    """Returns how much more an erring verifier costs `arm` than `factor` times what it costs
    `than`, in pass@1. What errors gain `than` does not count for `arm`: its cost is at least 0."""
    noisy = {"false_negatives": 0.2}
    found = together(rows, [(arm, {}), (arm, noisy), (than, {}), (than, noisy)], start)
    if found is None:
        return None
    clean, wrong, other, other_wrong = found
    costs = [clean - wrong, other - other_wrong]
    return _of_draws([costs], lambda means: means[0] - factor * np.maximum(means[1], 0.0))


def gap_by_batch(rows: Rows, start: str, times: int) -> Seen | None:
    """Returns by how much |PSR - NSR| in pass@1 changes with `times` the batch; below 0: falls."""
    large = {"batch": times}
    found = together(rows, [("psr", {}), ("nsr", {}), ("psr", large), ("nsr", large)], start)
    if found is None:
        return None
    gaps = [found[0] - found[1], found[2] - found[3]]
    return _of_draws([gaps], lambda means: np.abs(means[1]) - np.abs(means[0]))


def entropy_gap(rows: Rows, first: str, second: str, start: str) -> Seen | None:
    """Returns the entropy of the second arm less that of the first at equal steps, nats a token."""
    pairs = rows.alike([(first, {}), (second, {})], start)
    gaps = [
        other.entropy - one.entropy
        for pair in pairs
        for one, other in zip(*pair, strict=True)
        if one.entropy is not None and other.entropy is not None
    ]
    if not gaps:
        return None
    gap_S = np.array(gaps)[:, None]
    seen = paired_difference(np.zeros_like(gap_S), gap_S, rng=_rng(), over="seeds", draws=DRAWS)
    return Seen(seen, min(len(pair[0]) for pair in pairs))


def at_equal_height(rows: Rows, first: str, second: str, start: str) -> Seen | None:
    """Returns pass@k of the second arm less that of the first at the same pass@1, k the largest."""
    k, samples = largest(rows), {row.samples for row in rows.rows}
    parts = [
        [_checkpoints(base[0], runs) for runs in pair]
        for pair in rows.alike([(first, {}), (second, {})], start)
        if (base := rows.find(pair[0][0].cell["env"], start, "base"))
    ]
    if not parts or len(samples) > 1 or len({part[0].shape[1:2] for part in parts}) > 1:
        return None
    one, other = _joined(parts, 2)
    seen = matched(one, other, [k], total=samples.pop(), rng=_rng(), draws=DRAWS)
    return Seen(seen.difference[0], len(one))


def _checkpoints(base: Row, runs: Sequence[Row]) -> np.ndarray:
    """Returns passes by seed, checkpoint and task; the base, the same for each seed, first."""
    steps = sorted(runs[0].passed, key=int)
    return np.array([[base.last, *(run.passed[step] for step in steps)] for run in runs], np.int64)


def frozen_expansion(rows: Rows) -> Seen | None:
    """Returns the share of tasks that the base never solved and an untrained copy solved once,
    with Wilson's interval: none of a few is not none."""
    reached: list[bool] = []
    for base in (row for row in rows.rows if row.cell["arm"] == "base"):
        for copy in rows.find(base.cell["env"], base.cell["start"], "null"):
            pairs = zip(base.last, copy.last, strict=True)
            reached += [again >= 1 for once, again in pairs if once == 0]
    if not reached:
        return None
    low, high = wilson(sum(reached), len(reached))
    return Seen(Estimate(sum(reached) / len(reached), low, high))


def newly_solved(rows: Rows, arm: str, env: str, start: str) -> Seen | None:
    """Returns Fisher's one-sided p that an arm solves, of tasks that the untrained policy never
    solved in all attempts of its rows "base", no more than its frozen copies do.

    A task counts once for each run, and once for each copy, with as many attempts as the one with
    the fewest has: `passed` of a run with more would count for it.
    """
    from scipy.stats import fisher_exact

    bases, runs = rows.find(env, start, "base"), rows.find(env, start, arm)
    copies = rows.find(env, start, "null")
    if not (bases and runs and copies) or len({row.samples for row in (*runs, *copies)}) > 1:
        return None
    never_G = np.sum([row.last for row in bases], axis=0) == 0
    solved, null = (np.array([row.last for row in each])[:, never_G] > 0 for each in (runs, copies))
    table = [[int(each.sum()), int((~each).sum())] for each in (solved, null)]
    p = float(np.asarray(fisher_exact(table, "greater"))[1])
    return Seen(Estimate(p, p, p), len(runs))


def elsewhere(rows: Rows, arm: str, env: str, start: str, k: int = 1) -> Seen | None:
    """Returns pass@k on the tasks of another family (`Scale.other`), less the untrained policy's:
    what training on this one costs there."""

    def scores(arm: str) -> list[np.ndarray]:
        told = rows.find(env, start, arm)
        return [rate(o["passed"], o["samples"], k) for row in told if (o := row.about.get("other"))]

    bases, runs = scores("base"), scores(arm)
    if not (bases and runs):
        return None
    base_G = np.mean(bases, axis=0)
    return _gap(np.stack([base_G] * len(runs)), np.stack(runs))


def squeezed(rows: Rows, which: str) -> Seen | None:
    """Returns the mean change of entropy where tokens are pushed down; "rare" or "likely"."""
    for row in rows.find("lookup", "weak", "base"):
        if "squeezing" in row.about:
            value, low, high, positions = row.about["squeezing"][which]
            return Seen(Estimate(value, low, high) if positions else None)
    return None


def pass_at(rows: Rows, arm: str, env: str, start: str, k: int, **more: Any) -> float | None:
    """Returns mean pass@k of an arm over seeds and tasks. None: it was not run."""
    found = rows.find(env, start, arm, **more)
    if not found:
        return None
    return float(np.mean([rate(row.last, row.samples, k).mean() for row in found]))


def dose(rows: Rows, arm: str, env: str, start: str, **more: Any) -> float | None:
    """Returns the mean dose of an arm over seeds: the sum over its steps of |A| over the trained
    tokens times the learning rate. None: not counted, or not trained.

    Arms whose doses differ differ in how far they moved the policy, whatever their credit says.
    """
    found = [row.dose for row in rows.find(env, start, arm, **more) if row.dose is not None]
    return float(np.mean(found)) if found else None


def behaves(rows: Rows, first: str, second: str, key: str, env: str, start: str) -> Seen | None:
    """Returns by what factor the second arm has more of a behaviour (`claims.behaviour`) than the
    first, less 1: mean over seeds of both, with Student's interval of the paired differences."""
    pairs = rows.alike([(first, {}), (second, {})], start, (env,))
    if not pairs:
        return None
    one, other = (np.array([r.about["behaviour"][key] for r in arm], float) for arm in pairs[0])
    if np.isnan(one).any() or np.isnan(other).any() or one.mean() == 0:
        return Seen(None, one.size)
    return Seen(student((other - one) / one.mean()), one.size)


def student(values: Float64[np.ndarray, " _"]) -> Estimate | None:
    """Returns the mean with Student's 95 % interval; None: fewer than two values."""
    from scipy.stats import t

    if values.size < 2:
        return None
    mean, half = float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))
    half *= float(t.ppf(0.975, values.size - 1))
    return Estimate(mean, mean - half, mean + half)


def over_seeds(values: Sequence[float]) -> Seen | None:
    """Returns the mean over seeds with Student's interval; None: there are none."""
    return Seen(student(np.array(values, float)), len(values)) if values else None


def _gains(
    rows: Rows,
    arms: Sequence[tuple[str, dict[str, Any]]],
    start: str,
    k: int = 1,
    envs: Sequence[str] | None = None,
) -> list[_Scores] | None:
    """Returns what arms have more than the untrained policy in pass@k. None: cells are missing,
    or the first arm was run on tasks on which the others were not."""
    found = together(rows, arms, start, k, envs)
    arm, more = arms[0]
    named = rows.environments if envs is None else envs
    bases = [rows.base(env, start, k) for env in named if rows.find(env, start, arm, **more)]
    known = [base_G for base_G in bases if base_G is not None]
    if found is None or len(known) < len(bases):
        return None
    base_G = np.concatenate(known)
    return [each - base_G for each in found] if base_G.size == found[0].shape[1] else None


def _gap(first: _Scores, second: _Scores) -> Seen:
    return Seen(paired_difference(first, second, rng=_rng(), draws=DRAWS), first.shape[0])


def _of_draws(groups: Sequence[Sequence[np.ndarray]], of: Callable[..., np.ndarray]) -> Seen:
    """Returns a function of means of scores (S, G); within a group, which has seeds and tasks of
    its own, they are resampled together.

    `of` takes one argument a group: the means of its scores, by score and draw. No value: it is
    NaN of the means themselves, or of more than one draw in forty.
    """
    rng = _rng()
    drawn: list[np.ndarray] = []
    for scores in groups:
        seeds, tasks = scores[0].shape
        at_S, at_G = resampled(seeds, DRAWS, rng), resampled(tasks, DRAWS, rng)
        drawn.append(np.stack([((at_S @ each) * at_G).sum(1) for each in scores]))
    draws = of(*drawn)
    value = of(*(np.array([[each.mean()] for each in scores]) for scores in groups))
    fewest = min(scores[0].shape[0] for scores in groups)
    if np.isnan(draws).mean() > 0.025 or np.isnan(value).any():
        return Seen(None, fewest)
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Seen(Estimate(float(value[0]), float(low), float(high)), fewest)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Returns part / whole; NaN where the whole is not above 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
