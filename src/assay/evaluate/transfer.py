"""What training one task does to the others, measured from runs; and the order that follows.

Every run is of one task. Its checkpoint and the base that all began with play the held-out tasks of
every run's environment: K runs, K (K + 1) measurements.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from assay.errors import UsageError
from assay.evaluate.run import Sampled, checkpoint_of, held_out
from assay.files.atomic import publish
from assay.kernels.transfer import MOST, plan
from assay.report.transfer import page
from assay.rollout.progress import Progress
from assay.runs.config import Config
from assay.runs.folder import Folder

SCHEMA: Final = "assay.schedule/1"
Rates = Float64[np.ndarray, "B G"]


def measured_plan(
    runs: Sequence[Path],
    *,
    samples: int | None = None,
    prompts: int | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> tuple[dict[str, Any], Path]:
    """Returns the plan, schema "assay.schedule/1", and the folder that it was written to.

    Args:
        runs: run directories, one of each task, all of one base.
        samples: attempts at each held-out task. None: as the first run's recipe says.
        prompts: held-out tasks of each environment. None: likewise.
        seed: of sampling.
        out: None: `schedule` in the first run.

    Raises:
        DataError: a run has no whole checkpoint.
        UsageError: fewer than two runs, more than 15, two of one environment, or other bases.
    """
    if not 2 <= len(runs) <= MOST:
        raise UsageError(f"schedule: {len(runs)} runs; expected 2 to {MOST}, one of each task")
    folders = [Folder.open(path) for path in runs]
    configs = [folder.config for folder in folders]
    names = _names(runs, configs)
    checkpoints = [None, *(checkpoint_of(folder, None) for folder in folders)]
    samples = configs[0].eval.samples if samples is None else samples
    prompts = configs[0].eval.prompts if prompts is None else prompts
    many = len(runs) * len(checkpoints) * samples * prompts
    with Progress(many, "attempts") as progress:
        play = _playing(configs, samples, prompts, seed, progress)
        base, *trained = [play(at, checkpoint) for at, checkpoint in enumerate(checkpoints)]
    result = planned(names, base, trained)
    result |= {"samples": samples, "prompts": prompts, "seed": seed, "model": configs[0].model.name}
    folder = out or runs[0] / "schedule"
    publish(
        folder / "schedule.json", json.dumps(result, indent=1, allow_nan=False).encode() + b"\n"
    )
    publish(folder / "transfer.html", page(result).encode())
    return result, folder


def planned(names: Sequence[str], base: Rates, trained: Sequence[Rates]) -> dict[str, Any]:
    """Returns transfers with their standard errors, the best order and what it should end with.

        gain[a, b] = mean over tasks of  rate after a - rate before,   error: over tasks, paired

    Args:
        names: of the environments, B of them.
        base: share that passes before training, by environment and held-out task.
        trained: the same after training each environment alone.
    """
    change_ABG = np.stack(trained) - base
    gain_AB = change_ABG.mean(2)
    error_AB = change_ABG.std(2, ddof=1) / np.sqrt(change_ABG.shape[2])
    star_B = np.diagonal(np.stack(trained).mean(2)).copy()
    made = plan(star_B, gain_AB, error_AB)
    return {
        "schema": SCHEMA,
        "tasks": list(names),
        "base": base.mean(1).tolist(),
        "alone": star_B.tolist(),
        "gain": gain_AB.tolist(),
        "error": error_AB.tolist(),
        "order": [names[at] for at in made.order],
        "finals": made.final_B.tolist(),
        "over_random": {"value": made.gain, "low": made.low, "high": made.high},
        "backward_transfer": made.backward,
    }


def _playing(
    configs: Sequence[Config], samples: int, prompts: int, seed: int, progress: Progress
) -> Callable[[int, Path | None], Rates]:
    """Returns what plays the held-out tasks of all runs with a checkpoint, or with the base."""
    from assay.rollout.backends.local import Transformers
    from assay.runs.sampling import of_config
    from assay.runs.start import opened
    from assay.world.catalogue import load

    def play(at: int, checkpoint: Path | None) -> Rates:
        model, tokenizer = opened(configs[max(at - 1, 0)], checkpoint)
        rates = list[Any]()
        for b, config in enumerate(configs):
            environment = load(config.env.name, **config.env.dials)
            records = held_out(
                config,
                Transformers(model, tokenizer),
                prompts=prompts,
                samples=samples,
                seed=(seed, at * len(configs) + b),
                watch=progress.attempt,
                protocol=of_config(config, tokenizer, environment, model),
            )
            pass_at = float(config.recipe.get("pass_at", 1.0))
            rates.append(Sampled.of(records, prompts, pass_at).rate_SG[0])
        return np.stack(rates)

    return play


def _names(runs: Sequence[Path], configs: Sequence[Config]) -> list[str]:
    names = [config.env.name for config in configs]
    for path, config in zip(runs, configs, strict=True):
        if names.count(config.env.name) > 1:
            raise UsageError(
                f"{path}: another run trains {config.env.name} too; give one run of each task"
            )
        if config.model.name != configs[0].model.name:
            raise UsageError(
                f"{path}: began with {config.model.name}, {runs[0]} with {configs[0].model.name}; "
                "transfers are of one base"
            )
    return names
