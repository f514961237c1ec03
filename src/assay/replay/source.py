"""Where records and policy come from: a training run, or a log of an environment that is reset."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from assay.errors import DataError, UsageError
from assay.importers import load as load_log
from assay.policy.loading import START
from assay.records import ModelStep, Trajectory, read
from assay.replay.play import Player
from assay.rollout import Sampling, seed_of
from assay.rollout.chain import attributed
from assay.rollout.recording import task_name
from assay.runs.config import Config
from assay.runs.directory import is_training_run, records_of
from assay.runs.folder import Folder
from assay.runs.sections import Model as ModelSettings
from assay.world.catalogue import BUILT_IN
from assay.world.catalogue import load as load_environment
from assay.world.environment import Environment

ENOUGH: Final = 4
"""Decisions that a run's batches must hold for each one that is replayed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is replayed, and with which policy."""

    records: Sequence[Trajectory]
    make: Callable[[], Environment]
    config: Config
    checkpoint: Path | None
    """Weights. None: the policy that the run began with, or the one that is named."""
    sampling: Sampling
    about: Mapping[str, Any]
    out: Path | None
    """Where the result goes unless told otherwise."""
    pass_at: float
    said: str
    """In words, for people."""

    def player(self, *, samples: int, seed: int) -> Player:
        """Returns what continues the records; needs torch.

        It computes on one thread, so that the number of threads decides nothing.
        """
        import torch

        from assay.rollout.backends.local import Transformers
        from assay.runs.sampling import of_config
        from assay.runs.start import opened

        torch.set_num_threads(1)
        model, tokenizer = opened(self.config, self.checkpoint)
        protocol = of_config(self.config, tokenizer, self.make(), model)
        return Player(
            backend=Transformers(model, tokenizer),
            make=self.make,
            protocol=protocol,
            sampling=self.sampling,
            samples=samples,
            seed=seed,
        )


def of(
    path: Path,
    *,
    decisions: int,
    checkpoint: int | None = None,
    env: str | None = None,
    dials: Mapping[str, Any] | None = None,
    model: str | None = None,
) -> Source:
    """Returns what a path holds.

    Args:
        path: a training run, or a log; an audit's directory is the log that was audited.
        decisions: how many are wanted: of a run as many batches are read as hold several times it.
        checkpoint: of a run; 0 is the policy that it began with. None: the last.
        env: of a log: its environment. None: the embedded family that its records name.
        dials: of a log: settings of `env`.
        model: of a log: its policy. None: the one that ships.

    Raises:
        UsageError: options of the other kind, or an environment that is not the records'.
        DataError: no log, no checkpoint, or records that do not say how to start their tasks again.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    run = is_training_run(path)
    given = {"--env": env, "--model": model, "--set": dials or None} if run else {
        "--checkpoint": checkpoint}  # fmt: skip
    for name in (name for name, value in given.items() if value is not None):
        kind = "a training run says it itself" if run else "a log has none; name --model"
        raise UsageError(f"{name}: {kind}")
    source = _of_run(path, decisions, checkpoint) if run else _of_log(path, env, dials or {}, model)
    _check(source)
    return source


def _of_run(path: Path, decisions: int, step: int | None) -> Source:
    from assay.runs.checkpoint import committed, intact

    folder = Folder.open(path)
    config = folder.config
    whole = committed(folder.checkpoints)
    step = (whole[-1] if whole else 0) if step is None else step
    if step and step not in whole:
        known = ", ".join(map(str, [0, *whole]))
        raise DataError(f"{path}: no checkpoint of step {step}; there are {known}")
    records, first, last = _nearest(path / "rollouts", step, decisions * ENOUGH)
    if not records:
        raise DataError(f"{path}: no rollouts yet; expected at least one batch")
    name = f"the policy after step {step}" if step else "the policy that the run began with"
    return Source(
        records=records,
        make=partial(load_environment, config.env.name, **config.env.dials),
        config=config,
        checkpoint=intact(folder.checkpoints / f"step_{step}") if step else None,
        sampling=config.train.sampling,
        about={
            "env": config.env.name,
            "config": config.sha256,
            "checkpoint": step,
            "batches": [first, last],
        },
        out=path / "replay",
        pass_at=float(config.recipe.get("pass_at", 1.0)),
        said=f"{len(records):,} trajectories of batches {first} to {last}, continued by {name}",
    )


def _nearest(folder: Path, step: int, wanted: int) -> tuple[list[Trajectory], int, int]:
    """Returns the records of the batches that are nearest to a policy, with the first and last
    step: the batch of step n + 1 is the one that the policy after step n sampled."""
    numbered = {int(each.stem.removeprefix("step_")): each for each in folder.glob("step_*.jsonl")}
    taken: dict[int, list[Trajectory]] = {}
    held = 0
    for at in sorted(numbered, key=lambda n: (abs(n - step - 1), n)):
        taken[at] = list(read(numbered[at]))
        held += sum(type(s) is ModelStep for record in taken[at] for s in record.steps)
        if held >= wanted:
            break
    order = sorted(taken)
    records = [record for at in order for record in taken[at]]
    return records, min(order, default=0), max(order, default=0)


def _of_log(path: Path, env: str | None, dials: Mapping[str, Any], model: str | None) -> Source:
    records = list(load_log(records_of(path))[1])
    if not records:
        raise DataError(f"{path}: no trajectory in it; expected at least one")
    if env is None:
        env, dials = _recorded(records[0], dials)
    config = Config(model=ModelSettings(name=model or START))
    return Source(
        records=records,
        make=partial(load_environment, env, **dials),
        config=config,
        checkpoint=None,
        sampling=Sampling(),
        about={"env": env, "dials": dict(dials), "model": config.model.name, "log": path.name},
        out=None,
        pass_at=1.0,
        said=f"{len(records):,} trajectories, continued by {config.model.name}",
    )


def _recorded(record: Trajectory, dials: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns family and dials of a record, as rollouts write them."""
    extra = record.origin.extra if record.origin else {}
    family = extra.get("family", "")
    if family not in BUILT_IN:
        named = f"origin.extra['family'] is {family!r}" if family else "no origin.extra['family']"
        raise UsageError(
            f"trajectory {record.id!r}: {named}; expected one of {', '.join(BUILT_IN)}, or an "
            "environment named with --env, as gymnasium:FrozenLake-v1"
        )
    try:
        return family, {**json.loads(extra.get("dials", "{}")), **dials}
    except (ValueError, TypeError):
        said = extra.get("dials")
        raise DataError(
            f"trajectory {record.id!r}: origin.extra['dials'] is {said!r}; expected a JSON object"
        ) from None


def _check(source: Source) -> None:
    """Refuses records of another environment than the one that is made; those that nobody scored
    are never replayed, and may be of any."""
    environment = source.make()
    scored = [record for record in source.records if record.outcome is not None]
    for record in scored or source.records[:1]:
        seed = seed_of(record)
        with attributed(environment, seed, "its title or dials"):
            made = task_name(environment, seed)
        if made != record.task:
            raise UsageError(
                f"trajectory {record.id!r} is of task {record.task}; the environment makes {made}: "
                "give its name and dials with --env and --set, and a log of it alone"
            )
