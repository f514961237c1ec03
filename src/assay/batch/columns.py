"""Columns under construction: flat rows of a log, and how several logs' rows become one.

What few rows have is a table of its own, of rows and values. Hashes of texts are compared, and
renumbered in order of appearance before anybody sees them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, final

import numpy as np
from xxhash import xxh3_64_intdigest

from assay.batch.mapped import room
from assay.batch.table import Table

Measure = Literal["tokens", "characters"]
ENDS: Final = ("answered", "budget", "infra", "unknown")
CLAIMS: Final = ("none", "claimed", "admitted")
ROLES: Final = ("text", "think", "call", "answer", "confidence")
UNTRAINABLE: Final = ("masked", "drifted", "copied", "logprobs")
COPIED: Final = UNTRAINABLE.index("copied")
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
_WHOLE, _SMALL, _REAL = np.int64, np.int8, np.float64


def hash_of(text: str) -> int:
    """Returns 63 bits of a text: as many as a signed integer has, the same everywhere."""
    return xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) >> 1


class Codes(dict[Any, int]):
    """Numbers things in the order in which they appear: `codes[thing]`."""

    def __missing__(self, thing: Any) -> int:
        """Gives the next number to something new."""
        code = self[thing] = len(self)
        return code


def _values(dtype: Any, *owners: str) -> Table:
    """Returns an empty table of what few rows have."""
    return Table("d", **dict.fromkeys(owners, _WHOLE), value=dtype)


@final
@dataclass(slots=True)
class Columns:
    """What `Builder` fills: a table per axis, and one for each thing that few rows have."""

    ids: list[str] = field(default_factory=list[str])
    group: Codes = field(default_factory=Codes)
    task: Codes = field(default_factory=Codes)
    tree: Codes = field(default_factory=Codes)
    session: Codes = field(default_factory=Codes)
    judge: Codes = field(default_factory=Codes)
    reward_names: Codes = field(default_factory=Codes)
    score_names: Codes = field(default_factory=Codes)
    experts: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    """Hashes of the expert actions of each task, from whichever of its trajectories names them."""
    has_logprob: bool = False
    has_entropy: bool = False
    K: Table = field(
        default_factory=lambda: Table(
            "q",
            **dict.fromkeys(("group_K", "task_K", "tree_K", "session_K"), _WHOLE),
            **dict.fromkeys(("judge_K", "content_K"), _WHOLE),
            **dict.fromkeys(("category_K", "claim_K", "end_K"), _SMALL),
        )
    )
    """`content_K` is a hash of what the policy wrote."""
    outcome: Table = field(default_factory=lambda: Table("d", outcome_K=_REAL))
    prior: Table = field(default_factory=lambda: _values(_REAL, "trajectory"))
    verdict: Table = field(default_factory=lambda: _values(_REAL, "trajectory"))
    rescued: Table = field(default_factory=lambda: _values(np.bool_, "trajectory"))
    rewards: Table = field(default_factory=lambda: _values(_REAL, "trajectory", "name"))
    S: Table = field(
        default_factory=lambda: Table(
            "q", traj_S=_WHOLE, index_S=_WHOLE, opening_S=np.bool_, shown_S=_WHOLE
        )
    )
    """`shown_S` is a hash of what was shown last."""
    state: Table = field(default_factory=lambda: Table("q", step=_WHOLE, hash=_WHOLE))
    reward: Table = field(default_factory=lambda: _values(_REAL, "step"))
    belief: Table = field(default_factory=lambda: _values(_REAL, "step"))
    untrainable: Table = field(default_factory=lambda: _values(_SMALL, "step"))
    hinted: Table = field(default_factory=lambda: _values(_WHOLE, "step"))
    confidence: Table = field(default_factory=lambda: _values(_REAL, "step"))
    scores: Table = field(default_factory=lambda: _values(_REAL, "step", "name"))
    node: Table = field(default_factory=lambda: Table("q", step=_WHOLE, name=_WHOLE, parent=_WHOLE))
    """Hashes of its node's name, and of its parent's or -1."""
    C: Table = field(
        default_factory=lambda: Table(
            "q",
            step_C=_WHOLE,
            form_C=_WHOLE,
            **dict.fromkeys(("parsed_C", "ran_C", "expert_C"), _SMALL),
            answer_C=_WHOLE,
        )
    )
    """`form_C` is a hash of the call's form, `answer_C` of its answer or -1."""
    sibling: Table = field(default_factory=lambda: _values(_SMALL, "call"))
    on_path: Table = field(default_factory=lambda: _values(_SMALL, "call"))
    R: Table = field(
        default_factory=lambda: Table(
            "q",
            **dict.fromkeys(("traj_R", "step_R", "call_R"), _WHOLE),
            role_R=_SMALL,
            length_R=_WHOLE,
        )
    )
    logprob: Table = field(default_factory=lambda: Table("d", logprob_N=_REAL))
    entropy: Table = field(default_factory=lambda: Table("d", entropy_N=_REAL))
    told: Table = field(default_factory=lambda: _values(_REAL, "token"))
    neutral: Table = field(default_factory=lambda: _values(_REAL, "token"))
    helped: Table = field(default_factory=lambda: _values(_REAL, "token"))

    def tables(self) -> dict[str, Table]:
        """Returns every table, by name."""
        named = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in named if isinstance(value, Table)}

    def rewarded(self, k: int, parts: Mapping[str, float | None]) -> None:
        """Adds the named parts of the outcome of trajectory `k`."""
        for name, value in parts.items():
            part = np.nan if value is None else value
            self.rewards.tail.extend((k, self.reward_names[name], part))

    def settle(self) -> None:
        """Lets what is whole go to files where it has become much."""
        for name in _GROWING:
            table: Table = getattr(self, name)
            table.settle()

    def into(self, folder: Path) -> None:
        """Lets it go to files of a folder, which another process of this machine can read."""
        for table in self.tables().values():
            table.into(folder)

    def absorb(self, other: "Columns") -> None:
        """Takes over the rows of another part of the log, renumbered to follow these."""
        first = {"K": len(self.ids), "S": len(self.S), "C": len(self.C), "N": len(self.logprob)}
        codes = {
            name: _as_mine(getattr(self, name), getattr(other, name))
            for name in (*("group", "task", "tree", "session", "judge"), *_NAMES)
        }
        theirs = other.tables()
        for name, mine in self.tables().items():
            refers = (
                first[kind] if kind in first else codes[kind] for kind in _REFERS.get(name, ())
            )
            mine.absorb(theirs[name], [*refers])
        self.ids += other.ids
        self.has_logprob |= other.has_logprob
        self.has_entropy |= other.has_entropy
        for task, forms in other.experts.items():
            self.experts.setdefault(task, set()).update(forms)


