"""A bank that a run may read: it is there, it can be searched, and rests on nothing measured."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from assay.errors import UsageError
from assay.rollout.recording import task_name
from assay.runs.config import Config
from assay.runs.sampling import Prepared
from assay.skills.bank import Bank
from assay.skills.resting import split
from assay.skills.retrieval import Index
from assay.skills.skill import Rest, Skill
from assay.skills.store import opened


def check(run: Prepared) -> None:
    """Refuses a run whose skills cannot be read.

    Raises:
        DataError: there is no such bank, or it cannot be read.
        MissingExtraError: what finds skills is not installed.
        UsageError: a skill rests on a task that is measured on.
    """
    settings = run.config.skills
    bank = opened(Path(settings.bank)) if settings.bank else Bank()
    refuse(bank.skills, run.config, run.make)
    Index([Skill(id="l", kind="lesson", when="any")], settings.retrieval)


def refuse(skills: Iterable[Skill], config: Config, make: Callable[[], Any]) -> None:
    """Raises UsageError where a skill rests on a task that is measured on: of [eval], or of those
    that candidates are tried on.

    Args:
        skills: those that are read, or tried.
        config: says which tasks these are.
        make: makes its environment.
    """
    first, tried = config.eval.first_task, config.skills.first_task
    held = range(first, first + config.eval.prompts), range(tried, tried + config.skills.tasks)
    environment = make()
    for each in skills:
        if each.status == "retired":
            continue
        for one in each.evidence:
            _, seed = split(one.task)
            if seed is None or not any(seed in some for some in held):
                continue
            if one.task == task_name(environment, seed):
                raise UsageError(
                    f"skills: {each.id} rests on {one.trajectory}, an attempt at {one.task}, which "
                    "is measured on; build the bank without it: assay skills build --held-out"
                )
        for rest in each.rest:
            if (seed := _within(rest, held, environment)) is not None:
                raise UsageError(
                    f"skills: {each.id} rests on {rest.count:,} attempts at tasks {rest.first} to "
                    f"{rest.last}, not each by name, and task {seed} is measured on; "
                    "build the bank without it: assay skills build --held-out"
                )


def _within(rest: Rest, held: Iterable[range], environment: Any) -> int | None:
    """Returns a task that is measured on and lies among those of a skill's other evidence, as far
    as that is known; None: there is none."""
    for some in held:
        for seed in range(max(some.start, rest.first), min(some.stop, rest.last + 1)):
            if rest.tasks in ("", split(task_name(environment, seed))[0]):
                return seed
    return None
