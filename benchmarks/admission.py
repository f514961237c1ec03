"""How often do hints of a live source count that are worth nothing, and how often those that help?

    python benchmarks/admission.py [--stores 4000]

Simulated: each store gets ten times sixteen replays of its users' turns, told a hint and told
nothing, with chance of their own. Tasks pass at 10, 30 and 50 % of the time, as many stores each.
Counted is what `assay.live.admission` says of the store after the first sixteen, after the tenth,
and at any of the ten; beside it what the bound alone would say.
"""

import argparse
from typing import Final

import numpy as np

from assay.kernels.uplift import FEWEST
from assay.live.admission import Standing, standing
from assay.records.live import Replayed

RATES: Final = (0.1, 0.3, 0.5)
TIMES: Final = 10
CASES: Final = (
    ("useless", 8, 0.0),
    ("always wrong", 8, -1.0),
    ("worth 20 points", 8, 0.2),
    ("worth 20 points", 4, 0.2),
)
"""What the hints are, how many users there are, and what a hint adds to the rate."""


def store(users: int, rate: float, worth: float, rng: np.random.Generator) -> list[Standing]:
    """Returns where the source stands after each sixteen."""
    told, bare = rng.random((2, TIMES * FEWEST)) < [[max(rate + worth, 0.0)], [rate]]
    whose = rng.integers(users, size=TIMES * FEWEST)
    replays = [
        Replayed(
            session=f"s{who}", at=float(n // FEWEST), turn=f"t{n}", source="user",
            told=float(told[n]), neutral=float(bare[n]), check="later", policy_version="base",
        )
        for n, who in enumerate(whose)
    ]  # fmt: skip
    names = {f"s{who}": f"u{who}" for who in range(users)}
    return [standing(replays[: n * FEWEST], names) for n in range(1, TIMES + 1)]


def main() -> None:
    """Prints the table."""
    asked = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    asked.add_argument("--stores", type=int, default=4000)
    stores = asked.parse_args().stores
    print("| hints | users | first | tenth | any | by the bound alone |\n|---|---|---|---|---|---|")
    for name, users, worth in CASES:
        rng = np.random.default_rng([users, round(100 * (worth + 1))])
        found = [store(users, RATES[n % len(RATES)], worth, rng) for n in range(stores)]
        ours = np.array([[each.admitted for each in some] for some in found])
        bound = np.array([[each.seen.decides.admits for each in some] for some in found])
        shares = [
            f"{seen[:, 0].mean():.0%} | {seen[:, -1].mean():.0%} | {seen.any(1).mean():.0%}"
            for seen in (ours, bound)
        ]
        print(f"| {name} | {users} | {shares[0]} | {shares[1].replace(' |', ',')} |")


if __name__ == "__main__":
    main()
