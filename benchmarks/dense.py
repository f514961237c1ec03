"""What scoring a reference after each rollout costs, against one forward a rollout.

    python benchmarks/dense.py    # results/dense.json

The shipped policy, groups of eight. *one* is a forward over each rollout's reasoning and reference
by itself (`policy.scoring.plain`), the same tokens. *distinct* rollouts differ from their first
turn on and share their task; *sampled* ones are the policy's own on the world `report`, of which
many reason alike.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from assay.policy.loading import load
from assay.policy.scoring import plain
from assay.records import ModelStep, Span, ToolStep, Trajectory, UserStep
from assay.rollout.backends.base import Sampling
from assay.rollout.backends.local import Transformers
from assay.rollout.chain import collect, tasks
from assay.rollout.dense import certainty
from assay.rollout.protocols.line import Line
from assay.world.report import Report
from measure import Ratio, paired, publish

TASKS: Final = 16
GROUP: Final = 8
REPEAT: Final = 3
LEAST: Final = {"sampled": 3.0, "distinct": 1.5}
"""What distinct rollouts share is a fifth of their tokens."""
REFERENCE: Final = "The capital of Peru is Lima. The currency of Peru is PEN."


def distinct(vocabulary: int) -> list[Trajectory]:
    """Returns groups of rollouts that share their task and nothing else."""
    rng = np.random.default_rng(0)

    def drawn(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.integers(2, vocabulary, int(rng.integers(low, high))).tolist())

    made: list[Trajectory] = []
    for task in range(TASKS):
        prompt = UserStep("", token_ids=drawn(8, 14))
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
    torch.set_num_threads(1)
    model, tokenizer = load()
    planned = tasks(Report, range(TASKS), GROUP)
    sampling = Sampling(max_tokens=160, turn_tokens=64)
    played = collect(
        Transformers(model, tokenizer), planned, sampling=sampling, seed=(0,),
        protocol=Line(tokenizer),
    )  # fmt: skip
    found: dict[str, dict[str, float]] = {}
    for name, records in (("distinct", distinct(model.config.vocab_size)), ("sampled", [*played])):
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
    note = "tokens a second, over one forward a rollout of the same tokens"
    ratios = [
        Ratio(f"dense/{name}", numbers["over_one"], LEAST[name], "at least", note)
        for name, numbers in found.items()
    ]
    publish("dense", ratios, sets=found, tasks=TASKS, group=GROUP)


def row_of(record: Trajectory, tokenizer: Any) -> list[int]:
    """Returns all that stands before a rollout's own answer, and the reference."""
    *before, last = record.steps
    ids = [token for step in before for token in step.token_ids or ()]
    answers = [] if type(last) is ModelStep and last.spans else [*(last.token_ids or ())]
    told = tokenizer(f"={record.reference}", add_special_tokens=False)["input_ids"]
    return [*ids, *answers, *told]


if __name__ == "__main__":
    main()
