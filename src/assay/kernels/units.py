"""One advantage per unit: value minus baseline, scaled, one-sided, capped, weighted.

Axes: U units, P peer sets (units with the same `peer_U`).
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.errors import AlignmentError, MethodError
from assay.kernels.constancy import ROUND_OFF, constant, extremes
from assay.kernels.returns import returns
from assay.kernels.term import Credited, Term
from assay.kernels.votes import ends, votes

_SPREAD = ("std", "root")


def credited(term: Term) -> Credited:
    """Returns each unit's advantage and what it was made of.

        a_u = w * clip( (v_u - b_u) / s_u, -cap, cap ) + decay * a_next(u)
        b: none 0 | mean of the scored peers | loo mean of the others | given
           | quantile the least x with F(x) >= K | shrunk (1 - shrink) * mean + shrink * prior
           | virtual mean, virtual members counted
        s: none 1 | std + eps, ddof off the count | mean + eps | root sqrt(var + eps)

    Peers that are constant get exactly 0 under mean, loo, quantile and virtual, and so does a unit
    alone among its peers (or its raw value, `singleton="raw"`); under none, shrunk and given they
    are not divided, for they have no deviation. Constant means
    max - min <= max(1e-6 * value range, 1e-12 * max |value|): never a test on the deviation, which
    round-off keeps above zero. A unit without peers (-1) gets 0, unless it is compared with nobody.

    Raises:
        AlignmentError: arrays of the term do not fit each other.
        MethodError: scale "mean" over a mean that is not positive.
    """
    _check(term)
    made = _compared(term)
    advantage_U = made.scaled_U
    if term.sign != "both":
        advantage_U = (np.maximum if term.sign == "positive" else np.minimum)(advantage_U, 0.0)
    if term.cap != np.inf:
        advantage_U = np.clip(advantage_U, -term.cap, term.cap)
    if term.weight_U is not None:
        advantage_U = advantage_U * term.weight_U
    if term.weight != 1.0:
        advantage_U = advantage_U * term.weight
    if term.next_U is not None:
        advantage_U = returns(advantage_U, term.next_U, term.decay)
    return replace(made, advantage_U=advantage_U)


def _check(term: Term) -> None:
    n_units = term.value_U.size
    for field in ("peer_U", "given_U", "shrink", "weight_U", "vote_U", "next_U", "decay", "mass_U"):
        values = getattr(term, field)
        if isinstance(values, np.ndarray) and values.size != n_units:
            raise AlignmentError(
                f"term {term.name!r}: {field} has {values.size} entries; expected {n_units}"
            )
    vote = term.vote_U
    if vote is not None and vote.size and not -1 <= vote.min() <= vote.max() < n_units:
        raise AlignmentError(f"term {term.name!r}: vote_U must lie in [-1, {n_units})")
    mass = term.mass_U
    if mass is not None and not (term.baseline == "mean" and ((mass == 0) | (mass >= 1)).all()):
        raise AlignmentError(f"term {term.name!r}: mass_U needs baseline 'mean'; 0 or at least 1")
    virtual, peer = term.virtual_value_V, term.virtual_peer_V
    if virtual is None and peer is None:
        return
    if virtual is None or peer is None or virtual.size != peer.size:
        raise AlignmentError(f"term {term.name!r}: give each virtual value its peers, and no more")
    if np.isnan(virtual).any() or (peer < 0).any():
        raise AlignmentError(f"term {term.name!r}: virtual members must have a value and peers")


def _compared(term: Term) -> Credited:
    """Returns the units before sign, cap and weights."""
    value_U, peer_U, n = term.value_U, term.peer_U, term.value_U.size
    if term.baseline in ("none", "given") and term.scale == "none":  # compared with nobody
        base_U = np.broadcast_to(term.given_U if term.baseline == "given" else 0.0, n)
        one_U, none_U = np.broadcast_to(1.0, n), np.broadcast_to(np.int64(0), n)
        scaled_U = value_U - base_U
        return Credited(term, base_U, one_U, none_U, none_U > 0, scaled_U, scaled_U)
    if peer_U is None:
        peer_U = np.zeros(n, np.int64)
    compared_U = ~np.isnan(value_U) & (peer_U >= 0)
    at = slice(None) if compared_U.all() else compared_U
    u, own = peer_U[at], value_U[at]
    peer, value, mass = votes(term)
    low, high = term.reach or ends(value) or (0.0, 0.0)
    n_peers = int(max(peer.max(initial=-1), peer_U.max(initial=-1))) + 1

    count_P = np.bincount(peer, minlength=n_peers)
    mass_P = np.bincount(peer, mass, n_peers).astype(float)  # of nothing it is integer
    sum_P = np.bincount(peer, value * mass, n_peers).astype(float)
    spread = high - low if term.value_range is None else term.value_range
    constant_P = constant(*extremes(value, peer, n_peers), spread)
    divisor = _divisor(term, value, peer, mass, mass_P, sum_P, constant_P)[u]
    base = _baseline(term, compared_U, u, peer, value, sum_P, mass_P)
    if term.baseline in ("mean", "loo", "quantile", "virtual"):
        even = abs(own - base) <= ROUND_OFF * max(abs(low), abs(high))  # but for round-off
        base = np.where(constant_P[u] | even, own, base)
        if term.singleton == "raw":
            alone = count_P[u] == 1
            base[alone] = 0.0
            divisor[alone] = _deviation(term, np.ones(1)) if term.scale in _SPREAD else 1.0
    base_U, divisor_U = np.full(n, np.nan), np.ones(n)
    base_U[at], divisor_U[at] = base, divisor
    count_U, constant_U = np.zeros(n, np.int64), np.zeros(n, bool)
    count_U[at], constant_U[at] = count_P[u], constant_P[u]
    scaled_U = np.where(np.isnan(value_U), np.nan, 0.0)  # no peers: 0
    scaled_U[at] = (own - base) / divisor
    return Credited(term, base_U, divisor_U, count_U, constant_U, scaled_U, scaled_U)


def _deviation(term: Term, variance_P: Float64[np.ndarray, " P"]) -> Float64[np.ndarray, " P"]:
    """Returns what values of such a variance are divided by."""
    if term.scale == "root":
        return np.sqrt(variance_P + term.eps)
    return np.sqrt(variance_P) + term.eps


def _divisor(
    term: Term,
    value: Float64[np.ndarray, " _"],
    peer: Int64[np.ndarray, " _"],
    mass: Float64[np.ndarray, " _"],
    mass_P: Float64[np.ndarray, " P"],
    sum_P: Float64[np.ndarray, " P"],
    constant_P: Bool[np.ndarray, " P"],
) -> Float64[np.ndarray, " P"]:
    """Returns what each peer set is divided by, 1 where it is constant."""
    mean_P = sum_P / np.maximum(mass_P, 1)
    match term.scale:
        case "std" | "root":
            square_P = np.bincount(peer, mass * (value - mean_P[peer]) ** 2, mass_P.size)
            divisor_P = _deviation(term, square_P / np.maximum(mass_P - term.ddof, 1))
        case "mean":
            # a mean within round-off of 0 over values that differ would divide by nothing
            refused_P = (mean_P < 0) | (~constant_P & (mean_P <= ROUND_OFF))
            if refused_P.any():
                raise MethodError(
                    f"term {term.name!r}: scale 'mean' needs means above 0; got "
                    f"{mean_P[refused_P].min():g}; shift the values"
                )
            divisor_P = mean_P + term.eps
        case "none":
            return np.ones(mass_P.size)
    return np.where(constant_P, 1.0, divisor_P)


def _baseline(
    term: Term,
    compared_U: Bool[np.ndarray, " U"],
    u: Int64[np.ndarray, " _"],
    peer: Int64[np.ndarray, " _"],
    value: Float64[np.ndarray, " _"],
    sum_P: Float64[np.ndarray, " P"],
    mass_P: Float64[np.ndarray, " P"],
) -> Float64[np.ndarray, " _"]:
    """Returns the baseline of each compared unit."""
    mean_P = sum_P / np.maximum(mass_P, 1)
    match term.baseline:
        case "mean" | "virtual":
            return mean_P[u]
        case "loo":
            voter = np.flatnonzero(compared_U) if term.vote_U is None else term.vote_U[compared_U]
            voice = np.append(term.value_U, np.nan)[voter]  # what the unit's own vote adds
            itself = ~np.isnan(voice)
            return (sum_P[u] - np.nan_to_num(voice)) / np.maximum(mass_P[u] - itself, 1)
        case "quantile":
            return _quantile(peer, value, mass_P.astype(np.int64), term.quantile)[u]
        case "shrunk":
            shrink = term.shrink
            share = shrink[compared_U] if isinstance(shrink, np.ndarray) else shrink
            return (1.0 - share) * mean_P[u] + share * term.prior
        case "given":
            given = term.given_U
            return given[compared_U] if isinstance(given, np.ndarray) else np.full(u.size, given)
        case "none":
            return np.zeros(u.size)


def _quantile(
    peer: Int64[np.ndarray, " _"],
    value: Float64[np.ndarray, " _"],
    count_P: Int64[np.ndarray, " P"],
    level: float,
) -> Float64[np.ndarray, " P"]:
    """Returns each peer set's quantile: the least value x with F(x) >= level."""
    order = np.lexsort((value, peer))
    start_P = np.cumsum(count_P) - count_P
    rank_P = np.ceil(level * count_P - ROUND_OFF).astype(np.int64) - 1
    at_P = start_P + np.clip(rank_P, 0, np.maximum(count_P - 1, 0))
    return np.where(count_P > 0, np.append(value[order], 0.0)[np.minimum(at_P, order.size)], 0.0)
