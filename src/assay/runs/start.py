"""`assay train`: a configuration in, a run directory out; resumable after a kill at any moment."""

import os
import platform
import shutil
import sys
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from msgspec import structs
from rich.console import Console

from assay import __version__
from assay.errors import AssayError, MissingExtraError, UsageError, imported, told
from assay.recipes.recipe import Recipe
from assay.rollout.progress import Progress
from assay.rollout.protocols.base import Protocol
from assay.rollout.protocols.line import Line
from assay.runs.config import Config
from assay.runs.folder import Folder, commit_of_code
from assay.runs.ledger import check, used_up
from assay.runs.sampling import Prepared, of_config, promised
from assay.trainers.trl.compatibility import fit
from assay.trainers.trl.metrics import TRACKERS, trackers
from assay.world.catalogue import load as load_environment
from assay.world.environment import Environment

VERSIONED: Final = ("numpy", "torch", "transformers", "trl", "accelerate", "peft", "safetensors")
RANKS: Final = {"RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"}
"""Of these accelerate reads which of several processes this one is."""


def start(config: Config, out: Path, *, seed: int) -> Folder:
    """Trains from the beginning and returns the run directory.

    What can be refused is refused before the directory is made; what only TRL's trainer refuses
    takes it away again.

    Raises:
        UsageError: a name, a setting or `out` is wrong.
        MissingExtraError: the extra [train] is not installed.
        DataError: an environment or a disk failed on the way; the run can be resumed.
    """
    if not set(os.environ) & RANKS:  # alone: before anything heavy is loaded
        Folder.vacant(out)
    _imported()
    main = _processes().is_main_process
    if main:
        Folder.vacant(out)
    config = structs.replace(config, schedule=config.schedule.resolved())
    run = _prepared(config, seed, out)
    if config.skills.on:
        from assay.runs import held_out

        held_out.check(run)
    about = {
        "assay": __version__,
        "title": config.about.title,
        "seed": seed,
        "versions": versions(),
        "commit": commit_of_code(),
    }
    folder = Folder.create(out, config, about=about) if main else Folder(out)
    _processes().wait_for_everyone()
    with folder.locked() if main else nullcontext():
        try:
            _seen_by_all(folder)
            _trained(run, folder, None)
        except UsageError:
            if main and not any(folder.rows("ledger.jsonl")):  # refused before anything
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

    processes = _processes()
    main = processes.is_main_process
    with folder.locked() if main else nullcontext():
        if main:
            checkpoint.sweep(folder.checkpoints, upto=None, keep=config.train.keep)
        processes.wait_for_everyone()
        whole = checkpoint.committed(folder.checkpoints)
        step = whole[-1] if whole else 0
        at = checkpoint.intact(folder.checkpoints / f"step_{step}") if whole else None
        if main:
            folder.cut_back(step)
            folder.update(step=step, status="running")
        processes.wait_for_everyone()
        _trained(_prepared(config, int(about["seed"]), out), folder, at, again=True)
    return folder


def _seen_by_all(folder: Folder) -> None:
    """Refuses a run directory that some machine does not see, on every process.

    Raises:
        UsageError: there is one.
    """
    if _processes().num_processes == 1:
        return
    from accelerate.utils import gather_object

    seen = gather_object([(folder.path / "run.json").is_file()])
    if not all(seen):
        missing = ", ".join(str(rank) for rank, here in enumerate(seen) if not here)
        raise UsageError(
            f"{folder.path}: process {missing} does not see it; machines share a run directory: "
            "give --out on a disk that all of them see"
        )


def _processes() -> Any:
    from assay.runs.loop import processes

    return processes()


def part() -> None:
    """Takes leave of the other processes, all at once; the last thing that a program does.

    A process that just ends, with its connections open, can abort one that is still at its end.
    Where there are several this ends the program: with torch 2.13 on gloo an interpreter that is
    torn down aborts now and then ("terminate called without an active exception").
    """
    if "torch" not in sys.modules:  # nothing was trained
        return
    several = _processes().num_processes > 1
    _processes().wait_for_everyone()
    _processes().destroy_process_group()
    if several:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


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
        imported(name, extra="train", to="assay train")


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


