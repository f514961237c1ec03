"""What rows have in common, as one line of tokens in which every shared prefix stands once.

    rows in dictionary order     a b c d | a b c e f | a b g     share 0, 3, 2 with the one before
    one line                     a b c d   c e f       b g       9 tokens, and not 12

Each row adds what it does not share with the row before, after a second copy of the token where
they part: that copy predicts the first token of its own. In dictionary order this is the tree of
the rows, with every prefix of it, nested ones too, passed once. Numpy only.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Int64


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """Rows without their padding, and what those that begin alike share."""

    token_BL: Int64[np.ndarray, "B L"]
    """From each row's first token; -1 behind its last."""
    length_B: Int64[np.ndarray, " B"]
    prompt_B: Int64[np.ndarray, " B"]
    """Tokens of the prompt."""
    order_B: Int64[np.ndarray, " B"]
    """Rows in dictionary order: those that begin alike are neighbours."""
    shared_B: Int64[np.ndarray, " B"]
    """In that order: tokens with which a row begins like the one before it."""

    @staticmethod
    def of(
        token_BL: Int64[np.ndarray, "B L"],
        length_B: Int64[np.ndarray, " B"],
        prompt_B: Int64[np.ndarray, " B"],
    ) -> "Rows":
        """Returns rows with what they share."""
        keys = [row.tobytes() for row in (token_BL + 1).astype(">i8")]
        order_B = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
        sorted_BL = token_BL[order_B]
        differ = sorted_BL[1:] != sorted_BL[:-1]
        like = np.where(differ.any(1), differ.argmax(1), token_BL.shape[1])
        shared_B = np.minimum(np.concatenate(([0], like)), length_B[order_B])
        return Rows(token_BL, length_B, prompt_B, order_B, shared_B)

    def part(self, rows: Int64[np.ndarray, " b"]) -> "Rows":
        """Returns some of the rows."""
        return Rows.of(self.token_BL[rows], self.length_B[rows], self.prompt_B[rows])

    @property
    def opens(self) -> Bool[np.ndarray, " B"]:
        """Whether each row, in dictionary order, has another prompt than the one before it."""
        before_B = self.prompt_B[self.order_B]
        opens_B = (self.shared_B < before_B) | (before_B != np.roll(before_B, 1))
        opens_B[:1] = True
        return opens_B

    @property
    def trees(self) -> Int64[np.ndarray, " B"]:
        """The rows of equal prompts together, in dictionary order; first those of the longest."""
        start_B = self.opens
        group_B, length_B = np.cumsum(start_B) - 1, self.length_B[self.order_B]
        longest = np.maximum.reduceat(length_B, np.flatnonzero(start_B))
        return self.order_B[np.argsort(-longest[group_B], kind="stable")]


def rows_of(
    ids: Int64[np.ndarray, "B C"], seen: Bool[np.ndarray, "B C"], prompt: int
) -> Rows | None:
    """Returns what rows share; None where one has a gap, or no prompt.

    Args:
        ids: prompts padded on the left, completions on the right.
        seen: which of them are tokens.
        prompt: columns of the prompt.
    """
    length_B, prompt_B = seen.sum(1), seen[:, :prompt].sum(1)
    first_B, columns = seen.argmax(1), np.arange(ids.shape[1])
    inside = (columns >= first_B[:, None]) & (columns < (first_B + length_B)[:, None])
    if (inside != seen).any() or (prompt_B == 0).any():
        return None
    at = np.minimum(first_B[:, None] + columns[: length_B.max()], columns[-1])
    real = columns[: length_B.max()] < length_B[:, None]
    token_BL = np.where(real, np.take_along_axis(ids, at, 1), -1)
    return Rows.of(token_BL, length_B, prompt_B)


@final
@dataclass(frozen=True, slots=True)
class Line:
    """N tokens of B rows, and where each row finds its own."""

    token_N: Int64[np.ndarray, " N"]
    position_N: Int64[np.ndarray, " N"]
    """Of the token in its row."""
    path_BL: Int64[np.ndarray, "B L"]
    """Where in the line each token of a row stands; 0 behind its last."""
    row_N: Int64[np.ndarray, " N"]
    """The row that brought the token."""
    scored_N: Bool[np.ndarray, " N"]
    """Whether some row's completion has the token."""
    said_BT: Int64[np.ndarray, "B T"]
    """Where in the line each token of a completion is predicted; -1 behind the last."""


def added(rows: Rows) -> Int64[np.ndarray, " B"]:
    """Returns the tokens that each row, in dictionary order, adds to the line."""
    own = rows.length_B[rows.order_B]
    return np.where(rows.shared_B < own, own - np.maximum(rows.shared_B - 1, 0), 0)


def repeated(rows: Rows, width: int) -> int:
    """Returns the tokens of whole rows, or of equal prompts once, whichever are fewer.

    Args:
        rows: what is to be passed.
        width: columns of the completions.
    """
    prompt, n = int(rows.prompt_B.max()), rows.length_B.size
    distinct = np.unique(np.cumsum(rows.opens)).size
    return min(n * (prompt + width), distinct * (prompt - 1) + n * (width + 1))


def line_of(rows: Rows, width: int) -> Line:
    """Returns the rows as one line.

    Args:
        rows: what is passed.
        width: T, columns of the completions.
    """
    added_B = added(rows)
    ends = np.cumsum(added_B)
    token_N, position_N, row_N = (np.zeros(int(ends[-1]), np.int64) for _ in range(3))
    scored_N, said_BT = np.zeros(int(ends[-1]), bool), np.full((len(ends), width), -1)
    path_BL = np.zeros_like(rows.token_BL)
    path = said = np.zeros(0, np.int64)
    for place, row in enumerate(rows.order_B.tolist()):
        length, shared = int(rows.length_B[row]), int(rows.shared_B[place])
        begin = length - int(added_B[place])
        own = np.arange(ends[place] - added_B[place], ends[place])
        path = np.concatenate((path[:begin], own))
        said = np.concatenate((said[:shared], own[shared - begin :]))
        token_N[own], position_N[own] = rows.token_BL[row, begin:length], np.arange(begin, length)
        row_N[own], path_BL[row, :length] = row, path
        completion = said[rows.prompt_B[row] :]
        scored_N[completion] = True
        said_BT[row, : completion.size] = completion
    return Line(token_N, position_N, path_BL, row_N, scored_N, said_BT)
