"""Columns under construction: flat rows of a log, and how several logs' rows become one.

A row is a few numbers in an `array`, 4 or 8 bytes each, so that memory grows by a hundred bytes a
step whatever its texts are. What few rows have is kept as {row: value}. Hashes of texts are
compared, and renumbered in order of appearance before anybody sees them.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar, final

import numpy as np
from xxhash import xxh3_64_intdigest

T = TypeVar("T")
Measure = Literal["tokens", "characters"]
ENDS: Final = ("answered", "budget", "infra", "unknown")
CLAIMS: Final = ("none", "claimed", "admitted")
ROLES: Final = ("text", "think", "call", "answer", "confidence")
UNTRAINABLE: Final = ("masked", "drifted", "copied", "logprobs")
CATEGORIES: Final = (
    "true_success",
    "under_claim",
    "false_success",
    "honest_failure",
    "unverified_claim",
    "weak_success",
    "weak_failure",
    "unscorable",
    "infra",
    "tampered",
    "disputed",
)
"""Codes of `end_K`, `claim_K`, `role_R`, `untrainable_S` and `category_K`, in order."""
K_WIDTH, S_WIDTH, C_WIDTH, R_WIDTH, NODE_WIDTH = 8, 4, 6, 5, 3


def hash_of(text: str) -> int:
    """Returns 63 bits of a text: as many as a signed integer has, the same everywhere."""
    return xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) >> 1


class Codes(dict[Any, int]):
    """Numbers things in the order in which they appear: `codes[thing]`."""

    def __missing__(self, thing: Any) -> int:
        """Gives the next number to something new."""
        code = self[thing] = len(self)
        return code


def integers() -> "array[int]":
    """Returns an empty array of 8-byte integers."""
    return array("q")


def small_integers() -> "array[int]":
    """Returns an empty array of 4-byte integers."""
    return array("i")


def _floats() -> "array[float]":
    return array("d")


@final
@dataclass(slots=True)
class Columns:
    """What `Builder` fills, one flat array per axis."""

    ids: list[str] = field(default_factory=list[str])
    group: Codes = field(default_factory=Codes)
    task: Codes = field(default_factory=Codes)
    tree: Codes = field(default_factory=Codes)
    session: Codes = field(default_factory=Codes)
    K: "array[float]" = field(default_factory=_floats)
    """group, task, tree, session, outcome, category, claim, end"""
    content: "array[int]" = field(default_factory=integers)
    """Hash of what the policy wrote, per trajectory."""
    rewards: dict[int, dict[str, float | None]] = field(
        default_factory=dict[int, dict[str, float | None]]
    )
    S: "array[int]" = field(default_factory=integers)
    """trajectory, index, opening, hash of what was shown last"""
    state: dict[int, str] = field(default_factory=dict[int, str])
    reward: dict[int, float] = field(default_factory=dict[int, float])
    belief: dict[int, float] = field(default_factory=dict[int, float])
    untrainable: dict[int, int] = field(default_factory=dict[int, int])
    confidence: dict[int, float] = field(default_factory=dict[int, float])
    node: "array[int]" = field(default_factory=integers)
    """step, hash of its node's name, and of its parent's; only steps that have a node"""
    scores: dict[int, dict[str, float | None]] = field(
        default_factory=dict[int, dict[str, float | None]]
    )
    C: "array[int]" = field(default_factory=integers)
    """step, hash of the call's form, parsed, ran, expert, hash of its answer"""
    experts: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    """Hashes of the expert actions of each task, from whichever of its trajectories names them."""
    sibling: dict[int, int] = field(default_factory=dict[int, int])
    on_path: dict[int, int] = field(default_factory=dict[int, int])
    R: "array[int]" = field(default_factory=small_integers)
    """trajectory, step, call, role, length"""
    logprob: "array[float]" = field(default_factory=_floats)
    entropy: "array[float]" = field(default_factory=_floats)
    has_logprob: bool = False
    has_entropy: bool = False

    def absorb(self, other: "Columns") -> None:
        """Takes over the rows of another part of the log, renumbered to follow these."""
        k, s, c = len(self.ids), len(self.S) // S_WIDTH, len(self.C) // C_WIDTH
        table = rows(other.K, K_WIDTH)
        table[:, 0] = _renumbered(table[:, 0], self.group, other.group)
        table[:, 1] = _renumbered(table[:, 1], self.task, other.task)
        table[:, 2] = _renumbered(table[:, 2], self.tree, other.tree)
        table[:, 3] = _renumbered(table[:, 3], self.session, other.session)
        self.K.extend(other.K)
        for mine, theirs, width, offsets in (
            (self.S, other.S, S_WIDTH, (k,)),
            (self.C, other.C, C_WIDTH, (s,)),
            (self.R, other.R, R_WIDTH, (k, s, c)),
            (self.node, other.node, NODE_WIDTH, (s,)),
        ):
            table = rows(theirs, width)  # a view: theirs are renumbered where they stand
            for column, offset in enumerate(offsets):
                table[table[:, column] >= 0, column] += offset
            mine.extend(theirs)
        self.ids += other.ids
        self.content += other.content
        self.logprob += other.logprob
        self.entropy += other.entropy
        self.has_logprob |= other.has_logprob
        self.has_entropy |= other.has_entropy
        for task, forms in other.experts.items():
            self.experts.setdefault(task, set()).update(forms)
        self.rewards |= _moved(other.rewards, k)
        self.state |= _moved(other.state, s)
        self.reward |= _moved(other.reward, s)
        self.belief |= _moved(other.belief, s)
        self.untrainable |= _moved(other.untrainable, s)
        self.confidence |= _moved(other.confidence, s)
        self.scores |= _moved(other.scores, s)
        self.sibling |= _moved(other.sibling, c)
        self.on_path |= _moved(other.on_path, c)


