"""Which tokens of a failure take the blame: bounded weights on negative advantages.

A method pushes all of a failure down alike, or all of a step. A blame says, token by token, how
much of that stays: 1 all, `floor` the least. Advantages that are not below 0 stay as they are, and
so does the divisor of the loss. It comes after the methods, their mix and the control, before
safety and dose. Axes: N tokens, S model steps, R spans.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, final

import msgspec
import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import Batch
from assay.credit.base import require
from assay.credit.entropy import entropies, highest
from assay.credit.facts import need
from assay.credit.low_logprob import least_likely
from assay.errors import AlignmentError, UnknownNameError, UsageError, hint
from assay.kernels.advantages import Advantages
from assay.registry import Registry


class Blame(ABC):
    """A frozen dataclass of its options; `floor` is one of every blame."""

    __slots__ = ()
    name: ClassVar[str]
    source: ClassVar[str]
    """Authors, year, arXiv id."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Facts that a batch must hold for it, of `credit.facts`."""
    floor: float

    def __post_init__(self) -> None:
        """Raises MethodError for an option out of its range."""
        require(0 <= self.floor <= 1, f"floor must lie in [0, 1]; got {self.floor:g}")

    @abstractmethod
    def weights(self, batch: Batch) -> Float64[np.ndarray, " N"]:
        """Returns how much of the blame each token takes, in [0, 1], before the floor. Pure."""


def blamed(batch: Batch, credited: Advantages, by: Blame | None) -> Advantages:
    """Returns the advantages with those below 0 weighted, token by token.

        A'_n = A_n (floor + (1 - floor) w_n) where A_n < 0, else A_n

    Args:
        batch: behind the gates.
        credited: what methods, or a control, gave it.
        by: None: as they are.

    Raises:
        MethodError: the batch does not hold what the blame needs.
        AlignmentError: the blame gave no weight for some token, or one outside [0, 1].
    """
    if by is None:
        return credited
    for fact in by.needs:
        need(batch, fact, by.name)
    w_N, total_N = by.weights(batch), credited.on_tokens(credited.total)
    if w_N.shape != total_N.shape or not ((w_N >= 0) & (w_N <= 1)).all():
        raise AlignmentError(
            f"blame {by.name!r}: got {w_N.size} weights for {total_N.size} tokens; expected one "
            "for each, in [0, 1]"
        )
    factor_N = np.where(total_N < 0, by.floor + (1.0 - by.floor) * w_N, 1.0)
    parts = {name: credited.on_tokens(part) * factor_N for name, part in credited.parts.items()}
    carried_N = credited.on_tokens(credited.carried.astype(float)) > 0
    return replace(credited, parts=parts, total=total_N * factor_N, carried=carried_N, made=())


@final
@dataclass(frozen=True, slots=True)
class Ntf(Blame):
    """The least likely `share` of the trajectory's tokens, one at least; of equal ones the first.

    NTF with C-RF 2026, https://arxiv.org/abs/2606.17250, known to us from a note: negatives from
    the lowest-probability tenth alone, over the full length. Log-probabilities are those of
    sampling. Its clip bounds and its separate means of both signs are not here.
    """

    name: ClassVar[str] = "ntf"
    source: ClassVar[str] = "NTF with C-RF 2026, arXiv:2606.17250"
    needs: ClassVar[tuple[str, ...]] = ("logprobs",)

    share: float = 0.1
    """In (0, 1]."""
    floor: float = 0.0

    def __post_init__(self) -> None:
        require(0 < self.share <= 1, f"share must lie in (0, 1]; got {self.share:g}")
        Blame.__post_init__(self)

    def weights(self, batch: Batch) -> Float64[np.ndarray, " N"]:
        return least_likely(batch, self.share, self.name).astype(float)


@final
@dataclass(frozen=True, slots=True)
class Zvp(Blame):
    """1 - H / H_max: the surest tokens most, H_max the largest entropy of the trajectory.

    The negative side of RL-ZVP 2025, https://arxiv.org/abs/2509.21880, which has it in all-fail
    groups alone, as an advantage of its own (method rl_zvp). A token without an entropy keeps its
    advantage; where H_max is 0 all do.
    """

    name: ClassVar[str] = "zvp"
    source: ClassVar[str] = "RL-ZVP 2025, arXiv:2509.21880"
    needs: ClassVar[tuple[str, ...]] = ("entropies",)

    floor: float = 0.1

    def weights(self, batch: Batch) -> Float64[np.ndarray, " N"]:
        entropy_N = entropies(batch, self.name)
        high_N = highest(entropy_N, np.repeat(batch.traj_R, batch.length_R))
        known_N = ~np.isnan(entropy_N) & (high_N > 0)
        return 1.0 - np.where(known_N, entropy_N, 0.0) / np.where(known_N, high_N, 1.0)


