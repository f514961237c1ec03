"""A gradient in a few thousand numbers whose cosines are nearly its own. Needs torch."""

from typing import Any, Final, final

import numpy as np
import torch
from jaxtyping import Float64
from torch.nn.functional import pad

SIZE: Final = 2048
"""Entries. A cosine of two of them is off by about SIZE ** -.5, .02."""


@final
class Sketch:
    """Projects gradients, all the same way: entry i of a parameter goes to bucket i mod `SIZE` with
    a sign drawn once (count sketch: Charikar, Chen and Farach-Colton 2002). Inner products of the
    projected are those of the gradients on average."""

    def __init__(self, seed: int) -> None:
        """Takes what the signs are drawn from."""
        self._seed = seed
        self._signs: dict[str, torch.Tensor] = {}

    def __call__(self, model: Any) -> Float64[np.ndarray, " M"] | None:
        """Returns the gradients of a model, projected. None: it has none."""
        total: torch.Tensor | None = None
        for at, (name, weight) in enumerate(model.named_parameters()):
            if weight.grad is None:
                continue
            flat = weight.grad.detach().flatten().float()
            flat = flat * self._sign(at, name, flat)
            folded = pad(flat, (0, -flat.numel() % SIZE)).view(-1, SIZE).sum(0)
            total = folded if total is None else total + folded
        return None if total is None else total.double().cpu().numpy()

    def _sign(self, at: int, name: str, flat: torch.Tensor) -> torch.Tensor:
        """Returns a parameter's signs, one byte each."""
        if name not in self._signs:
            drawn = torch.Generator().manual_seed((self._seed << 20) + at)
            signs = torch.randint(2, (flat.numel(),), generator=drawn, dtype=torch.int8) * 2 - 1
            self._signs[name] = signs.to(flat.device)
        return self._signs[name]
