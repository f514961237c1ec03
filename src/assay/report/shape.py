"""What the pages show of each trajectory but its texts: steps, evidence, advantages, reasons."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float64, Int64

from assay.audit import alike_groups, group_fates
from assay.audit.annotations import step_credit
from assay.batch import CATEGORIES, CLAIMS, ENDS, Batch
from assay.batch.blocks import Blocks
from assay.batch.mapped import let_go
from assay.kernels.advantages import Advantages
from assay.kernels.constancy import bar
from assay.kernels.groups import FATES
from assay.records import Decision, Trajectory
from assay.report.columns import Arriving, Columns
from assay.report.methods import Form, MethodShape, Reference, object_of
from assay.report.reasons import CODES, About, sentence
from assay.report.redact import Redactor
from assay.report.replay import Replays
from assay.report.steps import Steps
from assay.report.store import Spool

_MOST_HIDDEN = 1 << 12
"""Short texts whose hidden form is known."""
_AT_ONCE, _MOST = 256, 1 << 20
"""Trajectories whose numbers become text together, and how many tokens they stretch over, about."""


class Shapes:
    """Everything about a set that the pages show; a method's numbers wait on disk."""

    def __init__(
        self,
        out: Path,
        batch: Batch,
        decisions: Sequence[Decision],
        *,
        pass_at: float = 1.0,
        redact: bool = True,
        replay: Path | None = None,
        run: Path | None = None,
    ) -> None:
        """Begins a report.

        Args:
            out: where the page goes, for example RUN/report.html.
            batch: after the gates.
            decisions: one per trajectory, in the batch's order.
            pass_at: a trajectory passes at this outcome or above.
            redact: hide what looks like a secret (`report.redact`); the page says how many there
                were.
            replay: folder of a replay of the log, see `report.replay`.
            run: the training run that made the log; what it keeps beside is in `rescues/`.
        """
        n, groups = len(batch.ids), batch.n_groups
        self.out, self.folder, self.redact = out, out.parent, redact
        self.batch, self.decisions = batch, decisions
        self.pass_at, self.run = pass_at, run
        self.folder.mkdir(parents=True, exist_ok=True)
        self._spool = Spool(self.folder)
        self._redactor, self._hidden = Redactor(), dict[str, str]()
        self.ids = [self._redactor.text(each) for each in batch.ids] if redact else batch.ids
        self.passed_K = batch.outcome_K >= bar(pass_at)
        self.fate_G, self.dead_G = group_fates(batch, pass_at=pass_at)
        self._alike_G = alike_groups(batch)
        self.reference = Reference(groups)
        """The first method that is added."""
        self.methods: list[dict[str, Any]] = []
        self.signal: dict[str, Float64[np.ndarray, " G"]] = {}
        self.blocks = Blocks(batch)
        self.replays = Replays(replay, batch)
        self.steps_K = np.zeros(n, np.int64)
        """Own steps of each."""
        self._columns = Columns(self.blocks, self._spool)
        self._seen_K = np.zeros(n, np.int64)
        self._forms: dict[str, Form] = {}
        """What the pages show of each method, by its name."""
        self._compared: dict[Form, int] = {}
        once_K, group_K, voted_K = batch.once_K, batch.group_K, batch.voted_K
        self.passes_G = np.bincount(group_K[once_K & self.passed_K], minlength=groups)
        self.sessions_G = np.bincount(group_K[once_K], minlength=groups)
        self.scored_G = np.bincount(group_K[once_K & ~np.isnan(batch.outcome_K)], minlength=groups)
        compared_K = ~np.isnan(voted_K)
        self._scored_G = np.bincount(group_K[compared_K], minlength=groups)
        self._passed_G = np.bincount(group_K[compared_K & self.passed_K], minlength=groups)
        total_G = np.bincount(group_K[compared_K], voted_K[compared_K], groups)
        self._mean_G = total_G / np.maximum(self._scored_G, 1)
        self._runs = object_of(self._run_columns())

    def hide(self, text: str) -> str:
        """Returns a short text without its secrets; the same few come again and again."""
        if not self.redact:
            return text
        if (hidden := self._hidden.get(text)) is None:
            if len(self._hidden) > _MOST_HIDDEN:
                self._hidden.clear()
            hidden = self._hidden[text] = self._redactor.text(text)
        return hidden

    def close(self) -> None:
        """Deletes what waits on disk."""
        self._spool.close()

    def _run_columns(self) -> dict[str, int]:
        """Counts own steps; keeps, per span, ordinal of its step, of its call in the step, ..."""
        arriving = Arriving(self._columns)
        for block in self.blocks:
            batch, traj = block.batch, block.batch.traj_R
            self.steps_K += np.bincount(batch.traj_S[batch.own_S], minlength=self.steps_K.size)
            first_step = np.searchsorted(batch.traj_S, np.arange(len(batch.ids)))
            first_call = np.searchsorted(batch.step_C, np.arange(batch.traj_S.size + 1))
            for name, values in {
                "step": np.where(batch.step_R >= 0, batch.step_R - first_step[traj], -1),
                "call": np.where(batch.call_R >= 0, batch.call_R - first_call[batch.step_R], -1),
                "role": batch.role_R,
                "length": batch.length_R,
            }.items():
                arriving.put(block, (name,), values)
        return {name: number for (name,), number in arriving.keep().items()}

    def method(self, name: str) -> MethodShape:
        """Returns what takes a method's advantages block by block; `keep` adds it then."""
        return MethodShape(
            name, self._columns, self.passed_K, self._alike_G, reference=not self.methods
        )

    def add(self, name: str, given: Advantages) -> None:
        """Adds a method of which there are the advantages on the whole batch."""
        block, method = self.blocks.whole(), self.method(name)
        method.add(block, given, step_credit(block.batch, given).advantage_S)
        self.keep(method)

    def keep(self, method: MethodShape) -> None:
        """Adds a method; the first is the reference that fates and colours start with."""
        batch = self.batch
        wrote_G = np.bincount(batch.group_K, batch.wrote_K, batch.n_groups)
        self._forms[method.name], fate = method.form(self._number)
        if method.reference is not None and fate is not None:
            self.reference, self._fate = method.reference, fate
        self._seen_K |= method.seen_K
        self.methods.append(method.about())
        self.signal[method.name] = method.signal(wrote_G)

    def _number(self, form: Form) -> int:
        """Returns under which number `compared` lists what a term compares; methods share most."""
        return self._compared.setdefault(form, len(self._compared))

    def members(
        self, ks: Int64[np.ndarray, " _"], trajectories: Iterable[Trajectory]
    ) -> Iterator[bytes]:
        """Yields what the pages show of trajectories `ks`, ascending, without their texts."""
        for (k, steps, raw), trajectory in zip(self._raw(ks), trajectories, strict=True):
            shown = self._member(k, steps.of(k, trajectory), raw)
            yield msgspec.json.encode(shown, order="sorted")

    def _raw(
        self, ks: Int64[np.ndarray, " _"]
    ) -> Iterator[tuple[int, Steps, dict[str, msgspec.Raw]]]:
        """Yields each trajectory, what makes its steps, and its columns as JSON under the names
        that the pages know."""
        start_R = self._columns.start_of["R"]
        for some in self._at_once(ks):
            steps = Steps(self.blocks, some, self.passed_K, self.ids, self.hide, self.replays)
            let_go()
            pieces = self._columns.of(some)
            methods = _joined([self._forms[name].filled(pieces) for name in sorted(self._forms)])
            compared = _joined([form.filled(pieces) for form in self._compared])
            counts = (start_R[some + 1] - start_R[some]).tolist()
            of_each = zip(some.tolist(), counts, self._runs.filled(pieces), strict=True)
            for n, (k, count, runs) in enumerate(of_each):
                texts = {
                    "runs": f'{{"count":{count},{runs[1:]}',
                    "fate": pieces(self._fate)[n],
                    "methods": f"{{{methods[n]}}}",
                    "compared": f"[{compared[n]}]",
                }
                yield k, steps, {n: msgspec.Raw(text.encode()) for n, text in texts.items()}

    def _at_once(self, ks: Int64[np.ndarray, " _"]) -> Iterator[Int64[np.ndarray, " _"]]:
        """Yields `ks` in stretches short enough to become text together, what lies between too."""
        start_N, low = self._columns.start_of["N"], 0
        end_N = start_N[ks + 1]
        while low < ks.size:
            high = int(np.searchsorted(end_N, start_N[ks[low]] + _MOST, "right"))
            high = min(max(high, low + 1), low + _AT_ONCE)
            yield ks[low:high]
            low = high

    def _member(
        self, k: int, steps: list[dict[str, Any]], raw: dict[str, msgspec.Raw]
    ) -> dict[str, Any]:
        batch, decision, about = self.batch, self.decisions[k], self._about(k)
        return {
            "id": self.ids[k],
            "index": k,
            "outcome": about.outcome,
            "passed": about.passed,
            "category": CATEGORIES[batch.category_K[k]],
            "claim": CLAIMS[batch.claim_K[k]],
            "end": ENDS[batch.end_K[k]],
            "decision": {
                "verdict": decision.verdict,
                "gate": decision.gate,
                "reason": about.decision.reason,
                "detail": about.decision.detail,
                "weight": decision.weight,
            },
            **({"tree": int(batch.tree_K[k])} if batch.tree_K[k] >= 0 else {}),
            "steps": steps,
            **raw,
            "why": self._why(int(self._seen_K[k]), about),
        }

    def _why(self, seen: int, about: About) -> dict[str, str]:
        """Returns the sentence of each code that any method gives to a step of a trajectory."""
        return {code: sentence(code, about) for n, code in enumerate(CODES) if seen >> n & 1}

    def _about(self, k: int) -> About:
        outcome, g = float(self.batch.outcome_K[k]), int(self.batch.group_K[k])
        scored = int(self._scored_G[g])
        decision = self.decisions[k]
        reason, detail = self.hide(decision.reason), self.hide(decision.detail)
        if (reason, detail) != (decision.reason, decision.detail):
            decision = msgspec.structs.replace(decision, reason=reason, detail=detail)
        return About(
            outcome=None if outcome != outcome else outcome,
            passed=bool(self.passed_K[k]),
            scored=scored,
            passes=int(self._passed_G[g]),
            mean=float(self._mean_G[g]) if scored else None,
            fate=FATES[self.fate_G[g]],
            decision=decision,
        )


def _joined(parts: list[list[str]]) -> list[str]:
    return [",".join(each) for each in zip(*parts, strict=True)]
