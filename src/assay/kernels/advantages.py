"""The one kernel that all methods share: terms in, one advantage per token out.

Axes: N tokens, U units, R spans. A *span* is a stretch of tokens with the same step,
call and role; nothing coarser than a token tells its tokens apart, so most of the arithmetic is
done on spans and written to tokens by one `np.repeat` at the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.errors import AlignmentError, MethodError
from assay.kernels.term import Credited, Term
from assay.kernels.units import credited


@final
@dataclass(frozen=True, slots=True)
class Advantages:
    """What the kernel returns: the parts stay, so that any token can be explained."""

    parts: dict[str, Float64[np.ndarray, " _"]]
    """Per term: one number per span, or per token where the term is token-wise. NaN: unscored."""
    total: Float64[np.ndarray, " _"]
    """Their sum, per span if every part is, else per token. NaN: no term carrying it is scored."""
    carried: Bool[np.ndarray, " _"]
    """Does any term carry it? Same length as `total`. 0.0 and not carried are different things."""
    length_R: Int64[np.ndarray, " R"]
    made: tuple[Credited, ...] = ()
    """What each part was made of, in the order of `parts`; `made[t].term` says who carries it."""

    @property
    def advantage_N(self) -> Float64[np.ndarray, " N"]:
        """One advantage per token; NaN where unscored, 0 where not carried."""
        return self.on_tokens(self.total)

    def on_tokens(self, part: Float64[np.ndarray, " _"]) -> Float64[np.ndarray, " N"]:
        """Returns a part per token, whichever way it is stored."""
        if part.size == int(self.length_R.sum()):  # per token, also where N equals R
            return part
        return np.repeat(part, self.length_R)


Parts = dict[str, Float64[np.ndarray, " _"]]
"""Per term: one number per span, or per token."""
Carried = dict[str, Bool[np.ndarray, " _"]]
Combine = Callable[[Parts, Carried], Float64[np.ndarray, " _"]]
"""From parts of one length, and who carries them, to the total; pure."""


def summed(parts: Parts, carried: Carried) -> Float64[np.ndarray, " _"]:
    """Adds parts; an unscored part counts nothing, unless no scored one carries the token."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    size = next(iter(parts.values())).size
    total, scored, any_carried = np.zeros(size), np.zeros(size, bool), np.zeros(size, bool)
    for name, part in parts.items():
        missing = np.isnan(part)
        total += np.where(missing, 0.0, part)
        scored |= carried[name] & ~missing
        any_carried |= carried[name]
    total[any_carried & ~scored] = np.nan
    return total


def advantages(
    terms: Sequence[Term], length_R: Int64[np.ndarray, " R"], combine: Combine = summed
) -> Advantages:
    """Returns the terms combined per token, with every part kept.

        A_n = sum_t  part_t(n),   part_t(n) = weight_n * a_u   for the unit u that carries n, else 0

    Args:
        terms: what is compared; see `Term`.
        length_R: tokens of each span; N is their sum.
        combine: what is done with the parts instead of adding them.

    Raises:
        AlignmentError: a term names a unit that it has no value for, or is of the wrong length.
        MethodError: two terms of one name, or a scale that the values do not allow.
    """
    n_spans, n_tokens = length_R.size, int(length_R.sum())
    parts: Parts = {}
    carried: Carried = {}
    made: list[Credited] = []
    for term in terms:
        if term.name in parts:
            raise MethodError(f"two terms are called {term.name!r}; each needs a name of its own")
        unit = _carrier(term, n_spans, n_tokens)
        made.append(credited(term))
        part = np.append(made[-1].advantage_U, 0.0)[unit]  # unit -1 reads the 0.0 appended
        carries = unit >= 0
        # where N equals R a part is kept per token, so that its length never means two things
        if term.unit_R is not None and (term.weight_N is not None or n_spans == n_tokens):
            part, carries = np.repeat(part, length_R), np.repeat(carries, length_R)
        if term.weight_N is not None:
            _check_size(term, "weight_N", term.weight_N.size, n_tokens)
            part = np.where(part == 0.0, 0.0, part * term.weight_N)
        parts[term.name], carried[term.name] = part, carries
    level, carries = _level(parts, length_R), _level(carried, length_R)
    if not parts:
        return Advantages({}, np.zeros(n_spans), np.zeros(n_spans, bool), length_R)
    any_carried = np.logical_or.reduce([*carries.values()])
    return Advantages(parts, combine(level, carries), any_carried, length_R, tuple(made))


def _level(parts: dict[str, Any], length_R: Int64[np.ndarray, " R"]) -> dict[str, Any]:
    """Returns the parts at one length: per token if any is, else per span."""
    n = int(length_R.sum())
    if all(part.size != n for part in parts.values()):
        return parts
    return {
        name: part if part.size == n else np.repeat(part, length_R) for name, part in parts.items()
    }


def _carrier(term: Term, n_spans: int, n_tokens: int) -> Int64[np.ndarray, " _"]:
    """Returns the unit of each span or token, checked against the term's values."""
    unit, size, axis = (
        (term.unit_R, n_spans, "R") if term.unit_R is not None else (term.unit_N, n_tokens, "N")
    )
    if unit is None or (term.unit_R is not None and term.unit_N is not None):
        raise AlignmentError(f"term {term.name!r}: give exactly one of unit_R and unit_N")
    _check_size(term, f"unit_{axis}", unit.size, size)
    n_units = term.value_U.size
    if unit.size and not -1 <= unit.min() <= unit.max() < n_units:
        raise AlignmentError(
            f"term {term.name!r}: unit_{axis} must lie in [-1, {n_units}), the units of value_U; "
            f"got {unit.min()} to {unit.max()}"
        )
    return unit


def _check_size(term: Term, field: str, size: int, expected: int) -> None:
    if size != expected:
        raise AlignmentError(f"term {term.name!r}: {field} has {size} entries; expected {expected}")
