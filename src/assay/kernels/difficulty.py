"""How likely a task is to be passed, by its own few attempts and those of its domain."""

from jaxtyping import Float64
from numpy import ndarray


def predicted(
    passed_G: Float64[ndarray, " G"], tried_G: Float64[ndarray, " G"], mean: float, strength: float
) -> Float64[ndarray, " G"]:
    """Returns (passed + strength mean) / (tried + strength): each task's rate, drawn to the mean of
    its domain as by so many attempts more (the mean of a beta law's posterior).

    Args:
        passed_G: attempts that passed; older ones may count in part.
        tried_G: attempts.
        mean: pass rate of the domain, in [0, 1].
        strength: attempts that the mean is worth, above 0.
    """
    return (passed_G + strength * mean) / (tried_G + strength)