def rows(flat: "array[Any]", width: int) -> np.ndarray:
    """Returns flat rows as a two-dimensional view."""
    return np.frombuffer(flat, f"{'f' if flat.typecode == 'd' else 'i'}{flat.itemsize}").reshape(
        -1, width
    )


def by_name(
    rewards: dict[int, dict[str, float | None]], n: int
) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the names that occur, in order of appearance, and a row-by-name table."""
    names = tuple(dict.fromkeys(name for parts in rewards.values() for name in parts))
    table = np.full((n, len(names)), np.nan)
    column = {name: j for j, name in enumerate(names)}
    for k, parts in rewards.items():
        for name, value in parts.items():
            table[k, column[name]] = np.nan if value is None else value
    return names, table


def filled(sparse: dict[int, Any], dense: np.ndarray) -> np.ndarray:
    """Returns `dense` with the sparse values written over it, which must be writable then."""
    if sparse:
        dense[list(sparse)] = list(sparse.values())
    return dense


def spread(sparse: dict[int, Any], size: int, other: float | np.integer[Any]) -> np.ndarray:
    """Returns an array of the sparse values and one other for all the rest.

    Without any it is one number that is read again and again, and takes no memory.
    """
    return filled(sparse, np.full(size, other)) if sparse else constant(size, other)


def constant(size: int, value: float | np.integer[Any]) -> np.ndarray:
    """Returns an array of one number again and again, of which it is kept once."""
    return np.broadcast_to(value, size)


def _moved(sparse: dict[int, T], by: int) -> dict[int, T]:
    return {row + by: value for row, value in sparse.items()}


def _renumbered(codes: np.ndarray, mine: Codes, theirs: Iterable[Any]) -> np.ndarray:
    """Returns their codes as mine; -1 stays -1."""
    as_mine: Sequence[int] = [mine[thing] for thing in theirs]
    return np.array([*as_mine, -1], float)[codes.astype(np.int64)]
