"""What counts among peers, and how far its values reach.

Axes: U units, V virtual members.
"""

import numpy as np
from jaxtyping import Float64, Int64

from assay.kernels.term import Term

Reach = tuple[float, float]
"""The least and the greatest of some values."""


def votes(
    term: Term,
) -> tuple[Int64[np.ndarray, " _"], Float64[np.ndarray, " _"], Float64[np.ndarray, " _"]]:
    """Returns peers, values and masses of all that counts: units that vote, have peers, a score and
    mass, and virtual members."""
    value_U, n = term.value_U, term.value_U.size
    peer_U = np.zeros(n, np.int64) if term.peer_U is None else term.peer_U
    counts_U = ~np.isnan(value_U) & (peer_U >= 0)
    if term.vote_U is not None:
        counts_U &= term.vote_U == np.arange(n)
    if term.mass_U is not None:
        counts_U &= term.mass_U > 0
    at = slice(None) if counts_U.all() else counts_U
    peer, value = peer_U[at], value_U[at]
    mass = np.ones(peer.size) if term.mass_U is None else term.mass_U[at]
    if term.virtual_value_V is None or term.virtual_peer_V is None:
        return peer, value, mass
    return (
        np.concatenate([peer, term.virtual_peer_V]),
        np.concatenate([value, term.virtual_value_V]),
        np.append(mass, np.ones(term.virtual_peer_V.size)),
    )


def reach(term: Term) -> Reach | None:
    """Returns how far the values of all that counts reach; None: nothing does."""
    return ends(votes(term)[1])


def ends(value: Float64[np.ndarray, " _"]) -> Reach | None:
    """Returns how far values reach; None: there are none."""
    return (float(value.min()), float(value.max())) if value.size else None
