"""What a report says of skills: a log's counts beside the bank that its rollouts read."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from assay.errors import DataError
from assay.records import Trajectory

if TYPE_CHECKING:
    from assay.skills.bank import Bank
    from assay.skills.credit import Tally
    from assay.skills.skill import Evidence


@final
class Seen:
    """Counts what attempts saw of banks, and knows again those that the bank rests on."""

    def __init__(self, tally: "Tally", named: frozenset[str]) -> None:
        """Begins at nothing.

        Args:
            tally: that counts.
            named: attempts that the bank rests on, by id.
        """
        self.tally, self.named = tally, named
        self.digests: dict[str, set[str]] = {}
        """Of those that came."""

    def add(self, record: Trajectory) -> None:
        """Takes note of an attempt."""
        from assay.skills.building import digest_of

        self.tally.add(record)
        if record.id in self.named:
            self.digests.setdefault(record.id, set()).add(digest_of(record))

    def absorb(self, other: "Seen") -> None:
        """Adds what another has counted."""
        self.tally.absorb(other.tally)
        for id, each in other.digests.items():
            self.digests.setdefault(id, set()).update(each)

    def same(self, evidence: "Evidence") -> bool | None:
        """Returns whether the log's attempt of that name is the one that a skill rests on; None:
        the bank does not say what that one was."""
        if not evidence.digest:
            return None
        return self.digests.get(evidence.trajectory) == {evidence.digest}


@final
@dataclass(frozen=True, slots=True)
class Exposed:
    """The skills of a log, loaded where there are any."""

    bank: Path | None
    """Folder of the bank. None: it is not known, so that no skill says what it says."""
    pass_at: float = 1.0

    def counting(self) -> Seen:
        """Returns what counts rollouts."""
        from assay.skills.credit import Tally

        known = self._opened()[0]
        skills = () if known is None else known.skills
        named = frozenset(one.trajectory for each in skills for one in each.evidence)
        return Seen(Tally(self.pass_at), named)

    def said(self, counted: Seen) -> dict[str, Any] | None:
        """Returns what was counted, see `report.skills`; None: no rollout names a bank, and there
        is none."""
        from assay.skills.bank import Bank
        from assay.skills.credit import audited

        if self.bank is None and set(counted.tally.banks) <= {""}:
            return None
        known, versions, trouble = self._opened()
        found = audited(known or Bank(), counted.tally, versions)
        evidence = {each.id: each.evidence for each in (known or Bank()).skills}
        for row in found["skills"]:
            for said, one in zip(row["from"], evidence.get(row["id"], ()), strict=True):
                said["same"] = counted.same(one)
        if known is None:
            found["bank"] = ""
        shown = known and known.version
        return {**found, "versions": versions, "version": shown, "trouble": trouble}

    def _opened(self) -> tuple["Bank | None", dict[str, int], list[str]]:
        """Returns the bank, its versions by name, and what keeps it from being read."""
        from assay.skills.store import names, opened

        if self.bank is None:
            return None, {}, []
        try:
            return opened(self.bank), names(self.bank), []
        except DataError as error:
            return None, {}, [str(error).replace(str(self.bank), self.bank.name)]
