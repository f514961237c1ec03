"""What to know before believing any other number of an audit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from assay.batch import CATEGORIES, CLAIMS, UNTRAINABLE, Batch
from assay.gate import first_copy
from assay.records import Decision


def trust(
    batch: Batch, decisions: Sequence[Decision], passed_K: Bool[np.ndarray, " K"]
) -> dict[str, Any]:
    """Returns shares and counts that put the others in doubt, and a sentence for each that does."""
    n = max(len(batch.ids), 1)
    scored_K = ~np.isnan(batch.outcome_K)
    claimed_K = (batch.claim_K == CLAIMS.index("claimed")) & scored_K
    false_claims = int((claimed_K & ~passed_K).sum())
    copies = int((first_copy(batch) != np.arange(len(batch.ids))).sum())
    infra = int((batch.category_K == CATEGORIES.index("infra")).sum())
    found: dict[str, Any] = {
        "infra_share": infra / n,
        "unscored_share": float((~scored_K).sum() / n),
        "false_claim_share": false_claims / int(claimed_K.sum()) if claimed_K.any() else None,
        "duplicates": copies,
        "repeated_ids": len(batch.ids) - len(set(batch.ids)),
        "dropped": dict(sorted(Counter(d.reason for d in decisions if d.weight == 0).items())),
        "untrainable_steps": {
            name: int((batch.untrainable_S == code).sum()) for code, name in enumerate(UNTRAINABLE)
        },
        "has_tokens": batch.measure == "tokens",
        "has_logprobs": batch.logprob_N is not None,
    }
    return {**found, "warnings": _warnings(found, batch)}


def _warnings(trust: Mapping[str, Any], batch: Batch) -> list[str]:
    """Returns one plain sentence for each thing that makes the other numbers doubtful."""
    said: list[str] = []
    n = len(batch.ids)
    infra, unscored = round(trust["infra_share"] * n), round(trust["unscored_share"] * n)
    if infra:
        said.append(
            f"{infra:,} of {n:,} trajectories were stopped by infrastructure; "
            "they are unscored here, whatever reward the log gives them"
        )
    if unscored > infra:
        said.append(f"{unscored - infra:,} of {n:,} trajectories have no outcome at all")
    if (trust["false_claim_share"] or 0) > 0.1:
        said.append(
            f"{trust['false_claim_share']:.0%} of the trajectories that say they are done failed"
        )
    if trust["duplicates"]:
        said.append(f"{trust['duplicates']} trajectories repeat another one of their group")
    if trust["repeated_ids"]:
        said.append(f"{trust['repeated_ids']} trajectory ids occur more than once")
    drifted = trust["untrainable_steps"]["drifted"]
    if drifted:
        said.append(f"{drifted} steps were re-tokenised and cannot be trained on")
    if batch.measure == "characters":
        said.append("no token ids: this set can be audited and credited, not trained on")
    return said
