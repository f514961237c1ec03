"""One cell of an experiment: which tasks, which arm, which seed; and how much is run of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
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


_Table = Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """An arm that an experiment names itself, and what is trained of it: a recipe, and the tables
    of a configuration that are not as the scale has them.

        Arm(name="gigpo", recipe={"method": {"name": "gigpo", "gamma": 1.0}})
        Arm(name="tree", recipe={"method": "tree_grpo"}, tables={"rollout": {"kind": "tree"}})
    """

    name: str
    """Its own within the experiment, whatever else is equal."""
    recipe: _Table
    """As `[recipe]` of a configuration has it: method, options, control, dose, safety."""
    tables: Mapping[str, _Table] = field(default_factory=dict[str, _Table])
    """Sections and what of them differs: `rollout`, `train`, `model`, and `env`'s dials."""

    def within(self, tokens: int) -> "Arm":
        """Returns the arm, ended by a budget of sampled tokens; the scale's steps are then the most
        that it may take. 0: as it is."""
        if not tokens:
            return self
        rollout = {**self.tables.get("rollout", {}), "budget_tokens": tokens}
        return replace(self, tables={**self.tables, "rollout": rollout})

    def dosed(self, dose: float) -> "Arm":
        """Returns the arm with every batch scaled to a mean |A| of a trained token."""
        recipe = {**self.recipe, "dose": dose}
        return replace(self, name=f"{self.name}-d{dose:g}", recipe=recipe)


OUTCOME: Final = Arm(name="grpo", recipe={"method": "grpo"})
"""Credit that knows the outcome alone, from chains."""


def with_controls(
    arm: Arm, *, outcome: Arm = OUTCOME, budget: int = 0, dose: float | None = None
) -> tuple[Arm, ...]:
    """Returns a method's arm and those without which a difference says nothing of its credit.

    Itself; its credit shuffled in time, and random credit of the same variance
    (`assay.credit.controls`), both from the same rollouts; credit from the outcome alone. With a
    dose every one of them has it, and says so in its name: call it with and without to see what is
    dose. With a budget each ends by the tokens that it sampled, as measured.

    Args:
        arm: of the method.
        outcome: what it is compared with; its rollouts are its own, chains unless it says more.
        budget: sampled tokens of a run. 0: the scale's steps end it.
        dose: mean |A| of a trained token. None: as each method has it.
    """
    arms = [arm]
    for control in ("shuffled", "random"):
        recipe = {**arm.recipe, "control": control}
        arms.append(replace(arm, name=f"{arm.name}-{control}", recipe=recipe))
    arms.append(outcome)
    arms = [each if dose is None else each.dosed(dose) for each in arms]
    return tuple(each.within(budget) for each in arms)


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
    other: str = ""
    """A level of another family on which the end is measured too, for what training costs there."""
    seconds: float = 0.0
    """What a cell takes of a core, where no row says it; measured. 0: nobody measured it."""


MICRO: Final = 16
"""Rows passed forward at a time: what a core's cache holds of this policy's activations."""
BASE: Final = ("base", "null")
"""Arms that are not trained: the starting policy, and once more with other chance."""
SHIPPED: Final = ("assay",)
"""Arms that are recipes as Assay ships them."""
_OF_FILES: Final = str.maketrans({"/": "_", ":": "_"})
"""What a cell's key, the name of a folder, has instead."""


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
    recipe: _Table | None = None
    """Of an arm that the experiment names itself; None: `arm` is one of `ARMS` or `SHIPPED`."""
    more: Mapping[str, _Table] = field(default_factory=dict[str, _Table])
    """What of its configuration is not as the scale has it, see `Arm.tables`."""

    @staticmethod
    def of(arm: Arm, **said: Any) -> "Cell":
        """Returns a cell of an experiment's own arm: env, start, seed and so on as for `Cell`."""
        return Cell(arm=arm.name, recipe=arm.recipe, more=arm.tables, **said)

    @property
    def key(self) -> str:
        """Name of the cell: the same for the same contents."""
        said = [self.env, self.start, self.arm]
        said += [f"m{self.minibatches}"] if self.minibatches > 1 else []
        said += [f"b{self.batch}"] if self.batch > 1 else []
        said += [f"x{self.length}"] if self.length > 1 else []
        said += [f"fn{self.false_negatives:g}"] if self.false_negatives else []
        return "-".join([*said, str(self.seed)]).translate(_OF_FILES)

    @property
    def level(self) -> str:
        """Environment and level, as `assay.world.load` takes them; one that is no family, as
        `textarena:...`, has no levels, and any word may stand for its start."""
        return self.env if ":" in self.env else f"{self.env}/{STARTS.get(self.start, self.start)}"

    def tables(self, scale: Scale) -> dict[str, Any]:
        """Returns the configuration of the run."""
        if self.recipe is None and self.arm not in (*ARMS, *SHIPPED):
            known = ", ".join((*ARMS, *SHIPPED))
            raise UsageError(f"claims: no arm {self.arm!r}; expected one of {known}")
        steps = scale.steps * self.length * self.minibatches
        prompts = scale.prompts * self.batch
        checkpoints = scale.checkpoints if self.curve else 1
        env: dict[str, Any] = {"name": self.level}
        if self.false_negatives:
            noisy = {"env": self.level, "rate": self.false_negatives}
            env = {"name": NOISY, "dials": noisy}
        made: dict[str, Any] = {
            "about": {"title": self.key},
            "env": env,
            "recipe": self._recipe(),
            "train": {
                "steps": steps,
                "prompts": prompts,
                "group": scale.group,
                "minibatches": self.minibatches,
                "micro": self._micro(prompts * scale.group),
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
        for section, table in self.more.items():
            made[section] = {**made.get(section, {}), **table}
        rollout = made.get("rollout", {})
        if rollout.get("kind") == "tree" and "group" not in self.more.get("train", {}):
            del made["train"]["group"]  # the leaves are
            made["train"]["micro"] = self._micro(prompts * _leaves(rollout))
        return made

    def _recipe(self) -> dict[str, Any]:
        if self.recipe is not None:
            return dict(self.recipe)
        return read(self.arm)["recipe"] if self.arm in SHIPPED else {**ARMS[self.arm]}

    def _micro(self, rows: int) -> int:
        """Returns the most rows of a pass, up to `MICRO`, that divide those of a mini-batch."""
        of = rows // self.minibatches
        return next(size for size in range(min(MICRO, of), 0, -1) if of % size == 0)

    def data(self) -> dict[str, Any]:
        """Returns the cell as plain data."""
        return asdict(self)


def _leaves(rollout: _Table) -> int:
    """Returns the leaves of a task's trees, by the defaults of `[rollout]`."""
    chains, rounds, expansions = (
        rollout.get(name, default)
        for name, default in (("chains", 2), ("rounds", 1), ("expansions", 2))
    )
    return chains * (1 + rounds * expansions)
