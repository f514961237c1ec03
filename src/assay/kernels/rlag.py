"""Which option of a question is chosen, and which is rejected, by a policy that is shown a context.

RLAG 2025, arXiv:2509.20162, as in its code: the chosen option is the likeliest one with the
context, the rejected one the likeliest without it, by mean log-probability. Neither reads which is
right, so that a context that misleads is learnt as well; `weight` is the filter that the code does
not have.

Axes: Q questions, O options of each. NaN pads a question that has fewer options.
"""

from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.errors import MethodError

Chooser = Literal["context", "right", "random"]
Filter = Literal["none", "right", "weighted"]
GAMMA: Final = 0.8
"""As in the code's script. Its configuration file says 8, at which every term weighs about 1."""
HIGH: Final = -0.2
LOW: Final = -5.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """What each reward weighs in the margin of a question; log-probabilities are means, nats."""

    know: float = 0.2
    """Of the context itself."""
    know_same: float = 0.5
    """The same where chosen and rejected are one option, which is then neither raised nor
    lowered."""
    augmented: float = 0.5
    """Of the chosen option with the context."""
    naive: float = 0.5
    """Of the rejected option without it, negative."""
    distilled: float = 0.0
    """Of the chosen option without the context; the code has no such term."""
    gamma: float = GAMMA
    high: float = HIGH
    """A chosen option that is likelier than this has no gradient."""
    low: float = LOW
    """Nor has a rejected one that is less likely than this."""


@final
@dataclass(frozen=True, slots=True)
class Pairs:
    """The options of a pair, by number."""

    chosen_Q: Int64[np.ndarray, " Q"]
    rejected_Q: Int64[np.ndarray, " Q"]


Scores = Float64[np.ndarray, "Q O"]
Options = Int64[np.ndarray, " Q"]


def pairs(
    open_QO: Scores,
    closed_QO: Scores,
    right_Q: Options,
    *,
    by: Chooser = "context",
    seed: tuple[int, ...] = (0,),
) -> Pairs:
    """Returns chosen and rejected option of each question; of equal ones the first.

        chosen = argmax_o open_o;  rejected = argmax_o closed_o

    Args:
        open_QO: mean log-probability of each option with the context, nats.
        closed_QO: the same without it.
        right_Q: the right option. Of the others only `by` "right" reads it.
        by: context, as above; right, the code's flag `chosen_is_standard_answer`; random, an
            option that is drawn, a control.
        seed: of that chance.

    Raises:
        MethodError: options that were scored in one way alone, or a right one that is none of its
            question's.
    """
    known_QO = ~np.isnan(open_QO)
    if not (known_QO == ~np.isnan(closed_QO)).all():
        raise MethodError("rlag: expected all options of a question to be scored in both ways")
    _inside(known_QO, right_Q)
    chosen_Q = right_Q
    if by == "context":
        chosen_Q = _first(open_QO)
    elif by == "random":
        drawn_QO = np.random.default_rng(seed).random(open_QO.shape)
        chosen_Q = _first(np.where(known_QO, drawn_QO, np.nan))
    return Pairs(chosen_Q, _first(closed_QO))


def p_right(open_QO: Scores, right_Q: Options) -> Float64[np.ndarray, " Q"]:
    """Returns how likely the right option is among the options, with the context:

        p = exp(open_right) / sum_o exp(open_o)

    Raises:
        MethodError: a right one that is none of the options.
    """
    _inside(~np.isnan(open_QO), right_Q)
    share_QO = np.exp(open_QO - np.nanmax(open_QO, axis=1, keepdims=True))
    return share_QO[np.arange(right_Q.size), right_Q] / np.nansum(share_QO, axis=1)


def weight(
    chosen_Q: Options, open_QO: Scores, right_Q: Options, *, by: Filter
) -> Float64[np.ndarray, " Q"]:
    """Returns what each question counts, in [0, 1].

    none      1, as in the code
    right     1 where the chosen option is the right one, else 0
    weighted  `p_right`
    """
    if by == "none":
        return np.ones(chosen_Q.size)
    return (chosen_Q == right_Q).astype(float) if by == "right" else p_right(open_QO, right_Q)


def _first(score_QO: Scores) -> Options:
    return np.nanargmax(score_QO, axis=1).astype(np.int64)


def _inside(known_QO: np.ndarray, right_Q: Options) -> None:
    count = known_QO.shape[1]
    inside = ((right_Q >= 0) & (right_Q < count)).all()
    if not inside or not known_QO[np.arange(right_Q.size), right_Q].all():
        raise MethodError("rlag: a right option that is none of its question's options")
