"""`assay train`: a configuration in, a run directory out; resumable after a kill at any moment."""

import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from assay import __version__
from assay.errors import AssayError, MissingExtraError, UsageError, told
from assay.recipes.recipe import Recipe
from assay.records import Trajectory
from assay.rollout.progress import Progress
from assay.rollout.protocols.base import Protocol
from assay.rollout.protocols.line import Line
from assay.runs.config import Config
from assay.runs.folder import Folder, commit_of_code
from assay.runs.ledger import check
from assay.runs.sampling import of_config, promised
from assay.trainers.trl.compatibility import fit
from assay.trainers.trl.metrics import TRACKERS, trackers
from assay.world.catalogue import load as load_environment
from assay.world.environment import Environment

VERSIONED: Final = ("numpy", "torch", "transformers", "trl", "accelerate", "peft", "safetensors")


def start(config: Config, out: Path, *, seed: int) -> Folder:
    """Trains from the beginning and returns the run directory.

    What can be refused is refused before the directory is made; what only TRL's trainer refuses
    takes it away again.

    Raises:
        UsageError: a name, a setting or `out` is wrong.
        MissingExtraError: the extra [train] is not installed.
        DataError: an environment or a disk failed on the way; the run can be resumed.
    """
    _imported()
    if _is_main():
        Folder.vacant(out)
    make = _environment(config)
    checked(config, seed, out)
    model, tokenizer = _policy(config, seed)
    protocol = of_config(config, tokenizer, make(), model)
    probe = _probe(config, make, protocol)
    about = {
        "assay": __version__,
        "title": config.about.title,
        "seed": seed,
        "versions": versions(),
        "commit": commit_of_code(),
    }
    folder = Folder.create(out, config, about=about) if _is_main() else Folder(out)
    _together()
    with folder.locked() if _is_main() else nullcontext():
        try:
            _trained(folder, config, seed, model, tokenizer, make, protocol, probe, resume=None)
        except UsageError:
            if _is_main() and not any(folder.rows("ledger.jsonl")):  # refused before anything
                shutil.rmtree(folder.path)
            raise
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
    from assay.runs import checkpoint

    with folder.locked() if _is_main() else nullcontext():
        if _is_main():
            checkpoint.sweep(folder.checkpoints, upto=None, keep=config.train.keep)
        _together()
        whole = checkpoint.committed(folder.checkpoints)
        step = whole[-1] if whole else 0
        at = checkpoint.intact(folder.checkpoints / f"step_{step}") if whole else None
        if _is_main():
            folder.cut_back(step)
            folder.update(step=step, status="running")
        _together()
        make = _environment(config)
        model, tokenizer = _policy(config, int(about["seed"]))
        protocol = of_config(config, tokenizer, make(), model)
        probe = _probe(config, make, protocol)
        seed = int(about["seed"])
        _trained(folder, config, seed, model, tokenizer, make, protocol, probe, resume=at)
    return folder


def _is_main() -> bool:
    from assay.runs.loop import processes

    return processes().is_main_process


def _together() -> None:
    """Waits for the other processes, where there are any."""
    from assay.runs.loop import processes

    processes().wait_for_everyone()


def part() -> None:
    """Takes leave of the other processes, all at once; for the end of a program.

    A process that just ends, with its connections open, can abort one that is still at its end.
    """
    if "torch" not in sys.modules:  # nothing was trained
        return
    from assay.runs.loop import processes

    _together()
    processes().destroy_process_group()


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
    for name in ("torch", "transformers", "trl", "datasets", "safetensors", "peft"):
        try:
            __import__(name)
        except ImportError as error:
            missing = error.name or name
            raise MissingExtraError.of(missing, extra="train", to="assay train") from None


