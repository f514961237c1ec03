"""The same recipe on verl and TRL, on CPU, from the shipped policy; the plug-in's share of a step.

    python benchmarks/verl_cpu.py [--seeds 0 1 2] [--steps 20] [--work build/verl]

Needs .venv-verl (make .venv-verl/verl) beside the environment that runs it. Each seed trains both
engines on `lookup/even` with one recipe file, one learning rate and one number of trajectories, and
plays 64 held-out tasks, 16 times each, with base and both policies. What is done already in --work
is not done again. Three seeds of 20 steps take about 20 minutes on two cores.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from measure import Ratio, publish  # noqa: E402

RECIPE = """[recipe]
gates = ["integrity"]
[[recipe.methods]]
name = "grpo"
[[recipe.methods]]
name = "gigpo"
returns = "evidence"
weight = 0.3
[recipe.safety]
cap = 3.0
[recipe.safety.entropy]
"""
TRL = """
[env]
name = "lookup/even"
[train]
steps = {steps}
prompts = {prompts}
group = {group}
learning_rate = {rate}
micro = 16
max_tokens = 160
turn_tokens = 32
threads = 1
save_every = {steps}
"""
PROMPTS, GROUP, RATE = 16, 8, 3e-4
TASKS, SAMPLES, FIRST = 64, 16, 1_000_000
SHARE = 0.02
"""Of a step of verl's, what our part may take."""


def by_verl(work: Path, steps: int, seed: int) -> dict[str, Any]:
    """Trains under verl; returns policy, curve and times."""
    from tests.trainers.verl.command import python, training

    folder = work / f"verl_{seed}"
    said = folder / "said.txt"
    if not said.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (work / "recipe.toml").write_text(RECIPE)
        words = training(
            folder,
            f"+assay.recipe={work / 'recipe.toml'}",
            f"data.train_batch_size={PROMPTS}",
            f"data.seed={seed}",
            f"actor_rollout_ref.rollout.seed={seed}",
            f"actor_rollout_ref.rollout.n={GROUP}",
            f"actor_rollout_ref.actor.optim.lr={RATE}",
            "actor_rollout_ref.actor.optim.weight_decay=0.0",
            f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
            "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
            f"trainer.total_training_steps={steps}",
            f"trainer.save_freq={steps}",
        )
        text = python(words, timeout=3600, executable=ROOT / ".venv-verl" / "bin" / "python")
        said.write_text(text)
    text = said.read_text()
    times = {
        name: [float(each) for each in re.findall(rf"timing_s/{name}:([0-9.e+-]+)", text)]
        for name in ("step", "assay")
    }
    policy = folder / "checkpoints" / f"global_step_{steps}" / "actor" / "huggingface"
    return {"policy": policy, "curve": curve(folder / "log"), "times": times}


def by_trl(work: Path, steps: int, seed: int) -> dict[str, Any]:
    """Trains by `assay train`; returns policy and curve."""
    folder, recipe = work / f"trl_{seed}", work / "train.toml"
    settings = TRL.format(steps=steps, prompts=PROMPTS, group=GROUP, rate=RATE)
    policy = folder / "checkpoints" / f"step_{steps}"
    if not policy.is_dir():
        recipe.write_text(RECIPE + settings)
        command = [sys.executable, "-m", "assay", "train", recipe, "-o", folder, "--seed", seed]
        subprocess.run([str(each) for each in command], check=True, stdout=subprocess.DEVNULL)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {"policy": policy, "curve": [row["pass_rate"] for row in rows]}


def curve(log: Path) -> list[float]:
    """Returns the share of each step's trajectories that passed."""
    from assay.records import read

    return [
        float(np.mean([(each.outcome or 0.0) >= 1.0 - 1e-6 for each in read(path)]))
        for path in sorted(log.glob("step_*.jsonl"))
    ]


def rates(policy: str, kept: Path) -> np.ndarray:
    """Returns the pass rate of each held-out task; played once."""
    from assay.policy.loading import load
    from assay.rollout import Sampling, collect
    from assay.rollout.backends.local import Transformers
    from assay.rollout.chain import tasks
    from assay.world import catalogue

    if kept.is_file():
        return np.array(json.loads(kept.read_text()))
    model, tokenizer = load(policy)
    planned = tasks(lambda: catalogue.load("lookup/even"), range(FIRST, FIRST + TASKS), SAMPLES)
    sampling = Sampling(max_tokens=160, turn_tokens=32)
    played = collect(Transformers(model, tokenizer), planned, sampling=sampling, seed=(0,))
    passed = np.array([(each.outcome or 0.0) >= 1.0 - 1e-6 for each in played])
    found = passed.reshape(TASKS, SAMPLES).mean(1)
    kept.write_text(json.dumps(found.tolist()))
    return found


def difference(first: list[np.ndarray], second: list[np.ndarray]) -> dict[str, float]:
    """Returns second less first with its 95 % interval over seeds and tasks."""
    from assay.evaluate.intervals import paired_difference

    rng = np.random.default_rng(0)
    seen = paired_difference(np.stack(first), np.stack(second), rng=rng, over="both")
    return {"value": seen.value, "low": seen.low, "high": seen.high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "verl")
    given = parser.parse_args()
    work: Path = given.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    base = rates("start", work / "base.json")
    arms: dict[str, list[np.ndarray]] = {"verl": [], "trl": []}
    curves: dict[str, list[list[float]]] = {"verl": [], "trl": []}
    shares: list[float] = []
    seconds: list[float] = []
    for seed in given.seeds:
        for name, train in (("verl", by_verl), ("trl", by_trl)):
            made = train(work, given.steps, seed)
            arms[name].append(rates(str(made["policy"]), work / f"{name}_{seed}.json"))
            curves[name].append(made["curve"])
            print(f"seed {seed} {name}: pass@1 {arms[name][-1].mean():.3f}", flush=True)
            if name == "verl":
                own, step = made["times"]["assay"], made["times"]["step"]
                shares.append(sum(own[1:]) / sum(step[1:]))  # the first step warms up
                seconds.append(float(np.median(step)))
    same = [base] * len(given.seeds)
    gains = {name: difference(same, found) for name, found in arms.items()}
    apart = difference(arms["trl"], arms["verl"])
    publish(
        "verl",
        [
            Ratio("verl over base, low end of 95 %", gains["verl"]["low"], 0.0, "at least"),
            Ratio("verl less TRL, low end of 95 %", apart["low"], 0.0, "at most"),
            Ratio("verl less TRL, high end of 95 %", apart["high"], 0.0, "at least"),
            Ratio("the plug-in's share of a step", max(shares), SHARE, "at most"),
        ],
        base=float(base.mean()),
        gains=gains,
        verl_less_trl=apart,
        curves=curves,
        step_seconds=seconds,
        shares=shares,
        seeds=given.seeds,
        steps=given.steps,
        trajectories_a_step=PROMPTS * GROUP,
    )  # fmt: skip


if __name__ == "__main__":
    main()
