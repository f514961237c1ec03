"""Settings for one GPU: generation by vLLM in the trainer's process."""

from typing import Any, Final

from assay.errors import UsageError, imported
from assay.trainers.trl.metrics import trackers

ONE_GPU: Final[dict[str, Any]] = {
    # vLLM shares the GPU with the trainer and sleeps while it trains
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_gpu_memory_utilization": 0.3,
    "vllm_tensor_parallel_size": 1,
    "vllm_enable_sleep_mode": True,
    # per token: whole-sequence masking drops long trajectories entirely
    "vllm_importance_sampling_correction": True,
    "vllm_importance_sampling_mode": "token_truncate",
    "vllm_importance_sampling_clip_max": 3.0,
    "loss_type": "dapo",
    "scale_rewards": "none",  # advantages are ours
    "beta": 0.0,
    "bf16": True,
    "gradient_checkpointing": True,
}
"""What `one_gpu` sets. Written against TRL 1.16.0; not run on a GPU by us yet."""


def one_gpu(output_dir: str, *, lora: bool = True, **settings: Any) -> tuple[Any, Any]:
    """Returns (GRPOConfig, LoraConfig or None) for a single GPU with vLLM beside the trainer.

    Settings given win over `ONE_GPU`. Needs vllm >= 0.22, <= 0.31 when it trains; building the
    configuration does not need it.

    Args:
        output_dir: where TRL writes.
        lora: train adapters of rank 32 on all linear layers, and not the whole model.
        settings: any other field of `GRPOConfig`.

    Raises:
        UsageError: a field that `GRPOConfig` does not have, or a value that it refuses.
        MissingExtraError: TRL or PEFT is not installed.
    """
    trl = imported("trl.trainer.grpo_config", extra="train", to="one_gpu")
    fields: dict[str, Any] = {**ONE_GPU, "report_to": trackers(), **settings}
    try:
        config = trl.GRPOConfig(output_dir, **fields)
    except (TypeError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise UsageError(f"one_gpu: {said}; expected fields of GRPOConfig") from None
    return config, adapters(32) if lora else None


def adapters(rank: int) -> Any:
    """Returns peft's configuration of adapters on all linear layers.

    Raises:
        MissingExtraError: PEFT is not installed.
    """
    return imported("peft", extra="train", to="LoRA").LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
