"""How a recipe fits TRL's settings. No torch."""

import os
from importlib.metadata import version
from typing import Any, Final

from assay.errors import UsageError
from assay.recipes.recipe import CLIPPED_LOSSES, ROW_LOSSES, Recipe

TRL: Final = ((1, 9), (1, 17))
"""Releases of TRL that the contract tests pass on: from the first, below the second."""
TESTED: Final = "AssayTrainer is tested with TRL 1.9.2, 1.13.0 and 1.16.0"


def end_ids(trainer: Any) -> set[int]:
    """Returns the tokens that end a completion; before TRL 1.15 only the tokenizer names one."""
    own = getattr(trainer, "eos_token_ids", None)
    return set(own) if own is not None else {trainer._tokenizer.eos_token_id}


def check_release(loss_type: str, release: str | None = None) -> None:
    """Refuses a release of TRL that we have not seen, or a loss that it computes in another way.

    Args:
        loss_type: TRL's.
        release: of TRL. None: the installed one.

    Raises:
        UsageError: the release is out of range; or it is older than 1.13 and the loss is luspo,
            which reads there one advantage for each row.
    """
    release = version("trl") if release is None else release
    number = tuple(int(each) for each in release.split(".")[:2])
    if not TRL[0] <= number < TRL[1]:
        raise UsageError(f"trl {release} is installed; {TESTED}: install one of them")
    if loss_type == "luspo" and number < (1, 13):
        raise UsageError(
            f"loss_type 'luspo' of trl {release} takes one advantage for each row, not for each "
            "token; install trl 1.13 or newer, or take another loss"
        )


def fit(recipe: Recipe, args: Any, loss_type: str) -> None:
    """Checks the recipe against the trainer's arguments, and sets the clip that it asks for.

    Raises:
        UsageError: they contradict each other.
    """
    check_release(loss_type)
    recipe.check_loss(loss_type)
    safety, high = recipe.safety, args.epsilon_high or args.epsilon
    if loss_type == "cispo" and high <= 1:
        raise UsageError(
            f"loss_type 'cispo' reads epsilon_high as the bound on the ratio itself: got {high:g}; "
            "expected above 1, usually 5"
        )
    if args.fp16 and safety.skip_empty:
        raise UsageError(
            "fp16's loss scaler cannot leave a step out: take bf16, or safety.skip_empty = false"
        )
    _whole_models(args)
    _divided(recipe, args, loss_type)
    if safety.delta is None:
        return
    if args.delta is not None and args.delta != safety.delta:
        raise UsageError(
            f"GRPOConfig.delta is {args.delta:g} and the recipe's safety.delta {safety.delta:g}; "
            "give one of them"
        )
    highest = 1 + max(args.epsilon, high)
    if safety.delta <= highest:
        raise UsageError(
            f"safety.delta is {safety.delta:g}; expected above 1 + epsilon, {highest:g} "
            "(the larger of epsilon and epsilon_high)"
        )
    args.delta = safety.delta


def check_config(config: Any) -> None:
    """Raises UsageError for the configuration of TRL's asynchronous GRPO, which is a trainer of its
    own: it has one number a row, put there by a process that sees one group at a time."""
    if type(config).__name__ == "AsyncGRPOConfig":
        raise UsageError(
            "AsyncGRPOConfig: TRL's asynchronous GRPO gives each row one advantage for all its "
            "tokens and cannot take ours; take GRPOConfig, with vllm_mode='server' to sample on "
            "other GPUs"
        )


def _whole_models(args: Any) -> None:
    """Refuses set-ups in which a model lies in parts, where it would not, or not as we train it."""
    if args.deepspeed or _launched("ACCELERATE_USE_DEEPSPEED"):
        raise UsageError(
            "DeepSpeed is not supported: its engine takes every optimiser step itself, and rows "
            "are scored apart from it here; take plain processes (accelerate launch --multi_gpu)"
        )
    if (args.fsdp or _launched("ACCELERATE_USE_FSDP")) and args.device.type == "cpu":
        raise UsageError(
            "FSDP on a CPU: accelerate keeps a whole model in each process there and does not say "
            "so; leave FSDP out: plain processes (accelerate launch --multi_gpu) train the same"
        )


def _launched(variable: str) -> bool:
    """Returns whether `accelerate launch` was asked for it."""
    return os.environ.get(variable, "").lower() in ("1", "true")


def _divided(recipe: Recipe, args: Any, loss_type: str) -> None:
    """Refuses settings under which a step's loss would not be divided by its own batch."""
    if args.steps_per_generation % args.gradient_accumulation_steps:
        raise UsageError(
            f"steps_per_generation is {args.steps_per_generation} and gradient_accumulation_steps "
            f"{args.gradient_accumulation_steps}: an optimiser step would mix generated batches; "
            "expected a multiple"
        )
    if recipe.denominator == "kept" and loss_type in ROW_LOSSES and args.beta:
        raise UsageError(
            f'recipe: denominator "kept" divides by the rows kept, and the KL term of loss_type '
            f'{loss_type!r} by all: take "dapo", or beta 0'
        )


def other_losses(trainer: Any) -> bool:
    """Returns whether TRL adds a loss that does not come from advantages."""
    return trainer.beta != 0.0 or trainer._entropy_bonus_enabled or trainer.aux_loss_enabled


def means_of_micro_batches(trainer: Any) -> bool:
    """Returns whether a part of the loss is a mean or a quantile of a micro-batch, so that it
    matters which rows are in one."""
    return (
        trainer.loss_type == "bnpo"
        or trainer.recipe.safety.preserve > 0
        or trainer._entropy_bonus_enabled
        or trainer.aux_loss_enabled
        or trainer.top_entropy_quantile < 1.0
    )


def bounds(loss_type: str, low: float, high: float) -> tuple[float, float]:
    """Returns how far below and above 1 the loss clips ratios; infinite where it does not."""
    if loss_type in CLIPPED_LOSSES:
        return low, high
    if loss_type == "cispo":
        return float("inf"), high - 1.0
    return float("inf"), float("inf")
