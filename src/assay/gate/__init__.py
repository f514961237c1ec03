"""May it teach? One `Decision` for every trajectory, so that the counts add up."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assay.batch import Batch
from assay.errors import AlignmentError
from assay.gate.aaw import Aaw
from assay.gate.base import Gate, Verdicts
from assay.gate.decisions import Decisions
from assay.gate.degenerate import Degenerate, components_cancel
from assay.gate.duplicates import Duplicates, first_copy
from assay.gate.integrity import Integrity
from assay.gate.roc import Roc
from assay.gate.rubric import Composition
from assay.registry import Registry

GATES: Registry[Gate] = Registry(
    "gate",
    {
        "integrity": Integrity,  # unscored, infrastructure, tampered, empty, masked
        "duplicates": Duplicates,  # copies inside a group
        "degenerate": Degenerate,  # groups whose outcomes do not differ (DAPO)
        "roc": Roc,  # half of twice as many, clean wins first (GRPO-RoC)
        "aaw": Aaw,  # drawn by |A| (MS-GRPO)
    },
    group="assay.gates",
)


def gate(batch: Batch, gates: Sequence[Gate] = (Integrity(),)) -> Decisions:
    """Returns one decision per trajectory, in the batch's order: see `passed`."""
    return passed(batch, gates)[1]


def passed(batch: Batch, gates: Sequence[Gate]) -> tuple[Batch, Decisions]:
    """Returns the batch behind the gates, and one decision per trajectory, in its order.

    Gates are asked in turn, each on what the ones before it left. The first that drops a trajectory
    decides; weights of the others multiply.

    Raises:
        AlignmentError: a gate gave no weight or reason for some trajectory, or a weight below 0.
    """
    weight_K, undrawn_K = np.ones(len(batch.ids)), np.zeros(len(batch.ids), bool)
    decided: dict[int, tuple[str, str, str]] = {}
    for each in gates:
        verdicts = each(batch)
        _check(each.name, verdicts, len(batch.ids))
        for k in np.flatnonzero((verdicts.weight_K != 1.0) & (weight_K > 0)).tolist():
            detail = verdicts.details[k] if verdicts.details else ""
            decided[k] = (each.name, verdicts.reasons[k], detail)
        if verdicts.undrawn_K is not None:
            undrawn_K = undrawn_K | (verdicts.undrawn_K & (weight_K > 0))
        weight_K = weight_K * verdicts.weight_K
        batch = batch.weighted(weight_K, undrawn_K)
        if verdicts.composed_K is not None:
            batch = replace(batch, composed_K=verdicts.composed_K)
        if verdicts.statistics is not None:
            batch = replace(batch, statistics=verdicts.statistics)
    return batch, Decisions(batch.ids, weight_K, decided, undrawn_K)


def _check(name: str, verdicts: Verdicts, n: int) -> None:
    weight_K, details = verdicts.weight_K, verdicts.details
    sizes = {weight_K.size, len(verdicts.reasons), n if details is None else len(details)}
    if sizes != {n}:
        raise AlignmentError(f"gate {name!r}: got verdicts for {sizes - {n}} of {n} trajectories")
    if not (np.isfinite(weight_K) & (weight_K >= 0)).all():
        raise AlignmentError(
            f"gate {name!r}: got a weight of {weight_K.min():g}; expected 0 or more"
        )


__all__ = [
    "GATES",
    "Aaw",
    "Composition",
    "Decisions",
    "Degenerate",
    "Duplicates",
    "Gate",
    "Integrity",
    "Roc",
    "Verdicts",
    "components_cancel",
    "first_copy",
    "gate",
    "passed",
]
