"""Rows of which a trainer knows no more than reward, mask and group."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import Batch
from assay.batch.build import Builder
from assay.batch.completions import Completions


def bare(
    outcome_K: Float64[np.ndarray, " K"],
    groups: Sequence[str],
    sampled_KT: Bool[np.ndarray, "K T"],
    *,
    pass_at: float = 1.0,
) -> Batch:
    """Returns a batch of one model step a row, as long as the padded row: what no span carries has
    no advantage.

    Args:
        outcome_K: NaN: unscored.
        groups: what each row is compared within.
        sampled_KT: which tokens the policy sampled; padding was not.
        pass_at: see `Batch.of`.
    """
    count, width = sampled_KT.shape
    builder = Builder(measure="tokens", pass_at=pass_at)
    builder.complete(
        Completions(
            ids=[str(k) for k in range(count)],
            groups=groups,
            texts=[str(k) for k in range(count)],  # nobody knows which are alike
            outcome_K=outcome_K,
            rewards=[{} for _ in range(count)],
            answered_K=np.ones(count, bool),
            length_K=np.full(count, width, np.int64),
            sampled_N=sampled_KT.reshape(-1),
        )
    )
    return Batch(**builder.arrays())
