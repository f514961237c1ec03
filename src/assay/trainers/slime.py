"""slime: credit on the rollout side, where groups are whole, and its look-up on each rank.

    ASSAY_RECIPE=assay python train.py ... \
        --custom-reward-post-process-path assay.trainers.slime.credit \
        --custom-advantage-function-path assay.trainers.slime.advantages

A rank sees its own samples alone, so credit is computed by the first function, which sees all of a
rollout. slime hands its ranks a fixed list of fields; the one that holds a number for each token of
a response, and that nothing reads without --use-opd, is `teacher_log_probs`: credit travels there.
Sample metadata does not arrive. Read from slime as of autumn 2026 (docs/export.md).
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from msgspec import structs

from assay.errors import AlignmentError, DataError, UsageError
from assay.records import End, Grade, Step, Trajectory, UserStep
from assay.signal.given import FIELD, given_record, steps_of_mask
from assay.trainers.engine import Credited, engine_of

CARRIER: Final = "teacher_log_probs"
_ENDS: Final[dict[str, End]] = {
    "completed": "answered",
    "truncated": "budget",
    "aborted": "infra",
    "failed": "infra",
}
Decode = Callable[[Sequence[int]], str]


def credit(args: Any, samples: Sequence[Any]) -> tuple[list[float], list[float]]:
    """Gives each sample its advantages, and returns (raw rewards, rewards), as they were.

    A group is the samples of one `group_index`; those of one `rollout_id` are outputs of one
    rollout and have one vote. `metadata["trajectory"]`, the JSON text of an assay.trajectory/1
    record, says what the steps and calls were; without it each run of the loss mask is one step. A
    reward of None is unscored. With denominator "kept", tokens that a gate dropped or nobody scored
    leave the mask.

    Raises:
        UsageError: an option of slime would change the advantages, or another hook uses the field.
        AlignmentError: a record has other tokens than its sample.
    """
    _check(args, samples)
    engine = engine_of("slime")
    by_row = not getattr(args, "calculate_per_token_loss", False)
    read = [record_of(args, number, sample) for number, sample in enumerate(samples)]
    credited = engine.credit([record for record, _ in read], by_row=by_row)
    for sample, (_, skip), made in zip(samples, read, credited, strict=True):
        _hand_over(sample, skip, made, engine.recipe.denominator == "kept")
    rewards = [0.0 if value is None else value for value in (_reward(args, s) for s in samples)]
    return rewards, list(rewards)


def advantages(args: Any, rollout_data: dict[str, Any]) -> None:
    """Sets this rank's advantages to what `credit` found; returns are the advantages.

    Raises:
        UsageError: `credit` was not called.
        AlignmentError: a rank has a part of a response alone, in another form than its credit.
    """
    carried = rollout_data.get(CARRIER)
    if carried is None:
        raise UsageError(
            "slime: no credit came with the rollout; add --custom-reward-post-process-path "
            "assay.trainers.slime.credit, and leave --custom-convert-samples-to-train-data-path out"
        )
    found: list[Any] = []
    for number, (values, like) in enumerate(zip(carried, rollout_data["kl"], strict=True)):
        if len(values) != len(like):
            raise AlignmentError(
                f"sample {number}: credit for {len(values)} tokens, and {len(like)} are here; "
                "turn context parallelism off"
            )
        found.append(like.new_tensor(values.tolist()))
    rollout_data["advantages"] = found
    rollout_data["returns"] = [each.clone() for each in found]


def _check(args: Any, samples: Sequence[Any]) -> None:
    refused = {
        "--use-opd": "reads the field that carries credit",
        "--normalize-advantages": "whitens the advantages afterwards",
        "--use-critic": "takes advantages from its values",
    }
    for option, why in refused.items():
        if getattr(args, option.removeprefix("--").replace("-", "_"), False):
            raise UsageError(f"slime: {option} {why}; leave it out")
    for number, sample in enumerate(samples):
        if getattr(sample, CARRIER) is not None:
            raise UsageError(
                f"slime: sample {number} has {CARRIER}, which carry credit here; leave out the "
                "reward function that sets them"
            )


def _hand_over(sample: Any, skip: int, made: Credited, kept: bool) -> None:
    """Writes a sample's advantages, and takes out of its mask what the divisor is to leave out."""
    length = sample.response_length
    own = slice(skip, skip + length)
    mask = np.array(_mask(sample), bool)
    values, weight = made.advantage_N[own], made.weight_N[own]
    setattr(sample, CARRIER, np.where(mask, values, 0.0).tolist())
    if kept:
        sample.loss_mask = (mask & (weight > 0)).astype(int).tolist()


def _reward(args: Any, sample: Any) -> float | None:
    """Returns the reward; of several the one that --reward-key names. None: nobody scored it."""
    value = sample.reward
    if isinstance(value, dict):
        key = getattr(args, "reward_key", None)
        if key is None or key not in value:
            raise UsageError(
                f"slime: a reward has parts {', '.join(map(str, value))}; name one by --reward-key"
            )
        value = value[key]
    return None if value is None else float(value)


def _mask(sample: Any) -> list[int]:
    length = sample.response_length
    if getattr(sample, "remove_sample", False):
        return [0] * length
    return [1] * length if sample.loss_mask is None else list(sample.loss_mask)


def record_of(args: Any, number: int, sample: Any) -> tuple[Trajectory, int]:
    """Returns the record of a sample, and how many of its leading tokens are the prompt."""
    outcome = _reward(args, sample)
    tokens, length = list(sample.tokens), sample.response_length
    start = len(tokens) - length
    if not 0 < length <= len(tokens) or len(_mask(sample)) != length:
        raise DataError(
            f"slime: sample {number} has {len(tokens)} tokens, a response of {length} and a mask "
            f"of {len(_mask(sample))}; expected tokens of prompt and response, and a mask a token"
        )
    if sample.group_index is None:
        raise DataError(f"slime: sample {number} has no group_index, so nobody knows its siblings")
    group = f"group-{sample.group_index}"
    rollout = getattr(sample, "rollout_id", None)
    text = (sample.metadata or {}).get(FIELD)
    if text is None:
        record, skip = _bare(args, sample, start, outcome), start
    else:
        record, skip = given_record(text, tokens[start:], row=number, outcome=outcome, rewards={})
    named = structs.replace(
        record,
        id=f"{group}/{number}",
        group=group,
        trial=number,
        session=None if rollout is None else f"rollout-{rollout}",
    )
    return named, skip


def _bare(args: Any, sample: Any, start: int, outcome: float | None) -> Trajectory:
    """Returns the record of a sample that brought none: each run of the mask is one step."""
    decode, tokens, mask = _decoder(args), list(sample.tokens), _mask(sample)
    steps: list[Step] = []
    if start:
        steps.append(UserStep(text=decode(tokens[:start]), token_ids=tuple(tokens[:start])))
    steps += steps_of_mask(tokens[start:], mask, decode, getattr(sample, "rollout_log_probs", None))
    grade = Grade(level="E3", value=outcome, source="slime's reward")
    return Trajectory(
        id="",
        task=f"group-{sample.group_index}",
        group="",
        steps=tuple(steps),
        outcome=outcome,
        grades=() if outcome is None else (grade,),
        claim="none",
        end=_ENDS.get(str(getattr(sample.status, "value", sample.status)), "unknown"),
    )


def _decoder(args: Any) -> Decode:
    return _tokenizer(args.hf_checkpoint).decode


@cache
def _tokenizer(path: str) -> Any:
    """Returns the tokenizer of slime's model; transformers is there wherever slime runs."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path)
