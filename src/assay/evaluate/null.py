"""The frozen-model null: what an untrained copy would "newly solve" through the same pipeline.

A prompt that the base failed n times and another model passes once is counted as new ability by
many papers. Sampling a frozen copy again does the same for a large share of such prompts, so here a
prompt is *newly solved* only if the base never passed it and a one-sided Fisher exact test against
the null says that its rate rose, the false discovery rate held over such prompts. The base chose
the prompts, so its zeros are no evidence there; the null is, being sampled apart.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.errors import DataError


@final
@dataclass(frozen=True, slots=True)
class Expansion:
    """Prompts that a policy solves and the base did not, counted in three ways."""

    unreached: int
    """Prompts without a single success of the base."""
    once: float
    """Share of those with at least one success here: what not to report."""
    twice: float
    """Share of those with at least two."""
    solved_G: Bool[np.ndarray, " G"] | None
    """Unreached prompts, marked among all, that are newly solved by the test. None: not tested."""

    @property
    def solved(self) -> int | None:
        """How many prompts."""
        return None if self.solved_G is None else int(self.solved_G.sum())


def fisher_greater(
    passed_G: Int64[np.ndarray, " G"],
    total: int,
    baseline_G: Int64[np.ndarray, " G"],
    baseline_total: int,
) -> Float64[np.ndarray, " G"]:
    """Returns the one-sided p of Fisher's exact test that the first rate is higher, per prompt.

        p = sum_{x >= c} C(n, x) C(m, K - x) / C(n + m, K),  K = c + b

    Args:
        passed_G: successes c among `total` samples n.
        total: n.
        baseline_G: successes b among `baseline_total` samples m.
        baseline_total: m.

    Raises:
        DataError: a count is out of range.
    """
    from scipy.stats import hypergeom

    counts = {"passed": (passed_G, total), "baseline": (baseline_G, baseline_total)}
    for name, (count_G, most) in counts.items():
        if (count_G < 0).any() or (count_G > most).any():
            raise DataError(f"fisher_greater: {name} must lie in [0, {most}]")
    drawn_G, every = passed_G + baseline_G, total + baseline_total
    return np.asarray(hypergeom.sf(passed_G - 1, every, drawn_G, total), float)


def discoveries(p_G: Float64[np.ndarray, " G"], *, rate: float = 0.05) -> Bool[np.ndarray, " G"]:
    """Returns which p values to call discoveries, so that `rate` of them are false on average.

    The largest i with p_(i) <= rate * i / G, and all below (Benjamini and Hochberg 1995), by scipy.
    """
    from scipy.stats import false_discovery_control

    if not 0 < rate < 1:
        raise DataError(f"discoveries: rate must lie in (0, 1); got {rate:g}")
    return false_discovery_control(p_G) <= rate if p_G.size else np.zeros(0, bool)


def expansion(
    passed_G: Int64[np.ndarray, " G"],
    base_G: Int64[np.ndarray, " G"],
    null_G: Int64[np.ndarray, " G"] | None,
    *,
    total: int,
) -> Expansion:
    """Returns what a policy solves that the base does not.

    Args:
        passed_G: its successes among `total` samples of each prompt.
        base_G: the base's successes among as many; they say which prompts are looked at.
        null_G: those of a frozen copy of the base, sampled apart. None, for the copy itself:
            nothing is tested, since nothing untrained is left to test it against.
        total: samples of each prompt.
    """
    unreached_G = base_G == 0
    n = int(unreached_G.sum())
    solved_G = None
    if null_G is not None:
        p = fisher_greater(passed_G[unreached_G], total, null_G[unreached_G], total)
        solved_G = np.zeros(base_G.size, bool)
        solved_G[unreached_G] = discoveries(p)
    return Expansion(
        unreached=n,
        once=float((passed_G[unreached_G] >= 1).mean()) if n else float("nan"),
        twice=float((passed_G[unreached_G] >= 2).mean()) if n else float("nan"),
        solved_G=solved_G,
    )
