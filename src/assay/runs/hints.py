"""Hints in a run: who gives them, and whether they are listened to by now."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from msgspec import structs

from assay.errors import UsageError
from assay.feedback.admission import Replays, Trust, replayed
from assay.feedback.base import Source, failed, given
from assay.feedback.settings import opened
from assay.feedback.verdict import sentence
from assay.records import ModelStep, Trajectory
from assay.rollout.backends.base import Backend
from assay.runs.sampling import Prepared


@final
class Hinting:
    """Writes hints onto the records of a run while their source is found worth listening to."""

    def __init__(self, run: Prepared, last: Mapping[str, Any]) -> None:
        """Takes a run, and the last row of its ledger: what was known of the source by then."""
        self._run, self._settings = run, run.config.hints
        self._pass_at = float(run.config.recipe.get("pass_at", 1.0))
        self._source: Source | None = None
        self.trust = Trust(self._settings.every, self._settings.keep)
        self._leaked = 0
        if known := last.get("hints"):
            self.trust.restore(known)
            self._leaked = int(known["leaked"])

    def __call__(
        self,
        records: Sequence[Trajectory],
        backend: Backend,
        seed: Sequence[int],
        say: Callable[[str], None],
    ) -> tuple[list[Trajectory], tuple[Trajectory, ...]]:
        """Returns a batch with the hints about it, and the replays that measured their source.

        Where the source is not admitted, hints are left out; its verdicts stay, for they have
        rates of their own. It is asked where it acts or is to be measured.
        """
        self._leaked = 0
        asked, due = self._settings, self._settings.admit and self.trust.due
        if not (due or not asked.admit or self.trust.acts):
            self.trust.take(None)
            return [*records], ()
        told = self._told(records, say)
        found = self._measured(told, backend, seed, say) if due else None
        acts = self.trust.take(found.found if found else None) or not asked.admit
        played = found.played if found else ()
        return (told if acts else [*map(unhinted, told)]), played

    def _told(self, records: Sequence[Trajectory], say: Callable[[str], None]) -> list[Trajectory]:
        if self._source is None:
            self._source = opened(self._settings, say)
        source, told = self._source, [*records]
        every = self._settings.of == "all"
        wanted = [at for at, each in enumerate(told) if every or failed(each, self._pass_at)]
        for at, record in zip(
            wanted, given(source, [told[at] for at in wanted], self._settings.leaks), strict=True
        ):
            told[at] = record
        self._leaked = source.leaked
        if source.said:
            say(source.said)
        return told

    def _measured(
        self,
        told: Sequence[Trajectory],
        backend: Backend,
        seed: Sequence[int],
        say: Callable[[str], None],
    ) -> Replays:
        run = self._run
        found = replayed(
            [each for each in told if failed(each, self._pass_at)],
            self._settings.pairs,
            backend,
            run.make,
            sampling=run.config.train.sampling,
            seed=seed,
            protocol=run.protocol,
            pass_at=self._pass_at,
        )
        seen = self.trust.seen.after(found.found, self.trust.keep)
        say(f"hints: {sentence(self._settings.source, seen)}")
        return found

    def row(self) -> dict[str, Any]:
        """Returns how the source stands after a batch, for the ledger, which a resumed run reads;
        `leaked`: hints of the batch that named the answer and were left out."""
        return {**self.trust.row(), "leaked": self._leaked}

    def facts(self) -> dict[str, float | None]:
        """Returns how the source stands, for the row of a step."""
        row = self.row()
        return {f"hints/{name}": row[name] for name in ("uplift", "lower", "pairs", "leaked")} | {
            "hints/admitted": float(row["admitted"]),
            "hints/by_progress": float(row["measure"] != "passes"),
        }


def alone(processes: int) -> None:
    """Raises UsageError where hints would be asked about by several processes."""
    if processes > 1:
        raise UsageError(
            f"hints: got {processes} processes; expected one: a source is asked, and measured, by "
            "one alone"
        )


def unhinted(record: Trajectory) -> Trajectory:
    """Returns a record without hints."""
    steps = tuple(
        structs.replace(step, hints=()) if type(step) is ModelStep and step.hints else step
        for step in record.steps
    )
    return structs.replace(record, steps=steps)
