"""What the hooks of slime and prime-rl share: the recipe, and the credit of the groups at hand.

ASSAY_RECIPE names the recipe: one that ships, a method, or a TOML file with a section [recipe].
Such a hook sees rollouts and hands over advantages; of training it learns nothing, so settings that
need a step's ratios or entropies, or a loss of their own, are off, which is said once.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, final

import numpy as np
from jaxtyping import Float64

from assay.errors import UsageError
from assay.recipes import Recipe
from assay.records import Trajectory
from assay.signal.signal import signal
from assay.trainers.verl.settings import recipe_of

VARIABLE: Final = "ASSAY_RECIPE"
_OFF: Final = ("replay", "entropy", "back_off", "delta", "off_policy", "preserve")
_say = logging.getLogger("assay").warning


@final
@dataclass(frozen=True, slots=True)
class Credited:
    """One trajectory's advantages, one a token of its record, its prompt included."""

    advantage_N: Float64[np.ndarray, " N"]
    """0 where nothing scored or carried the token."""
    weight_N: Float64[np.ndarray, " N"]
    """1 on tokens that a gate kept, a method scored and a term carries; else 0."""


@final
@dataclass(slots=True)
class Engine:
    """The recipe of a run, and how many batches it has credited."""

    recipe: Recipe
    batches: int = field(default=0)

    @staticmethod
    def named(engine: str) -> "Engine":
        """Returns that of the recipe which the environment names.

        Raises:
            UsageError: none is named, its file has no section [recipe], or it divides by a
                constant.
            UnknownNameError: no such recipe or method.
        """
        name = os.environ.get(VARIABLE)
        if not name:
            raise UsageError(
                f"{VARIABLE} is not set; name a recipe, a method, or a TOML file with [recipe]"
            )
        recipe = recipe_of(name)
        if recipe.denominator == "batch":
            raise UsageError(
                f'recipe: denominator "batch": {engine} cannot be given its divisor; take "all"'
            )
        off = [each for each in recipe.safety.active if each in _OFF]
        if off:
            _say("%s: safety.%s: off, its hook sees no training step", engine, ", ".join(off))
        return Engine(recipe)

    def credit(self, records: Sequence[Trajectory], *, by_row: bool = False) -> list[Credited]:
        """Returns what each record gets, whole groups at a time, in their order.

        Args:
            records: with token ids.
            by_row: the loss takes the mean over a row's own tokens first.

        Raises:
            UsageError: the recipe divides by a row's tokens, and the loss does so too.
        """
        for part in self.recipe.parts:
            if by_row and getattr(part.method, "aggregation", "") == "sequence_mean":
                raise UsageError(
                    f'recipe: {part.name}: aggregation "sequence_mean" divides by the tokens of a '
                    'row, and so does the loss; take "token_mean", or a loss per token'
                )
        made = signal(records, self.recipe, by_row=by_row, seed=(0, self.batches))
        self.batches += 1
        advantage_KT, weight_KT = made.rows()
        return [
            Credited(advantage_KT[k, :length], weight_KT[k, :length])
            for k, length in enumerate(made.length_K.tolist())
        ]


@cache
def engine_of(name: str) -> Engine:
    """Returns the process's own `Engine` for an engine of that name."""
    return Engine.named(name)
