"""What the demo trains: two recipes that differ in credit and rescue alone, on one budget."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from assay.errors import UsageError
from assay.files.atomic import publish
from assay.recipes import read
from assay.runs.config import Config, changed, parsed

ARMS: Final = ("grpo", "rescue")
"""Shipped recipes; the first is what the others are compared with, the last says what all have in
common."""
OWN: Final = ("about", "recipe", "rescue")
"""Sections in which arms differ."""
SMALLER: Final[Mapping[str, Any]] = {
    "train.save_every": 4,
    "eval.prompts": 64,
    "eval.samples": 16,
}
"""What the demo takes less of than the recipes, so that it ends in minutes on two cores."""


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """The arms of a demo, by name, and its seed."""

    arms: dict[str, Config]
    seed: int

    @property
    def config(self) -> Config:
        """The first arm's configuration; in all but `OWN` sections it is everybody's."""
        return next(iter(self.arms.values()))

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the result: the seed and the hash of each configuration."""
        hashes = {name: config.sha256 for name, config in self.arms.items()}
        return {"schema": "assay.demo.plan/1", "seed": self.seed, "arms": hashes}


def plan(changes: Mapping[str, Any], seed: int) -> Plan:
    """Returns the demo's plan, after `section.key = value` changes to every arm.

    Raises:
        UsageError: a change touches credit, in which the arms differ, or is refused by a recipe.
    """
    taken = sorted({*OWN} & {name.split(".")[0] for name in changes})
    if taken:
        raise UsageError(f"--set {taken[0]}: the demo's arms differ in it; use assay train")
    shared = {name: table for name, table in read(ARMS[-1]).items() if name not in OWN}

    def arm(name: str) -> Config:
        own = {key: table for key, table in read(name).items() if key in OWN}
        return parsed(changed({**shared, **own}, {**SMALLER, **changes}), f"recipe {name}")

    return Plan({name: arm(name) for name in ARMS}, seed)


def opened(plan: Plan, out: Path) -> Path:
    """Returns the demo's folder, made or found; every arm's configuration is in it.

    Raises:
        UsageError: something else is there, or a demo of another plan.
    """
    about = out / "plan.json"
    if about.is_file():
        if json.loads(about.read_bytes()) != plan.identity:
            raise UsageError(
                f"{out}: a demo with another seed or other settings; remove it, or choose --out"
            )
        return out
    if out.exists() and (not out.is_dir() or _foreign(out)):
        raise UsageError(f"{out}: exists and is no demo's folder; remove it, or choose --out")
    out.mkdir(parents=True, exist_ok=True)
    for name, config in plan.arms.items():
        publish(out / f"{name}.toml", config.toml().encode())
    publish(about, json.dumps(plan.identity, indent=1).encode() + b"\n")
    return out


def _foreign(out: Path) -> list[Path]:
    """Returns what is in a folder that no interrupted beginning of a demo left there."""
    own = {"recorded", *(f"{name}.toml" for name in ARMS)}
    return [each for each in out.iterdir() if each.name not in own and ".tmp-" not in each.name]
