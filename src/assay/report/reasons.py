"""Why a step got its value, in words, with the place to look at.

Two questions, kept apart: *why this sign?* (`codes` and `sentence`: depends on the method) and
*was the step any good?* (`Evidence`: what is known of its calls, whatever the method).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64

from assay.batch import UNTRAINABLE, Batch
from assay.kernels.groups import voters
from assay.kernels.term import Term
from assay.records import Decision

CODES: Final = (
    "up",
    "down",
    "down_correct",
    "up_failed",
    "down_passed",
    "dead",
    "level",
    "uncarried",
    "unscored",
    "dropped",
    *(f"untrainable_{kind}" for kind in UNTRAINABLE),
)
"""What `codes` returns, in order. Each has one sentence in `sentence`."""

_SAID: Final = {
    "down_correct": "Pushed down with its failed attempt, although its call is correct by "
    "evidence.",
    "down_passed": "Pushed down although the attempt passed: the terms say why.",
    "level": "Exactly level with what it is compared with, so neither up nor down.",
    "uncarried": "This method credits nothing to this step.",
    "unscored": "Nobody scored this attempt, so nothing is credited.",
} | {
    f"untrainable_{kind}": f"No gradient may flow here: {why}."
    for kind, why in {
        "masked": "the log marks this step as not to be trained on",
        "drifted": "its tokens are not the ones that were sampled",
        "copied": "it was not sampled for this trajectory: it is part of the prompt, or counts "
        "where it was made",
        "logprobs": "its log-probabilities do not belong to these tokens",
    }.items()
}
"""What the code alone says."""


@final
@dataclass(frozen=True, slots=True)
class About:
    """What a sentence may say of a trajectory and its group."""

    outcome: float | None
    passed: bool
    scored: int
    """Attempts of the group that are compared: scored and kept, each session once."""
    passes: int
    mean: float | None
    """Their mean outcome."""
    fate: str
    """One of `kernels.groups.FATES`."""
    decision: Decision


def codes(
    batch: Batch,
    advantage_S: Float64[np.ndarray, " S"],
    passed_K: Bool[np.ndarray, " K"],
    alike_G: Bool[np.ndarray, " G"],
) -> Int8[np.ndarray, " S"]:
    """Returns the index into `CODES` of why each step has its advantage.

    Args:
        batch: after the gates.
        advantage_S: mean advantage of each step; NaN: nothing of it is carried, or unscored.
        passed_K: which trajectories passed.
        alike_G: groups in which no outcome differs from another.
    """
    traj = batch.traj_S
    passed, scored = passed_K[traj], ~np.isnan(batch.outcome_K)[traj]
    up, down = advantage_S > 0, advantage_S < 0
    cases = [
        (~batch.kept_K[traj] & scored, "dropped"),
        *((batch.untrainable_S == n, f"untrainable_{kind}") for n, kind in enumerate(UNTRAINABLE)),
        (~scored & ~up & ~down, "unscored"),
        (up & passed, "up"),
        (up, "up_failed"),
        (down & passed, "down_passed"),
        (down & correct_steps(batch), "down_correct"),
        (down, "down"),
        (alike_G[batch.group_K][traj], "dead"),
        (np.isnan(advantage_S), "uncarried"),
    ]
    return np.select(
        [case for case, _ in cases],
        [CODES.index(name) for _, name in cases],
        CODES.index("level"),
    ).astype(np.int8)


def correct_steps(batch: Batch) -> Bool[np.ndarray, " S"]:
    """Returns which steps make at least one correct call."""
    return np.bincount(batch.step_C[batch.correct_C == 1], minlength=batch.traj_S.size) > 0


def sentence(code: str, about: About) -> str:
    """Returns the sentence of a code for one trajectory: why its steps got what they got."""
    failed = about.scored - about.passes
    match code:
        case "up" if failed:
            others = attempts(failed)
            return f"Pushed up: this attempt passed, and {others} of its group did not."
        case "up":
            return "Pushed up: this attempt passed."
        case "down" if about.passes:
            others = attempts(about.passes)
            return f"Pushed down: this attempt failed, and {others} of its group passed."
        case "down" | "up_failed":
            return _ranked(code, about)
        case "dead":
            return f"Nobody compared: the group is dead ({_dead(about)})."
        case "dropped":
            decision = about.decision
            detail = f", {decision.detail}" if decision.detail else ""
            return f"Left out by the gate {decision.gate} ({decision.reason}{detail})."
        case _:
            return _SAID[code]


def _ranked(code: str, about: About) -> str:
    """Returns the sentence for a failed attempt that its outcome alone does not explain."""
    outcome, mean = about.outcome, about.mean
    if outcome is None or mean is None:
        way = "down" if code == "down" else "up"
        return f"Pushed {way}, although nobody scored the attempt: the terms say why."
    if code == "down" and outcome < mean:
        return f"Pushed down: its outcome {outcome:g} is below the group's mean {mean:.3g}."
    if code == "up_failed" and outcome > mean:
        return f"Pushed up: its outcome {outcome:g} is above the group's mean {mean:.3g}."
    if code == "down":
        return "Pushed down: this attempt failed."
    return "Pushed up although the attempt failed: the terms say why."


def attempts(count: int) -> str:
    """Returns "1 attempt" or "3 attempts"."""
    return f"{count:,} attempt{'' if count == 1 else 's'}"


def _dead(about: About) -> str:
    told = {
        "all_fail": f"all {about.scored} attempts fail",
        "all_pass": f"all {about.scored} attempts pass",
        "constant_partial": f"all {about.scored} attempts have the same outcome, "
        f"{about.outcome or 0:g}",
        "single": "it has one scored attempt",
        "unscored": "nobody scored it",
    }
    return told.get(about.fate, "its outcomes do not differ")


_BASELINES: Final = {
    "none": "",
    "mean": "the mean of its peers",
    "loo": "the mean of the others",
    "quantile": "the {0.quantile:g} quantile of its peers",
    "shrunk": "the mean of its peers, drawn towards {0.prior:g}",
    "virtual": "the mean of its peers, virtual ones counted",
    "given": "the baseline given",
}
_SCALES: Final = {
    "none": "",
    "std": "the deviation of its peers (ddof {0.ddof}) plus {0.eps:g}",
    "mean": "the mean of its peers plus {0.eps:g}",
    "root": "the root of its peers' variance (ddof {0.ddof}) plus {0.eps:g}",
}


def options(term: Term) -> dict[str, Any]:
    """Returns how a term makes its part of an advantage, as numbers and in words.

    part = weight * clip(sign((value - baseline) / divisor), -cap, cap), or 0 without peers; what
    differs between units (value, baseline, divisor, some weights) is shown beside each part.
    """
    by_length = "" if term.mass_U is None else ", each by its length"
    return {
        "baseline": _BASELINES[term.baseline].format(term) + by_length,
        "scale": _SCALES[term.scale].format(term),
        "sign": term.sign,
        "cap": None if term.cap == np.inf else term.cap,
        "weight": term.weight,
    }


@final
class Evidence:
    """What is known of the calls of each step, with a link to where it can be seen."""

    def __init__(
        self,
        batch: Batch,
        passed_K: Bool[np.ndarray, " K"],
        ids: Sequence[str] | None = None,
        among: Batch | None = None,
    ) -> None:
        """Looks at a batch, or at some of its steps; `among` has the calls of all siblings."""
        self._ids = batch.ids if ids is None else ids
        self._first_call = np.searchsorted(batch.step_C, np.arange(batch.traj_S.size + 1)).data
        self._state, self._expert = batch.on_path_C.data, batch.expert_C.data
        self._sibling, self._ran = batch.sibling_C.data, batch.ran_C.data
        self._parsed = batch.parsed_C.data
        self._owners = _owners(batch if among is None else among, passed_K)
        self._rollout = voters(batch.session_K, ~np.isnan(batch.outcome_K)).data
        self._key, self._task = batch.key_C.data, batch.task_K.data
        self._reward = batch.reward_S.data

    def of(self, step: int, trajectory: int) -> list[dict[str, Any]]:
        """Returns facts about step `step` (of axis S), strongest first, each with its words.

        A fact is `{"code", "call", "text"}`, and where there is something to look at also
        `"trajectory"` (index) and `"step"` (index into that trajectory's steps).
        """
        facts: list[dict[str, Any]] = []
        first, last = self._first_call[step], self._first_call[step + 1]
        for number, c in enumerate(range(first, last)):
            facts += [{**fact, "call": number} for fact in self._of_call(c, trajectory)]
        reward = self._reward[step]
        if reward == reward:
            facts.append({"code": "reward", "text": f"the environment paid {reward:g} after it"})
        return facts

    def _of_call(self, c: int, trajectory: int) -> list[dict[str, Any]]:
        if self._parsed[c] == 0:
            return [{"code": "malformed", "text": "its arguments are not one JSON object"}]
        if self._ran[c] == 0:
            return [{"code": "error", "text": "its observation is an error"}]
        facts: list[dict[str, Any]] = []
        if self._state[c] == 1:
            facts.append({"code": "state", "text": "its state is on a path to success"})
        if self._expert[c] == 1:
            facts.append({"code": "expert", "text": "an expert action of this task"})
        if self._sibling[c] == 1:
            facts.append(self._same_call(c, trajectory))
        if not facts and self._ran[c] == 1:
            facts.append({"code": "unconfirmed", "text": self._unconfirmed(c)})
        return facts

    def _same_call(self, c: int, trajectory: int) -> dict[str, Any]:
        pair = (self._task[trajectory], self._key[c])
        rollout = self._rollout
        found = self._owners.get(pair, ())
        others = [owner for owner in found if rollout[owner[0]] != rollout[trajectory]]
        if not others:  # the record itself says so, and no sibling of this set shows it
            return {"code": "sibling", "text": "a successful sibling makes the same call"}
        k, step = others[0]
        also = f", and in {len(others) - 1} more" if len(others) > 1 else ""
        text = f"same call occurs in sibling {self._ids[k]} (passed), step {step}{also}"
        return {"code": "sibling", "text": text, "trajectory": k, "step": step}

    def _unconfirmed(self, c: int) -> str:
        compared = {"expert": self._expert[c], "successful sibling": self._sibling[c]}
        looked = [words for words, level in compared.items() if level == 0]
        if looked:
            return f"it ran, and no {' and no '.join(looked)} makes this call"
        return "it ran, and there is nothing to compare it with"


def _owners(
    batch: Batch, passed_K: Bool[np.ndarray, " K"]
) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Returns (task, call key) -> the passing trajectories that make it, with their first step."""
    owners: dict[tuple[int, int], list[tuple[int, int]]] = {}
    traj_C: Int64[np.ndarray, " C"] = batch.traj_S[batch.step_C]
    at = np.flatnonzero(passed_K[traj_C])
    keys, trajectories = batch.key_C[at].tolist(), traj_C[at].tolist()
    tasks = batch.task_K[traj_C[at]].tolist()
    indices = batch.index_S[batch.step_C[at]].tolist()
    for task, key, k, index in zip(tasks, keys, trajectories, indices, strict=True):
        found = owners.setdefault((task, key), [])
        if not found or found[-1][0] != k:
            found.append((k, index))
    return owners
