"""How good is a policy at the world? pass@1, pass@64, and how many groups of 8 would all fail."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float64

from assay.evaluate.intervals import paired_difference
from assay.kernels.constancy import bar
from assay.kernels.passk import pass_at_k
from assay.policy.loading import START, device, load
from assay.records import Trajectory
from assay.rollout import Planned, Sampling, collect
from assay.rollout.backends.local import Transformers
from assay.rollout.chain import Watch, attributed
from assay.rollout.protocols.named import protocol_of
from assay.world import catalogue
from assay.world.environment import HintKind

GROUP: Final = 8
SEEDS_FROM: Final = 10_000
"""Seeds of the measured tasks, so that they are not those that people try first."""
ADVICE: Final[tuple[HintKind | None, ...]] = ("right", None, "neutral", "wrong")
"""The right kind first: the others are compared with it."""


def measure(
    model: str,
    names: Sequence[str],
    *,
    tasks: int = 64,
    attempts: int = 64,
    hints: bool = False,
    seed: int = 0,
    watch: Watch | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields one row for each environment, and with `hints` for each kind of advice.

    All-fail groups are expected, not counted: for a task with c passes in n attempts a group of 8
    drawn from them fails as a whole with probability C(n-c, 8) / C(n, 8) = 1 - pass@8. Kinds of
    advice are compared task by task: `right_over_it` is the pass@1 of right advice less that of the
    row's, with its 95 % interval over tasks.
    """
    policy, tokenizer = load(model, device=device())
    for name in names:
        right_G = None
        for advice in ADVICE if hints else (None,):
            generator = torch.Generator(policy.device).manual_seed(seed)
            todo = [
                _attempt(name, SEEDS_FROM + task, trial, advice)
                for task in range(tasks)
                for trial in range(attempts)
            ]
            backend = Transformers(policy, tokenizer, generator=generator)
            records = collect(
                backend,
                todo,
                sampling=Sampling(),
                seed=(seed,),
                batch=512,
                watch=watch,
                protocol=protocol_of(
                    "auto", tokenizer, todo[0].environment, model=policy, start=model == START
                ),
            )
            played = list(records)
            row: dict[str, Any] = {"environment": name, "advice": advice or "none"}
            row |= summary(played, tasks, attempts)
            rate_G = (
                np.array([(t.outcome or 0.0) >= bar(1.0) for t in played])
                .reshape(tasks, -1)
                .mean(1)
            )
            if right_G is not None:
                row["right_over_it"] = uplift(rate_G, right_G)
            elif advice == "right":
                right_G = rate_G
            yield row


def uplift(other_G: Float64[np.ndarray, " G"], right_G: Float64[np.ndarray, " G"]) -> list[float]:
    """Returns mean, low and high of right less other, tasks resampled."""
    rng = np.random.default_rng(0)
    seen = paired_difference(other_G[None, :], right_G[None, :], rng=rng, over="prompts")
    return [seen.value, seen.low, seen.high]


def _attempt(name: str, seed: int, trial: int, advice: HintKind | None) -> Planned:
    environment = catalogue.load(name)
    with attributed(environment, seed, "its hint"):
        environment.reset(seed)
        said = environment.hint(advice) if advice else None
    notes = (said,) if said else ()
    return Planned(environment=environment, seed=seed, notes=notes, trial=trial)


def summary(played: Sequence[Trajectory], tasks: int, attempts: int) -> dict[str, Any]:
    """Returns the numbers of attempts that are ordered by task."""
    passed_GK = np.array([(t.outcome or 0.0) >= bar(1.0) for t in played]).reshape(tasks, attempts)
    total_G = np.full(tasks, attempts, np.int64)
    passed_G = passed_GK.sum(axis=1).astype(np.int64)
    most = min(64, attempts)
    return {
        "tasks": tasks,
        "attempts": attempts,
        "pass_at_1": float(passed_GK.mean()),
        f"pass_at_{most}": float(pass_at_k(total_G, passed_G, most).mean()),
        "all_fail_at_8": float(1 - pass_at_k(total_G, passed_G, GROUP).mean()),
        "budget": float(np.mean([t.end == "budget" for t in played])),
        "tokens": float(np.mean([t.ledger.tokens or 0 for t in played])),
        "calls": float(np.mean([t.ledger.calls or 0 for t in played])),
    }


def table(row: dict[str, Any], *, first: bool) -> str:
    """Returns a row of a Markdown table, with the heading before the first."""
    most = next(key for key in row if key.startswith("pass_at_") and key != "pass_at_1")
    k = most.removeprefix("pass_at_")
    line = (
        f"| {row['environment']} | {row['advice']} | {row['pass_at_1']:.1%} | {row[most]:.1%} | "
        f"{row['all_fail_at_8']:.1%} | {row['budget']:.1%} | {row['tokens']:.0f} | "
        f"{row['calls']:.1f} |"
    )
    head = f"| environment | advice | pass@1 | pass@{k} | all-fail, G = 8 | out of steps | tokens "
    head, rule = head + "| calls |", "|---|---|---|---|---|---|---|---|"
    if row["advice"] == "right" or "right_over_it" in row:  # kinds of advice are compared
        head, rule = head + " right over it, 95 % |", rule + "---|"
        value, low, high = row.get("right_over_it", (0.0, 0.0, 0.0))
        seen = f"{value:+.1%} [{low:+.1%}, {high:+.1%}]" if "right_over_it" in row else "-"
        line += f" {seen} |"
    return f"{head}\n{rule}\n{line}" if first else line
