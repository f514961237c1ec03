"""Before training: can groups be compared at this start, can rescue help, or neither?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, final

import numpy as np
from jaxtyping import Float64

from assay.kernels.constancy import bar
from assay.kernels.passk import alike_at_k, bootstrap_interval, pass_at_k, pass_hat_k
from assay.recipes.settings import Count, Settings, Whole
from assay.records import ModelStep, Trajectory
from assay.rollout.backends.base import Backend, Sampling
from assay.rollout.chain import Planned, Watch, attributed, collect, tasks
from assay.rollout.protocols.base import Protocol
from assay.world.environment import Environment

SCHEMA: Final = "assay.headroom/1"
GREEDY, SAMPLED, TOLD = range(3)
"""Names of the sources of chance."""
ROWS: Final = 256
"""Attempts whose environments are there at a time."""


@final
class Probe(Settings, frozen=True):
    """What is measured of the start before a run trains."""

    at: ClassVar[str] = "probe"

    tasks: Whole = 0
    """Training tasks that are tried. 0: nothing is measured."""
    samples: Count = 64
    """Attempts at each, beside a greedy one."""
    told: Whole = 8
    """Attempts at each under the environment's right hint, where it has one."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What the attempts at some tasks came to."""

    greedy_G: Float64[np.ndarray, " G"]
    """Outcome of the greedy attempt at each task; NaN: unscored."""
    outcome_GN: Float64[np.ndarray, "G N"]
    """Of sampled attempts."""
    told_M: Float64[np.ndarray, " M"]
    """Of attempts under a right hint, of the tasks that have one."""
    heard: float
    """Share of the failed attempts in which the world answered a turn."""
    tokens: int


