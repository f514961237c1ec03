"""Reads records one at a time into the columns of a `Batch`; keeps no record.

This is the one loop over everything in a log, so it is written for speed: rows are flat, what is
rare (a recorded state, a step reward, a mask) is kept apart and filled in at the end, and texts are
compared by a hash that is the same in every process and on every machine. Rows of the trajectory
that is read are in memory; those before it may be in files (`Table`).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import Any, final

from xxhash import xxh3_64

from assay.batch.arrays import arrays
from assay.batch.columns import (
    CATEGORIES,
    CLAIMS,
    ENDS,
    ROLES,
    UNTRAINABLE,
    Columns,
    Measure,
    hash_of,
)
from assay.batch.completions import Completions
from assay.errors import AlignmentError, MixedTokensError
from assay.records import CallEvidence, ModelStep, ToolStep, Trajectory
from assay.records.evidence import NOBODY_LOOKED
from assay.verify.canonical import call_form
from assay.verify.claims import claim_of
from assay.verify.observation import is_error
from assay.verify.outcome import resolve, verdict

_END = {name: code for code, name in enumerate(ENDS)}
_CLAIM = {name: code for code, name in enumerate(CLAIMS)}
_ROLE = {name: code for code, name in enumerate(ROLES)}
_CATEGORY = {name: code for code, name in enumerate(CATEGORIES)}
_UNTRAINABLE = {name: code for code, name in enumerate(UNTRAINABLE)}
_CALL, _TEXT = _ROLE["call"], _ROLE["text"]
_C_WIDTH = Columns().C.width
_NAN = float("nan")
_MIXED = (
    "some model steps have token ids and others have none; "
    'measure them all in characters (measure="characters")'
)


@final
class Builder:
    """Columns under construction. `add` per record, then `arrays` once."""

    def __init__(self, *, measure: Measure | None = None, pass_at: float = 1.0) -> None:
        self._measure: Measure | None = measure
        self._asked = measure is not None
        self._pass_at = pass_at
        self._columns = Columns()

    def extend(self, trajectories: Iterable[Trajectory]) -> None:
        """Adds every trajectory of an iterable."""
        for trajectory in trajectories:
            self.add(trajectory)

    def add(self, trajectory: Trajectory) -> None:
        """Adds one trajectory; evidence that it does not carry is read off it.

        Raises:
            MixedTokensError: it has token ids and an earlier one has none, or the other way round.
            AlignmentError: a step has not one log-probability for each sampled token.
        """
        columns = self._columns
        task = columns.task[trajectory.task]
        tree = session = -1
        if trajectory.tree is not None:
            tree = columns.tree[trajectory.group, trajectory.tree]
        if trajectory.session is not None:
            session = columns.session[trajectory.group, trajectory.session]
        claim = trajectory.claim or claim_of(trajectory.steps)
        resolved = resolve(trajectory, claim, pass_at=self._pass_at)
        k, judge = len(columns.ids), -1
        if trajectory.grades and (judged := verdict(trajectory)):
            judge = columns.judge[judged[0]]
            columns.verdict.tail.extend((k, judged[1]))
        content = self._add_steps(trajectory, k)
        columns.rewarded(k, trajectory.rewards)
        if trajectory.prior is not None:
            columns.prior.tail.extend((k, trajectory.prior))
        if trajectory.rescue is not None:
            columns.rescued.tail.extend((k, True))
        columns.ids.append(trajectory.id)
        columns.outcome.tail.append(_NAN if resolved.value is None else resolved.value)
        columns.K.tail.extend(
            (
                *(columns.group[trajectory.group], task, tree, session, judge, content),
                *(_CATEGORY[resolved.category], _CLAIM[claim], _END[trajectory.end]),
            )
        )
        columns.settle()

    def complete(self, completions: Completions) -> None:
        """Adds bare completions; they are measured in tokens."""
        self._measure = self._measure or "tokens"
        completions.into(self._columns, pass_at=self._pass_at)

    def into(self, folder: Path) -> None:
        """Lets what it reads go to files of a folder, for another process of this machine."""
        self._columns.into(folder)

    def absorb(self, other: "Builder") -> None:
        """Appends what another builder, of whatever process or machine, has read.

        Raises:
            MixedTokensError: one of them has token ids and the other has none.
        """
        if None not in (self._measure, other._measure) and self._measure != other._measure:
            raise MixedTokensError(_MIXED)
        self._measure = self._measure or other._measure
        self._columns.absorb(other._columns)

    def _add_steps(self, trajectory: Trajectory, k: int) -> int:
        """Adds the steps of trajectory `k`; returns a hash of what the policy wrote."""
        columns = self._columns
        S, C = columns.S.tail, columns.C.tail
        first_call = columns.C.done
        if trajectory.expert is not None:
            forms = {_call_key(each.name, each.arguments)[0] for each in trajectory.expert}
            columns.experts.setdefault(trajectory.task, set()).update(forms)
        row_of: dict[int, int] = {}  # step index -> row of its first call
        own, opening, shown, wrote = False, True, 0, xxh3_64()
        for index, step in enumerate(trajectory.steps):
            if type(step) is not ModelStep:
                shown = hash_of(step.text)
                if type(step) is ToolStep:
                    opening = opening and not own
                    self._answer(step, row_of, shown)
                if step.token_ids:
                    self._unsampled(k, len(step.token_ids))
                continue
            s, row = len(columns.S), len(C)
            copied = step.untrainable == "copied"
            own = own or not copied
            S.extend((k, index, opening and not copied, shown))
            wrote.update(hash_of(step.text).to_bytes(8))
            if not copied:
                row_of[index] = row
            for call in step.calls:
                key, is_json = _call_key(call.name, call.arguments)
                wrote.update(key.to_bytes(8))
                if copied:  # somebody else's call: it counts where it was made, if anywhere
                    continue
                C.extend((s, key, is_json, -1, -1, -1))
                if call.evidence is not NOBODY_LOOKED:
                    self._recorded(call.evidence, len(C) - _C_WIDTH)
            self._add_spans(step, k, s, None if copied else first_call + row // _C_WIDTH)
            self._rare(step, s)
        return wrote.intdigest() >> 1

    def _answer(self, step: ToolStep, row_of: dict[int, int], shown: int) -> None:
        """Fills in what the call that `step` answers was answered, and whether it ran, unless its
        record says so itself."""
        if step.call is None or (first := row_of.get(step.call[0])) is None:
            return
        row = first + _C_WIDTH * step.call[1]
        C = self._columns.C.tail
        if not first <= row < len(C):
            return
        C[row + 5] = shown
        if C[row + 3] < 0:
            C[row + 3] = not (is_error(step.text) if step.error is None else step.error)

    def _recorded(self, evidence: CallEvidence, row: int) -> None:
        """Lets what a record says of a call stand."""
        columns = self._columns
        C, call = columns.C.tail, columns.C.done + row // _C_WIDTH
        for offset, value in ((2, evidence.parsed), (3, evidence.ran), (4, evidence.expert)):
            if value is not None:
                C[row + offset] = value
        if evidence.sibling is not None:
            columns.sibling.tail.extend((call, evidence.sibling))
        if evidence.state is not None:
            columns.on_path.tail.extend((call, evidence.state))

    def _rare(self, step: ModelStep, s: int) -> None:
        """Keeps what few steps have."""
        columns = self._columns
        if step.state_key is not None:
            columns.state.tail.extend((s, hash_of(step.state_key)))
        if step.reward is not None:
            columns.reward.tail.extend((s, step.reward))
        if step.belief is not None:
            columns.belief.tail.extend((s, step.belief))
        if step.untrainable is not None:
            columns.untrainable.tail.extend((s, _UNTRAINABLE[step.untrainable]))
        if step.hints:
            columns.hinted.tail.extend((s, len(step.hints)))
        if step.confidence is not None:
            columns.confidence.tail.extend((s, step.confidence))
        if step.node is not None:
            parent = -1 if step.parent is None else hash_of(step.parent)
            columns.node.tail.extend((s, hash_of(step.node), parent))
        for name, value in step.scores.items():
            score = _NAN if value is None else value
            columns.scores.tail.extend((s, columns.score_names[name], score))

    def _add_spans(self, step: ModelStep, k: int, s: int, call: int | None) -> None:
        """Adds the spans of one model step: of tokens, or of characters where it has no ids. Its
        calls are numbered from `call`; None: they are of nobody here."""
        has_ids = step.token_ids is not None
        if self._measure is None:
            self._measure = "tokens" if has_ids else "characters"
        if not self._asked and has_ids != (self._measure == "tokens"):
            raise MixedTokensError(_MIXED)
        if self._measure == "tokens":
            if not has_ids:
                raise MixedTokensError(_MIXED)
            self._token_spans(step, k, s, call)
            return
        R = self._columns.R.tail
        if step.spans and not has_ids:
            spans = [(p.start, p.end, _ROLE[p.role], -1) for p in step.spans]
            self._cut(k, s, ((0, len(step.text)),), spans, len(step.text))
        elif step.text:
            R.extend((k, s, -1, _TEXT, len(step.text)))
        for number, each in enumerate(step.calls):
            of = -1 if call is None else call + number
            R.extend((k, s, of, _CALL, len(each.name) + len(each.arguments)))

    def _token_spans(self, step: ModelStep, k: int, s: int, call: int | None) -> None:
        n = len(step.token_ids or ())
        sampled = ((0, n),) if step.sampled is None else step.sampled
        spans = [(p.start, p.end, _ROLE[p.role], -1) for p in step.spans]
        placed = [
            (each.start, each.end, _CALL, -1 if call is None else call + number)
            for number, each in enumerate(step.calls)
            if each.start is not None and each.end is not None
        ]
        if step.calls and not placed:  # nobody said where: the whole step carries its first call
            placed = [(0, n, _CALL, -1 if call is None else call)]
        self._cut(k, s, sampled, spans + placed, n)
        self._token_values(step, sampled, n)

    def _cut(
        self,
        k: int,
        s: int,
        sampled: Sequence[tuple[int, int]],
        spans: Sequence[tuple[int, int, int, int]],
        n: int,
    ) -> None:
        """Cuts [0, n) wherever sampled ranges or spans begin or end; later spans win."""
        R = self._columns.R.tail
        edges = {0, n, *(e for r in sampled for e in r), *(e for p in spans for e in p[:2])}
        for start, end in pairwise(sorted(edge for edge in edges if 0 <= edge <= n)):
            if not any(a <= start < b for a, b in sampled):
                R.extend((k, -1, -1, _TEXT, end - start))
                continue
            role, call = _TEXT, -1
            for a, b, span_role, span_call in spans:
                if a <= start < b:
                    role, call = span_role, span_call
            R.extend((k, s, call, role, end - start))

    def _unsampled(self, k: int, n: int) -> None:
        if self._measure == "characters":
            return
        self._measure = "tokens"
        columns = self._columns
        columns.R.tail.extend((k, -1, -1, _TEXT, n))
        columns.logprob.tail.extend([_NAN] * n)
        columns.entropy.tail.extend([_NAN] * n)

    def _token_values(self, step: ModelStep, sampled: Sequence[tuple[int, int]], n: int) -> None:
        """Spreads values given per sampled token over all tokens of the step."""
        columns = self._columns
        for values, table in (
            (step.told, columns.told),
            (step.neutral, columns.neutral),
            (step.helped, columns.helped),
        ):
            if values is not None:
                spread = enumerate(self._spread(values, sampled, n), len(columns.logprob))
                for place, value in spread:
                    table.tail.extend(() if isnan(value) else (place, value))
        for values, column in (
            (step.logprobs, columns.logprob),
            (step.entropies, columns.entropy),
        ):
            column.tail.extend([_NAN] * n if values is None else self._spread(values, sampled, n))
        columns.has_logprob |= step.logprobs is not None
        columns.has_entropy |= step.entropies is not None

    def _spread(
        self, values: Sequence[float | None], sampled: Sequence[tuple[int, int]], n: int
    ) -> list[float]:
        """Returns one value for each of n tokens, NaN where nobody knows any."""
        spread, at = [_NAN] * n, 0
        for start, end in sampled:
            spread[start:end] = [_NAN if v is None else v for v in values[at : at + end - start]]
            at += end - start
        if at != len(values):
            raise AlignmentError(
                f"trajectory number {len(self._columns.ids)}: got {len(values)} log-probabilities "
                f"or entropies in a step; expected one per sampled token, {at}"
            )
        return spread

    def arrays(self) -> dict[str, Any]:
        """Returns the fields of a `Batch`; the builder is empty then."""
        columns, self._columns = self._columns, Columns()
        return {"measure": self._measure or "characters", **arrays(columns, self._pass_at)}


@lru_cache(maxsize=1 << 14)
def _call_key(name: str, arguments: str) -> tuple[int, bool]:
    """Returns the hash of a call's form, and whether its arguments are one JSON object."""
    form = call_form(name, arguments)
    return hash_of(f"{name}\0{form.is_json:d}{form.arguments}"), form.is_json
