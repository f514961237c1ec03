"""Any Hugging Face causal language model in this process, batched, with a KV cache. Needs torch."""

from collections.abc import Sequence
from typing import Any, final

import torch

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
            )
        finally:
            self.model.train(training)
