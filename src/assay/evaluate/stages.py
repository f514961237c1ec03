"""What became of each domain of a run that trained them one after the other.

Every stage's last checkpoint, and the base, play the same held-out tasks of all domains.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64
from msgspec import structs

from assay.errors import UsageError
from assay.evaluate.run import Sampled, checkpoint_of, held_out
from assay.files.atomic import publish
from assay.kernels.transfer import backward_error, backward_transfer
from assay.rollout.progress import Progress
from assay.runs.config import Config
from assay.runs.folder import Folder
from assay.world.several import domains

SCHEMA: Final = "assay.stages/1"


def measured_stages(
    run: Path,
    *,
    samples: int | None = None,
    prompts: int | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> tuple[dict[str, Any], Path]:
    """Returns what was measured, schema "assay.stages/1", and the file that it was written to.

    Args:
        run: directory of a run that trained every domain once.
        samples: attempts at each held-out task. None: as its recipe says.
        prompts: held-out tasks of each domain. None: likewise.
        seed: of sampling.
        out: file. None: `stages.json` in the run.

    Raises:
        DataError: a stage's last checkpoint is gone.
        UsageError: the run has no stages, or not one of each domain.
    """
    folder = Folder.open(run)
    config, names = folder.config, domains(folder.config.env.name)
    stages = ended(list(folder.rows("metrics.jsonl")))
    if len(stages) < 2 or sorted(name for name, _ in stages) != sorted(names):
        raise UsageError(
            f"{run}: practised {', '.join(name for name, _ in stages) or 'no domain by itself'}; "
            f"expected each of {', '.join(names)} once, as with schedule.mode=exact"
        )
    samples = config.eval.samples if samples is None else samples
    prompts = config.eval.prompts if prompts is None else prompts
    whole = structs.replace(config.eval, prompts=prompts * len(names), samples=samples)
    config = structs.replace(config, eval=whole)  # held out, all
    checkpoints = [None, *(checkpoint_of(folder, step) for _, step in stages)]
    with Progress(len(checkpoints) * whole.prompts * samples, "attempts") as progress:
        rate_TBG = np.stack(
            [_played(config, each, (seed, at), progress) for at, each in enumerate(checkpoints)]
        )
    result = {**told(names, stages, rate_TBG), "samples": samples, "prompts": prompts, "seed": seed}
    path = out or run / "stages.json"
    publish(path, json.dumps(result, indent=1, allow_nan=False).encode() + b"\n")
    return result, path


def ended(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Returns the domains that a run practised by themselves, one after the other, each with the
    last step on it, from its metrics. A batch of several domains is none of these."""
    found = list[tuple[str, int]]()
    for row in rows:
        name, step = row.get("schedule/domain"), int(row["step"])
        if name is None:
            continue
        if found and found[-1][0] == name:
            found.pop()
        found.append((name, step))
    return found


def told(
    names: Sequence[str], stages: Sequence[tuple[str, int]], rate_TBG: Float64[np.ndarray, "T B G"]
) -> dict[str, Any]:
    """Returns the result: shares that pass by stage, the base first, and domain, both in the order
    of the stages; backward transfer and its standard error over tasks.

    Args:
        names: of the domains, as the second axis has them.
        stages: domain and last step of each.
        rate_TBG: of the base, and after each stage.
    """
    by_stage = rate_TBG[:, [names.index(name) for name, _ in stages]]
    mean_TB = by_stage.mean(2)
    return {
        "schema": SCHEMA,
        "stages": [{"domain": name, "step": step} for name, step in stages],
        "base": mean_TB[0].tolist(),
        "after": mean_TB[1:].tolist(),
        "own": np.diagonal(mean_TB[1:]).tolist(),
        "last": mean_TB[-1].tolist(),
        "error": (by_stage.std(2, ddof=1) / np.sqrt(by_stage.shape[2]))[1:].tolist(),
        "backward_transfer": backward_transfer(mean_TB[1:]),
        "backward_error": backward_error(by_stage[1:]),
    }


def sentences(result: Mapping[str, Any]) -> list[str]:
    """Returns what was measured, line by line."""
    said = list[str]()
    for at, stage in enumerate(result["stages"]):
        begun, own, last = (result[key][at] for key in ("base", "own", "last"))
        said.append(
            f"{stage['domain']}: {begun:.3f} before, {own:.3f} after its stage (step "
            f"{stage['step']}), {last:.3f} at the end"
        )
    return [
        *said,
        f"backward transfer {result['backward_transfer']:+.3f} \N{PLUS-MINUS SIGN} "
        f"{result['backward_error']:.3f}, its standard error over tasks",
    ]


def _played(
    config: Config, checkpoint: Path | None, chance: tuple[int, int], progress: Progress
) -> Float64[np.ndarray, "B G"]:
    """Returns the share that passes of each domain's held-out tasks."""
    from assay.rollout.backends.local import Transformers
    from assay.runs.sampling import of_config
    from assay.runs.start import opened
    from assay.world.catalogue import load

    many, asked = len(domains(config.env.name)), config.eval
    model, tokenizer = opened(config, checkpoint)
    environment = load(config.env.name, **config.env.dials)
    records = held_out(
        config,
        Transformers(model, tokenizer),
        prompts=asked.prompts,
        samples=asked.samples,
        seed=chance,
        watch=progress.attempt,
        protocol=of_config(config, tokenizer, environment, model),
    )
    pass_at = float(config.recipe.get("pass_at", 1.0))
    rate_G = Sampled.of(records, asked.prompts, pass_at).rate_SG[0]
    domain_G = (asked.first_task + np.arange(asked.prompts)) % many
    return np.stack([rate_G[domain_G == at] for at in range(many)])
