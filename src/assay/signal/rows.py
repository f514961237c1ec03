"""Ragged tokens to the padded rows that trainers take, and back. No trainer is imported here.

Axes: N tokens, K trajectories (rows), T padded length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.errors import AlignmentError, DataError

Side = Literal["right", "left"]
LARGEST: Final = 1e30
"""Size of an outcome that a trainer is given, at most: it counts in 32 bits, to 3.4e38."""


def check_outcomes(ids: Sequence[str], outcome_K: Float64[np.ndarray, " K"]) -> None:
    """Raises DataError for an outcome beyond `LARGEST`, of which nothing can be learnt: it would
    make the whole batch constant, or advantages infinite."""
    beyond_K = abs(outcome_K) > LARGEST
    if beyond_K.any():
        k = int(beyond_K.argmax())
        raise DataError(
            f"trajectory {ids[k]!r}.outcome: got {outcome_K[k]:g}; expected a finite number within "
            f"{LARGEST:g} of 0, or None"
        )


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """What an engine expects of the array of advantages, and does with it."""

    side: Side
    """Where the padding is: right of the tokens, or left of them."""
    width: str
    """What T is."""
    mask: str
    """The array that says which tokens of a row the loss counts."""
    afterwards: str
    """What the engine divides or normalises by after us."""


LAYOUTS: Final[dict[str, Layout]] = {
    "trl": Layout(
        "right", "longest completion", "completion_mask * tool_mask", "by loss_type: see Recipe"
    ),
    "verl": Layout("right", "longest response", "response_mask", "by loss_agg_mode"),
    "openrlhf": Layout("right", "longest action", "action_mask", "whitens for gae and reinforce"),
    "skyrl": Layout("left", "longest response", "response_mask", "folded into the loss"),
}
"""Engines whose rows are the response tokens, unshifted."""


def padded_rows(
    advantage_N: Float64[np.ndarray, " N"],
    length_K: Int64[np.ndarray, " K"],
    *,
    carried_N: Bool[np.ndarray, " N"] | None = None,
    width: int | None = None,
    side: Side = "right",
) -> tuple[Float64[np.ndarray, "K T"], Float64[np.ndarray, "K T"]]:
    """Returns (advantage_KT, weight_KT): what the trainer multiplies, and what may count.

    This is the one place where "unscored" stops being NaN: such a token leaves with advantage 0 and
    weight 0. Padding does too, and so does a token that nothing carries.

    Args:
        advantage_N: one advantage per token, rows one after the other; NaN is unscored.
        length_K: tokens of each row.
        carried_N: which tokens some term carries. None: all.
        width: T, at least the longest row. None: the longest row.
        side: where the padding goes, see `LAYOUTS`.

    Raises:
        AlignmentError: lengths that do not add up to N, or a row longer than `width`.
    """
    cell_KT = cells(length_K, n_tokens=advantage_N.size, width=width, side=side)
    counted_N = ~np.isnan(advantage_N)
    if carried_N is not None:
        counted_N = counted_N & carried_N
    advantage_KT, weight_KT = np.zeros(cell_KT.shape), np.zeros(cell_KT.shape)
    advantage_KT[cell_KT] = np.where(counted_N, advantage_N, 0.0)
    weight_KT[cell_KT] = counted_N
    return advantage_KT, weight_KT


def ragged(
    value_KT: Float64[np.ndarray, "_ T"],
    length_K: Int64[np.ndarray, " K"],
    *,
    side: Side = "right",
) -> Float64[np.ndarray, " N"]:
    """Returns the values of the real tokens, rows one after the other: `padded_rows` undone.

    Raises:
        AlignmentError: a row longer than T, or another number of rows.
    """
    if value_KT.shape[0] != length_K.size:
        raise AlignmentError(f"got {value_KT.shape[0]} rows and {length_K.size} lengths")
    n_tokens = int(length_K.sum())
    return value_KT[cells(length_K, n_tokens=n_tokens, width=value_KT.shape[1], side=side)]


def cells(
    length_K: Int64[np.ndarray, " K"], *, n_tokens: int, width: int | None, side: Side
) -> Bool[np.ndarray, "K T"]:
    """Returns which cells of the padded array hold a token; read row by row, they are the tokens.

    Raises:
        AlignmentError: lengths that do not add up to `n_tokens`, or a row longer than `width`.
    """
    longest = int(length_K.max(initial=0))
    width = longest if width is None else width
    if int(length_K.sum()) != n_tokens:
        raise AlignmentError(f"rows of {int(length_K.sum())} tokens in all; got {n_tokens} tokens")
    if longest > width:
        row = int(length_K.argmax())
        raise AlignmentError(f"row {row} has {longest} tokens; expected at most the width, {width}")
    column_T = np.arange(width) if side == "right" else np.arange(width)[::-1]
    return column_T[None, :] < length_K[:, None]
