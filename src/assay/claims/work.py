"""Runs one cell: trains, measures its checkpoints on held-out tasks, keeps one row. Needs torch."""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.claims.cells import BASE, Cell, Scale
from assay.claims.results import Row
from assay.runs.config import Config, Env, parsed


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
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
    row = _untrained(cell, scale) if cell.arm in BASE else _trained(cell, scale, folder)
    return replace(row, seconds=time.monotonic() - began, about={**about, **row.about})


def _untrained(cell: Cell, scale: Scale) -> Row:
    """Measures the starting policy."""
    config = parsed(replace(cell, arm="grpo").tables(scale))
    about: dict[str, Any] = {}
    if (cell.env, cell.start, cell.arm) == ("lookup", "weak", "base"):
        changed = squeezing(scale)
        about["squeezing"] = {name: intervals(changes) for name, changes in changed.items()}
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
        tokens=tokens[max(tokens)],
        spent={str(step): tokens[step] for step in steps},
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
        env=Env(cell.level),
    )
    scores = [record.outcome == 1.0 for record in played]
    return np.array(scores).reshape(scale.held_out, scale.samples).sum(1).tolist()


def squeezing(scale: Scale, seed: int = 0) -> dict[str, list[list[float]]]:
    """Returns changes of entropy (nats), by task, when the policy's own tokens are pushed down.

    "rare": tokens with pi < 0.05; "likely": pi > 0.5. Positions are those of sampled attempts at
    `lookup/hard`; those at which nothing else is possible (pi > 0.999) are left out.
    """
    import torch

    from assay.claims.squeezing import pushed_down
    from assay.records import ModelStep
    from assay.rollout.backends.local import Transformers
    from assay.rollout.chain import collect, tasks
    from assay.runs.start import opened
    from assay.world import load

    cell = Cell(env="lookup", start="weak", arm="grpo", seed=seed)
    config = parsed(cell.tables(scale))
    model, tokenizer = opened(config, None)
    first = config.eval.first_task
    attempts = tasks(lambda: load(cell.level), range(first, first + scale.held_out), 8)
    found: dict[str, dict[str, list[float]]] = {"rare": {}, "likely": {}}
    backend = Transformers(model, tokenizer)
    for record in collect(backend, attempts, sampling=config.train.sampling, seed=(seed, 0, 0)):
        ids = [i for step in record.steps for i in getattr(step, "token_ids", None) or ()]
        own = [
            type(step) is ModelStep
            for step in record.steps
            for _ in getattr(step, "token_ids", None) or ()
        ]
        at = [place for place in range(1, len(ids)) if own[place]]
        with torch.no_grad():
            given = torch.tensor([ids], device=model.device)
            logits = model(input_ids=given).logits[0].double().cpu().numpy()
        before = [place - 1 for place in at]
        pi_N, change_N = pushed_down(logits[before], np.array([ids[place] for place in at]))
        for which, at_N in (("rare", pi_N < 0.05), ("likely", (pi_N > 0.5) & (pi_N < 0.999))):
            found[which].setdefault(record.group, []).extend(change_N[at_N].tolist())
    return {which: [*by_task.values()] for which, by_task in found.items()}


def intervals(changes: Sequence[Sequence[float]], draws: int = 10_000) -> list[float]:
    """Returns mean, low, high (95 %, tasks resampled with all their positions) and how many there
    are. `changes`: by task."""
    sum_G, count_G = (np.array([of(each) for each in changes], float) for of in (sum, len))
    if not count_G.sum():
        return [0.0, 0.0, 0.0, 0.0]
    rng = np.random.default_rng(0)
    weight_DG = rng.multinomial(len(changes), np.full(len(changes), 1 / len(changes)), draws)
    count_D = weight_DG @ count_G
    means = (weight_DG @ sum_G)[count_D > 0] / count_D[count_D > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return [float(sum_G.sum() / count_G.sum()), float(low), float(high), float(count_G.sum())]
