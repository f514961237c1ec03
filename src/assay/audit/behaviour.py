"""What can be said of a log without outcomes: what agents did, did again, claimed, and took.

Axes: K trajectories, S steps, C calls.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from assay.batch import CLAIMS, Batch
from assay.batch.blocks import Block, Blocks
from assay.kernels.codes import numbered

STALL: Final = 3
"""Calls in a row that are errors or repeats, from which on an agent has stalled."""
_LISTED = 10


def behaviour(batch: Batch) -> dict[str, Any]:
    """Returns counts of calls, repeats, stalls and claims, and what they cost; no outcome is read.

    A call is a repeat if its trajectory made the same call before and was answered the same.
    """
    blocks = Blocks(batch)
    return together(blocks, [*map(seen, blocks)])


class Seen(NamedTuple):
    """What was counted in a block."""

    ks: Int64[np.ndarray, " _"]
    own: Int64[np.ndarray, " _"]
    """Own steps of these trajectories."""
    once: dict[str, int]
    """Steps, calls, and tokens or characters in all, where what branches share counts once."""
    counts: dict[str, Any]


def seen(block: Block) -> Seen:
    """Counts a block."""
    batch, once_S = block.batch, block.batch.once_S
    own_K = np.bincount(batch.traj_S[batch.own_S], minlength=len(batch.ids))
    written_R = np.append(once_S, False)[batch.step_R]
    once = {
        "steps": int(once_S.sum()),
        "calls": int(once_S[batch.step_C].sum()),
        batch.measure: int(batch.length_R[written_R].sum()),
    }
    return Seen(block.ks, own_K[block.ks], once, _of_block(block))


def own_steps(blocks: Blocks, seen: Sequence[Seen]) -> Int64[np.ndarray, " K"]:
    """Returns how many own steps each trajectory has, from what was counted in every block."""
    own_K = np.zeros(len(blocks.batch.ids), np.int64)
    for each in seen:
        own_K[each.ks] = each.own
    return own_K


def together(blocks: Blocks, seen: Sequence[Seen]) -> dict[str, Any]:
    """Returns `behaviour` from what was counted in every block, in their order."""
    found: dict[str, Any] = reduce(summed, (each.counts for each in seen), {})
    longest = sorted(
        found["stalls"]["longest"], key=lambda row: (-row["length"], row["trajectory"])
    )
    stalls = {**found["stalls"], "longest": longest[:_LISTED]}
    return {**found, "stalls": stalls, "cost": _cost(blocks, seen)}


def summed(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Returns counts of two parts of a set as those of both: numbers added up, lists joined."""
    if not one:
        return other
    return {
        key: summed(value, other[key]) if isinstance(value, dict) else value + other[key]
        for key, value in one.items()
    }


def _of_block(block: Block) -> dict[str, Any]:
    batch = block.batch
    error_C, repeat_C = _errors(batch), repeats(batch)
    traj_C, once_C = batch.traj_S[batch.step_C], batch.once_S[batch.step_C]
    return {
        "calls": _by_evidence(batch, error_C, once_C),
        "errors": _in_trajectories(error_C & once_C, traj_C),
        "repeats": _in_trajectories(repeat_C & once_C, traj_C),
        "stalls": _stalls(batch, error_C, repeat_C),
        "claims": _claims(block, error_C, repeat_C),
    }


def repeats(batch: Batch) -> Bool[np.ndarray, " C"]:
    """Returns which calls their trajectory made before, answered the same."""
    answered = np.flatnonzero(batch.answer_C >= 0)
    traj = batch.traj_S[batch.step_C[answered]]
    same = numbered(traj, batch.key_C[answered], batch.answer_C[answered])
    again_C = np.zeros(batch.step_C.size, bool)
    again_C[answered] = True
    again_C[answered[np.unique(same, return_index=True)[1]]] = False  # each for the first time
    return again_C


def _errors(batch: Batch) -> Bool[np.ndarray, " C"]:
    return (batch.ran_C == 0) | (batch.parsed_C == 0)


