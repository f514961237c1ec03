"""How far the judges of a run are to be trusted, and how much of it nobody scored, over time."""

from collections.abc import Mapping
from typing import Final

from assay.credit.judges import audits
from assay.credit.statistics import LEAST_UNSCORED, UNSCORED
from assay.verify.rates import FALLEN, rates

MORE: Final = 0.05
"""Unscored trajectories by so much more than there once were are the policy's doing until somebody
has looked: what is left out is no fair sample then."""


def trust(
    before: Mapping[str, float], now: Mapping[str, float]
) -> tuple[dict[str, float], list[str]]:
    """Returns numbers for the log of a step, and sentences about what went wrong.

    Numbers: of each judge, over all claims, `judge/NAME/j` and `judge/NAME/rho0`; the share of
    unscored trajectories, as it is averaged over batches.

    Args:
        before: running statistics before a batch.
        now: after it (`credit.statistics.updated`).
    """
    facts: dict[str, float] = {}
    said: list[str] = []
    known = {name: rates(each) for name, each in audits(before, "none").items()}
    for name, each in audits(now, "none").items():
        found = rates(each)
        facts |= {f"judge/{name}/j": found.j, f"judge/{name}/rho0": found.rho0}
        was = known.get(name)
        if was is None or was.trust != "calibrated":
            continue
        if found.trust == "quarantined":
            said.append(
                f"judge {name!r} says too little to be used: J {found.j:.2f}; what it says is left "
                "out"
            )
        elif found.fell(was):
            said.append(
                f"judge {name!r} says less than it did: J {was.j:.2f}, now {found.j:.2f}, a fall "
                f"of more than {FALLEN:g}; look at what it accepts"
            )
    share, least = now[UNSCORED], now[LEAST_UNSCORED]
    facts["unscored/mean"] = share
    if before and before[UNSCORED] - before[LEAST_UNSCORED] <= MORE < share - least:
        said.append(
            f"{share:.0%} of trajectories are unscored, and {least:.0%} were: if the policy brings "
            "that about, leaving them out teaches it to"
        )
    return facts, said
