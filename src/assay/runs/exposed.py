"""What a report says of skills: a log's counts beside the bank that its rollouts read."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from assay.errors import DataError

if TYPE_CHECKING:
    from assay.skills.credit import Tally


@final
@dataclass(frozen=True, slots=True)
class Exposed:
    """The skills of a log, loaded where there are any."""

    bank: Path | None
    """Folder of the bank. None: it is not known, so that no skill says what it says."""
    pass_at: float = 1.0

    def counting(self) -> "Tally":
        """Returns what counts rollouts."""
        from assay.skills.credit import Tally

        return Tally(self.pass_at)

    def said(self, counted: "Tally") -> dict[str, Any] | None:
        """Returns what was counted, see `report.skills`; None: no rollout names a bank, and there
        is none."""
        from assay.skills.bank import Bank
        from assay.skills.credit import audited
        from assay.skills.store import names, opened

        if self.bank is None and set(counted.banks) <= {""}:
            return None
        known, versions, trouble = None, dict[str, int](), list[str]()
        if self.bank is not None:
            try:
                known, versions = opened(self.bank), names(self.bank)
            except DataError as error:
                trouble.append(str(error).replace(str(self.bank), self.bank.name))
        found = audited(known or Bank(), counted, versions)
        if known is None:
            found["bank"] = ""
        shown = known and known.version
        return {**found, "versions": versions, "version": shown, "trouble": trouble}
