"""One cell of an experiment: which tasks, which arm, which seed; and how much is run of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

from assay.errors import UsageError
from assay.recipes import read

LAMBDAS: Final = (0.03, 0.1, 0.3, 1.0)
ARMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "grpo": {"method": "grpo"},
    "psr": {"method": "psr"},
    "nsr": {"method": "nsr"},
    "grpo_positive": {"method": "grpo_positive"},
    "grpo_negative": {"method": "grpo_negative"},
    **{f"w_{value:g}": {"method": {"name": "w_reinforce", "lam": value}} for value in LAMBDAS},
    "grpo_flat": {"method": "grpo", "safety": {"all_fail": "flat"}},
    "grpo_bounded": {"method": "grpo", "safety": {"all_fail": "bounded"}},
    "ngrpo": {"method": "ngrpo"},
}
"""Arms by name; W-REINFORCE with lambda = 0 is NSR. Loss, clip, rate and steps are the same."""
STARTS: Final = {"strong": "even", "weak": "hard", "dead": "dead"}
"""The level of a family from which a prior begins: it passes about 45, 10 and under 1 %."""
ENVIRONMENTS: Final = ("lookup", "countdown")
MAIN: Final = ("grpo", "psr", "nsr", "grpo_positive", "grpo_negative")
"""{both, positive, negative} x {flat, in units of the group's deviation}."""
NOISY: Final = "claims.noise:FalseNegatives"
"""The environment whose verifier errs: it lies with the experiments."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of every cell is run."""

    name: str
    steps: int
    """Optimiser steps."""
    prompts: int = 16
    """Tasks a batch."""
    group: int = 8
    checkpoints: int = 2
    """At which held-out pass@k is measured, the last step among them."""
    held_out: int = 64
    samples: int = 32
    """Attempts at each held-out task."""
    seeds: int = 5
    learning_rate: float = 2e-4


MICRO: Final = 16
"""Rows passed forward at a time: what a core's cache holds of this policy's activations."""
BASE: Final = ("base", "null")
"""Arms that are not trained: the starting policy, and once more with other chance."""
SHIPPED: Final = ("assay",)
"""Arms that are recipes as Assay ships them."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One training run."""

    env: str
    start: str
    arm: str
    seed: int
    minibatches: int = 1
    """Optimiser steps a batch; above 1 the later ones are off-policy."""
    batch: int = 1
    """Times the scale's tasks a batch."""
    length: int = 1
    """Times the scale's steps."""
    false_negatives: float = 0.0
    """Share of passes that training sees as failures."""
    curve: bool = True
    """Every checkpoint of the scale is measured; else only the end. Not part of the name."""

    @property
    def key(self) -> str:
        """Name of the cell: the same for the same contents."""
        said = [self.env, self.start, self.arm]
        said += [f"m{self.minibatches}"] if self.minibatches > 1 else []
        said += [f"b{self.batch}"] if self.batch > 1 else []
        said += [f"x{self.length}"] if self.length > 1 else []
        said += [f"fn{self.false_negatives:g}"] if self.false_negatives else []
        return "-".join([*said, str(self.seed)])

    @property
    def level(self) -> str:
        """Environment and level, as `assay.world.load` takes them."""
        return f"{self.env}/{STARTS[self.start]}"

    def tables(self, scale: Scale) -> dict[str, Any]:
        """Returns the configuration of the run."""
        if self.arm not in (*ARMS, *SHIPPED):
            known = ", ".join((*ARMS, *SHIPPED))
            raise UsageError(f"claims: no arm {self.arm!r}; expected one of {known}")
        steps = scale.steps * self.length * self.minibatches
        prompts = scale.prompts * self.batch
        checkpoints = scale.checkpoints if self.curve else 1
        env: dict[str, Any] = {"name": self.level}
        if self.false_negatives:
            noisy = {"env": self.level, "rate": self.false_negatives}
            env = {"name": NOISY, "dials": noisy}
        return {
            "about": {"title": self.key},
            "env": env,
            "recipe": read(self.arm)["recipe"] if self.arm in SHIPPED else {**ARMS[self.arm]},
            "train": {
                "steps": steps,
                "prompts": prompts,
                "group": scale.group,
                "minibatches": self.minibatches,
                "micro": min(MICRO, prompts * scale.group // self.minibatches),
                "learning_rate": scale.learning_rate,
                "turn_tokens": 32,
                "max_tokens": 160,
                "save_every": steps // checkpoints,
                "keep": checkpoints,
                "probe": 0,
                "threads": 1,
            },
            "eval": {"prompts": scale.held_out, "samples": scale.samples},
        }

    def data(self) -> dict[str, Any]:
        """Returns the cell as plain data."""
        return asdict(self)
