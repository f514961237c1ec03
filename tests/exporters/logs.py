"""A log of token ids, small enough to say by hand what every form must hold.

Group g. `a` passes: a call, whose result comes back, and an answer. `b` fails at once. `c` is
unscored. `d` fails, and its second step is masked. Outcomes 1, 0, 0: mean 1/3, deviations 2/3 and
-1/3 twice, variance (4/9 + 1/9 + 1/9) / 2 = 1/3 (ddof 1), so GRPO gives a (2/3) / (sqrt(1/3) + eps)
and b and d half of it, below 0.
"""

import math
from pathlib import Path

from assay.records import Call, ModelStep, Step, SystemStep, ToolStep, Trajectory, UserStep, write

UP = (2 / 3) / (math.sqrt(1 / 3) + 1e-6)
DOWN = -UP / 2
PROMPT: tuple[Step, ...] = (
    SystemStep(text="s", token_ids=(1, 2)),
    UserStep(text="u", token_ids=(3,)),
)
CALLED = ModelStep(
    text="think",
    calls=(Call(name="add", arguments="{}", id="x"),),
    token_ids=(4, 5, 6),
    sampled=((1, 3),),
    logprobs=(-0.5, -0.25),
)
A = Trajectory(
    id="a",
    task="t",
    group="g",
    outcome=1.0,
    end="answered",
    steps=(
        *PROMPT,
        CALLED,
        ToolStep(text="5", name="add", call=(2, 0), token_ids=(7, 8)),
        ModelStep(text="done", token_ids=(9, 10), logprobs=(-1.0, -2.0)),
    ),
)
B = Trajectory(
    id="b",
    task="t",
    group="g",
    outcome=0.0,
    end="budget",
    steps=(*PROMPT, ModelStep(text="no", token_ids=(11, 12), logprobs=(-0.125, -3.0))),
)
C = Trajectory(id="c", task="t", group="g", steps=(*PROMPT, ModelStep(text="?", token_ids=(13,))))
D = Trajectory(
    id="d",
    task="t",
    group="g",
    outcome=0.0,
    steps=(
        *PROMPT,
        ModelStep(text="x", token_ids=(14,), logprobs=(-1.5,)),
        UserStep(text="go on", token_ids=(15,)),
        ModelStep(text="y", token_ids=(4, 5), logprobs=(-1.0, -1.0), untrainable="masked"),
    ),
)
IDS = {
    "a": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    "b": [1, 2, 3, 11, 12],
    "c": [1, 2, 3, 13],
    "d": [1, 2, 3, 14, 15, 4, 5],
}
SAMPLED = {"a": [4, 5, 8, 9], "b": [3, 4], "c": [3], "d": [3]}
"""Where each trajectory has sampled tokens that may be trained."""


def log(folder: Path, *more: Trajectory) -> Path:
    """Writes the log, and what is to be in it beside."""
    path = folder / "log.jsonl"
    write(path, [A, B, C, D, *more])
    return path
