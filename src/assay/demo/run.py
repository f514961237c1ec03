"""`assay demo`: audit, train, measure, one page; run again after an interruption it goes on."""

import json
from collections.abc import Callable
from importlib.resources import as_file
from pathlib import Path
from typing import Any

from assay.demo import RECORDED
from assay.demo.arms import Arm, train
from assay.demo.plan import Plan, opened
from assay.demo.results import gathered
from assay.files.atomic import publish
from assay.policy.loading import check_installed
from assay.runs.audit import audit_log


def run(plan: Plan, out: Path, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Returns the demo's result, schema "assay.demo/1"; does what of it is not done yet.

    Raises:
        UsageError: `out` holds something else, or a demo of another plan.
        MissingExtraError: the extra [train] is not installed.
        DataError: an arm failed; the demo can be resumed.
    """
    done = out / "report.json"
    check_installed("assay demo", "; assay demo --audit-only runs without it")
    opened(plan, out)
    if done.is_file() and (out / "report.html").is_file():
        say("finished before; remove the folder to run it anew")
        return json.loads(done.read_bytes())
    if not (out / "recorded" / "run.json").is_file():
        say("1/4  audit of the recorded set")
        with as_file(RECORDED) as log:
            audit_log(log, out=out / "recorded")
    train_ = plan.config.train
    tokens = plan.config.rollout.budget_tokens
    ends = f"{tokens:,} sampled tokens each" if tokens else f"{train_.steps} steps each"
    say(
        f"2/4  {' and '.join(plan.arms)} side by side: {ends}, in batches of "
        f"{train_.prompts} x {train_.group} trajectories on {plan.config.env.name}"
    )
    train([Arm(name, out, plan.seed, tokens, train_.steps) for name in plan.arms])
    _measured(plan, out, say)
    say("4/4  report")
    from assay.demo.page import page

    result = gathered(plan, out)
    figure = (out / "eval" / "pass_at_k.svg").read_bytes()
    publish(out / "report.html", page(result, figure).encode())
    publish(done, json.dumps(result, indent=1, allow_nan=False).encode() + b"\n")
    return result


def _measured(plan: Plan, out: Path, say: Callable[[str], None]) -> None:
    if (out / "eval" / "eval.json").is_file() and (out / "eval" / "pass_at_k.svg").is_file():
        return
    eval_ = plan.config.eval
    say(
        f"3/4  base, {', '.join(plan.arms)} and a frozen copy of the base on "
        f"{eval_.prompts} held-out tasks x {eval_.samples}"
    )
    import torch

    from assay.evaluate.run import evaluate_runs

    if plan.config.train.threads:  # more of them wait for each other where a core is shared
        torch.set_num_threads(plan.config.train.threads)
    runs = [out / name for name in plan.arms]
    evaluate_runs(runs, seed=plan.seed, small=eval_.samples < 2, out=out / "eval")
