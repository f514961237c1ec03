"""What one optimiser step showed, added up over its micro-batches. Needs torch."""

from dataclasses import dataclass, field
from typing import Any, Final, final

import torch

from assay.trainers.trl.losses import RatioFacts

_COUNTS: Final = 4
"""Of `RatioFacts` the first are counts, the others maxima."""
SUMS: Final = ("tokens", "entropy", "mass", *RatioFacts._fields[:_COUNTS])
MAXIMA: Final = RatioFacts._fields[_COUNTS:]


@final
@dataclass(slots=True)
class Window:
    """Sums and maxima of one accumulation window; on this process until `reduced`."""

    sums: torch.Tensor | None = None
    maxima: torch.Tensor | None = None
    loss: torch.Tensor | None = None
    micro_batches: int = 0
    other_loss: bool = False
    """Something besides the advantages gives a gradient, on this process."""
    dropped: list[torch.Tensor] = field(default_factory=list)
    """Sequences that the off-policy mask dropped, per micro-batch."""

    def add(
        self,
        facts: RatioFacts,
        *,
        advantage: torch.Tensor,
        entropies: torch.Tensor,
        mask: torch.Tensor,
        loss: torch.Tensor,
    ) -> None:
        """Adds a micro-batch."""
        with torch.no_grad():
            own = mask.sum(), (entropies * mask).sum(), (advantage.abs() * mask).sum()
            new_sums = torch.stack([each.double() for each in (*own, *facts[:_COUNTS])])
            new_maxima = torch.stack([each.double() for each in facts[_COUNTS:]])
            self.sums = new_sums if self.sums is None else self.sums + new_sums
            self.maxima = (
                new_maxima if self.maxima is None else torch.maximum(self.maxima, new_maxima)
            )
            loss = loss.detach()
            self.loss = loss if self.loss is None else self.loss + loss
        self.micro_batches += 1

    def empty(self, accelerator: Any) -> bool:
        """Returns whether no token of any process has an advantage, or any other loss."""
        if self.sums is None:
            return False
        mass = self.sums[SUMS.index("mass")]
        found = torch.stack([mass, mass.new_tensor(self.other_loss)])
        # every process asks, also one that knows: what it has may be another loss of its own
        if accelerator.num_processes > 1:
            found = accelerator.reduce(found, reduction="sum")
        return not bool(found.any())

    def reduced(self, accelerator: Any) -> dict[str, float]:
        """Returns shares, means and maxima over all processes, by the names of the log.

        The entropy of no token is NaN, which no controller reads.
        """
        if self.sums is None or self.maxima is None or self.loss is None:
            return {}
        dropped = self.sums.new_zeros(1) + sum(each.double() for each in self.dropped)
        sums = torch.cat([self.sums, dropped, self.loss.double()[None]])
        maxima = self.maxima
        processes = accelerator.num_processes
        if processes > 1:
            sums = accelerator.reduce(sums, reduction="sum")
            maxima = accelerator.gather(maxima[None]).amax(0)
        value = dict(zip((*SUMS, "dropped", "loss"), sums.tolist(), strict=True))
        largest = dict(zip(MAXIMA, maxima.tolist(), strict=True))
        tokens = value["tokens"]
        return {
            "loss": value["loss"] / processes,
            "entropy": value["entropy"] / tokens if tokens else float("nan"),
            "clip/positive": value["clipped_positive"] / max(value["positive"], 1.0),
            "clip/negative": value["clipped_negative"] / max(value["negative"], 1.0),
            "ratio/max": largest["largest"],
            "ratio/max_positive": largest["largest_positive"],
            "ratio/max_negative": largest["largest_negative"],
            "off_policy_dropped": value["dropped"],
            "mass/trained": value["mass"],
        }
