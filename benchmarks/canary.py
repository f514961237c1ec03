"""How often does the canary let a planted regression serve, and how often does it refuse what is
harmless?

    python benchmarks/canary.py              # simulated: 200 trials each, seconds; and exact rates
    python benchmarks/canary.py --real 4     # and real ones: the shipped policy, its weights spoilt

Simulated: 256 tasks of each of three suites, of which the version that serves passes 60 %, 50 % and
40 %; the planted one passes fewer of one of them, with chance of its own, the worst case (the same
chance on both sides, as the canary has it, makes fewer pairs differ). Exact: of one suite, over all
outcomes of pairs that differ. Real: noise on the weights, played as `assay live publish` plays.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from math import exp, lgamma, log
from typing import Final

import numpy as np

from assay.evaluate.intervals import wilson
from assay.kernels.paired import Pairs
from assay.live.canary import canary, played
from assay.live.suites import SUITES, Suite

TRIALS: Final = 200
RATES: Final = (0.6, 0.5, 0.4)
"""What the version that serves passes of the suites."""
LOSSES: Final = (0.0, 0.1, 0.15, 0.2, 0.25, 0.3)
MARGIN: Final = 0.1


def simulated(loss: float, seed: int = 0) -> int:
    """Returns how many of `TRIALS` planted versions pass that lose so much of the first suite."""
    rng = np.random.default_rng([seed, round(loss * 1000)])
    rates = dict(zip((each.name for each in SUITES), RATES, strict=True))
    first = SUITES[0].name

    def before(suite: Suite) -> list[bool]:
        return (rng.random(suite.tasks) < rates[suite.name]).tolist()

    def after(suite: Suite) -> list[bool]:
        lost = loss if suite.name == first else 0.0
        return (rng.random(suite.tasks) < rates[suite.name] - lost).tolist()

    return sum(all(each.holds for each in canary(SUITES, before, after)) for _ in range(TRIALS))


def exact(loss: float, differ: float, tasks: int = 256) -> float:
    """Returns how often one suite holds where the true loss is `loss` and so many pairs differ."""
    up, down = (differ - loss) / 2, (differ + loss) / 2
    total = 0.0
    for b in range(tasks + 1 if up > 0 else 1):
        for c in range(tasks - b + 1):
            rest = tasks - b - c
            chance = lgamma(tasks + 1) - lgamma(b + 1) - lgamma(c + 1) - lgamma(rest + 1)
            chance += (b * log(up) if b else 0.0) + c * log(down) + rest * log(1 - differ)
            if chance > -30 and Pairs(b, c, tasks).holds(MARGIN):
                total += exp(chance)
    return total


def spoilt(trials: int) -> Iterator[str]:
    """Yields a line a real trial: the shipped policy with noise on its weights."""
    import torch

    from assay.policy.loading import load

    base, tokenizer = load()
    plays = partial(played, tokenizer=tokenizer, name="start", seed=(0,))
    known = {suite.name: plays(suite, model=base) for suite in SUITES}
    for trial in range(trials):
        model, _ = load()
        noise = (0.0, 0.01, 0.02, 0.05)[trial % 4]
        chance = torch.Generator().manual_seed(trial)
        with torch.no_grad():
            for each in model.parameters():
                each.add_(noise * torch.randn(each.shape, generator=chance))
        found = canary(SUITES, lambda suite: known[suite.name], partial(plays, model=model))
        state = "served" if all(each.holds for each in found) else "refused"
        gaps = ", ".join(
            f"{each.suite.name} {each.pairs.difference:+.1%} (at least {each.lower:+.1%})"
            for each in found
        )
        yield f"| {noise:g} | {state} | {gaps} |"


def main() -> None:
    """Prints the tables."""
    asked = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    asked.add_argument("--real", type=int, default=0, metavar="N", help="Real trials.")
    real = asked.parse_args().real
    print(f"Simulated, {TRIALS} trials, three suites of 256 tasks, tolerated loss 10 points:\n")
    print("| planted loss | served | upper 95 % bound of the rate |\n|---|---|---|")
    for loss in LOSSES:
        passed = simulated(loss)
        print(f"| {loss:.0%} | {passed} of {TRIALS} | {wilson(passed, TRIALS)[1]:.1%} |")
    print("\nExact, one suite of 256 tasks:\n")
    print("| true loss | 20 % of pairs differ | 30 % | 50 % |\n|---|---|---|---|")
    for loss in (0.0, 0.1, 0.15, 0.2):
        cells = (
            f"{exact(loss, differ):.2%}" if differ > loss else "-" for differ in (0.2, 0.3, 0.5)
        )
        print(f"| {loss:.0%} | {' | '.join(cells)} |")
    if real:
        print("\nReal: noise on the weights of the shipped policy:\n")
        print("| noise | becomes | difference by suite |\n|---|---|---|")
        for line in spoilt(real):
            print(line, flush=True)


if __name__ == "__main__":
    main()