def play(
    backend: Backend,
    make: Callable[[], Environment],
    seeds: Sequence[int],
    settings: Probe,
    *,
    sampling: Sampling,
    seed: int,
    protocol: Protocol,
    pass_at: float = 1.0,
    watch: Watch | None = None,
) -> Played:
    """Returns what a policy does at tasks as it is: greedily, sampled, and told a right hint.

    Args:
        backend: samples.
        make: makes an environment.
        seeds: of the tasks.
        settings: how many attempts.
        sampling: as in training.
        seed: names the source of chance.
        protocol: how policy and world talk.
        pass_at: a trajectory passes at this outcome or above.
        watch: sees each record as it is made.

    Raises:
        DataError: an environment raised.
    """

    def made(
        planned: Callable[[int], Sequence[Planned]], trials: int, chance: int, temperature: float
    ) -> list[Trajectory]:
        how, many = replace(sampling, temperature=temperature), max(ROWS // max(trials, 1), 1)
        return [
            record
            for at in range(0, len(seeds), many)
            for record in collect(
                backend,
                [each for task in seeds[at : at + many] for each in planned(task)],
                sampling=how,
                seed=(seed, chance, at),
                watch=watch,
                clock=None,
                protocol=protocol,
            )
        ]

    greedy = made(lambda task: tasks(make, [task], 1), 1, GREEDY, 0.0)
    n, warm = settings.samples, sampling.temperature
    sampled = made(lambda task: tasks(make, [task], n), n, SAMPLED, warm)
    m = settings.told
    told = made(lambda task: _advised(make, task, m), m, TOLD, warm) if m else []
    failed = [each for each in sampled if (each.outcome or 0.0) < bar(pass_at)]
    return Played(
        greedy_G=_outcomes(greedy),
        outcome_GN=_outcomes(sampled).reshape(len(seeds), n),
        told_M=_outcomes(told),
        heard=float(np.mean([*map(_was_answered, failed)])) if failed else 0.0,
        tokens=sum(each.ledger.tokens or 0 for each in (*greedy, *sampled, *told)),
    )


def _advised(make: Callable[[], Environment], task: int, trials: int) -> list[Planned]:
    """Returns attempts at a task under the right hint; none where the environment has none."""
    environment = make()
    with attributed(environment, task, "its hint"):
        environment.reset(task)
        said = environment.hint("right")
    notes = (said,) if said else ()
    return [replace(each, notes=notes) for each in tasks(make, [task], trials)] if said else []


def _outcomes(records: Sequence[Trajectory]) -> Float64[np.ndarray, " N"]:
    return np.array([np.nan if each.outcome is None else each.outcome for each in records], float)


def _was_answered(record: Trajectory) -> bool:
    kinds = [type(step) is ModelStep for step in record.steps]
    return True in kinds and not all(kinds[kinds.index(True) :])


def headroom(
    played: Played, *, group: int, prompts: int, pass_at: float = 1.0, seed: int = 0
) -> dict[str, Any]:
    """Returns what can help from this start, schema "assay.headroom/1", as plain values.

    With L the share of groups of `group` in which outcomes differ, unbiased from all samples
    (`assay.kernels.passk.alike_at_k`), and F the share of those that die without a pass, a batch
    of `prompts` groups is expected to hold `prompts` L that can be compared and `prompts` F that
    only rescue can reach.

        comparison can help    prompts L >= 1
        rescue can help        prompts F >= 1, and there is something to rescue with: a task that
                               passes now and then, a right hint that lets tasks pass, outcomes
                               above 0 among failures, or a world that answers failed turns

    The first two are measured; of the last two only that they are there. Where neither holds, all
    pass, or nothing that is known here can turn a failure into a success.

    Args:
        played: what was seen.
        group: trajectories of a group.
        prompts: groups of a batch.
        pass_at: a trajectory passes at this outcome or above.
        seed: of the intervals, 95 % over tasks.
    """
    rng = np.random.default_rng(seed)
    outcome_GN = played.outcome_GN
    passed_G = (np.nan_to_num(outcome_GN, nan=-np.inf) >= bar(pass_at)).sum(1).astype(np.int64)
    total_G = (~np.isnan(outcome_GN)).sum(1).astype(np.int64)
    all_pass_G = pass_hat_k(total_G, passed_G, group)
    alike_G = alike_at_k(outcome_GN, group)
    failed_G = alike_G - np.minimum(all_pass_G, alike_G)
    ks = sorted({1, group, outcome_GN.shape[1]})
    shares = {
        "compared": 1.0 - alike_G,
        "all_fail": failed_G,
        "all_pass": np.minimum(all_pass_G, alike_G),
    }
    found = {
        "schema": SCHEMA,
        "tasks": int(total_G.size),
        "samples": int(outcome_GN.shape[1]),
        "group": group,
        "prompts": prompts,
        "tokens": played.tokens,
        "greedy": _share(played.greedy_G, pass_at),
        "pass_at": {str(k): _estimate(pass_at_k(total_G, passed_G, k), rng) for k in ks},
        "groups": {name: _estimate(each_G, rng) for name, each_G in shares.items()},
        "told": _share(played.told_M, pass_at),
        "reached": int((passed_G > 0).sum()),
        "partly": _partly(outcome_GN, pass_at),
        "heard": played.heard,
    }
    return {**found, **_verdict(found)}


def _partly(outcome_GN: Float64[np.ndarray, "G N"], pass_at: float) -> float:
    """Returns the share of failed attempts with an outcome above the least one that there is."""
    scored = outcome_GN[~np.isnan(outcome_GN)]
    failed = scored[scored < bar(pass_at)]
    return float((failed > failed.min() + 1e-9).mean()) if failed.size else 0.0


def _share(outcome_N: Float64[np.ndarray, " N"], pass_at: float) -> float | None:
    scored = outcome_N[~np.isnan(outcome_N)]
    return float((scored >= bar(pass_at)).mean()) if scored.size else None


def _estimate(value_G: Float64[np.ndarray, " G"], rng: np.random.Generator) -> dict[str, Any]:
    """Returns the mean over tasks with its interval; None where no task has enough samples."""
    known = value_G[~np.isnan(value_G)]
    if not known.size:
        return {"value": None, "low": None, "high": None}
    low, high = bootstrap_interval(known, rng=rng)
    return {"value": float(known.mean()), "low": low, "high": high}


def _verdict(found: dict[str, Any]) -> dict[str, Any]:
    """Returns what can help, and with what."""
    groups, prompts = found["groups"], found["prompts"]
    compared = prompts * (groups["compared"]["value"] or 0.0)
    dead = prompts * (groups["all_fail"]["value"] or 0.0)
    has = {
        "success": found["reached"] > 0,
        "hint": bool(found["told"]),
        "partly": found["partly"] > 0,
        "feedback": found["heard"] > 0,
    }
    means = [name for name, there in has.items() if there]
    helps = ["comparison"] if compared >= 1 else []
    helps += ["rescue"] if dead >= 1 and means else []
    return {"per_batch": {"compared": compared, "all_fail": dead}, "means": means, "helps": helps}


_MEANS: Final = {
    "success": "{reached} of {tasks} tasks pass now and then",
    "hint": "told the environment's right hint {told:.1%} pass",
    "partly": "{partly:.1%} of failures scored more than the least",
    "feedback": "the world answers {heard:.1%} of failures",
}


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Returns a result in words, line by line; the last two say what can help."""
    groups, of = found["groups"], found["group"]
    passes = [f"pass@{k} {_told(each)}" for k, each in found["pass_at"].items()]
    greedy = found["greedy"]
    lines = [
        f"{found['tasks']} tasks, {found['samples']} samples each, {found['tokens']:,} tokens",
        f"greedy {'-' if greedy is None else format(greedy, '.1%')}, {', '.join(passes)}",
        f"groups of {of}: {_told(groups['compared'])} can be compared, "
        f"{_told(groups['all_fail'])} all fail, {_told(groups['all_pass'])} all pass",
    ]
    return [*lines, _comparison(found), _rescue(found)]


def _comparison(found: Mapping[str, Any]) -> str:
    held = f"a batch of {found['prompts']} groups holds {found['per_batch']['compared']:.1f}"
    if "comparison" in found["helps"]:
        return f"comparison can help: {held} whose outcomes differ"
    return f"comparison cannot help: {held} whose outcomes differ; expected 1 or more"


def _rescue(found: Mapping[str, Any]) -> str:
    dead = found["per_batch"]["all_fail"]
    if "rescue" in found["helps"]:
        means = "; ".join(_MEANS[name].format(**found) for name in found["means"])
        return f"rescue can help: {dead:.1f} groups of a batch all fail, and {means}"
    if dead < 1:
        rest = "" if found["helps"] else ": take harder tasks, nearly all attempts pass alike"
        return f"rescue has nothing to do: {dead:.1f} groups of a batch all fail{rest}"
    return (
        f"rescue cannot help: {dead:.1f} groups of a batch all fail, no attempt passed or scored "
        "more than the least, and there is neither a hint that works nor an answer of the world: "
        "take easier tasks or another start"
    )


def _told(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return "- (too few samples)"
    return f"{estimate['value']:.1%} ({estimate['low']:.1%} to {estimate['high']:.1%})"