def checked(config: Config, seed: int, out: Path) -> None:
    """Lets TRL refuse what it would refuse, before anything is written."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from assay.runs.loop import arguments

        args = arguments(config, seed, out)
    fit(Recipe.of(config.recipe), args, config.train.loss)
    if args.eval_strategy != "no":
        raise UsageError(
            "trl.eval_strategy: nothing is evaluated while a run trains; leave it out, and give "
            "the run to assay eval"
        )
    for name in [args.report_to] if isinstance(args.report_to, str) else args.report_to or []:
        if name in TRACKERS and name not in trackers():
            raise MissingExtraError(
                f"trl.report_to={name!r} needs {name}, which is not installed: pip install {name}"
            )
        _reported(name)


def _reported(name: str) -> None:
    """Lets transformers refuse a tracker as the trainer would be refused it, by trying it on."""
    from transformers.integrations.integration_utils import get_reporting_integration_callbacks

    try:
        for callback in get_reporting_integration_callbacks(name):
            callback()
    except (ImportError, RuntimeError, ValueError) as error:
        raise UsageError(f"trl.report_to={name!r} is refused: {told(error)}") from None


def _environment(config: Config) -> Callable[[], Environment]:
    def make() -> Environment:
        return load_environment(config.env.name, **config.env.dials)

    make()
    return make


def policy(config: Config) -> tuple[Any, Any]:
    """Returns the model that a configuration begins with, and its tokenizer.

    Raises:
        UsageError: no such model, a tokenizer without a pad token and none is named, or arguments
            for a chat template that it does not have.
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
    if config.model.template:
        if getattr(tokenizer, "chat_template", None) is None:
            raise UsageError(
                f"model.template: the tokenizer of {config.model.name!r} has no chat template; "
                "leave it out"
            )
        filled = partial(tokenizer.apply_chat_template, **config.model.template)
        tokenizer.apply_chat_template = filled
    Line(tokenizer).prompt("?")  # a template that refuses it is refused here
    return model, tokenizer


def opened(config: Config, checkpoint: Path | None) -> tuple[Any, Any]:
    """Returns the policy of a configuration, with the weights of a checkpoint. None: its base.

    It is on the GPU where there is one, in 32-bit floats.
    """
    _imported()
    from assay.policy.loading import device

    model, tokenizer = policy(config)
    if checkpoint is not None:
        from assay.runs.checkpoint import load_model

        model = adapted(model, config)
        load_model(model, checkpoint)
    return model.to(device()).eval(), tokenizer


def adapted(model: Any, config: Config) -> Any:
    """Returns the model with the adapters that a configuration trains, if it does."""
    if not config.model.lora:
        return model
    from peft import get_peft_model

    from assay.runs.loop import adapters

    return get_peft_model(model, adapters(config))


def _policy(config: Config, seed: int) -> tuple[Any, Any]:
    import torch
    from transformers import set_seed

    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    set_seed(seed)  # adapters are initialised at random
    return policy(config)


def _probe(config: Config, make: Callable[[], Environment], protocol: Protocol) -> Sequence[Any]:
    """Returns known-good trajectories of the first training tasks."""
    from assay.runs.probe import known_good

    train = config.train
    tasks = range(train.first_task, train.first_task + min(train.probe, train.pool))
    return known_good(make, protocol, tasks, longest=train.max_length)


def _trained(
    folder: Folder,
    config: Config,
    seed: int,
    model: Any,
    tokenizer: Any,
    make: Callable[[], Environment],
    protocol: Protocol,
    probe: Sequence[Any],
    *,
    resume: Path | None,
) -> None:
    from assay.runs.loop import Rollouts, trainer_of

    console = None if _is_main() else Console(quiet=True)
    with Progress(config.train.steps, "steps", console=console) as progress:
        if resume is not None:
            progress.say(f"resumed at {resume.name}")
            progress.begin(folder.about["step"])

        def watch(record: Trajectory) -> None:
            progress.seen(record)

        for line in promised(config, protocol):
            progress.say(line)
        rollouts = Rollouts(config, seed, folder, make, watch, protocol)
        with _refusals():
            trainer = trainer_of(
                config,
                seed,
                folder,
                model,
                tokenizer,
                rollouts,
                probe=probe,
                say=progress.say,
                done=lambda _: progress.advance(),
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # between TRL and transformers
            trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    if _is_main():
        check(folder.rows("ledger.jsonl"))
        folder.update(step=config.train.steps, status="finished")
    _together()


@contextmanager
def _refusals() -> Generator[None]:
    """Says in one line what TRL and transformers refuse when they build the trainer."""
    try:
        yield
    except AssayError:
        raise
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"[trl], [model]: the trainer cannot be built: {told(error)}") from error
