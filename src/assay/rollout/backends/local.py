"""Any Hugging Face causal language model in this process, batched, with a KV cache. Needs torch."""

import hashlib
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float64

from assay.policy.sampling import sample
from assay.rollout.backends.base import Reader, Sampling, number


@final
class Transformers:
    """Backend over a model object; it may be the one that is being trained."""

    def __init__(
        self, model: Any, tokenizer: Any, *, generator: torch.Generator | None = None
    ) -> None:
        """Takes a model.

        Args:
            model: a causal language model.
            tokenizer: the model's own.
            generator: source of chance that goes on from run to run, whatever their seeds. None:
                each run's comes from its seed.
        """
        self.model, self.tokenizer, self._generator = model, tokenizer, generator

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        """Continues every prompt, in evaluation mode, whatever mode the model was in."""
        generator = self._generator
        if generator is None:
            generator = torch.Generator(device=self.model.device).manual_seed(number(seed))
        training = self.model.training
        self.model.eval()
        try:
            sample(
                self.model,
                prompts,
                reader,
                max_tokens=sampling.max_tokens,
                max_length=sampling.max_length,
                temperature=sampling.temperature,
                generator=generator,
                uniform=_apart(sampling, seed, self.model.device) if sampling.names else None,
            )
        finally:
            self.model.train(training)


def _apart(
    sampling: Sampling, seed: Sequence[int], device: torch.device
) -> Float64[torch.Tensor, "B T"]:
    """Returns the numbers that each row draws by, a function of the seed and the row's name."""
    rows = [
        np.random.default_rng(
            [*seed, *np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4").tolist()]
        ).random(sampling.max_tokens)
        for name in sampling.names
    ]
    return torch.from_numpy(np.stack(rows)).to(device)
