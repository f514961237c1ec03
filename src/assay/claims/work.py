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
    passed = {"0": measured(config, None, cell, scale)}
    return Row(cell.data(), passed, scale.samples, about=about)


def _trained(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Trains, and measures every checkpoint."""
    from assay.runs.start import start

    config, where = parsed(cell.tables(scale)), folder / cell.key
    shutil.rmtree(where, ignore_errors=True)  # a cell is run whole or not at all
    run = start(config, where, seed=cell.seed)
    steps = sorted(int(each.name.removeprefix("step_")) for each in run.checkpoints.iterdir())
    passed = {
        str(step): measured(config, run.checkpoints / f"step_{step}", cell, scale) for step in steps
    }
    shutil.rmtree(run.checkpoints)
    rows = list(run.rows("metrics.jsonl"))
    late = [row["entropy"] for row in rows[-max(len(rows) // 4, 1) :]]
    tokens = {int(row["step"]): int(row["tokens_generated"]) for row in rows}
    return Row(
        cell.data(),
        passed,
        scale.samples,
        entropy=float(np.mean([each for each in late if each is not None])),
        dead_share=float(np.mean([row["dead_share"] for row in rows])),
        dose=rows[-1]["dose/total"],
        tokens=tokens[max(tokens)],
        spent={str(step): tokens[step] for step in steps},
        about={"behaviour": behaviour(run.path / "rollouts")},
    )


def measured(config: Config, checkpoint: Path | None, cell: Cell, scale: Scale) -> list[int]:
    """Returns the passes of each held-out task, on the environment whose verifier does not err."""
    from assay.evaluate.run import held_out
    from assay.rollout.backends.local import Transformers
    from assay.runs.start import opened

    # every policy has chance of its own: a shared one would make a frozen copy look identical
    chance = sum(cell.key.encode()) * 1009 + (0 if checkpoint is None else 1)
    played = held_out(
        config,
        Transformers(*opened(config, checkpoint)),
        prompts=scale.held_out,
        samples=scale.samples,
        seed=(cell.seed, chance),
        env=Env(cell.level) if cell.false_negatives else config.env,
    )
    scores = [record.outcome == 1.0 for record in played]
    return np.array(scores).reshape(scale.held_out, scale.samples).sum(1).tolist()