def _by_evidence(
    batch: Batch, error_C: Bool[np.ndarray, " C"], once_C: Bool[np.ndarray, " C"]
) -> dict[str, int]:
    """Returns how many calls there are of each kind: by the strongest level that says yes."""
    cases = {
        "error": error_C,
        "state": batch.on_path_C == 1,
        "expert": batch.expert_C == 1,
        "sibling": batch.sibling_C == 1,
        "ran": batch.ran_C == 1,
    }
    kind_C = np.select(list(cases.values()), list(range(len(cases))), len(cases))
    names = (*cases, "unknown")
    return {name: int((once_C & (kind_C == code)).sum()) for code, name in enumerate(names)}


def _in_trajectories(found_C: Bool[np.ndarray, " C"], traj_C: Int64[np.ndarray, " C"]) -> Any:
    return {
        "calls": int(found_C.sum()),
        "trajectories": int(np.unique(traj_C[found_C]).size),
    }


def _stalls(
    batch: Batch, error_C: Bool[np.ndarray, " C"], repeat_C: Bool[np.ndarray, " C"]
) -> dict[str, Any]:
    """Returns the longest stretches of calls that are errors or repeats, one a trajectory."""
    traj_C = batch.traj_S[batch.step_C]
    bad = np.flatnonzero(error_C | repeat_C)
    begins = np.append(True, (np.diff(bad) > 1) | (np.diff(traj_C[bad]) != 0))[: bad.size]
    first = bad[begins]
    length = np.diff(np.append(np.flatnonzero(begins), bad.size))
    order = np.lexsort((first, -length))
    _, of = np.unique(traj_C[first[order]], return_index=True)  # the longest of each trajectory
    longest = order[np.sort(of)]
    stalled = longest[length[longest] >= STALL]
    rows = [
        {
            "id": batch.ids[(k := int(traj_C[first[n]]))],
            "trajectory": k,
            "step": int(batch.index_S[batch.step_C[first[n]]]),
            "length": int(length[n]),
            "errors": int(error_C[first[n] : first[n] + length[n]].sum()),
        }
        for n in stalled[:_LISTED].tolist()
    ]
    return {
        "trajectories": int(stalled.size),
        "calls": int(length[length >= STALL].sum()),
        "longest": rows,
    }


def _claims(
    block: Block, error_C: Bool[np.ndarray, " C"], repeat_C: Bool[np.ndarray, " C"]
) -> dict[str, int]:
    """Returns what was claimed, and what the last call before a claim of success came to."""
    batch = block.batch
    once_K = batch.once_K[block.ks]
    claim = np.where(once_K, batch.claim_K[block.ks], -1)
    traj_C = batch.traj_S[batch.step_C]
    last_K = np.full(len(batch.ids), -1)
    last_K[traj_C] = np.arange(traj_C.size)  # of equal places the last that is written stays
    before = last_K[block.ks][claim == CLAIMS.index("claimed")]
    last = before[before >= 0]
    return {
        **{name: int((claim == code).sum()) for code, name in enumerate(CLAIMS)},
        "claimed_without_call": int((before < 0).sum()),
        "claimed_after_error": int(error_C[last].sum()),
        "claimed_after_repeat": int((repeat_C & ~error_C)[last].sum()),
        "claimed_off_path": int((batch.on_path_C[last] == 0).sum()),
        "claimed_unanswered": int((batch.ran_C[last] < 0).sum()),
    }


def _cost(blocks: Blocks, seen: Sequence[Seen]) -> dict[str, dict[str, float | int]]:
    """Returns what trajectories took, in steps, calls, and tokens or characters of the policy."""
    once: dict[str, int] = reduce(summed, (each.once for each in seen), {})
    of = {
        "steps": own_steps(blocks, seen),
        "calls": blocks.counted("C"),
        blocks.batch.measure: blocks.batch.wrote_K,
    }
    return {
        name: {
            "total": once[name],
            "median": float(np.median(each)) if each.size else 0.0,
            "most": int(each.max(initial=0)),
        }
        for name, each in of.items()
    }
