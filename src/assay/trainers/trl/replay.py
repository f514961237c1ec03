"""Known-good token sequences: the replay of verified successes, and the probe. Needs torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, final

import numpy as np
import torch

from assay.errors import AlignmentError
from assay.recipes.settings import ReplaySettings
from assay.records import ModelStep, Trajectory


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence: its prompt, its completion, which tokens were sampled, at what likelihood."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    sampled: tuple[int, ...]
    """1 per token of the completion that the policy sampled."""
    logprobs: tuple[float, ...] | None = None
    """Nats per token of the completion when it was sampled; read where `sampled` is 1."""


def sample_of(record: Trajectory) -> Sample:
    """Returns the tokens of a record; what comes before its first model step is the prompt.

    Raises:
        AlignmentError: the record has no prompt tokens, or a model step has no token ids.
    """
    prompt, ids, sampled = list[int](), list[int](), list[int]()
    for index, step in enumerate(record.steps):
        tokens = step.token_ids
        if type(step) is not ModelStep:
            (ids if ids else prompt).extend(tokens or ())
            sampled += [0] * len(tokens or ()) if ids else []
            continue
        if tokens is None:
            raise AlignmentError(f"trajectory {record.id!r} steps[{index}]: no token ids")
        flags = [0] * len(tokens)
        for start, end in ((0, len(tokens)),) if step.sampled is None else step.sampled:
            flags[start:end] = [1] * (end - start)
        ids += tokens
        sampled += flags
    if not prompt:
        raise AlignmentError(
            f"trajectory {record.id!r}: no prompt tokens; expected a user or system step with "
            "token_ids before the first model step"
        )
    return Sample(tuple(prompt), tuple(ids), tuple(sampled))


@final
@dataclass(frozen=True, slots=True)
class Padded:
    """Samples as tensors: prompts padded left, completions right."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    mask: torch.Tensor
    """(B, T): sampled tokens of the completions."""
    old: torch.Tensor
    """(B, T): log-probabilities when sampled; NaN where unknown."""

    @property
    def width(self) -> int:
        """T, the longest completion."""
        return self.mask.shape[1]


def padded(samples: Sequence[Sample], *, pad_id: int, device: torch.device) -> Padded:
    """Returns samples as one batch of tensors."""
    before = max(len(s.prompt_ids) for s in samples)
    after = max(len(s.completion_ids) for s in samples)
    ids, seen, mask, old = [], [], [], []
    for s in samples:
        left, right = before - len(s.prompt_ids), after - len(s.completion_ids)
        ids.append([pad_id] * left + [*s.prompt_ids, *s.completion_ids] + [pad_id] * right)
        seen.append([0] * left + [1] * (before + after - left - right) + [0] * right)
        mask.append([*s.sampled] + [0] * right)
        logprobs = s.logprobs or (float("nan"),) * len(s.completion_ids)
        old.append([*logprobs] + [0.0] * right)
    return Padded(
        torch.tensor(ids, device=device),
        torch.tensor(seen, device=device),
        torch.tensor(mask, device=device),
        torch.tensor(old, dtype=torch.float32, device=device),
    )


@final
@dataclass(slots=True)
class Replay:
    """Verified successes, the newest one per prompt, at most `size` of them."""

    settings: ReplaySettings
    kept: dict[tuple[int, ...], Sample] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """Keeps a success; the one that was longest unrefreshed makes room."""
        self.kept.pop(sample.prompt_ids, None)
        self.kept[sample.prompt_ids] = sample
        while len(self.kept) > self.settings.size:
            del self.kept[next(iter(self.kept))]

    def drawn(self, seed: Sequence[int]) -> list[Sample]:
        """Returns `per_step` successes, or all there are, drawn without replacement by `seed`."""
        rng = np.random.default_rng(list(seed))
        kept = list(self.kept.values())
        chosen = rng.permutation(len(kept))[: self.settings.per_step]
        return [kept[int(i)] for i in chosen]

    def state(self) -> list[dict[str, Any]]:
        """Returns plain data for a checkpoint."""
        return [asdict(sample) for sample in self.kept.values()]

    def restore(self, state: Sequence[dict[str, Any]]) -> None:
        """Puts back what `state` returned, order included."""
        self.kept.clear()
        for each in state:
            logprobs = each["logprobs"]
            self.add(
                Sample(
                    tuple(each["prompt_ids"]),
                    tuple(each["completion_ids"]),
                    tuple(each["sampled"]),
                    None if logprobs is None else tuple(logprobs),
                )
            )
