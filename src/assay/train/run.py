"""`assay train`: a configuration in, a run directory out; resumable after a kill at any moment."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from assay import __version__
from assay.errors import MissingExtraError, UsageError
from assay.records import Trajectory
from assay.rollout.progress import Progress
from assay.train.config import Config
from assay.train.folder import Folder, commit_of_code
from assay.train.ledger import check
from assay.world.catalogue import load as load_environment
from assay.world.environment import Environment

VERSIONED: Final = ("numpy", "torch", "transformers", "trl", "accelerate", "peft", "safetensors")


def start(config: Config, out: Path, *, seed: int) -> Folder:
    """Trains from the beginning and returns the run directory.

    Everything that can be refused is refused before the directory is made.

    Raises:
        UsageError: a name, a setting or `out` is wrong.
        MissingExtraError: the extra [train] is not installed.
        DataError: an environment or a disk failed on the way; the run can be resumed.
    """
    _imported()
    make = _environment(config)
    model, tokenizer = _policy(config, seed)
    about = {
        "assay": __version__,
        "title": config.about.title,
        "seed": seed,
        "versions": versions(),
        "commit": commit_of_code(),
    }
    folder = Folder.create(out, config, about=about)
    with folder.locked():
        _trained(folder, config, seed, model, tokenizer, make, resume=None)
    return folder


def resume(out: Path) -> Folder:
    """Goes on from the last whole checkpoint, or from the beginning if there is none.

    Raises:
        DataError: no run directory, or a checkpoint whose bytes changed.
        UsageError: another process trains there.
    """
    folder = Folder.open(out)
    config, about = folder.config, folder.about
    if about["status"] == "finished":
        return folder
    _imported()
    from assay.train import checkpoint

    with folder.locked():
        checkpoint.sweep(folder.checkpoints, upto=None)
        whole = checkpoint.committed(folder.checkpoints)
        step = whole[-1] if whole else 0
        at = checkpoint.verified(folder.checkpoints / f"step_{step}") if whole else None
        folder.cut_back(step)
        folder.update(step=step, status="running")
        make = _environment(config)
        model, tokenizer = _policy(config, int(about["seed"]))
        _trained(folder, config, int(about["seed"]), model, tokenizer, make, resume=at)
    return folder


def versions() -> dict[str, str]:
    """Returns the versions of what decides the numbers."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _imported() -> None:
    for name in ("torch", "transformers", "trl", "datasets", "safetensors"):
        try:
            __import__(name)
        except ImportError as error:
            missing = error.name or name
            raise MissingExtraError.of(missing, extra="train", to="assay train") from None


def _environment(config: Config) -> Callable[[], Environment]:
    def make() -> Environment:
        return load_environment(config.env.name, **config.env.dials)

    make()
    return make


def policy(config: Config) -> tuple[Any, Any]:
    """Returns the model that a configuration begins with, and its tokenizer.

    Raises:
        UsageError: no such model, or a tokenizer without a pad token and none is named.
    """
    from transformers import AutoTokenizer

    from assay.policy import loading

    model, tokenizer = loading.load(config.model.name)
    where = str(loading.folder()) if config.model.name == loading.START else config.model.name
    bare: Any = AutoTokenizer.from_pretrained(where)  # as it is: `load` fills in a pad token
    if bare.pad_token_id is None:
        named = config.model.pad_token
        if not named or tokenizer.convert_tokens_to_ids(named) in (None, tokenizer.unk_token_id):
            raise UsageError(
                f"model {config.model.name!r}: its tokenizer has no pad token; name one that it "
                f"knows: --set model.pad_token={tokenizer.eos_token!r}"
            )
        tokenizer.pad_token = named
    return model, tokenizer


def _policy(config: Config, seed: int) -> tuple[Any, Any]:
    import torch
    from transformers import set_seed

    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    set_seed(seed)  # adapters are initialised at random
    return policy(config)


def _trained(
    folder: Folder,
    config: Config,
    seed: int,
    model: Any,
    tokenizer: Any,
    make: Callable[[], Environment],
    *,
    resume: Path | None,
) -> None:
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from assay.train.loop import Rollouts, trainer_of

    with Progress(config.train.steps, "steps") as progress:
        if resume is not None:
            progress.say(f"resumed at {resume.name}")
            progress.begin(folder.about["step"])

        def watch(record: Trajectory) -> None:
            progress.seen(record)

        rollouts = Rollouts(config, seed, folder, make, watch)
        trainer = trainer_of(
            config,
            seed,
            folder,
            model,
            tokenizer,
            rollouts,
            say=progress.say,
            done=lambda _: progress.advance(),
        )
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    check(folder.rows("ledger.jsonl"))
    folder.update(step=config.train.steps, status="finished")
