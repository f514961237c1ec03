"""Runs one cell: trains, measures its checkpoints on held-out tasks, keeps one row. Needs torch."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.claims.behaviour import behaviour
from assay.claims.cells import BASE, Cell, Scale
from assay.claims.results import Row
from assay.runs.config import Config, parsed
from assay.runs.sections import Env

Beside = Callable[[Cell, Scale], Mapping[str, Any]]
"""What else the row of an untrained cell says; it must be importable by name, for a worker."""


def work(cell: Cell, scale: Scale, folder: Path, beside: Beside | None = None) -> Row:
    """Returns what a cell comes to. Its run directory is kept without its checkpoints."""
    import torch

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch.set_num_threads(1)
    began = time.monotonic()
    about: dict[str, Any] = {
        "scale": scale.name,
        "steps": scale.steps * cell.length,
        "prompts": scale.prompts,
    }
    if cell.arm in BASE:
        row = _untrained(cell, scale, beside(cell, scale) if beside else {})
    else:
        row = _trained(cell, scale, folder)
    return replace(row, seconds=time.monotonic() - began, about={**about, **row.about})


def _untrained(cell: Cell, scale: Scale, about: Mapping[str, Any]) -> Row:
    """Measures the starting policy."""
    config = parsed(replace(cell, arm="grpo").tables(scale))
    passed = {"0": measured(config, None, cell)}
    about = {**about, **_elsewhere(config, None, cell, scale)}
    return Row(cell.data(), passed, config.eval.samples, about=about)


def _trained(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Trains, and measures every checkpoint."""
    from assay.runs.start import start

    config, where = parsed(cell.tables(scale)), folder / cell.key
    shutil.rmtree(where, ignore_errors=True)  # a cell is run whole or not at all
    run = start(config, where, seed=cell.seed)
    steps = sorted(int(each.name.removeprefix("step_")) for each in run.checkpoints.iterdir())
    passed = {str(step): measured(config, run.checkpoints / f"step_{step}", cell) for step in steps}
    last = run.checkpoints / f"step_{steps[-1]}"
    other = _elsewhere(config, last, cell, scale)
    shutil.rmtree(run.checkpoints)
    rows = list(run.rows("metrics.jsonl"))
    late = [row["entropy"] for row in rows[-max(len(rows) // 4, 1) :]]
    tokens = {int(row["step"]): int(row["tokens_generated"]) for row in rows}
    return Row(
        cell.data(),
        passed,
        config.eval.samples,
        entropy=float(np.mean([each for each in late if each is not None])),
        dead_share=float(np.mean([row["dead_share"] for row in rows])),
        dose=rows[-1]["dose/total"],
        tokens=tokens[max(tokens)],
        spent={str(step): tokens[step] for step in steps},
        about={"behaviour": behaviour(run.path / "rollouts"), **other},
    )


def measured(
    config: Config, checkpoint: Path | None, cell: Cell, env: Env | None = None, samples: int = 0
) -> list[int]:
    """Returns the passes of each held-out task of an environment in so many attempts.

    None: of the cell's level, whatever a wrapper made of it in training; 0: those of the run.
    """
    from assay.evaluate.run import held_out
    from assay.rollout.backends.local import Transformers
    from assay.runs.start import opened

    # every policy has chance of its own: a shared one would make a frozen copy look identical
    chance = sum(cell.key.encode()) * 1009 + (0 if checkpoint is None else 1)
    own = config.env if config.env.name == cell.level else Env(cell.level)
    prompts, samples = config.eval.prompts, samples or config.eval.samples
    played = held_out(
        config,
        Transformers(*opened(config, checkpoint)),
        prompts=prompts,
        samples=samples,
        seed=(cell.seed, chance),
        env=env or own,
    )
    scores = [record.outcome == 1.0 for record in played]
    return np.array(scores).reshape(prompts, samples).sum(1).tolist()


def _elsewhere(config: Config, checkpoint: Path | None, cell: Cell, scale: Scale) -> dict[str, Any]:
    """Returns what the policy comes to on tasks of another family, where the scale names one."""
    if not scale.other:
        return {}
    passed = measured(config, checkpoint, cell, Env(scale.other), scale.samples)
    return {"other": {"level": scale.other, "passed": passed, "samples": scale.samples}}
