"""What is wrong with a command of verl's is said in one line, before Ray starts. Needs verl.

verl checks its configuration in the process of the command (`verl.utils.config.validate_config`);
ours is looked at before that. What only shows later, in another process, comes back as Ray's
traceback; where we raised it on purpose, our line stands in its place.
"""
# pyright: reportMissingImports=false

import importlib
import os
import sys
from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import ray

from assay.errors import AssayError, UsageError
from assay.trainers.verl.settings import chosen

TASKS: Final = "assay.rollout.verl.tasks"
FULL: Final = "HYDRA_FULL_ERROR"
"""Environment variable by which Hydra lets an error through instead of printing its own account."""


def install() -> None:
    """Puts our check before verl's."""
    import verl.utils.config as theirs

    check = theirs.validate_config

    @wraps(check)
    def both(config: Any, *args: Any, **kwargs: Any) -> None:
        begin(config)
        check(config, *args, **kwargs)

    theirs.validate_config = both


def begin(config: Any) -> None:
    """Looks at a configuration; sees to it that what we raise later ends in one line too.

    Raises:
        SystemExit: something is wrong; the line is on standard error.
    """
    try:
        settings, used = chosen(config), ours(config)
        if settings is not None and settings.log is not None and settings.log.is_file():
            raise UsageError(f"assay.log={settings.log}: a file; expected a folder, or a new name")
    except AssayError as error:
        say(error)
        raise SystemExit(error.exit_code) from None
    if settings is not None or used:
        os.environ[FULL] = "1"
        sys.excepthook = last


def ours(config: Any) -> bool:
    """Returns whether a configuration takes its data or its rollout from us.

    Raises:
        UsageError: a task that nobody can play, or a folder of a policy that is not there.
    """
    data, model = config.data, config.actor_rollout_ref.model
    tasks = str((data.get("custom_cls") or {}).get("path") or "").endswith(TASKS)
    for key in ("train_files", "val_files") if tasks else ():
        named(f"data.{key}", data.get(key))
    own = config.actor_rollout_ref.rollout.name == "assay"
    path = str(model.path)
    if own and path.startswith(("/", ".", "~")) and not Path(path).expanduser().is_dir():
        raise UsageError(
            f"actor_rollout_ref.model.path={path}: no such folder; expected one that holds a policy"
        )
    return own or tasks


def named(key: str, given: str | Sequence[str] | None) -> None:
    """Looks at names of tasks.

    Raises:
        UsageError: one that names no environment, or no seed.
    """
    tasks = importlib.import_module(TASKS)
    for each in [given] if isinstance(given, str) else given or ():
        try:
            tasks.tasks_of(each)
        except AssayError as error:
            raise type(error)(f"{key}: {error}") from None


def cause(error: BaseException) -> AssayError | None:
    """Returns what we raised on purpose, here or in a process of Ray's, or None."""
    while isinstance(inner := getattr(error, "cause", None), BaseException):
        error = inner  # Ray's errors hold what was raised there
    return error if isinstance(error, AssayError) else None


def last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Prints an error that ends the command: ours as a line, any other as Python does."""
    if (own := cause(error)) is None:
        sys.__excepthook__(kind, error, trace)
    else:
        ray.shutdown()  # what its processes still had to say comes first
        say(own)


def say(error: AssayError) -> None:
    """Prints the line."""
    print(f"assay: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
