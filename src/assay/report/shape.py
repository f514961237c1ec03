"""What the pages show of each trajectory but its texts: steps, evidence, advantages, reasons."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float64, Int64

from assay.audit import FATE_KINDS, group_fates, punished_calls, span_fates
from assay.audit.annotations import step_credit
from assay.batch import CATEGORIES, CLAIMS, ENDS, Batch
from assay.credit import METHODS
from assay.kernels.advantages import Advantages
from assay.kernels.constancy import bar
from assay.kernels.groups import FATES
from assay.kernels.term import Credited
from assay.records import Decision, ModelStep, Trajectory
from assay.report.columns import Columns
from assay.report.pack import listed, significant
from assay.report.reasons import CODES, About, Evidence, codes, options, sentence
from assay.report.redact import Redactor
from assay.report.store import Spool

_LOUD = 0.98
"""Quantile of |advantage| at which the colour ramp ends."""
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
    ) -> None:
        """Begins a report.

        Args:
            out: where the page goes, for example RUN/report.html.
            batch: after the gates.
            decisions: one per trajectory, in the batch's order.
            pass_at: a trajectory passes at this outcome or above.
            redact: hide what looks like a secret (`report.redact`); the page says how many there
                were.
        """
        n, groups = len(batch.ids), batch.n_groups
        self.out, self.folder, self.redact = out, out.parent, redact
        self.batch, self.decisions = batch, decisions
        self.folder.mkdir(parents=True, exist_ok=True)
        self._spool = Spool(self.folder)
        self._redactor, self._hidden = Redactor(), dict[str, str]()
        self.ids = [self._redactor.text(each) for each in batch.ids] if redact else batch.ids
        self.passed_K = batch.outcome_K >= bar(pass_at)
        self.fate_G, self.dead_G = group_fates(batch, pass_at=pass_at)
        self.fate_R = np.zeros(0, np.int64)
        """Of the reference, the first method that is added."""
        self.methods: list[dict[str, Any]] = []
        self.signal: dict[str, list[Any]] = {}
        self._columns = Columns(batch, self._spool)
        self._start_S, self._start_R = (self._columns.start_of[axis] for axis in "SR")
        self._first_call = np.searchsorted(batch.step_C, np.arange(batch.traj_S.size + 1))
        self._evidence = Evidence(batch, self.passed_K, self.ids)
        self._correct = (batch.correct_C == 1).data  # lists would take five times what these do
        self._key = batch.key_C.data
        self._seen_K = np.zeros(n, np.int64)
        self._forms: dict[str, _Form] = {}
        """What the pages show of each method, by its name."""
        self._compared: dict[_Form, int] = {}
        self._sentences: dict[tuple[Any, ...], str] = {}
        once_K, group_K, voted_K = batch.once_K, batch.group_K, batch.voted_K
        self.passes_G = np.bincount(group_K[once_K & self.passed_K], minlength=groups)
        self.sessions_G = np.bincount(group_K[once_K], minlength=groups)
        self.scored_G = np.bincount(group_K[once_K & ~np.isnan(batch.outcome_K)], minlength=groups)
        compared_K = ~np.isnan(voted_K)
        self._scored_G = np.bincount(group_K[compared_K], minlength=groups)
        self._passed_G = np.bincount(group_K[compared_K & self.passed_K], minlength=groups)
        total_G = np.bincount(group_K[compared_K], voted_K[compared_K], groups)
        self._mean_G = total_G / np.maximum(self._scored_G, 1)
        self._runs = self._form(self._run_columns())

    def hide(self, text: str) -> str:
        """Returns a short text without its secrets; the same few come again and again."""
        if not self.redact:
            return text
        if (hidden := self._hidden.get(text)) is None:
            hidden = self._hidden[text] = self._redactor.text(text)
        return hidden

    def close(self) -> None:
        """Deletes what waits on disk."""
        self._spool.close()

    def _form(self, columns: dict[str, np.ndarray]) -> "_Form":
        """Keeps columns; returns the JSON object of them, by name."""
        kept = [(name, self._columns.add(columns[name])) for name in sorted(columns)]
        return _Form(
            "{" + ",".join(f'"{name}":%s' for name, _ in kept) + "}", tuple(n for _, n in kept)
        )

    def _run_columns(self) -> dict[str, np.ndarray]:
        """Returns, per span: ordinal of its step in the trajectory, of its call in the step, ..."""
        batch, traj = self.batch, self.batch.traj_R
        step = np.where(batch.step_R >= 0, batch.step_R - self._start_S[traj], -1)
        call = np.where(batch.call_R >= 0, batch.call_R - self._first_call[batch.step_R], -1)
        return {"step": step, "call": call, "role": batch.role_R, "length": batch.length_R}

    def add(
        self, name: str, given: Advantages, step_S: Float64[np.ndarray, " S"] | None = None
    ) -> None:
        """Adds a method; the first is the reference that fates and colours start with.

        Args:
            name: what the pages call it.
            given: its advantages, with what they were made of.
            step_S: their mean per step where known (`step_credit`), else computed here.
        """
        batch, columns = self.batch, self._columns
        if step_S is None:
            step_S = step_credit(batch, given).advantage_S
        if not self.methods:
            self.fate_R = span_fates(batch, self.dead_G, given)
            self._fate = columns.add(self.fate_R)
            self._wronged_C = punished_calls(batch, step_S) & (batch.correct_C == 1)
        code_S = codes(batch, step_S, self.passed_K, self.dead_G)
        np.bitwise_or.at(self._seen_K, batch.traj_S, 1 << code_S.astype(np.int64))
        compared = {made.term.name: self._comparison(made) for made in given.made}
        names = sorted(given.parts)
        terms = [
            f'{_key(each)}:{{"compared":{compared.get(each, "null")},"part":%s}}' for each in names
        ]
        form = f'{_key(name)}:{{"step":%s,"terms":{{{",".join(terms)}}},'
        kept = [columns.add(step_S, per_step=True), *(columns.add(given.parts[n]) for n in names)]
        if len(names) > 1:
            form, kept = f'{form}"total":%s,', [*kept, columns.add(given.total)]
        kept.append(columns.add(code_S, per_step=True))
        self._forms[name] = _Form(f'{form}"why":%s}}', tuple(kept))
        self.methods.append(_about(name, given))
        self.signal[name] = _signal(batch, given)

    def _comparison(self, made: Credited) -> int:
        """Returns under which number `compared` lists what a term compares; methods share most."""
        form = self._form(_made_of(made, self.batch.length_R))
        return self._compared.setdefault(form, len(self._compared))

    def members(self, ks: Sequence[int], trajectories: Iterable[Trajectory]) -> Iterator[bytes]:
        """Yields what the pages show of trajectories `ks`, ascending, without their texts."""
        for k, raw, trajectory in zip(ks, self._raw(ks), trajectories, strict=True):
            yield msgspec.json.encode(self._member(k, trajectory, raw), order="sorted")

    def _raw(self, ks: Sequence[int]) -> Iterator[dict[str, msgspec.Raw]]:
        """Yields the columns of each trajectory, as JSON under the names that the pages know."""
        for some in self._at_once(ks):
            pieces = self._columns.of(some)
            methods = _joined([self._forms[name].filled(pieces) for name in sorted(self._forms)])
            compared = _joined([form.filled(pieces) for form in self._compared])
            counts = (self._start_R[np.array(some) + 1] - self._start_R[some]).tolist()
            for n, (count, runs) in enumerate(zip(counts, self._runs.filled(pieces), strict=True)):
                texts = {
                    "runs": f'{{"count":{count},{runs[1:]}',
                    "fate": pieces(self._fate)[n],
                    "methods": f"{{{methods[n]}}}",
                    "compared": f"[{compared[n]}]",
                }
                yield {name: msgspec.Raw(text.encode()) for name, text in texts.items()}

    def _at_once(self, ks: Sequence[int]) -> Iterator[Sequence[int]]:
        """Yields `ks` in stretches short enough to become text together, what lies between too."""
        start_N, low = self._columns.start_of["N"], 0
        end_N = start_N[np.array(ks, np.int64) + 1]
        while low < len(ks):
            high = int(np.searchsorted(end_N, start_N[ks[low]] + _MOST, "right"))
            high = min(max(high, low + 1), low + _AT_ONCE)
            yield ks[low:high]
            low = high

    def _member(
        self, k: int, trajectory: Trajectory, raw: dict[str, msgspec.Raw]
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
            "steps": self._steps(k, trajectory),
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

    def _steps(self, k: int, trajectory: Trajectory) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = []
        start, end = int(self._start_S[k]), int(self._start_S[k + 1])
        firsts = self._first_call[start : end + 1].tolist()
        for s, index in enumerate(self.batch.index_S[start:end].tolist(), start):
            first = firsts[s - start]
            step = trajectory.steps[index]
            calls = step.calls if isinstance(step, ModelStep) else ()
            steps.append(
                {
                    "index": index,
                    "calls": [self.hide(call.name) for call in calls],
                    "key": ",".join([str(key) for key in self._key[first : first + len(calls)]]),
                    "correct": [n for n in range(len(calls)) if self._correct[first + n]],
                    "evidence": self._evidence.of(s, k),
                }
            )
        return steps

    def punished_G(self) -> Int64[np.ndarray, " G"]:
        """Returns, per group, right calls that the reference pushes down."""
        batch = self.batch
        group_C = batch.group_K[batch.traj_S[batch.step_C]]
        return np.bincount(group_C[self._wronged_C], minlength=batch.n_groups)

    def written_G(self) -> list[list[int]]:
        """Returns, per group, how much of what the policy wrote met each of `audit.FATE_KINDS`."""
        batch, kinds, fate_R = self.batch, len(FATE_KINDS), self.fate_R
        wrote_R = fate_R >= 0
        cell_R = batch.group_K[batch.traj_R[wrote_R]] * kinds + fate_R[wrote_R]
        cells = np.bincount(cell_R, batch.length_R[wrote_R], batch.n_groups * kinds)
        return cells.astype(np.int64).reshape(batch.n_groups, kinds).tolist()


class _Form(NamedTuple):
    """JSON with a place for each of some columns."""

    text: str
    columns: tuple[int, ...]

    def filled(self, pieces: Callable[[int], list[str]]) -> list[str]:
        """Returns it for each of some trajectories."""
        of_each = zip(*(pieces(number) for number in self.columns), strict=True)
        return [self.text % each for each in of_each]


def _joined(parts: list[list[str]]) -> list[str]:
    return [",".join(each) for each in zip(*parts, strict=True)]


def _key(name: str) -> str:
    """Returns a name as a key of JSON, safe in a format string."""
    return msgspec.json.encode(name).decode().replace("%", "%%")


def _made_of(made: Credited, length_R: Int64[np.ndarray, " R"]) -> dict[str, np.ndarray]:
    """Returns, per span or token, the numbers of its unit that make its part; see `options`."""
    term = made.term
    unit = term.unit_R if term.unit_R is not None else term.unit_N
    columns = {"value": np.append(term.value_U, np.nan)[unit]}
    if term.baseline != "none":
        columns["baseline"] = np.append(made.baseline_U, np.nan)[unit]
    if term.scale != "none":
        columns["divisor"] = np.append(made.divisor_U, np.nan)[unit]
    if made.count_U.any():
        columns["peers"] = np.append(made.count_U, 0)[unit]
    if term.weight_U is not None or term.weight_N is not None:
        weight = np.full(columns["value"].size, term.weight)
        if term.weight_U is not None:
            weight = weight * np.append(term.weight_U, 1.0)[unit]
        if term.weight_N is not None:
            weight = weight if term.unit_R is None else np.repeat(weight, length_R)
            weight = weight * term.weight_N
        if (weight != term.weight).any():
            columns["weight"] = weight
    return columns


def _about(name: str, given: Advantages) -> dict[str, Any]:
    """Returns what the pages say of the method itself."""
    cls = METHODS.get(name) if name in METHODS.names() else None
    row = ("source", "value", "unit", "peers", "carried", "scaling")
    made = {each.term.name: each.term for each in given.made}
    loud = np.abs(given.total[np.nan_to_num(given.total) != 0])
    return {
        "name": name,
        "scale": float(significant(np.quantile(loud, [_LOUD]))[0]) if loud.size else 1.0,
        "about": {} if cls is None else {each: getattr(cls, each) for each in row},
        "terms": [
            {"name": each, **(options(made[each]) if each in made else {})} for each in given.parts
        ],
    }


def _signal(batch: Batch, given: Advantages) -> list[Any]:
    """Returns, per group, the mean absolute advantage over what its policy wrote."""
    length, group_R = batch.length_R, batch.group_K[batch.traj_R]
    strength, group = np.abs(np.nan_to_num(given.total)), group_R
    if strength.size == length.size:
        strength = strength * length
    else:
        group = np.repeat(group_R, length)
    strength_G = np.bincount(group, strength, batch.n_groups)
    wrote_R = batch.step_R >= 0
    wrote_G = np.bincount(group_R[wrote_R], length[wrote_R], batch.n_groups)
    return listed(significant(strength_G / np.maximum(wrote_G, 1)))
