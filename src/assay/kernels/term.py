"""A term: six answers that make a credit-assignment method.

    A_n = sum over terms of  a_u
    a_u = weight * cap(sign(scaled(value_u - baseline(peers of u)))) + decay * a_next(u)

for token n carried by unit u. Every method of the library is a short list of these; see
`docs/conventions.md` for which options reproduce which engine.
"""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float64, Int64

Baseline = Literal["none", "mean", "loo", "quantile", "shrunk", "virtual", "given"]
Scale = Literal["none", "std", "mean", "root"]
Sign = Literal["both", "positive", "negative"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One comparison, and who carries its result.

    Axes: U units (trajectories, steps, calls or tokens), R spans, N tokens, V virtual members.
    """

    name: str
    """What the report calls it, for example "outcome"."""

    # What was earned?
    value_U: Float64[np.ndarray, " U"]
    """Value of each unit, any unit of measure. NaN: nobody scored it."""

    # Compared with whom?
    peer_U: Int64[np.ndarray, " U"] | None = None
    """Units with the same number are compared; -1: this one has no peers. None: all are peers."""
    vote_U: Int64[np.ndarray, " U"] | None = None
    """The unit that counts for each one among its peers: several with the same one count once, and
    one with -1 is compared and moves nothing. None: each counts for itself."""
    mass_U: Float64[np.ndarray, " U"] | None = None
    """How much each one counts in the mean and the deviation of its peers, as by how many tokens it
    has: 0, which moves nothing, or at least 1. Baseline "mean" alone takes it. None: as one."""

    # Who carries it?
    unit_R: Int64[np.ndarray, " R"] | None = None
    """Unit carried by each span of tokens; -1: not carried."""
    unit_N: Int64[np.ndarray, " N"] | None = None
    """The same per token, for values that differ inside a run. Exactly one of the two is given."""

    # How centred and scaled?
    baseline: Baseline = "none"
    scale: Scale = "none"
    ddof: int = 1
    """Degrees of freedom taken off the deviation: 1 sample, 0 population."""
    eps: float = 1e-6
    """Added to the divisor, in units of the value; under scale "root" to the variance, before its
    root is taken."""
    singleton: Literal["zero", "raw"] = "zero"
    """What a unit alone among its peers gets: 0, or its value as if the mean were 0, the std 1."""
    given_U: Float64[np.ndarray, " U"] | float = 0.0
    """Baseline "given": the number to take off."""
    quantile: float = 0.5
    """Baseline "quantile": the level K in (0, 1)."""
    prior: float = 0.0
    """Baseline "shrunk": what the mean is pulled towards."""
    shrink: Float64[np.ndarray, " U"] | float = 0.0
    """Baseline "shrunk": how far, in [0, 1]."""
    virtual_value_V: Float64[np.ndarray, " V"] | None = None
    """Baseline "virtual": values that count in mean and deviation and belong to no token."""
    virtual_peer_V: Int64[np.ndarray, " V"] | None = None
    value_range: float | None = None
    """Spread that values can have, for "is this group constant?". None: as seen in the batch."""
    reach: tuple[float, float] | None = None
    """Least and greatest value of the batch that these units are a part of. None: they are all."""

    # How much of it counts?
    weight: float = 1.0
    weight_U: Float64[np.ndarray, " U"] | None = None
    weight_N: Float64[np.ndarray, " N"] | None = None
    sign: Sign = "both"
    """Keep only the positive or only the negative part of the scaled advantage."""
    cap: float = np.inf
    """Bound on the absolute scaled advantage, before weights."""

    # What comes after it?
    next_U: Int64[np.ndarray, " U"] | None = None
    """The unit after each one, whose advantage is added to its own; -1, or None: none."""
    decay: Float64[np.ndarray, " U"] | float = 1.0
    """Factor on what is added. An unscored unit counts nothing (`kernels.returns`)."""


@final
@dataclass(frozen=True, slots=True)
class Credited:
    """A term, and how each of its units came by its number; NaN where the value is NaN.

    scaled_u = (value_u - baseline_u) / divisor_u      exactly, wherever baseline_u is no NaN
    advantage_u = weight * weight_u * clip(sign(scaled_u), -cap, cap) + decay * advantage_next(u)
    """

    term: Term
    """Value, peers, weights and options."""
    baseline_U: Float64[np.ndarray, " U"]
    """What was taken off, in units of the value: of constant peers the value itself, of a lone unit
    that keeps its raw value 0. NaN: it has no peers to be compared with, and scaled_u is 0."""
    divisor_U: Float64[np.ndarray, " U"]
    """What it was divided by, eps included; 1 where nothing was divided."""
    count_U: Int64[np.ndarray, " U"]
    """Scored peers, itself and virtual members included; 0: it was compared with nobody."""
    constant_U: Bool[np.ndarray, " U"]
    """Are all its peers equal, so that there is nothing to compare?"""
    scaled_U: Float64[np.ndarray, " U"]
    """Before sign, cap and weights."""
    advantage_U: Float64[np.ndarray, " U"]
    """What the tokens that carry the unit get, before `Term.weight_N`."""
