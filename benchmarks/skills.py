"""What it costs to find skills among ten thousand, against the rollout that reads them.

    python benchmarks/skills.py    # results/skills.json

By words (BM25) and by meaning (embeddings). The shipped policy on `lookup` with renamed tools,
batches of 64 rollouts, one core. A rollout asks once, before it begins; `turns` says how often it
would if each of its turns asked again. The share is of the same process and minute: retrieval of a
batch over the batch.

`found`: forty tasks in other words than the skill that was written for them (`paraphrases.toml`);
how often that skill is among the six that are retrieved, of a bank of the forty alone, and of one
with 960 more of the same words in any order. Six by chance would be .15 and .006.
"""

import tomllib
from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path
from typing import Final

import numpy as np

from assay.policy.loading import load
from assay.rollout.backends.base import Sampling
from assay.rollout.backends.local import Transformers
from assay.rollout.chain import collect, tasks
from assay.rollout.protocols.line import Line
from assay.skills.bank import Bank
from assay.skills.retrieval import LEAST, MOST, NEAR, Index, Retrieval, words_of
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


def found() -> Iterator[tuple[str, float]]:
    """Yields how often a task in other words gets the skill that was written for it."""
    text = (Path(__file__).parent / "paraphrases.toml").read_text("utf-8")
    pairs: list[list[str]] = tomllib.loads(text)["pairs"]
    rng, words = np.random.default_rng(0), sorted({w for when, _ in pairs for w in words_of(when)})
    noise = [" ".join(rng.choice(words, 6)) for _ in range(960)]
    for more, name in (([], "40 skills"), (noise, "1,000 skills")):
        made = {}
        for when in [*(when for when, _ in pairs), *more]:
            id = named("lesson", "c", when, "do")
            made[id] = Skill(id=id, kind="lesson", category="c", when=when, principle="do")
        by: dict[Retrieval, float] = {"bm25": LEAST, "embedding": NEAR}
        for each, bound in by.items():
            index = Index([*made.values()], each)
            for least in (bound, 0.0):
                got = [
                    when in {one.when for one in index(asked, "c", most=MOST, least=least)}
                    for when, asked in pairs
                ]
                yield f"{each}, {name}, bound {least}", float(np.mean(got))


def main() -> None:
    parser(__doc__).parse_args()
    model, tokenizer = load()
    world = Lookup(hops=3, renamed=True)
    asked = [world.reset(seed) for seed in range(ROLLOUTS)]
    bank = Bank(cap=SKILLS, skills=tuple(skills()))
    shelf = Shelf.of(bank, "line", tokenizer)
    by_meaning = Shelf.of(bank, "line", tokenizer, retrieval="embedding")
    backend, talk = Transformers(model, tokenizer), Line(tokenizer)
    turns = [0]

    def find(of: Shelf = shelf) -> None:
        for task in asked:
            of.found(task, "lookup")

    def played() -> None:
        planned = tasks(lambda: Lookup(hops=3, renamed=True), range(ROLLOUTS), 1)
        records = collect(backend, planned, sampling=Sampling(), seed=(0,), protocol=talk)
        turns[0] = sum(each.ledger.env_steps or 1 for each in records)

    played()
    share = paired(find, played, repeat=3)
    slower = paired(lambda: find(by_meaning), played, repeat=3)
    millis, theirs = (
        1000 * best(lambda of=each: find(of), repeat=3) / ROLLOUTS for each in (shelf, by_meaning)
    )
    publish(
        "skills",
        [
            Ratio("a turn's skills among 10,000, in milliseconds", millis, LIMIT_MS, "at most"),
            Ratio("retrieval of a batch over its rollouts", share, SHARE, "at most"),
            Ratio("by embeddings: a turn's skills, in milliseconds", theirs, LIMIT_MS, "at most"),
            Ratio("by embeddings: retrieval over rollouts", slower, SHARE, "at most"),
        ],
        skills=SKILLS,
        turns=turns[0] / ROLLOUTS,
        fitting=float(np.mean([len(shelf.found(task, "lookup")) for task in asked])),
        found=dict(found()),
    )


if __name__ == "__main__":
    main()