def _prepared(config: Config, seed: int, out: Path) -> Prepared:
    """Returns what a run trains with, after all that a configuration can be refused for."""
    make = partial(load_environment, config.env.name, **config.env.dials)
    environment = make()
    if not config.rlag.on:
        checked(config, seed, out)
    from transformers import set_seed

    from assay.runs.probe import known_good

    _threads(config)
    set_seed(seed)  # adapters are initialised at random
    model, tokenizer = policy(config)
    protocol = of_config(config, tokenizer, environment, model)
    first, train = config.train.first_task, config.train
    tasks = range(first, first + min(train.probe, train.pool))
    probe = known_good(make, protocol, tasks, longest=train.max_length)
    if config.rlag.on:
        _asked(make, protocol, first)
    return Prepared(
        config=config,
        seed=seed,
        make=make,
        model=model,
        tokenizer=tokenizer,
        protocol=protocol,
        probe=probe,
    )


def _asked(make: Callable[[], Environment], protocol: Protocol, task: int) -> None:
    """Refuses an environment that asks no questions with options, and several processes."""
    from assay.rollout.questions import questions

    if _processes().num_processes > 1:
        raise UsageError("rlag: got several processes; expected one: start it without a launcher")
    questions(make, [task], protocol)


def _threads(config: Config) -> None:
    """Gives torch the threads of [train]: with more than it has cores to itself, they wait."""
    import torch

    if config.train.threads:
        torch.set_num_threads(config.train.threads)


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

    It is on the GPU where there is one, in 32-bit floats; torch takes the threads of [train].
    """
    _imported()
    _threads(config)
    from assay.policy.loading import device

    model, tokenizer = policy(config)
    if checkpoint is not None:
        from assay.runs.checkpoint import load_model

        if config.model.lora:
            from peft import get_peft_model

            from assay.trainers.trl.one_gpu import adapters

            model = get_peft_model(model, adapters(config.model.lora))
        load_model(model, checkpoint)
    return model.to(device()).eval(), tokenizer


def _trained(
    run: Prepared, folder: Folder, checkpoint: Path | None, *, again: bool = False
) -> None:
    """Trains in a folder, from a checkpoint or from the beginning, unless its tokens are spent."""
    processes, step = _processes(), folder.about["step"]
    last = deque(folder.rows("ledger.jsonl"), maxlen=1)
    spent = bool(last) and used_up(last[0], run.config.rollout.budget_tokens)
    if checkpoint is None or not spent:
        step = _stepped(run, folder, checkpoint, again=again)
    if processes.is_main_process:
        check(folder.rows("ledger.jsonl"))
        folder.update(step=step, status="finished")
    processes.wait_for_everyone()


def _stepped(run: Prepared, folder: Folder, checkpoint: Path | None, *, again: bool) -> int:
    """Lets the trainer train and returns the last step. `again`: the run was begun before."""
    config = run.config
    console = None if _processes().is_main_process else Console(quiet=True)
    budget = config.rollout.budget_tokens  # it ends a run before its steps do
    goal = (budget, "tokens") if budget else (config.train.steps, "steps")
    with Progress(*goal, console=console) as progress:
        if checkpoint is not None:
            progress.say(f"resumed at {checkpoint.name}")
            (last,) = deque(folder.rows("ledger.jsonl"), maxlen=1)
            progress.begin(last["total"]["tokens"] if budget else folder.about["step"])
        elif again:
            progress.say("no checkpoint yet: from the beginning")
        for line in promised(config, run.protocol):
            progress.say(line)
        learnt = _internalised if config.rlag.on else _rolled
        return learnt(run, folder, progress, checkpoint)


def _internalised(
    run: Prepared, folder: Folder, progress: Progress, checkpoint: Path | None
) -> int:
    """Lets a run learn from contexts and returns its last step."""
    from assay.runs.internalise import Internalising

    return Internalising(run, folder, progress).train(checkpoint)


def _rolled(run: Prepared, folder: Folder, progress: Progress, checkpoint: Path | None) -> int:
    """Lets TRL's trainer train on rollouts and returns the last step."""
    from assay.runs.loop import trainer_of

    try:
        trainer = trainer_of(run, folder, progress)
    except AssayError:
        raise
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        wrong = f"[trl], [model]: the trainer cannot be built: {told(error)}"
        raise UsageError(wrong) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between TRL and transformers
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    return int(trainer.state.global_step)
