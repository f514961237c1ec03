"""What it costs to find skills among ten thousand, against the rollout that reads them.

    python benchmarks/skills.py    # results/skills.json

The shipped policy on `lookup` with renamed tools, batches of 64 rollouts, one core. A rollout asks
once, before it begins; `turns` says how often it would if each of its turns asked again. The share
is of the same process and minute: retrieval of a batch over the batch.
"""

from itertools import cycle, product
from typing import Final

import numpy as np

from assay.policy.loading import load
from assay.rollout.backends.base import Sampling
from assay.rollout.backends.local import Transformers
from assay.rollout.chain import collect, tasks
from assay.rollout.protocols.line import Line
from assay.skills.bank import Bank
from assay.skills.shelf import Shelf
from assay.skills.skill import Skill, named
from assay.world.lookup import RENAMED, Lookup
from measure import Ratio, best, paired, parser, publish

SKILLS: Final = 10_000
ROLLOUTS: Final = 64
LIMIT_MS: Final = 5.0
SHARE: Final = 0.03


def skills() -> list[Skill]:
    """Returns skills of questions of one to five hops, and of words that no question has."""
    rng, words = np.random.default_rng(0), sorted(set(RENAMED.values()))
    made: dict[str, Skill] = {}
    for size in cycle(range(1, 6)):
        for some in product(words, repeat=size) if size < 4 else [rng.choice(words, size)]:
            more = [f"word{n}" for n in rng.integers(0, 3000, 6)]
            when = " of ".join([*some, *(more if len(made) % 2 else [])])
            id = named("lesson", "lookup", when, "first")
            made[id] = Skill(
                id=id, kind="lesson", category="lookup", when=when, principle=f"first {some[0]}",
                status="active",
            )  # fmt: skip
            if len(made) == SKILLS:
                return sorted(made.values(), key=lambda each: each.id)
    return []


def main() -> None:
    parser(__doc__).parse_args()
    model, tokenizer = load()
    world = Lookup(hops=3, renamed=True)
    asked = [world.reset(seed) for seed in range(ROLLOUTS)]
    shelf = Shelf.of(Bank(cap=SKILLS, skills=tuple(skills())), "line", tokenizer)
    backend, talk = Transformers(model, tokenizer), Line(tokenizer)
    turns = [0]

    def found() -> None:
        for task in asked:
            shelf.found(task, "lookup")

    def played() -> None:
        planned = tasks(lambda: Lookup(hops=3, renamed=True), range(ROLLOUTS), 1)
        records = collect(backend, planned, sampling=Sampling(), seed=(0,), protocol=talk)
        turns[0] = sum(each.ledger.env_steps or 1 for each in records)

    played()
    share = paired(found, played, repeat=3)
    millis = 1000 * best(found, repeat=3) / ROLLOUTS
    publish(
        "skills",
        [
            Ratio("a turn's skills among 10,000, in milliseconds", millis, LIMIT_MS, "at most"),
            Ratio("retrieval of a batch over its rollouts", share, SHARE, "at most"),
        ],
        skills=SKILLS,
        turns=turns[0] / ROLLOUTS,
        fitting=float(np.mean([len(shelf.found(task, "lookup")) for task in asked])),
    )


if __name__ == "__main__":
    main()
