"""What a teacher's scoring costs, against bare forwards of the very same tokens.

    python benchmarks/teacher.py    # results/teacher.json

The shipped policy, 32 trajectories of 4 tasks and four turns, each turn with a hint of its own,
once told and once neutral. *bare* is a forward over the same rows of tokens, sorted by length, as
many at a time, and nothing else: no log-probabilities, no records. *naive* is one forward over a
whole trajectory for each step and block. *trajectories* is one forward over each trajectory alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch

from assay.policy.loading import load
from assay.records import Hint, ModelStep, Step, ToolStep, Trajectory, UserStep
from assay.rollout import teaching
from assay.rollout.scoring import ids_of
from assay.rollout.teaching import Blocks, Place, question, taught
from measure import Ratio, paired, parser, publish

TASKS: Final = 4
REPEAT: Final = 5
GROUP: Final = 8
TURNS: Final = 4
SAID: Final = (
    "no such tool, ask home or capital",
    "none found",
    "that was France",
    "Lima is a city",
)


def records(vocabulary: int) -> list[Trajectory]:
    """Returns groups of trajectories that share their prompts."""
    rng = np.random.default_rng(0)

    def drawn(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.integers(2, vocabulary, int(rng.integers(low, high))).tolist())

    made: list[Trajectory] = []
    for task in range(TASKS):
        prompt = UserStep("", token_ids=drawn(14, 22))
        for trial in range(GROUP):
            steps: list[Step] = [prompt]
            for turn in range(TURNS):
                hints = (Hint(SAID[turn], source="env"),)
                steps.append(ModelStep("", token_ids=drawn(6, 12), hints=hints))
                steps.append(ToolStep("", token_ids=drawn(2, 8)))
            made.append(Trajectory(f"{task}/{trial}", f"{task}", f"{task}", steps=tuple(steps)))
    return made


def rows_of(made: Sequence[Trajectory], blocks: Blocks, *, whole: bool) -> list[list[int]]:
    """Returns the texts that are scored, up to the step or to the end of the trajectory."""
    rows: list[list[int]] = []
    for at, record in enumerate(made):
        for index, step in enumerate(record.steps):
            if type(step) is not ModelStep:
                continue
            told = blocks.told([hint.text for hint in step.hints])
            for block in (told, blocks.neutral(len(told))):
                each = question(record, at, index, block, blocks)
                row = [*each.history, *each.given, *each.scored]
                rest = ids_of(record)[len(row) - len(block) :] if whole else []
                rows.append([*row, *rest])
    return rows


@torch.no_grad()
def forward(model: Any, rows: Sequence[Sequence[int]]) -> None:
    """Passes rows forward, those of like length together."""
    ordered = sorted(rows, key=len)
    for first in range(0, len(ordered), teaching.ROWS):
        some = ordered[first : first + teaching.ROWS]
        width = max(map(len, some))
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in some])
        seen = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in some])
        model(input_ids=ids, attention_mask=seen)


def main() -> None:
    """Measures each place."""
    parser(__doc__).parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load()
    made = records(model.config.vocab_size)
    alone = [ids_of(record) for record in made]
    found: dict[str, dict[str, float]] = {}
    places: tuple[Place, ...] = ("prompt", "front", "step")
    for place in places:
        blocks = Blocks.of(tokenizer, place)
        same, whole = (rows_of(made, blocks, whole=each) for each in (False, True))

        def ours(blocks: Blocks = blocks) -> object:
            return taught(made, model, blocks)

        def bare(rows: Sequence[Sequence[int]]) -> Callable[[], object]:
            return lambda: forward(model, rows)

        found[place] = {
            "over_bare": paired(ours, bare(same), repeat=REPEAT),
            "over_naive": paired(ours, bare(whole), repeat=REPEAT),
            "over_trajectories": paired(ours, bare(alone), repeat=REPEAT),
            "tokens_over_trajectories": sum(map(len, same)) / sum(map(len, alone)),
        }
    note = "scoring of hinted steps, told and neutral, over a bare forward of the same tokens"
    ratios = [
        Ratio(f"teacher/{place}", numbers["over_bare"], 1.1, "at most", note)
        for place, numbers in found.items()
    ]
    publish("teacher", ratios, places=found, tasks=TASKS, group=GROUP, turns=TURNS)


if __name__ == "__main__":
    main()
