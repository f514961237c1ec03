"""Controls: the same credit in another order in time, random credit, and credit of a given dose.

A method that beats GRPO may do so because its credit says which step was good, or because it moves
the policy more. Its own credit *shuffled* in time, and *random* credit of the same variance, keep
how much it moves and lose what it says; *dose* makes two methods move as much. They come after a
method, before safety and the loss, so that `assay credit`, training and TRL's trainer get the same.

Axes: N tokens, S model steps, R spans, K trajectories. A *trained step* has tokens that were
sampled, may be trained and belong to a trajectory that the gates kept; *trained tokens* are those.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal, get_args

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.errors import UnknownNameError, hint
from assay.kernels.advantages import Advantages

Control = Literal["none", "shuffled", "random"]
CONTROLS: Final[tuple[Control, ...]] = get_args(Control)
_SALT: Final = {"shuffled": 1, "random": 2}
"""What keeps the two apart where their seed is the same."""


def control_named(name: Any) -> Control:
    """Returns the control of that name.

    Raises:
        UnknownNameError: there is none; names the nearest.
    """
    for known in CONTROLS:
        if name == known:
            return known
    raise UnknownNameError(
        f"recipe.control: no control {name!r}.{hint(str(name), CONTROLS)} "
        f"Known: {', '.join(CONTROLS)}"
    )


def controlled(
    batch: Batch, credited: Advantages, control: Control, seed: Sequence[int] = (0, 0)
) -> Advantages:
    """Returns a method's advantages, or what a control makes of them; pure.

    "none" returns them as they are. Same batch, credit and seed give the same numbers.

    Args:
        batch: behind the gates; says which tokens are trained, and of which step.
        credited: what a method gave the batch, per token or per span; any unit.
        control: see `shuffled` and `random`.
        seed: whole numbers from 0 on: the run's seed, and the number of the batch.
    """
    if control == "none":
        return credited
    rng = np.random.default_rng([*seed, _SALT[control]])
    return (shuffled if control == "shuffled" else random)(batch, credited, rng)


def shuffled(batch: Batch, credited: Advantages, rng: np.random.Generator) -> Advantages:
    """Returns the credit with the trained steps of each trajectory in a random order in time.

        A'_n = A_m,   n token i of L of step s,   m token floor(i L' / L) of L' of step pi(s)

    pi is a permutation of the trajectory's trained steps, each one equally likely. A step's credit
    moves as it is, token by token, stretched where the lengths differ: its sign, its size, where it
    lies inside the step, whether any term carries it, and whether it is scored (NaN). So credit
    that is the same on all tokens of a trajectory, as that of outcome-only methods, does not change
    by a bit; where its steps have equally many tokens, a trajectory keeps its sum of A and of |A|;
    and a trajectory with one trained step stays as it is.
    """
    source_N = np.arange(int(batch.length_R.sum()))
    token_T, step_T, step_X, start_X, size_X = _trained(batch)
    if step_X.size:
        drawn = rng.random(step_X.size)
        from_X = np.lexsort((drawn, batch.traj_S[step_X]))  # each trajectory keeps its own places
        at_T = np.arange(token_T.size) - start_X[step_T]
        begin_T, long_T = start_X[from_X][step_T], size_X[from_X][step_T]
        source_N[token_T] = token_T[begin_T + at_T * long_T // size_X[step_T]]
    parts = {name: credited.on_tokens(part)[source_N] for name, part in credited.parts.items()}
    total_N = credited.on_tokens(credited.total)[source_N]
    carried_N = credited.on_tokens(credited.carried.astype(float))[source_N] > 0
    return Advantages(parts, total_N, carried_N, credited.length_R)


def random(batch: Batch, credited: Advantages, rng: np.random.Generator) -> Advantages:
    """Returns one normal number for each trained step, of the credit's variance over the batch.

        A'_n = sd(A) (z_s - mean z) / sd(z),   z_s ~ N(0, 1),   n a trained token of step s

    Means and deviations (population) are over the trained tokens that are scored, so that A' has
    mean 0 and the variance of A exactly; a token that no term carries counts as 0. Where the credit
    does not vary, or there is but one step, all is 0. Every scored token of a trained step is
    carried, also where the method carries none; unscored ones stay NaN.
    """
    size = int(batch.length_R.sum())
    token_T, step_T, step_X, *_ = _trained(batch)
    value_T = credited.on_tokens(credited.total)[token_T]
    scored_T = ~np.isnan(value_T)
    drawn_T = rng.standard_normal(step_X.size)[step_T]
    given_T = np.full(token_T.size, np.nan)
    given_T[scored_T] = _standardised(drawn_T[scored_T]) * _deviation(value_T[scored_T])
    total_N, carried_N = np.zeros(size), np.zeros(size, bool)
    total_N[token_T], carried_N[token_T] = given_T, True
    return Advantages({"random": total_N}, total_N, carried_N, credited.length_R)


def dosed(batch: Batch, credited: Advantages, dose: float | None) -> Advantages:
    """Returns the credit times the one factor that makes the mean |A| of a trained token `dose`.

    Args:
        batch: behind the gates.
        credited: what a method gave it.
        dose: above 0, in units of the advantage. None: as it is.
    """
    if dose is None:
        return credited
    factor = dose_factor(batch, credited.on_tokens(credited.total), dose)
    if factor == 1.0:
        return credited
    parts = {name: part * factor for name, part in credited.parts.items()}
    return replace(credited, parts=parts, total=credited.total * factor, made=())


def dose_factor(batch: Batch, advantage_N: Float64[np.ndarray, " N"], dose: float | None) -> float:
    """Returns what to multiply advantages by, so that the mean |A| of a trained token is `dose`.

        f = dose * |trained tokens| / sum_{n trained} |A_n|

    The divisor has every token that may be trained, whether or not the method carries or scores
    it, so that two methods on one batch get the same sum of |A|. 1 where no token has an advantage:
    zeros stay zeros; and without a dose.
    """
    if dose is None:
        return 1.0
    trained_N = np.repeat(batch.steps_R >= 0, batch.length_R)
    mass = float(np.abs(np.nan_to_num(advantage_N[trained_N])).sum())
    return dose * int(trained_N.sum()) / mass if mass else 1.0


def _trained(batch: Batch) -> tuple[Int64[np.ndarray, " _"], ...]:
    """Returns the trained tokens, step by step; the step of each, as a place in the trained steps;
    those steps; and where the tokens of each begin, and how many they are."""
    step_N = np.repeat(batch.steps_R, batch.length_R)
    token_T = np.flatnonzero(step_N >= 0)
    token_T = token_T[np.argsort(step_N[token_T], kind="stable")]
    step_X, step_T, size_X = np.unique(step_N[token_T], return_inverse=True, return_counts=True)
    return token_T, step_T, step_X, np.cumsum(size_X) - size_X, size_X


def _standardised(value: Float64[np.ndarray, " _"]) -> Float64[np.ndarray, " _"]:
    """Returns the values less their mean, by their deviation; 0 where they do not vary."""
    sd = _deviation(value)
    return (value - value.mean()) / sd if sd else np.zeros(value.size)


def _deviation(value: Float64[np.ndarray, " _"]) -> float:
    """Returns the population deviation; exactly 0 of values that are all equal, or of none."""
    if not value.size or value.min() == value.max():
        return 0.0
    return float(value.std())
