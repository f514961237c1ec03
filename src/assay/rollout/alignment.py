"""Does a teacher score the tokens that were sampled? An empty hint must change nothing.

OpenClaw-RL's first token was off by one, AReaL's teacher by one against a shifted mask, and other
trainers encode prompts anew: a teacher then says something of every token, and none of it is true.
"""

from collections.abc import Sequence
from typing import Any, Final

from assay.errors import AlignmentError, DataError
from assay.policy.scoring import plain
from assay.records import ModelStep, Trajectory
from assay.rollout.scoring import ids_of
from assay.rollout.teaching import Blocks, answered, of_sampled, question

EXACT: Final = {"cpu": 1e-5}
"""Nats by which an empty hint may change a token, by kind of device; of others 1e-3."""
NEAR: Final = 0.05
"""Nats by which a policy may differ from its own log-probabilities when it sampled."""


def check_alignment(
    records: Sequence[Trajectory],
    model: Any,
    blocks: Blocks,
    *,
    temperature: float = 1.0,
    near: float | None = NEAR,
) -> float:
    """Returns the largest difference found, nats, once an empty hint has changed nothing.

    Every own step of the records is scored as `taught` does it, with no block, and compared with
    one plain forward over the trajectory, to 1e-5, and with the policy's log-probabilities when it
    sampled, to `near`. So tokens that were scored one place off, masks that moved and prompts that
    were encoded anew are found before anything is trained.

    Args:
        records: sampled by the model with the weights that it has now.
        model: the policy.
        blocks: how hints are told.
        temperature: logits are divided by it.
        near: None: the log-probabilities are another's, and not compared.

    Raises:
        AlignmentError: a token differs by more; names it.
        DataError: no step was sampled.
    """
    own = [
        (at, index)
        for at, record in enumerate(records)
        for index, step in enumerate(record.steps)
        if type(step) is ModelStep and step.token_ids and step.untrainable != "copied"
    ]
    if not own:
        raise DataError("teacher: no trajectory has a step that was sampled; nothing to test it on")
    asked = [question(records[at], at, index, (), blocks) for at, index in own]
    answers = answered(model, asked, temperature=temperature)
    exact = EXACT.get(model.device.type, 1e-3)
    whole = [plain(model, ids_of(record), temperature=temperature) for record in records]
    largest = 0.0
    for (at, index), (each, values) in zip(own, zip(asked, answers, strict=True), strict=True):
        record, step = records[at], records[at].steps[index]
        where = f"trajectory {record.id!r} steps[{index}]"
        start = sum(len(one.token_ids or ()) for one in record.steps[:index])
        bare = whole[at][start - 1 : start - 1 + len(each.scored)]
        largest = max(largest, _differ(values, bare, exact, where, "a plain forward gives"))
        if near is not None and type(step) is ModelStep and step.logprobs is not None:
            mine = of_sampled(step, values)
            _differ(mine, step.logprobs, near, where, "the policy gave, when it sampled,")
    return largest


def _differ(
    values: Sequence[float],
    others: Sequence[float | None],
    most: float,
    where: str,
    what: str,
) -> float:
    """Returns the largest difference. Raises AlignmentError above `most`."""
    if len(values) != len(others):
        raise AlignmentError(f"teacher: {where}: {len(values)} tokens scored, {what} {len(others)}")
    gaps = [0.0 if b is None else abs(a - b) for a, b in zip(values, others, strict=True)]
    worst = max(range(len(gaps)), key=gaps.__getitem__, default=None)
    if worst is not None and not gaps[worst] <= most:
        raise AlignmentError(
            f"teacher: {where}: told an empty hint, it gives token {worst} {values[worst]:.4g} "
            f"nats and {what} {others[worst]:.4g}; expected a difference of at most {most:g}: "
            "tokens, masks or prompt are not those that were sampled; nothing was trained"
        )
    return 0.0 if worst is None else gaps[worst]
