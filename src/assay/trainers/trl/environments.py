"""An environment in the place of a rollout function: what `AssayTrainer` makes of it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from assay.errors import UsageError
from assay.recipes.recipe import Recipe
from assay.rescue.playing import Playing, rescues_of
from assay.trainers.trl.completions import verified
from assay.trainers.trl.metrics import append_row

Metrics = Callable[[dict[str, Any]], None]


def playing(environment: Any, rescue: Any, recipe: Any, given: dict[str, Any]) -> Playing | None:
    """Returns what plays an environment, and puts it into what is given to TRL's trainer, with the
    environment's own verdict as reward where no reward function is named. None: there is none.

    Raises:
        UsageError: a rollout function beside an environment, rescue without one, or what makes no
            environment.
    """
    rescues = rescues_of(recipe, rescue)
    if environment is None:
        if rescues.kind != "none":
            raise UsageError(
                "rescue: nothing can be played again; give environment= as well, or "
                'rescue={"kind": "none"}'
            )
        return None
    if given.get("rollout_func") is not None:
        raise UsageError("environment: it makes the rollouts; leave rollout_func out")
    if not any((isinstance(environment, str), callable(environment))):
        raise UsageError(
            f"environment: got {environment!r}; expected a name, a class, or a function that makes "
            "one: several are played at a time"
        )
    made = Playing(environment, rescues, Recipe.of(recipe))
    given["rollout_func"] = made
    if given.get("reward_funcs") is None:
        given["reward_funcs"] = verified
    return made


def telling(metrics: Path | str | Metrics | None, played: Playing | None) -> Metrics | None:
    """Returns what takes a step's row: a file that gets it, or what is called with it. Where an
    environment is played it puts what rescue cost and brought into the row, for all who read it."""
    if isinstance(metrics, Path | str):
        metrics = partial(append_row, Path(metrics))
    if played is None:
        return metrics

    def told(row: dict[str, Any]) -> None:
        row |= played.facts()
        if metrics is not None:
            metrics(row)

    return told
