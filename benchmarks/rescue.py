"""What the ladder costs where no group is dead: a batch's rollouts with and without it.

    python benchmarks/rescue.py    # results/rescue.json

The shipped policy plays lookups that it passes now and then; outcomes are then set so that every
group has a pass and a failure. What the ladder does is look at the batch, and remember.
"""

from functools import partial
from time import perf_counter
from typing import Final

from benchmarks.measure import Ratio, best, parser, publish
from msgspec import structs

from assay.policy.loading import load
from assay.recipes import read
from assay.recipes.settings import converted
from assay.records import Trajectory
from assay.rescue.rescuer import Rescuer
from assay.rescue.settings import RUNGS, Rescues
from assay.rollout import Line, Sampling, collect, tasks
from assay.rollout.backends.local import Transformers
from assay.world import load as environment

PROMPTS: Final = 32
GROUP: Final = 8
BUDGET: Final = 0.05
"""Of the time of the rollouts alone: a step has its training besides."""


def main() -> None:
    """Measures, and writes the result."""
    parser(__doc__).parse_args()
    model, tokenizer = load()
    make, line = partial(environment, "lookup/even"), Line(tokenizer)
    backend, sampling = Transformers(model, tokenizer), Sampling(max_tokens=160, turn_tokens=32)

    def played() -> list[Trajectory]:
        planned = tasks(make, range(PROMPTS), GROUP)
        made = collect(backend, planned, sampling=sampling, seed=(0,), protocol=line, clock=None)
        return list(made)

    began = perf_counter()
    records = played()
    alone = perf_counter() - began
    alive = [structs.replace(r, outcome=float((r.trial or 0) == 0)) for r in records]
    table = {**read("rescue")["rescue"], "rungs": [*RUNGS]}
    rescuer = Rescuer(
        converted(table, Rescues, "rescue"), make=make, protocol=line, sampling=sampling, seed=0
    )
    spent = best(lambda: rescuer(alive, backend, model, 1))
    if rescuer.events:
        raise SystemExit("a group was helped, and none is dead")
    share = Ratio("ladder beside rollouts, no group dead", spent / alone, BUDGET, "at most")
    publish("rescue", [share], rollouts=alone, ladder=spent, trajectories=len(alive))


if __name__ == "__main__":
    main()
