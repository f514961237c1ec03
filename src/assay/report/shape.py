"""What the pages show of each trajectory but its texts: steps, evidence, advantages, reasons."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.audit import FATE_KINDS, group_fates, run_fates
from assay.audit.annotations import step_credit
from assay.batch import CATEGORIES, CLAIMS, ENDS, Batch
from assay.credit import METHODS
from assay.errors import AssayError
from assay.kernels.advantages import Advantages
from assay.kernels.groups import FATES
from assay.kernels.term import Term
from assay.kernels.units import credited
from assay.records import Decision, ModelStep, Trajectory
from assay.report.pack import Packed, listed, significant
from assay.report.reasons import CODES, About, Evidence, codes, correct_calls, sentence
from assay.report.redact import Redactor

_LOUD = 0.98
"""Quantile of |advantage| at which the colour ramp ends."""


@final
class Shapes:
    """Everything about a set that the pages show, as columns; asked for piece by piece."""

    def __init__(
        self,
        batch: Batch,
        credits: Mapping[str, Advantages],
        decisions: Sequence[Decision],
        *,
        pass_at: float,
        redactor: Redactor | None,
    ) -> None:
        def hide(text: str) -> str:
            return text if redactor is None else redactor.text(text)

        n, groups = len(batch.ids), batch.n_groups
        self.batch, self.decisions, self.hide = batch, decisions, hide
        self.ids = [hide(each) for each in batch.ids]
        self.passed_K = batch.outcome_K >= pass_at
        self.fate_G, self.dead_G = group_fates(batch, pass_at=pass_at)
        reference = next(iter(credits.values()))
        self.fate_R = run_fates(batch, self.dead_G, reference)
        self._start_S = np.searchsorted(batch.traj_S, np.arange(n + 1))
        self._start_R = np.searchsorted(batch.traj_R, np.arange(n + 1))
        self._first_call = np.searchsorted(batch.step_C, np.arange(batch.traj_S.size + 1))
        self._evidence = Evidence(batch, self.passed_K, self.ids)
        self._correct = correct_calls(batch).tolist()
        self._runs = self._packed_runs()
        self._fate = Packed(self.fate_R, self._start_R)
        self._compared = Compared()
        self.methods = {name: self._method(name, given) for name, given in credits.items()}
        scored_K = ~np.isnan(batch.outcome_K)
        self._scored_G = np.bincount(batch.group_K[scored_K], minlength=groups)
        self._passes_G = np.bincount(batch.group_K[self.passed_K], minlength=groups)
        total_G = np.bincount(batch.group_K, np.nan_to_num(batch.outcome_K), groups)
        self._mean_G = total_G / np.maximum(self._scored_G, 1)

    def _packed_runs(self) -> dict[str, Packed]:
        """Returns, per run: ordinal of its step in the trajectory, of its call in the step, ..."""
        batch, traj = self.batch, self.batch.traj_R
        step = np.where(batch.step_R >= 0, batch.step_R - self._start_S[traj], -1)
        call = np.where(batch.call_R >= 0, batch.call_R - self._first_call[batch.step_R], -1)
        columns = {"step": step, "call": call, "role": batch.role_R, "length": batch.length_R}
        return {name: Packed(column, self._start_R) for name, column in columns.items()}

    def _method(self, name: str, given: Advantages) -> "MethodShape":
        step_S = step_credit(self.batch, given).advantage_S
        code_S = codes(self.batch, step_S, self.passed_K, self.dead_G)
        starts = self._start_S, self._start_R
        return MethodShape(self.batch, name, given, step_S, code_S, starts, self._compared)

    def member(self, k: int, trajectory: Trajectory) -> dict[str, Any]:
        """Returns what the pages show of trajectory `k`, without its texts."""
        batch, decision = self.batch, self.decisions[k]
        about = self._about(k)
        seen: set[int] = set()
        methods: dict[str, Any] = {}
        for name, method in self.methods.items():
            methods[name] = method.piece(k)
            seen |= method.codes_of(k)
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
                "reason": self.hide(decision.reason),
                "detail": self.hide(decision.detail),
                "weight": decision.weight,
            },
            "steps": self._steps(k, trajectory),
            "runs": {"count": int(self._start_R[k + 1] - self._start_R[k])}
            | {name: column[k] for name, column in self._runs.items()},
            "fate": self._fate[k],
            "methods": methods,
            "compared": self._compared.piece(k),
            "why": {CODES[code]: sentence(CODES[code], about) for code in sorted(seen)},
        }

    def _about(self, k: int) -> About:
        outcome, g = float(self.batch.outcome_K[k]), int(self.batch.group_K[k])
        scored = int(self._scored_G[g])
        hide, decision = self.hide, self.decisions[k]
        return About(
            outcome=None if outcome != outcome else outcome,
            passed=bool(self.passed_K[k]),
            scored=scored,
            passes=int(self._passes_G[g]),
            mean=float(self._mean_G[g]) if scored else None,
            fate=FATES[self.fate_G[g]],
            decision=Decision(
                trajectory=decision.trajectory,
                verdict=decision.verdict,
                gate=decision.gate,
                reason=hide(decision.reason),
                detail=hide(decision.detail),
            ),
        )

    def _steps(self, k: int, trajectory: Trajectory) -> list[dict[str, Any]]:
        batch, steps = self.batch, []
        for s in range(int(self._start_S[k]), int(self._start_S[k + 1])):
            index, first = int(batch.index_S[s]), int(self._first_call[s])
            step = trajectory.steps[index]
            calls = step.calls if isinstance(step, ModelStep) else ()
            key = batch.key_C[first : first + len(calls)].tolist()
            steps.append(
                {
                    "index": index,
                    "calls": [self.hide(call.name) for call in calls],
                    "key": format(hash(tuple(key)) & 0xFFFFFFFFFF, "x") if key else "",
                    "correct": [n for n in range(len(calls)) if self._correct[first + n]],
                    "evidence": self._evidence.of(s, k),
                }
            )
        return steps

    def punished_G(self) -> Int64[np.ndarray, " G"]:
        """Returns, per group, correct calls in failed trajectories of mixed groups."""
        batch = self.batch
        traj_C = batch.traj_S[batch.step_C]
        failed_C = (~self.passed_K & ~np.isnan(batch.outcome_K))[traj_C]
        group_C = batch.group_K[traj_C]
        found_C = correct_calls(batch) & failed_C & (self.fate_G[group_C] == FATES.index("mixed"))
        return np.bincount(group_C[found_C], minlength=batch.n_groups)

    def written_G(self) -> list[list[int]]:
        """Returns, per group, how much of what the policy wrote met each of `audit.FATE_KINDS`."""
        batch, kinds = self.batch, len(FATE_KINDS)
        wrote_R = self.fate_R >= 0
        cell_R = batch.group_K[batch.traj_R[wrote_R]] * kinds + self.fate_R[wrote_R]
        cells = np.bincount(cell_R, batch.length_R[wrote_R], batch.n_groups * kinds)
        return cells.astype(np.int64).reshape(batch.n_groups, kinds).tolist()


@final
class Compared:
    """What terms compare: value, peers and their mean. Methods share most of it: kept once."""

    def __init__(self) -> None:
        self._columns: list[dict[str, Packed]] = []
        self._known: dict[bytes, int] = {}

    def add(
        self,
        columns: dict[str, np.ndarray],
        packed: Callable[[np.ndarray], Packed],
    ) -> int:
        """Returns the number under which `piece` lists these columns, one per run or per token."""
        digest = hashlib.sha256()
        for name, column in columns.items():
            digest.update(f"{name} {column.size}".encode() + column.tobytes())
        number = self._known.setdefault(digest.digest(), len(self._columns))
        if number == len(self._columns):
            self._columns.append({name: packed(column) for name, column in columns.items()})
        return number

    def piece(self, k: int) -> list[dict[str, Any]]:
        """Returns what trajectory `k` is compared with, by number."""
        return [{name: column[k] for name, column in each.items()} for each in self._columns]


@final
class MethodShape:
    """One method's numbers, packed per trajectory."""

    def __init__(
        self,
        batch: Batch,
        name: str,
        given: Advantages,
        step_S: Float64[np.ndarray, " S"],
        code_S: np.ndarray,
        starts: tuple[Int64[np.ndarray, " _"], Int64[np.ndarray, " _"]],
        compared: "Compared",
    ) -> None:
        start_S, start_R = starts
        start_N = np.append(0, np.cumsum(batch.length_R))[start_R]

        def packed(values: np.ndarray) -> Packed:
            return Packed(values, start_R if values.size == batch.length_R.size else start_N)

        self._step, self._code = Packed(step_S, start_S), Packed(code_S, start_S)
        self._codes, self._start_S = code_S, start_S
        self._total = packed(given.total)
        self._parts = {term: packed(part) for term, part in given.parts.items()}
        self._terms = {term.name: term for term in _terms(batch, name, given)}
        self._compared = {
            each: compared.add(_compared(term, batch), packed) for each, term in self._terms.items()
        }
        self.name, self.signal_G = name, _signal(batch, given)
        loud = np.abs(given.total[np.nan_to_num(given.total) != 0])
        self.scale = float(significant(np.quantile(loud, [_LOUD]))[0]) if loud.size else 1.0

    def piece(self, k: int) -> dict[str, Any]:
        """Returns the numbers of trajectory `k`: per step, per run (or token), and per term."""
        terms = {
            name: {"part": part[k], "compared": self._compared.get(name)}
            for name, part in self._parts.items()
        }
        total = {} if len(terms) == 1 else {"total": self._total[k]}
        return {"step": self._step[k], "why": self._code[k], "terms": terms, **total}

    def codes_of(self, k: int) -> set[int]:
        """Returns the reason codes that occur in trajectory `k`."""
        return set(self._codes[self._start_S[k] : self._start_S[k + 1]].tolist())

    def about(self) -> dict[str, Any]:
        """Returns what the pages say of the method itself."""
        cls = METHODS.get(self.name) if self.name in METHODS.names() else None
        row = ("source", "value", "unit", "peers", "carried", "scaling")
        return {
            "name": self.name,
            "scale": self.scale,
            "about": {} if cls is None else {each: getattr(cls, each) for each in row},
            "terms": [{"name": name, **_choices(self._terms.get(name))} for name in self._parts],
        }


