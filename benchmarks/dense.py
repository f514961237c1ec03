"""What scoring a reference after each rollout, and votes of a judge, cost one by one and together.

    python benchmarks/dense.py    # results/dense.json

The shipped policy, groups of eight, one core. One by one is a forward over each rollout's reasoning
and reference by itself (`policy.scoring.plain`), the same tokens. *sampled* rollouts are the
policy's own on the world `report`, of which many reason alike; *distinct* ones differ from their
first turn on and share a task that is a fifth of their tokens, *long task* ones a task of 128
tokens. *votes*: eight votes on four answers, of 128 tokens each, every request by itself and all in
a batch; tokens read and written.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch

from assay.judges.protocols import PROTOCOLS
from assay.judges.ranking import Ranker
from assay.policy.judging import LocalJudge
from assay.policy.loading import load
from assay.policy.scoring import plain
from assay.records import ModelStep, Span, ToolStep, Trajectory, UserStep
from assay.rollout.backends.base import Sampling
from assay.rollout.backends.local import Transformers
from assay.rollout.chain import collect, tasks
from assay.rollout.dense import certainty
from assay.rollout.protocols.line import Line
from assay.world.report import Report
from measure import Ratio, paired, parser, publish

TASKS: Final = 16
GROUP: Final = 8
REPEAT: Final = 3
LEAST: Final = {"sampled": 3.0, "distinct": 1.5, "long task": 3.0, "votes": 3.0}
"""To share a fifth of the tokens saves a fifth, and a batch keeps a core busier."""
WRITTEN: Final = 128
"""Tokens of a vote."""
REFERENCE: Final = "The capital of Peru is Lima. The currency of Peru is PEN."


def distinct(vocabulary: int, low: int = 8, high: int = 14) -> list[Trajectory]:
    """Returns groups of rollouts that share their task, of `low` to `high` tokens, and no more."""
    rng = np.random.default_rng(0)

    def drawn(least: int, most: int) -> tuple[int, ...]:
        return tuple(rng.integers(2, vocabulary, int(rng.integers(least, most))).tolist())

    made: list[Trajectory] = []
    for task in range(TASKS):
        prompt = UserStep("", token_ids=drawn(low, high))
        for trial in range(GROUP):
            answer = (Span(role="answer", start=0, end=20),)
            steps = (
                prompt,
                *(ModelStep("", token_ids=drawn(5, 8)), ToolStep("", token_ids=drawn(3, 6))),
                *(ModelStep("", token_ids=drawn(5, 8)), ToolStep("", token_ids=drawn(3, 6))),
                ModelStep("", token_ids=drawn(20, 26), spans=answer),
            )
            name = f"{task}/{trial}"
            made.append(Trajectory(name, f"{task}", f"{task}", steps=steps, reference=REFERENCE))
    return made


def main() -> None:
    """Measures both."""
    parser(__doc__).parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load()
    planned = tasks(Report, range(TASKS), GROUP)
    sampling = Sampling(max_tokens=160, turn_tokens=64)
    played = collect(
        Transformers(model, tokenizer), planned, sampling=sampling, seed=(0,),
        protocol=Line(tokenizer),
    )  # fmt: skip
    found: dict[str, dict[str, float]] = {}
    sets = {
        "distinct": distinct(model.config.vocab_size),
        "long task": distinct(model.config.vocab_size, 128, 129),
        "sampled": [*played],
    }
    for name, records in sets.items():
        rows = [row_of(record, tokenizer) for record in records]

        def ours(records: Sequence[Trajectory] = records) -> object:
            return certainty(records, model, tokenizer, mark="=")

        def one(rows: Sequence[Sequence[int]] = rows) -> object:
            return [plain(model, row) for row in rows]

        forwards = sum(each.forwards for each in certainty(records, model, tokenizer) if each)
        found[name] = {
            "over_one": paired(one, ours, repeat=REPEAT),
            "rollouts": len(records),
            "forwards": forwards,
            "tokens": sum(map(len, rows)),
        }
    found["votes"] = votes()
    note = "tokens a second, over one forward a rollout of the same tokens"
    ratios = [
        Ratio(f"dense/{name}", numbers["over_one"], LEAST[name], "at least", note)
        for name, numbers in found.items()
    ]
    publish("dense", ratios, sets=found, tasks=TASKS, group=GROUP)


def votes() -> dict[str, float]:
    """Measures a judge of this machine on the votes of one group."""
    room = 1 << 12  # more than the policy that ships holds: what it says is no matter
    judges = [
        LocalJudge("start", max_tokens=WRITTEN, batch=batch, room=room) for batch in (1, GROUP)
    ]
    answers = [f"AGENT: the number of item {n} is {n * n}" for n in range(4)]

    def ask(judge: LocalJudge) -> Callable[[], object]:
        ranker = Ranker(judge, PROTOCOLS["grm"], votes=GROUP)
        return lambda: ranker.rank("What are the squares of 0 to 3?", answers)

    one, together = map(ask, judges)
    ratio = paired(one, together, repeat=REPEAT)
    spent = judges[1].spent
    tokens = (spent.read + spent.wrote) / spent.told * GROUP
    return {"over_one": ratio, "votes": GROUP, "tokens": tokens}


def row_of(record: Trajectory, tokenizer: Any) -> list[int]:
    """Returns all that stands before a rollout's own answer, and the reference."""
    *before, last = record.steps
    ids = [token for step in before for token in step.token_ids or ()]
    answers = [] if type(last) is ModelStep and last.spans else [*(last.token_ids or ())]
    told = tokenizer(f"={record.reference}", add_special_tokens=False)["input_ids"]
    return [*ids, *answers, *told]


if __name__ == "__main__":
    main()
