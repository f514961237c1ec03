"""The interval of a rate, and of the difference of two values that have intervals.

d = 1 + z^2 / n          c = (p + z^2 / (2 n)) / d
c -+ z sqrt(p (1 - p) / n + z^2 / (4 n^2)) / d          of p = passed / n
"""

from math import hypot, sqrt
from statistics import NormalDist

from assay.errors import MethodError

Interval = tuple[float, float]


def wilson(passed: float | int, total: float | int, *, level: float = 0.95) -> Interval:
    """Returns Wilson's interval of a rate, of nothing (0, 1): close to its level where the normal
    one is not.

    Wilson 1927, Probable Inference, JASA 22.

    Args:
        passed: of `total`; may be fractions.
        total: how many.
        level: of the interval, in (0, 1).

    Raises:
        MethodError: not 0 <= passed <= total.
    """
    if not 0 <= passed <= total:
        raise MethodError(f"wilson: got {passed:g} of {total:g}; expected 0 <= passed <= total")
    if total == 0:
        return 0.0, 1.0
    z, share = NormalDist().inv_cdf((1 + level) / 2), passed / total
    divisor = 1 + z * z / total
    middle = (share + z * z / (2 * total)) / divisor
    half = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / divisor
    low = 0.0 if passed == 0 else middle - half
    return low, 1.0 if passed == total else middle + half


def apart(
    first: float | int, of_first: Interval, second: float | int, of_second: Interval
) -> Interval:
    """Returns the interval of `second - first` from the intervals of both.

        low  = gap - sqrt((second - low_2)^2 + (high_1 - first)^2)
        high = gap + sqrt((high_2 - second)^2 + (first - low_1)^2)

    Newcombe 1998, Interval estimation for the difference between independent proportions,
    Statistics in Medicine 17, method 10.
    """
    gap = second - first
    low = gap - hypot(second - of_second[0], of_first[1] - first)
    return low, gap + hypot(of_second[1] - second, first - of_first[0])
