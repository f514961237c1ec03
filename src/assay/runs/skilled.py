"""Skills in a run: which bank a batch reads, what is trained, and how the bank grows."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from assay.errors import DataError, UsageError
from assay.kernels.constancy import bar
from assay.records import Trajectory, read
from assay.rollout.backends.base import Backend
from assay.rollout.chain import Planned, attributed
from assay.rollout.scaffold import bare
from assay.runs.directory import BANK
from assay.runs.folder import Folder
from assay.runs.sampling import Prepared
from assay.runs.scaffolding import noted, reread_bare
from assay.skills.bank import Bank
from assay.skills.building import built, category_of
from assay.skills.credit import by_skill, exposures, overall
from assay.skills.shelf import Shelf, Shown
from assay.skills.store import opened, save
from assay.skills.templates import written
from assay.skills.trial import Arena, tried, waiting

_DRAWS: Final = 0x736B696C6C73
"""Sets the chance of what is shown apart from that of the batch."""


@final
class Skilling:
    """Shows skills to rollouts by chance, and lets the bank grow.

    A batch reads one version of the bank. What grows is made before a batch from the rollouts of
    the steps before it, so that a run that was killed makes the same version again.
    """

    def __init__(self, run: Prepared, folder: Folder, last: Mapping[str, Any]) -> None:
        """Takes a run, and the last row of its ledger."""
        self.settings, self._run, self._folder = run.config.skills, run, folder
        self._begun = run.config.start.steps
        self._pass_at = float(run.config.recipe.get("pass_at", 1.0))
        self._shown: dict[str, Shown] = {}
        self.facts: dict[str, float | None] = {}
        """What a step's row says."""
        if self.settings.on:
            self._shelve(self._first(last))

    def _first(self, last: Mapping[str, Any]) -> Bank:
        at = self._folder.path / BANK
        if known := last.get("skills"):
            bank = opened(at, known["version"])
            if bank.name != known["bank"]:
                raise DataError(
                    f"{at}: version {known['version']} is {bank.name}, and batches read "
                    f"{known['bank']}: it was changed; put it back"
                )
            return bank
        if self.settings.bank:
            return opened(Path(self.settings.bank))
        return Bank(cap=self.settings.cap, evidence=self.settings.evidence)

    def _shelve(self, bank: Bank) -> None:
        self.bank = bank
        self._shelf = Shelf.of(
            bank,
            self._run.protocol.name,
            self._run.tokenizer,
            **self.settings.shelf,
        )

    def planned(
        self, group: Sequence[Planned], seed: Sequence[int], place: int, step: int
    ) -> list[Planned]:
        """Returns the rollouts of a task, with what each of them reads under it.

        Args:
            group: in their order.
            seed: of the batch.
            place: of the task in the run.
            step: from 1.
        """
        if not self.settings.on:
            return [*group]
        steps = self._run.config.train.steps - self._begun
        show = self.settings.shown((step - 1 - self._begun) / steps)
        with attributed(group[0].environment, group[0].seed, "reset"):
            task = group[0].environment.reset(group[0].seed)
        found = self._shelf.found(task, group[0].environment.title())

        def text(at: int, each: Planned, rng: np.random.Generator) -> str:
            self._shown[each.id or ""] = shown = self._shelf.drawn(found, show, rng)
            return shown.text

        return noted(group, (*seed, _DRAWS, place), text)

    def restored(
        self, records: Iterable[Trajectory], planned: Sequence[Planned]
    ) -> list[Trajectory]:
        """Returns the rollouts, each naming what it saw; as they are trained."""
        if not self.settings.on:
            return [*records]
        stands, made = self.settings.train == "read", list[Trajectory]()
        for record, each in zip(records, planned, strict=True):
            if each.notes and not stands:
                record = bare(
                    record, each.notes[0], each.environment, each.seed, self._run.protocol
                )
            made.append(self._shown[record.id].stamped(record, stands=stands))
        return made

    def settled(self, records: Sequence[Trajectory], model: Any) -> list[Trajectory]:
        """Returns the records of a batch as they are trained, and puts what it came to into
        `facts`."""
        if not self.settings.on:
            return [*records]
        shown = [self._shown.get(each.id) for each in records]
        seen = overall(exposures(records, self._pass_at).values())
        count = max(len(records), 1)
        self.facts = {
            "skills/active": float(len(self.bank.active)),
            "skills/shown": sum(bool(each and each.text) for each in shown) / count,
            "skills/tokens": sum(
                self._shelf.count(each.text) for each in shown if each and each.text
            )
            / count,
            "skills/help": seen.help[0] if seen.help else None,
        }
        self._shown = {}
        if self.settings.train == "read":
            return [*records]
        return reread_bare(records, model, self._run.config.train.temperature or 1.0)

    def grown(
        self, step: int, backend: Backend, seed: Sequence[int], processes: int
    ) -> list[Trajectory]:
        """Lets the bank grow where a step is due for it; returns the attempts that candidates were
        tried by.

        Raises:
            UsageError: there are several processes: a bank is written by one alone.
        """
        if not self.settings.on:
            return []
        if processes > 1 and self.settings.every:
            raise UsageError("skills.every: got several processes; expected one")
        if step == self._begun + 1:
            save(self._folder.path / BANK, self.bank)
        done, every = step - 1 - self._begun, self.settings.every
        if not every or done < 1 or done % every:
            return []
        records = [*self._since(step - every, step)]
        counted = self.bank.counted(by_skill(exposures(records, self._pass_at)))
        drafts = built(self._taught(records), written, pass_at=self._pass_at).skills
        bank = counted.retired().merged(
            drafts, status="candidate" if self.settings.admit else "active"
        )
        played = list[Trajectory]()
        if self.settings.admit:
            bank, played = self._gated(bank, backend, seed)
        if bank is not self.bank:
            self._shelve(save(self._folder.path / BANK, _one_on(bank, self.bank)))
        return played

    def _since(self, first: int, end: int) -> Iterable[Trajectory]:
        for step in range(first, end):
            path = self._folder.batch("rollouts", step)
            if path.is_file():
                yield from read(path)

    def _taught(self, records: Sequence[Trajectory]) -> list[Trajectory]:
        """Returns the records of categories that pass seldom enough."""
        scored = [each for each in records if each.outcome is not None]
        rates = dict[str, list[bool]]()
        for each in scored:
            rates.setdefault(category_of(each), []).append(
                (each.outcome or 0.0) >= bar(self._pass_at)
            )
        low = {name for name, each in rates.items() if sum(each) / len(each) < self.settings.below}
        return (
            scored
            if self.settings.below == 1.0
            else [each for each in scored if category_of(each) in low]
        )

    def _gated(
        self, bank: Bank, backend: Backend, seed: Sequence[int]
    ) -> tuple[Bank, list[Trajectory]]:
        config = self._run.config
        fresh = [each for each in waiting(bank) if each.trial is None]
        arena = Arena(
            backend=backend,
            make=self._run.make,
            tasks=range(self.settings.first_task, self.settings.first_task + self.settings.tasks),
            sampling=config.train.sampling,
            protocol=self._run.protocol,
            pass_at=self._pass_at,
            pairs=self.settings.pairs,
        )
        limit, shelf = self.settings.candidates, self.settings.shelf
        found, played = tried(bank, fresh, arena, seed, limit=limit, **shelf)
        return bank.decided(found), played

    def row(self) -> dict[str, Any]:
        """Returns the bank of a batch, for the ledger, which a resumed run reads."""
        return {"bank": self.bank.name, "version": self.bank.version,
                "active": len(self.bank.active)}  # fmt: skip


def _one_on(new: Bank, old: Bank) -> Bank:
    """Returns a bank as the one version after another, whatever came between."""
    return Bank(
        version=old.version + 1,
        generation=new.generation,
        parent=old.sha256,
        cap=new.cap,
        evidence=new.evidence,
        skills=new.skills,
    )
