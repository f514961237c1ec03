"""What a method is: a name, a source, a few options, and a short list of terms."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.facts import need
from assay.credit.groups import means
from assay.errors import MethodError
from assay.kernels.advantages import Advantages, Carried, Parts, advantages, summed
from assay.kernels.constancy import ROUND_OFF, extremes
from assay.kernels.term import Term
from assay.records import Trajectory

Reads = Literal["set", "groups", "outcomes"]


class Method(ABC):
    """One row of the table of methods: a frozen dataclass of its options, final.

    Class attributes are the row: what a person reads in `assay methods`; those that a method does
    not set are GRPO's. Options are checked when the method is made, and a value that nothing reads
    is refused, never ignored.
    """

    __slots__ = ()

    name: ClassVar[str]
    source: ClassVar[str]
    """Authors, year, arXiv id."""
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
    scaling: ClassVar[str] = "mean, std"
    """Baseline and scale, in words."""
    reads: ClassVar[Reads] = "set"
    """Of which parts of a large set it can be computed (`credit.blocks`): of none ("set"); of whole
    groups, in two passes, for how far values reach all groups tell ("groups"); of whole groups, in
    one pass, for of the others it reads what has one entry a trajectory and nothing else, as their
    outcomes ("outcomes")."""
    lengths: ClassVar[bool] = True
    """Does it read how long trajectories are? Where it does not, a trainer's rows, which know
    nothing finer, are not counted token by token for it."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Facts that a batch must hold for it, of `credit.facts`."""

    def __post_init__(self) -> None:
        """Raises MethodError for an option out of its range."""
        check_scaling(self)

    @abstractmethod
    def terms(self, batch: Batch) -> list[Term]:
        """Returns the terms of this method on `batch`. Pure: the batch is not written.

        Raises:
            MethodError: the batch does not hold what the method needs.
        """

    def combine(self, parts: Parts, carried: Carried) -> Float64[np.ndarray, " _"]:
        """Returns the total of the parts: their sum, unless a method says otherwise. Pure."""
        return summed(parts, carried)

    def __call__(self, batch: Batch) -> Advantages:
        """Returns advantages with all their parts."""
        self.check(batch)
        return advantages(self.terms(batch), batch.length_R, self.combine)

    def prepared(self, record: Trajectory) -> Trajectory:
        """Returns a record with what the method reads off it and nobody has written there: as it
        is, unless a method says otherwise. Pure, and done twice it is done once."""
        return record

    @property
    def wanted(self) -> tuple[str, ...]:
        """Facts that it needs with these options: `needs`, unless a method says otherwise."""
        return self.needs

    @property
    def scored(self) -> bool:
        """Whether it reads outcomes, with these options. Compared alone, one that does not credits
        what nobody scored as well."""
        return True

    def check(self, batch: Batch) -> None:
        """Raises MethodError, with who could provide it, unless the batch holds all it wants."""
        for fact in self.wanted:
            need(batch, fact, self.name)


def require(holds: bool | np.bool_, message: str) -> None:
    """Raises MethodError with the message unless the condition holds."""
    if not holds:
        raise MethodError(message)


def check_scaling(method: Method) -> None:
    """Raises MethodError unless those of ddof, eps and cap that it has are 0 or 1, >= 0, > 0."""
    ddof, eps, cap = (getattr(method, name, 1) for name in ("ddof", "eps", "cap"))
    require(ddof in (0, 1), f"ddof must be 0 or 1; got {ddof}")
    require(eps >= 0, f"eps must be at least 0; got {eps:g}")
    require(cap > 0, f"cap must be above 0; got {cap:g}")


def at_least_0(method: Method, *options: str) -> None:
    """Raises MethodError unless these options, those that are None aside, are at least 0."""
    for option in options:
        value = getattr(method, option)
        require(value is None or value >= 0, f"{option} must be at least 0; got {value}")


_OF_BATCH = {
    "value_U": "value_K",
    "peer_U": "group_K",
    "vote_U": "vote_K",
    "unit_R": "all_sampled_R",
    "weight_U": "weight_K",
}
_SCALING = ("scale", "ddof", "eps", "singleton", "sign", "cap")


def outcome_term(
    batch: Batch, by: Method | None = None, name: str = "outcome", /, **options: object
) -> Term:
    """Returns the term of most methods: the outcome, by trajectory, within the task group, one vote
    a session; units that are no trajectories say who votes, `vote_U`, themselves.

    Baseline "mean" and scale "std", unless `by` has options of scaling, or `options`, fields of
    `Term`, say otherwise.
    """
    fields: dict[str, object] = {
        **{name: getattr(batch, of) for name, of in _OF_BATCH.items() if name not in options},
        "baseline": "mean",
        "scale": "std",
        **{field: getattr(by, field) for field in _SCALING if hasattr(by, field)},
        **options,
    }
    if fields["scale"] == "mean":
        _check_means(batch, "scale 'mean'" if by is None else by.name)
    return Term(name=name, **fields)  # pyright: ignore[reportArgumentType]


def _check_means(batch: Batch, who: str) -> None:
    """Raises MethodError, with the group, for a mean that no outcome can be divided by."""
    mean_G, voted_K = means(batch, batch.value_K), batch.voted_K
    scored_K = ~np.isnan(voted_K)
    low_G, high_G = extremes(voted_K[scored_K], batch.group_K[scored_K], batch.n_groups)
    refused = np.flatnonzero((mean_G < 0) | ((high_G > low_G) & (mean_G <= ROUND_OFF)))
    if refused.size:
        g = int(refused[0])
        raise MethodError(
            f"{who} needs mean outcomes above 0, and that of group {batch.groups[g]!r} is "
            f"{mean_G[g]:g}; shift the outcomes or take another method"
        )