_NAMES: Final = ("reward_names", "score_names")
_REFERS: Final = {
    "K": ("group", "task", "tree", "session", "judge"),
    **dict.fromkeys(("prior", "verdict", "rescued"), ("K",)),
    "rewards": ("K", "reward_names"),
    "S": ("K",),
    **dict.fromkeys(("state", "reward", "belief", "untrainable", "hinted"), ("S",)),
    **dict.fromkeys(("confidence", "node"), ("S",)),
    "scores": ("S", "score_names"),
    "C": ("S",),
    **dict.fromkeys(("sibling", "on_path"), ("C",)),
    "R": ("K", "S", "C"),
    **dict.fromkeys(("told", "neutral", "helped"), ("N",)),
}
"""What the first columns of each table are numbers of."""
_GROWING: Final = tuple(Columns().tables())


def by_name(rewards: Table, names: Codes, n: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns names, and a row-by-name table of values, NaN where there is none."""
    table = room(n * len(names), np.float64).reshape(n, len(names))
    table[:] = np.nan
    for rows in rewards.chunks():
        at = rows[:, :2].astype(np.int64)
        table[at[:, 0], at[:, 1]] = rows[:, 2]
    return tuple(names), table


def _as_mine(mine: Codes, theirs: Iterable[Any]) -> np.ndarray:
    """Returns, per code of theirs, mine; -1 stays -1."""
    return np.array([*(mine[thing] for thing in theirs), -1], np.int64)
