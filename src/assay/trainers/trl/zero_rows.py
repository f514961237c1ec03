"""Rows without an advantage: scored, so that metrics see them, and left out of the backward pass.

A row whose advantages are all 0 has no gradient, whatever its ratio: every loss that we support
multiplies by the advantage. Its backward pass, two thirds of the work, is then spent on zeros. On a
start from which nearly every group fails that is nearly all rows. Needs torch.
"""

from collections.abc import Callable
from typing import Final

import torch
from accelerate.utils import DistributedType
from jaxtyping import Bool, Float

Scored = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""Log-probabilities (B, T), entropies (B, T), and a loss of the router; as TRL returns them."""
WHOLE_MODEL: Final = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
"""Set-ups in which a process can pass rows forward on its own, however many the others pass."""


def idle_rows(advantage: Float[torch.Tensor, "B T"]) -> Bool[torch.Tensor, " B"]:
    """Returns which rows of a micro-batch have no advantage at any token.

    One row is never idle: processes that share a model wait for a gradient from each other.
    """
    idle_B = (advantage == 0).all(1)
    if bool(idle_B.all()):
        idle_B[0] = False
    return idle_B


def scored_apart(
    live: Callable[[torch.Tensor, torch.Tensor], Scored],
    idle: Callable[[torch.Tensor, torch.Tensor], Scored],
    ids: torch.Tensor,
    seen: torch.Tensor,
    idle_B: Bool[torch.Tensor, " B"],
) -> Scored:
    """Returns the log-probabilities and entropies of all rows, in order; gradients of some.

    Args:
        live: scores rows (ids, attention mask) that learn.
        idle: scores the others; it is called without gradients.
        ids: (B, L) tokens.
        seen: (B, L) attention mask.
        idle_B: rows that do not learn; not all of them.
    """
    if not bool(idle_B.any()):
        return live(ids, seen)
    with torch.no_grad():
        still = idle(ids[idle_B], seen[idle_B])
    moving = live(ids[~idle_B], seen[~idle_B])
    order = torch.argsort(torch.cat([idle_B.nonzero()[:, 0], (~idle_B).nonzero()[:, 0]]))
    logp = torch.cat([still[0], moving[0]])[order]
    entropy = torch.cat([still[1], moving[1]])[order]
    return logp, entropy, moving[2]