def _choices(term: Term | None) -> dict[str, Any]:
    if term is None:
        return {}
    return {"baseline": term.baseline, "scale": term.scale, "weight": term.weight}


def _terms(batch: Batch, name: str, given: Advantages) -> list[Term]:
    """Returns the terms of a registered method where its defaults reproduce the parts given.

    Whoever passed other options gets the parts without the values behind them, never wrong ones.
    """
    try:
        terms = METHODS.get(name)().terms(batch)
    except AssayError:
        return []
    return [term for term in terms if _reproduces(term, given)]


def _reproduces(term: Term, given: Advantages) -> bool:
    unit = term.unit_R if term.unit_R is not None else term.unit_N
    part = given.parts.get(term.name)
    if unit is None or part is None:
        return False
    mine = np.append(credited(term).advantage_U, 0.0)[unit]
    if term.weight_N is not None:
        mine = np.repeat(mine, given.length_R) if mine.size != part.size else mine
        mine = np.where(mine == 0.0, 0.0, mine * term.weight_N)
    return mine.size == part.size and bool(np.allclose(mine, part, equal_nan=True))


def _compared(term: Term, batch: Batch) -> dict[str, np.ndarray]:
    """Returns, per run or token: the value of its unit, and its peers' mean and number."""
    unit = term.unit_R if term.unit_R is not None else term.unit_N
    value_U = term.value_U
    columns = {"value": np.append(value_U, np.nan)[unit]}
    if term.baseline == "given":
        given_U = np.broadcast_to(np.asarray(term.given_U, float), value_U.shape)
        return {**columns, "baseline": np.append(given_U, np.nan)[unit]}
    if term.peer_U is None or (term.baseline == "none" and term.scale == "none"):
        return columns
    counted = ~np.isnan(value_U) & (term.peer_U >= 0)
    size = int(term.peer_U.max(initial=-1)) + 1
    count_P = np.bincount(term.peer_U[counted], minlength=size)
    mean_P = np.bincount(term.peer_U[counted], value_U[counted], size) / np.maximum(count_P, 1)
    count_U = np.append(count_P, 0)[term.peer_U]
    mean_U = np.where(count_U > 0, np.append(mean_P, np.nan)[term.peer_U], np.nan)
    return {
        **columns,
        "peers": np.append(count_U, 0)[unit],
        "mean": np.append(mean_U, np.nan)[unit],
    }


def _signal(batch: Batch, given: Advantages) -> list[Any]:
    """Returns, per group, the mean absolute advantage over what its policy wrote."""
    total, length = given.total, batch.length_R
    group_R = batch.group_K[batch.traj_R]
    if total.size == length.size:
        strength_R = np.abs(np.nan_to_num(total)) * length
        strength_G = np.bincount(group_R, strength_R, batch.n_groups)
    else:
        group_N = np.repeat(group_R, length)
        strength_G = np.bincount(group_N, np.abs(np.nan_to_num(total)), batch.n_groups)
    wrote_R = batch.step_R >= 0
    wrote_G = np.bincount(group_R[wrote_R], length[wrote_R], batch.n_groups)
    return listed(significant(strength_G / np.maximum(wrote_G, 1)))
