"""Rows beside the generated ones: as tensors, their losses, and the replay. Needs torch."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np
import torch
from accelerate.utils import gather_object
from jaxtyping import Float

from assay.recipes import ReplaySettings
from assay.signal.losses import LossTerm, Reference, TopK
from assay.signal.origins import OriginRow
from assay.trainers import losses

KEPT: Final = ("prompt_ids", "completion_ids", "sampled", "logprobs", "record", "origin")
"""What a checkpoint holds of a row."""


@final
@dataclass(frozen=True, slots=True)
class Padded:
    """Rows as tensors: prompts padded left, completions right."""

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


def padded(rows: Sequence[OriginRow], *, pad_id: int, device: torch.device) -> Padded:
    """Returns rows as one batch of tensors."""
    before = max(len(s.prompt_ids) for s in rows)
    after = max(len(s.completion_ids) for s in rows)
    ids, seen, mask, old = [], [], [], []
    for s in rows:
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


def counted(rows: Sequence[OriginRow], accelerator: Any | None = None) -> dict[str, float]:
    """Returns the tokens of each loss by its name: of several processes their mean.

    Gradients are averaged over P processes, so that a sum divided by N / P in each of them is, over
    all, one divided by N. Rows that all processes have alike count as they are.

    Args:
        rows: of this process.
        accelerator: joins processes that may have other rows: all of them ask, also those that
            have none. None: all have the same.
    """
    mine = Counter[str]()
    for row in rows:
        mine.update({each.name: int(np.count_nonzero(each.weight_N)) for each in row.losses})
    if accelerator is None or accelerator.num_processes == 1:
        return {name: float(count) for name, count in mine.items()}
    total = Counter[str]()
    for each in gather_object([mine]):
        total.update(each)
    return {name: total[name] / accelerator.num_processes for name in total}


def row_losses(
    rows: Sequence[OriginRow],
    chosen: Padded,
    new: Float[torch.Tensor, "B T"],
    logp: Float[torch.Tensor, "B T W"] | None,
    *,
    counts: Mapping[str, float],
    low: float,
    high: float,
) -> torch.Tensor:
    """Returns the sum of the rows' losses, each name divided by its own tokens.

    Args:
        rows: what `chosen` was made of.
        chosen: the same as tensors.
        new: log-probabilities of the completions, nats.
        logp: of all W tokens of the vocabulary; read by `topk_kl` alone.
        counts: what each name is divided by (`counted`).
        low: of the clip, below 1.
        high: of the clip, above 1.
    """
    total = new.sum() * 0.0
    for at, row in enumerate(rows):
        cut = (slice(at, at + 1), slice(len(row.completion_ids)))
        for term in row.losses:
            count = new.new_tensor(counts[term.name])
            seen = None if logp is None else logp[cut]
            total = total + _loss(row, term, new[cut], chosen.old[cut], seen, count, low, high)
    return total


def _loss(
    row: OriginRow,
    term: LossTerm,
    new: torch.Tensor,
    old: torch.Tensor,
    logp: torch.Tensor | None,
    count: torch.Tensor,
    low: float,
    high: float,
) -> torch.Tensor:
    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, device=new.device)[None]

    weight, target = tensor(term.weight_N).to(new.dtype), term.target
    if term.kind == "rl" and row.ratio == "clipped":
        return losses.rl(new, old, weight, low=low, high=high, count=count)
    if row.ratio == "truncated":
        weight = weight * losses.importance(new, old, row.cap)
    if isinstance(target, Reference):
        reference = tensor(target.logprob_N).to(new.dtype)
        return losses.ref_kl(new, reference, weight, estimator=target.estimator, count=count)
    if not isinstance(target, TopK) or logp is None:
        return losses.ce(new, weight, count)
    mine = logp.gather(2, tensor(target.token_NV))
    teacher = tensor(target.logprob_NV).to(new.dtype)
    if target.old_NV is None:
        return losses.topk_kl(mine, teacher, weight, alpha=target.alpha, count=count)
    before = tensor(target.old_NV).to(new.dtype)
    return losses.topk_clipped(
        mine, before, teacher, weight, cap=target.cap, low=low, high=high, count=count
    )


@final
@dataclass(slots=True)
class Replay:
    """Verified successes, the newest one per prompt, at most `size` of them."""

    settings: ReplaySettings
    kept: dict[tuple[int, ...], OriginRow] = field(default_factory=dict)

    def add(self, row: OriginRow) -> None:
        """Keeps a success; the one that was longest unrefreshed makes room."""
        self.kept.pop(row.prompt_ids, None)
        self.kept[row.prompt_ids] = row
        while len(self.kept) > self.settings.size:
            del self.kept[next(iter(self.kept))]

    def drawn(self, seed: Sequence[int]) -> list[OriginRow]:
        """Returns `per_step` successes, or all there are, drawn without replacement by `seed`: to
        be made likelier, token by token, by an importance ratio of at most `cap`; of at most 1
        where it was sampled with help.
        """
        rng = np.random.default_rng(list(seed))
        kept, s = list(self.kept.values()), self.settings
        return [
            row.trained_on(
                LossTerm("replay", "ce", s.weight * row.sampled_N),
                origin="replayed",
                ratio="truncated",
                cap=min(s.cap, 1.0) if row.origin == "rescued" else s.cap,
            )
            for row in (kept[int(i)] for i in rng.permutation(len(kept))[: s.per_step])
        ]

    def state(self) -> list[dict[str, Any]]:
        """Returns plain data for a checkpoint."""
        return [{name: getattr(row, name) for name in KEPT} for row in self.kept.values()]

    def restore(self, state: Sequence[dict[str, Any]]) -> None:
        """Puts back what `state` returned, order included."""
        self.kept.clear()
        for each in state:
            prompt, completion, sampled, logprobs, record = (each[name] for name in KEPT[:5])
            known = None if logprobs is None else tuple(logprobs)
            row = OriginRow(tuple(prompt), tuple(completion), tuple(sampled), known, record)
            self.add(dataclasses.replace(row, origin=each.get("origin", "generated")))
