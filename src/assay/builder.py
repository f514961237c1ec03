"""Reads records one at a time into the columns of a `Batch`; keeps no record."""

import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import final

import numpy as np

from assay.batch import CATEGORIES, CLAIMS, ENDS, ROLES, UNTRAINABLE, Batch, Measure
from assay.errors import MixedTokensError
from assay.kernels.evidence import sibling_evidence
from assay.records import ModelStep, ToolStep, Trajectory
from assay.verify.canonical import call_key, canonical
from assay.verify.claims import claim_of
from assay.verify.observation import is_error
from assay.verify.outcome import resolve

_END = {name: code for code, name in enumerate(ENDS)}
_CLAIM = {name: code for code, name in enumerate(CLAIMS)}
_ROLE = {name: code for code, name in enumerate(ROLES)}
_CATEGORY = {name: code for code, name in enumerate(CATEGORIES)}
_UNTRAINABLE = {name: code for code, name in enumerate(UNTRAINABLE)}
_CALL, _TEXT = _ROLE["call"], _ROLE["text"]
_NAN = float("nan")
_MIXED = (
    "some model steps have token ids and others have none; "
    'measure them all in characters (measure="characters")'
)


def _code(value: bool | None) -> int:
    return -1 if value is None else int(value)


@final
class Builder:
    """Columns under construction. `add` per record, then `build` once."""

    def __init__(self, *, measure: Measure | None = None, pass_at: float = 1.0) -> None:
        self._measure: Measure | None = measure
        self._asked = measure is not None
        self._pass_at = pass_at
        self._ids: list[str] = []
        self._group: dict[str, int] = {}
        self._task: dict[str, int] = {}
        self._tree: dict[tuple[str, str], int] = {}
        self._state: dict[tuple[int, str], int] = {}
        self._seen: dict[tuple[int, int], int] = {}
        # one list of tuples per axis; the order of a tuple is the order of the names in `build`
        self._K: list[tuple[float, ...]] = []
        self._S: list[tuple[float, ...]] = []
        self._C: list[tuple[int, ...]] = []
        self._R: list[tuple[int, int, int, int, int]] = []
        self._rewards: list[dict[str, float | None]] = []
        self._logprob: list[float] = []
        self._entropy: list[float] = []
        self._has_logprob = self._has_entropy = False

    def extend(self, trajectories: Iterable[Trajectory]) -> None:
        """Adds every trajectory of an iterable."""
        for trajectory in trajectories:
            self.add(trajectory)

    def add(self, trajectory: Trajectory) -> None:
        """Adds one trajectory; evidence it does not carry is read off it.

        Raises:
            MixedTokensError: it has token ids and an earlier one has none, or the other way round.
        """
        k = len(self._ids)
        task = self._task.setdefault(trajectory.task, len(self._task))
        group = self._group.setdefault(trajectory.group, len(self._group))
        tree = -1
        if trajectory.tree is not None:
            tree = self._tree.setdefault((trajectory.group, trajectory.tree), len(self._tree))
        claim = trajectory.claim or claim_of(trajectory.steps)
        resolved = resolve(trajectory, claim, pass_at=self._pass_at)
        content = self._add_steps(trajectory, k, task)
        outcome = _NAN if resolved.value is None else resolved.value
        self._ids.append(trajectory.id)
        self._rewards.append(trajectory.rewards)
        self._K.append(
            (
                *(group, task, tree, outcome, _CATEGORY[resolved.category], _CLAIM[claim]),
                *(_END[trajectory.end], content),
            )
        )

    def _add_steps(self, trajectory: Trajectory, k: int, task: int) -> int:
        """Adds the steps of trajectory `k`; returns the key of what the policy wrote."""
        steps = trajectory.steps
        experts = trajectory.expert
        keys = None if experts is None else {call_key(e.name, e.arguments) for e in experts}
        opening, shown, content = 1, -1, 0
        answered: dict[tuple[int, int], ToolStep] = {}
        for step in steps:
            if type(step) is ToolStep and step.call is not None:
                answered[step.call] = step
        for index, step in enumerate(steps):
            if type(step) is not ModelStep:
                opening = 0 if type(step) is ToolStep else opening
                shown = hash(step.text)
                if step.token_ids:
                    self._unsampled(k, len(step.token_ids))
                continue
            s = len(self._S)
            state = -1
            if step.state_key is not None:
                state = self._state.setdefault((task, step.state_key), len(self._state))
            seen = self._seen.setdefault((task, shown), len(self._seen))
            mask = -1 if step.untrainable is None else _UNTRAINABLE[step.untrainable]
            reward = _NAN if step.reward is None else step.reward
            belief = _NAN if step.belief is None else step.belief
            self._S.append((k, index, reward, belief, state, seen, opening, mask))
            content = zlib.crc32(step.text.encode("utf-8", "surrogatepass"), content)
            first_call = len(self._C)
            for number, call in enumerate(step.calls):
                evidence, key = call.evidence, call_key(call.name, call.arguments)
                ran, parsed, expert = evidence.ran, evidence.parsed, evidence.expert
                if parsed is None:
                    parsed = canonical(call.arguments) is not None
                if ran is None and (result := answered.get((index, number))) is not None:
                    ran = not (is_error(result.text) if result.error is None else result.error)
                if expert is None and keys is not None:
                    expert = key in keys
                self._C.append(
                    (
                        *(s, key, int(parsed), _code(ran), _code(evidence.sibling)),
                        *(_code(expert), _code(evidence.state)),
                    )
                )
                content = zlib.crc32(key.to_bytes(8, "little"), content)
            self._add_runs(step, k, s, first_call)
        return content

    def _add_runs(self, step: ModelStep, k: int, s: int, first_call: int) -> None:
        """Adds the runs of one model step: of tokens, or of characters where it has no ids."""
        has_ids = step.token_ids is not None
        if self._measure is None:
            self._measure = "tokens" if has_ids else "characters"
        if has_ids and not self._asked and self._measure == "characters":
            raise MixedTokensError(_MIXED)
        if self._measure == "tokens":
            if not has_ids:
                raise MixedTokensError(_MIXED)
            self._token_runs(step, k, s, first_call)
            return
        if not step.spans:
            if step.text:
                self._R.append((k, s, -1, _TEXT, len(step.text)))
        elif step.token_ids is None:
            spans = [(p.start, p.end, _ROLE[p.role], -1) for p in step.spans]
            self._cut(k, s, [(0, len(step.text))], spans, len(step.text))
        elif step.text:
            self._R.append((k, s, -1, _TEXT, len(step.text)))
        for number, call in enumerate(step.calls):
            length = len(call.name) + len(call.arguments)
            self._R.append((k, s, first_call + number, _CALL, length))

    def _token_runs(self, step: ModelStep, k: int, s: int, first_call: int) -> None:
        ids = step.token_ids or ()
        sampled = ((0, len(ids)),) if step.sampled is None else step.sampled
        spans = [(p.start, p.end, _ROLE[p.role], -1) for p in step.spans]
        placed = False
        for number, call in enumerate(step.calls):
            if call.start is not None and call.end is not None:
                spans.append((call.start, call.end, _CALL, first_call + number))
                placed = True
        if step.calls and not placed:  # nobody said where: the whole step carries its first call
            spans.append((0, len(ids), _CALL, first_call))
        self._cut(k, s, list(sampled), spans, len(ids))
        self._token_values(step, sampled, len(ids))

    def _cut(
        self,
        k: int,
        s: int,
        sampled: list[tuple[int, int]],
        spans: list[tuple[int, int, int, int]],
        n: int,
    ) -> None:
        """Cuts [0, n) wherever sampled ranges or spans begin or end; later spans win."""
        edges = sorted({0, n, *(e for r in sampled for e in r), *(e for p in spans for e in p[:2])})
        for start, end in pairwise(edges):
            if not any(a <= start < b for a, b in sampled):
                self._R.append((k, -1, -1, _TEXT, end - start))
                continue
            role, call = _TEXT, -1
            for a, b, span_role, span_call in spans:
                if a <= start < b:
                    role, call = span_role, span_call
            self._R.append((k, s, call, role, end - start))

    def _unsampled(self, k: int, length: int) -> None:
        if self._measure != "characters":
            self._measure = self._measure or "tokens"
            self._R.append((k, -1, -1, _TEXT, length))
            self._logprob += [_NAN] * length
            self._entropy += [_NAN] * length

    def _token_values(self, step: ModelStep, sampled: tuple[tuple[int, int], ...], n: int) -> None:
        """Spreads values given per sampled token over all tokens of the step."""
        for values, column in ((step.logprobs, self._logprob), (step.entropies, self._entropy)):
            if values is None:
                column += [_NAN] * n
                continue
            spread, at = [_NAN] * n, 0
            for start, end in sampled:
                spread[start:end] = [
                    _NAN if v is None else v for v in values[at : at + end - start]
                ]
                at += end - start
            column += spread
        self._has_logprob |= step.logprobs is not None
        self._has_entropy |= step.entropies is not None

    def build(self) -> Batch:
        """Returns the batch; evidence that needs the other trajectories is added here."""
        K, S = _columns(self._K, 8), _columns(self._S, 8)
        C, R = _columns(self._C, 7), _columns(self._R, 5)
        passed_K = K[3] >= self._pass_at
        traj_S, step_C = S[0].astype(np.int64), C[0].astype(np.int64)
        task_K = K[1].astype(np.int64)
        key_C = np.array([row[1] for row in self._C], np.int64)
        sibling = sibling_evidence(key_C, traj_S[step_C], task_K, passed_K)
        recorded = C[4].astype(np.int8)
        names, reward_KJ = _named(self._rewards)
        return Batch(
            reward_names=names,
            reward_KJ=reward_KJ,
            measure=self._measure or "characters",
            ids=tuple(self._ids),
            groups=tuple(self._group),
            group_K=K[0].astype(np.int64),
            task_K=task_K,
            tree_K=K[2].astype(np.int64),
            outcome_K=K[3],
            category_K=K[4].astype(np.int8),
            claim_K=K[5].astype(np.int8),
            end_K=K[6].astype(np.int8),
            content_K=K[7].astype(np.int64),
            weight_K=np.ones(len(self._ids)),
            traj_S=traj_S,
            index_S=S[1].astype(np.int64),
            reward_S=S[2],
            belief_S=S[3],
            state_S=S[4].astype(np.int64),
            seen_S=S[5].astype(np.int64),
            opening_S=S[6].astype(bool),
            untrainable_S=S[7].astype(np.int8),
            step_C=step_C,
            key_C=key_C,
            parsed_C=C[2].astype(np.int8),
            ran_C=C[3].astype(np.int8),
            sibling_C=np.where(recorded >= 0, recorded, sibling),
            expert_C=C[5].astype(np.int8),
            on_path_C=C[6].astype(np.int8),
            traj_R=R[0].astype(np.int64),
            step_R=R[1].astype(np.int64),
            call_R=R[2].astype(np.int64),
            role_R=R[3].astype(np.int8),
            length_R=R[4].astype(np.int64),
            logprob_N=np.array(self._logprob) if self._has_logprob else None,
            entropy_N=np.array(self._entropy) if self._has_entropy else None,
        )


def _columns(rows: Sequence[tuple[float, ...]], width: int) -> list[np.ndarray]:
    """Returns rows as `width` columns of float64."""
    table = np.array(rows, float) if rows else np.zeros((0, width))
    return list(table.T)


def _named(rewards: list[dict[str, float | None]]) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the names that occur, in order of appearance, and a trajectory-by-name table."""
    names = tuple(dict.fromkeys(name for parts in rewards for name in parts))
    table = np.full((len(rewards), len(names)), _NAN)
    column = {name: j for j, name in enumerate(names)}
    for k, parts in enumerate(rewards):
        for name, value in parts.items():
            table[k, column[name]] = _NAN if value is None else value
    return names, table
