"""A bank that a run may read: it is there, it can be searched, and rests on nothing measured."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from assay.errors import UsageError
from assay.rollout.recording import task_name
from assay.runs.config import Config
from assay.runs.sampling import Prepared
from assay.skills.bank import Bank
from assay.skills.retrieval import Index
from assay.skills.skill import Skill
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
        for one in each.evidence if each.status != "retired" else ():
            seed = one.task.rpartition("/")[2]
            if not (seed.isdecimal() and seed.isascii() and len(seed) < 19):
                continue
            measured = any(int(seed) in some for some in held)
            if measured and one.task == task_name(environment, int(seed)):
                raise UsageError(
                    f"skills: {each.id} rests on {one.trajectory}, an attempt at {one.task}, which "
                    "is measured on; build the bank without it: assay skills build --held-out"
                )