@final
@dataclass(frozen=True, slots=True)
class Fork(Blame):
    """The least sure tokens alone: those whose entropy is at or above a quantile of the batch's.

    After Wang et al. 2025, Beyond the 80/20 Rule, https://arxiv.org/abs/2506.01939, which trains
    both signs on the top 20 %. A token without an entropy keeps its advantage.
    """

    name: ClassVar[str] = "fork"
    source: ClassVar[str] = "Wang et al. 2025, arXiv:2506.01939"
    needs: ClassVar[tuple[str, ...]] = ("entropies",)

    quantile: float = 0.8
    """In [0, 1), over the trained tokens of the batch."""
    floor: float = 0.1

    def __post_init__(self) -> None:
        require(0 <= self.quantile < 1, f"quantile must lie in [0, 1); got {self.quantile:g}")
        Blame.__post_init__(self)

    def weights(self, batch: Batch) -> Float64[np.ndarray, " N"]:
        entropy_N = entropies(batch, self.name)
        known = entropy_N[~np.isnan(entropy_N)]
        bar = np.quantile(known, self.quantile) if known.size else 0.0
        return np.where(np.isnan(entropy_N) | (entropy_N >= bar), 1.0, 0.0)


@final
@dataclass(frozen=True, slots=True)
class Preserve(Blame):
    """Spares steps with a call that evidence calls right (`Batch.correct_C`), and no wrong one.

    What successes do as well is not pushed down with a failure: the cause that LLDS 2025,
    https://arxiv.org/abs/2512.04220, names for likelihoods that fall together, and which it answers
    by a loss on actions of A >= 0 (`safety.preserve`). The rule by evidence is ours.
    """

    name: ClassVar[str] = "preserve"
    source: ClassVar[str] = "ours, after LLDS 2025, arXiv:2512.04220"

    floor: float = 0.1

    def weights(self, batch: Batch) -> Float64[np.ndarray, " N"]:
        n = batch.traj_S.size
        right_S, wrong_S = (
            np.bincount(batch.step_C[batch.correct_C == said], minlength=n) for said in (1.0, 0.0)
        )
        return _on_tokens(batch, ~((right_S > 0) & (wrong_S == 0)))


@final
@dataclass(frozen=True, slots=True)
class Hinted(Blame):
    """Steps that a hint is about; in a trajectory without any hint, all of them.

    After HINT-SD and SDPO 2026, https://arxiv.org/abs/2601.20802, which speak of hinted turns
    alone; as a weight of negative advantages it is ours. No teacher is asked.
    """

    name: ClassVar[str] = "hinted"
    source: ClassVar[str] = "ours, after SDPO 2026, arXiv:2601.20802"

    floor: float = 0.1

    def weights(self, batch: Batch) -> Float64[np.ndarray, " N"]:
        hinted_S = batch.hinted_S > 0
        some_K = np.bincount(batch.traj_S[hinted_S], minlength=len(batch.ids)) > 0
        return _on_tokens(batch, hinted_S | ~some_K[batch.traj_S])


def _on_tokens(batch: Batch, holds_S: Bool[np.ndarray, " S"]) -> Float64[np.ndarray, " N"]:
    """Returns 1 on the tokens of steps of which it holds, and of none, 0 on those of others."""
    return np.repeat(np.append(holds_S, True)[batch.step_R].astype(float), batch.length_R)


BLAMES: Registry[Blame] = Registry(
    "blame",
    {"ntf": Ntf, "zvp": Zvp, "fork": Fork, "preserve": Preserve, "hinted": Hinted},
    group="assay.blames",
)


def blame(name: str, **options: Any) -> Blame:
    """Returns a blame by name, its options checked and converted.

    Raises:
        UnknownNameError: no such blame or option; names the nearest.
        UsageError: an option of the wrong type or out of its range.
    """
    cls: Any = BLAMES.get(name)
    known = [each.name for each in fields(cls)]
    for option in options:
        if option not in known:
            raise UnknownNameError(
                f"blame {name} has no option {option!r}.{hint(option, known)} "
                f"Known: {', '.join(known)}"
            )
    try:
        return msgspec.convert(options, cls, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"blame {name}: {error}") from None


def blame_of(given: Any) -> Blame | None:
    """Returns the blame that a recipe names: by a name, or by a table of `name` and options.

    Raises:
        UsageError: it is neither; and as `blame` does.
    """
    if given is None or isinstance(given, Blame):
        return given
    table = {"name": given} if isinstance(given, str) else given
    if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
        raise UsageError(f"recipe.blame: got {given!r}; expected a name, or a table with a name")
    return blame(**table)
