"""Losses that are no advantage, as plain arrays: what a row carries, and what a trainer adds up.

A term says what each token of a row weighs and what it is held to; `assay.trainers.losses` has one
function a kind. Each term is divided by its own tokens, those of a weight that is not 0, so that it
means the same beside whatever else trains.

Axes: N tokens of a row's completion, V tokens of the vocabulary that a teacher names, H teachers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.errors import AlignmentError, UsageError

LossKind = Literal["rl", "ce", "ref_kl", "topk_kl"]
KINDS: Final = ("rl", "ce", "ref_kl", "topk_kl")
Estimator = Literal["k2", "k3"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What `ref_kl` holds a row to: log-probabilities of the row's own tokens."""

    logprob_N: Float64[np.ndarray, " N"]
    estimator: Estimator = "k3"
    """"k3" as TRL's `beta` has it; "k2", whose gradient on-policy is that of KL(policy || it)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TopK:
    """What `topk_kl` holds a row to: a teacher's log-probabilities of V tokens at each place."""

    token_NV: Int64[np.ndarray, "N V"]
    logprob_NV: Float64[np.ndarray, "_ _"]
    alpha: float = 1.0
    """0 forward KL, 1 reverse KL, else between: see `topk_kl`. Without `old_NV`."""
    old_NV: Float64[np.ndarray, "_ _"] | None = None
    """The policy's own when it sampled. Given: the clipped loss of `topk_clipped`."""
    cap: float = 1.0
    """With `old_NV`: bound on the teacher's log-ratio."""

    def __post_init__(self) -> None:
        """Refuses arrays of other shapes, and what is out of range."""
        shapes = {
            each.shape for each in (self.token_NV, self.logprob_NV, self.old_NV) if each is not None
        }
        if len(shapes) > 1:
            raise AlignmentError(f"top-K target: got shapes {sorted(shapes)}; expected one, (N, V)")
        if not 0 <= self.alpha <= 1 or not self.cap > 0:
            raise UsageError(
                f"top-K target: alpha {self.alpha:g} and cap {self.cap:g}; expected alpha in "
                "[0, 1] and cap above 0"
            )


@final
@dataclass(frozen=True, slots=True)
class LossTerm:
    """One loss on the tokens of a row."""

    name: str
    """Terms of one name are one sum, over one count of tokens."""
    kind: LossKind
    weight_N: Float64[np.ndarray, " N"]
    """`rl`: the advantage; else the factor of the token. 0: not a token of this term."""
    target: Reference | TopK | None = None
    """`ref_kl`: a Reference; `topk_kl`: a TopK; else None."""

    def __post_init__(self) -> None:
        """Refuses a target of another kind or length, and weights that are no numbers."""
        expected = {"ref_kl": Reference, "topk_kl": TopK}.get(self.kind, type(None))
        if self.kind not in KINDS or type(self.target) is not expected:
            raise UsageError(
                f"loss {self.name!r}: kind {self.kind!r} with a target of type "
                f"{type(self.target).__name__}; expected one of {', '.join(KINDS)}, a Reference "
                "with ref_kl, a TopK with topk_kl and None with the others"
            )
        size = (
            self.weight_N.size
            if self.target is None
            else len(
                self.target.logprob_N
                if isinstance(self.target, Reference)
                else self.target.logprob_NV
            )
        )
        if size != self.weight_N.size:
            raise AlignmentError(
                f"loss {self.name!r}: {self.weight_N.size} weights and a target of {size} tokens"
            )
        if not np.isfinite(self.weight_N).all():
            raise UsageError(f"loss {self.name!r}: a weight is not finite; 0 leaves a token out")


def closest(own_NV: Int64[np.ndarray, "N V"], given: Sequence[Int64[np.ndarray, "N V"]]) -> int:
    """Returns which of H teachers names most of the tokens that the policy does, over all places.

        argmax_h  sum_n | own_n and given_hn |;   the first, where several do

    OpenClaw-RL's choice among hints, 2026, https://arxiv.org/abs/2603.10165 (later version).
    """
    same = [int((own_NV[:, :, None] == each[:, None, :]).any(2).sum()) for each in given]
    return int(np.argmax(same))
