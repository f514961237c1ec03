"""The settings of a run that learns what stands in contexts: the section [rlag]."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, final

from assay.kernels.rlag import GAMMA, HIGH, LOW, Chooser, Filter, Gains
from assay.recipes.settings import Count, NotNegative, Settings, require

OTHERS: Final = (
    ("start", "kind", "none"),
    ("rescue", "kind", "none"),
    ("hints", "source", "none"),
    ("feedback", "kind", "none"),
    ("reward", "kind", "none"),
    ("scaffold", "kind", "none"),
    ("skills", "on", False),
    ("schedule", "mode", "uniform"),
    ("schedule", "guard", 0.0),
    ("schedule", "pool", 0),
    ("rollout", "kind", "chain"),
    ("sampling", "backend", "local"),
    ("probe", "tasks", 0),
    ("train", "minibatches", 1),
    ("train", "probe", 0),
)
"""What a run without rollouts cannot do: section, key, and the value that asks for nothing."""


@final
class Rlag(Settings, frozen=True):
    """Learning from contexts, RLAG 2025, https://arxiv.org/abs/2509.20162; as in its code by
    default."""

    at: ClassVar[str] = "rlag"

    kind: Literal["none", "rlag", "cpt"] = "none"
    """none: the run learns from rollouts. rlag: from pairs of options, see `assay.kernels.rlag`.
    cpt: continued pre-training on the contexts alone, to compare."""
    slice: Count = 64
    """Questions that are scored at a time; pairs are fixed for so long."""
    epochs: Count = 2
    """Times that a slice is trained on."""
    chosen: Chooser = "context"
    filter: Filter = "none"
    know: NotNegative = 0.2
    know_same: NotNegative = 0.5
    augmented: NotNegative = 0.5
    naive: NotNegative = 0.5
    distilled: NotNegative = 0.0
    """Weight of the chosen option without the context, which the paper's code does not have."""
    gamma: float = GAMMA
    high: float = HIGH
    low: float = LOW

    @property
    def on(self) -> bool:
        """Whether the run is one of these."""
        return self.kind != "none"

    @property
    def gains(self) -> Gains:
        """The weights."""
        names = ("know", "know_same", "augmented", "naive", "distilled", "gamma", "high", "low")
        return Gains(**{name: getattr(self, name) for name in names})

    def check(self, sections: Mapping[str, Any]) -> None:
        """Raises UsageError where the rest of a configuration asks for what such a run cannot do.

        Args:
            sections: of the configuration, by name.
        """
        if not self.on:
            return
        for section, key, nothing in OTHERS:
            got = getattr(sections[section], key)
            require(
                got == nothing,
                f"rlag: got {section}.{key}={got}; expected {nothing}: it learns from questions, "
                "not from rollouts",
            )
        recipe = {name for name in sections["recipe"] if name not in ("method", "pass_at")}
        require(
            not recipe and not sections["trl"] and sections["recipe"].get("method") == "grpo",
            f"rlag: [recipe] and [trl] credit rollouts; got {sections['recipe']} and "
            f"{sections['trl']}; leave them out",
        )
        train, steps = sections["train"], self.steps(sections["train"].prompts)
        for name in ("steps", "save_every"):
            require(
                self.slice % train.prompts == 0 and getattr(train, name) % steps == 0,
                f"rlag: got train.{name}={getattr(train, name)} with slices of {self.slice} "
                f"questions, {self.epochs} epochs and train.prompts={train.prompts}; expected a "
                f"slice of whole steps, and a multiple of its {steps}",
            )

    def steps(self, prompts: int) -> int:
        """Returns the optimiser steps of a slice."""
        return self.epochs * max(self.slice // prompts, 1)
