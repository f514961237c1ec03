"""What becomes of groups, and of what the policy wrote, under GRPO.

Axes: G groups, K trajectories, S steps, C calls, R spans.
"""

from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Int64

from assay.batch import CATEGORIES, ENDS, UNTRAINABLE, Batch
from assay.credit.groups import unaided_fates
from assay.kernels.advantages import Advantages
from assay.kernels.groups import UNSCORED, fates

FATE_KINDS: Final = (
    "trained_up",
    "trained_down",
    "punished_correct",
    "neutral",
    "truncated",
    "dead",
    "unscored",
    "infrastructure",
    "masked",
    "drifted",
)
"""What becomes of what the policy wrote under GRPO. `trained_down`: punished, and nothing says that
it was right; `punished_correct`: a punished call that is right by evidence (`Batch.correct_C`);
`truncated`: punished text of a trajectory that its own budget cut off; `neutral`: an advantage of
exactly 0 in a live group."""


def group_fates(
    batch: Batch, *, pass_at: float = 1.0
) -> tuple[Int64[np.ndarray, " G"], Bool[np.ndarray, " G"]]:
    """Returns what became of each group by outcomes without help, and whether it is dead for GRPO.

    It is told of what the gates left, each session counted once: a group whose only failure was
    dropped is no mixed one. A group of which they left nothing is told by its outcomes; and so is
    whether it is dead, if the log has no text of anyone in it, as summaries have none.
    """
    fate_G, dead_G = unaided_fates(batch, batch.voted_K, pass_at)
    outcome_K = np.where(batch.once_K, batch.outcome_K, np.nan)
    said_G, same_G = unaided_fates(batch, outcome_K, pass_at)
    silent_G = np.bincount(batch.group_K, batch.spans_K, batch.n_groups) == 0
    return np.where(fate_G == UNSCORED, said_G, fate_G), np.where(silent_G, same_G, dead_G)


def alike_groups(batch: Batch) -> Bool[np.ndarray, " G"]:
    """Returns in which groups no outcome differs from another, those with help among them: what
    compares learns nothing there. Dead groups are these but for those that were rescued."""
    return fates(batch.voted_K, batch.group_K, n_groups=batch.n_groups)[1]


def span_fates(
    batch: Batch, alike_G: Bool[np.ndarray, " G"], grpo: Advantages
) -> Int64[np.ndarray, " R"]:
    """Returns the index into `FATE_KINDS` of each span; -1 for what the policy did not write.

    Where several apply the first of these wins: masked or drifted, infrastructure, unscored, dead,
    then what the sign of GRPO's advantage says.
    """
    step, traj = batch.step_R, batch.traj_R
    mask_R = np.append(batch.untrainable_S, -1)[step]
    infra_R = (batch.category_K == CATEGORIES.index("infra"))[traj]
    unscored_R = (np.isnan(batch.outcome_K) | ~batch.kept_K)[traj]
    correct_R = np.append(batch.correct_C == 1, False)[batch.call_R]
    drifted_R = (mask_R == UNTRAINABLE.index("drifted")) | (mask_R == UNTRAINABLE.index("logprobs"))
    cut_R = (batch.end_K == ENDS.index("budget"))[traj]
    cases = [
        (~np.append(batch.own_S, False)[step], -1),
        (drifted_R, FATE_KINDS.index("drifted")),
        (mask_R >= 0, FATE_KINDS.index("masked")),
        (infra_R, FATE_KINDS.index("infrastructure")),
        (unscored_R, FATE_KINDS.index("unscored")),
        (alike_G[batch.group_K][traj], FATE_KINDS.index("dead")),
        (grpo.total > 0, FATE_KINDS.index("trained_up")),
        (grpo.total == 0, FATE_KINDS.index("neutral")),
        (correct_R, FATE_KINDS.index("punished_correct")),
        (cut_R, FATE_KINDS.index("truncated")),
    ]
    return np.select(
        [case for case, _ in cases], [code for _, code in cases], FATE_KINDS.index("trained_down")
    )


def fate_table(batch: Batch, alike_G: Bool[np.ndarray, " G"], grpo: Advantages) -> dict[str, Any]:
    """Returns, per fate, how much the policy wrote and in how many trajectories."""
    kind_R = span_fates(batch, alike_G, grpo)
    fated = {}
    for code, kind in enumerate(FATE_KINDS):
        here_R = kind_R == code
        fated[kind] = {
            "trajectories": int(np.unique(batch.traj_R[here_R]).size),
            batch.measure: int(batch.length_R[here_R].sum()),
        }
    return fated
