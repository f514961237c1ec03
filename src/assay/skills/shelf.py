"""What a rollout reads of a bank: skills that fit its task, each shown or held back by chance.

Chance is what makes an effect of it: a skill that is retrieved is shown with probability `show`,
whatever else is, so that attempts with it and without it differ in nothing but that. Where `show`
changes over a run, attempts with it are earlier or later ones too: each names its own, by which it
is weighed (`skills.credit`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

import numpy as np
from msgspec import structs

from assay.records import Origin, Trajectory
from assay.skills.bank import Bank
from assay.skills.block import BUDGET, block, fitting
from assay.skills.retrieval import MOST, Index, Retrieval
from assay.skills.skill import Skill
from assay.skills.templates import BLOCK

SHOW: Final = 0.8
"""Probability that a skill that was retrieved is shown."""
BANK: Final = "skills_bank"
SHOWN: Final = "skills_shown"
HELD: Final = "skills_held"
CHANCE: Final = "skills_chance"
"""Of `Origin.extra`: the bank's name, ids of skills that were shown, and that were held back, and
the probability with which each of these was drawn to be shown, in [0, 1]."""


@final
@dataclass(frozen=True, slots=True)
class Shown:
    """What one rollout reads."""

    bank: str
    """Its name."""
    skills: tuple[Skill, ...] = ()
    held: tuple[Skill, ...] = ()
    """Retrieved, and held back by chance."""
    text: str = ""
    """The block. Empty: it reads nothing."""
    chance: float | None = None
    """Probability with which each of them was drawn to be shown. None: nobody drew."""

    def stamped(self, record: Trajectory, *, stands: bool = True) -> Trajectory:
        """Returns a record that names what it saw.

        Args:
            record: of the rollout.
            stands: whether the block is still in its prompt.
        """
        drawn = self.chance is not None and (self.skills or self.held)
        said = {
            BANK: self.bank,
            SHOWN: " ".join(each.id for each in self.skills),
            HELD: " ".join(each.id for each in self.held),
            CHANCE: repr(self.chance) if drawn else "",
            BLOCK: self.text if stands else "",
        }
        origin = record.origin or Origin(format="")
        extra = {**origin.extra, **{name: text for name, text in said.items() if text}}
        return structs.replace(record, origin=structs.replace(origin, extra=extra))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A bank as rollouts read it."""

    bank: Bank
    protocol: str
    """Its name."""
    count: Callable[[str], int]
    """Tokens of a text."""
    special: Sequence[str] = ()
    budget: int = BUDGET
    most: int = MOST
    retrieval: Retrieval = "bm25"
    index: Index = field(init=False)

    def __post_init__(self) -> None:
        """Makes the index of the active skills."""
        object.__setattr__(self, "index", Index.of(self.bank, self.retrieval))

    @staticmethod
    def of(bank: Bank, protocol: str, tokenizer: Any, **options: Any) -> "Shelf":
        """Returns the shelf of a policy with a tokenizer."""

        def count(text: str) -> int:
            return len(tokenizer(f"{text}\n", add_special_tokens=False).input_ids)

        special = tuple(getattr(tokenizer, "all_special_tokens", ()))
        return Shelf(bank=bank, protocol=protocol, count=count, special=special, **options)

    def found(self, task: str, category: str) -> tuple[Skill, ...]:
        """Returns the skills for a task, best first, whose block keeps to the budget."""
        some = self.index(task, category, most=self.most)
        return fitting(some, self.protocol, self.count, budget=self.budget, special=self.special)

    def read(self, skills: Sequence[Skill], held: Sequence[Skill] = ()) -> Shown:
        """Returns what a rollout reads that is shown these skills."""
        text = block(skills, self.protocol, self.special)
        return Shown(self.bank.name, tuple(skills), tuple(held), text)

    def drawn(self, skills: Sequence[Skill], show: float, rng: np.random.Generator) -> Shown:
        """Returns what a rollout reads, each skill shown with probability `show`."""
        on = rng.random(len(skills)) < show
        made = self.read(
            [each for each, is_on in zip(skills, on, strict=True) if is_on],
            [each for each, is_on in zip(skills, on, strict=True) if not is_on],
        )
        return replace(made, chance=float(show))
