"""The demo's numbers, out of the files that training and evaluation left: schema assay.demo/1."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from assay.demo.example import example
from assay.demo.plan import Plan
from assay.evaluate.intervals import paired_difference
from assay.files.lines import rows
from assay.runs.directory import page_of

SCHEMA: Final = "assay.demo/1"
COUNTS: Final = ("tokens", "trajectories", "calls", "env_steps", "prompts")


def gathered(plan: Plan, out: Path) -> dict[str, Any]:
    """Returns what the demo found, from the folder of a demo whose parts are all there."""
    measured = json.loads((out / "eval" / "eval.json").read_bytes())
    config = plan.config
    arms = {name: _arm(out, name, measured["arms"][name]) for name in plan.arms}
    first, *others = arms
    return {
        "schema": SCHEMA,
        "seed": plan.seed,
        "env": config.env.name,
        "model": config.model.name,
        "budget_tokens": config.rollout.budget_tokens,
        "steps": config.train.steps,
        "prompts": config.train.prompts,
        "group": config.train.group,
        "learning_rate": config.train.learning_rate,
        "titles": {name: each.about.title for name, each in plan.arms.items()},
        "eval": {key: measured[key] for key in ("prompts", "samples", "first_task", "k")},
        "base": _at_one(measured["base"]),
        "null": {**_at_one(measured["null"]), "difference": _gap(measured["null"])},
        "arms": arms,
        "against": {name: _against(measured, first, name, plan.seed) for name in others},
        "example": next((found for name in others if (found := example(out / name))), None),
        "recorded": _page(out, out / "recorded"),
    }


def _arm(out: Path, name: str, measured: Mapping[str, Any]) -> dict[str, Any]:
    metrics, ledger, timing = (
        list(rows(out / name / f"{kind}.jsonl")) for kind in ("metrics", "ledger", "timing")
    )
    total = ledger[-1]["total"]
    return {
        **_at_one(measured),
        "difference": _gap(measured),
        "newly_solved": measured["newly_solved"]["solved"],
        "budget": {key: total[key] for key in COUNTS},
        "seconds": sum(row["seconds"] for row in timing),
        "curve": {
            key: [row[key] for row in metrics]
            for key in ("step", "reward", "dead_share", "entropy", "tokens_generated")
        },
        "dead": {key: float(np.mean(values)) for key, values in _named(metrics, "dead/").items()},
        "mass": _masses(metrics),
        "rescue": _rescue(metrics),
        "skipped": metrics[-1]["steps_skipped"],
        "events": [
            f"step {row['step']}: {event}" for row in metrics for event in row.get("events") or ()
        ],
        "audit": _page(out, out / name / "audit"),
    }


def _rescue(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Returns groups that were helped, those that came alive, and what it cost; then by rung, since
    the beginning: of how many groups, and passes without help afterwards. None: nothing was."""
    last = metrics[-1]
    if "rescue/groups" not in last:
        return None
    rungs = [key.split("/")[1] for key in last if key.startswith("rescue/") and "/tried" in key]
    kinds = ("groups", "rescued", "tokens", "forwards")
    return {
        **{kind: sum(row[f"rescue/{kind}"] for row in metrics) for kind in kinds},
        "rungs": {
            name: {kind: last[f"rescue/{name}/{kind}"] for kind in ("tried", "rescued", "tokens",
                                                                    "later")}
            for name in rungs
        },
    }  # fmt: skip


def _masses(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns advantage mass by sign over the run: in all, and per term before caps."""
    whole: dict[str, float] = {"positive": 0.0, "negative": 0.0}
    terms: dict[str, dict[str, float]] = {}
    for key, values in _named(metrics, "mass/").items():
        term, _, sign = key.rpartition("/")
        if sign not in whole:
            continue
        into = terms.setdefault(term, dict.fromkeys(whole, 0.0)) if term else whole
        into[sign] = float(sum(values))
    shares = [row.get("mass/all_fail_share") or 0.0 for row in metrics]
    return {**whole, "terms": terms, "all_fail_share": float(np.mean(shares))}


def _named(metrics: Sequence[Mapping[str, Any]], prefix: str) -> dict[str, list[float]]:
    keys = dict.fromkeys(key for row in metrics for key in row if key.startswith(prefix))
    return {
        key.removeprefix(prefix): [float(row.get(key) or 0.0) for row in metrics] for key in keys
    }


def _at_one(arm: Mapping[str, Any]) -> dict[str, Any]:
    at = {"pass_at_1": arm["pass_at_k"][0], "ci": arm["ci"][0], "all_fail": arm["all_fail"]}
    last = {"pass_at_last": arm["pass_at_k"][-1], "ci_last": arm["ci"][-1]}
    return {**at, **last, "answer_entropy": arm["answer_entropy"]}


def _gap(arm: Mapping[str, Any]) -> dict[str, Any]:
    gap = arm["difference"]
    return {**gap, "excludes_zero": gap["low"] > 0 or gap["high"] < 0}


def _against(measured: Mapping[str, Any], first: str, name: str, seed: int) -> dict[str, Any]:
    """Returns pass@1 of one arm less that of the first, in pairs over the same tasks."""
    theirs, ours = (
        np.array(measured["arms"][each]["passed"])[None, :] / measured["samples"]
        for each in (first, name)
    )
    gap = paired_difference(theirs, ours, rng=np.random.default_rng([seed, 2]), over="prompts")
    return {"arm": first, **asdict(gap), "excludes_zero": gap.excludes_zero}


def _page(out: Path, audited: Path) -> str | None:
    """Returns where an audit's page is, from the demo's folder."""
    page = page_of(audited)
    return None if page is None else page.relative_to(out).as_posix()
