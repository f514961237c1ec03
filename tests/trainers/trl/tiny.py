"""A model of a few thousand weights, a tokenizer of 16 words, rollouts that are given."""

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what TRL and its friends warn of when imported is theirs
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

WORDS = ["<pad>", "<eos>", "<unk>", *"abcdefghijklm"]
PAD, EOS, FIRST = 0, 1, 3


def tokenizer() -> Any:
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )


def model(seed: int = 0, *, hidden: int = 16, layers: int = 1) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        pad_token_id=PAD,
        bos_token_id=None,
        eos_token_id=EOS,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config)


def config(folder: Any, **settings: Any) -> GRPOConfig:
    fields = {
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 6,
        "max_steps": 1,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "report_to": "none",
        "bf16": False,
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "seed": 0,
        **settings,
    }
    return GRPOConfig(str(folder), **fields)


def dataset(n: int = 8) -> Dataset:
    return Dataset.from_list([{"prompt": f"{WORDS[FIRST + i % 8]} b"} for i in range(n)])


# Completions that rows of a batch get, in TRL's order: two groups of four, ragged.
ROWS = ([4, 5, 1], [5, 6, 7, 1], [6, 1], [7, 8, 9, 10, 1], [4, 4, 1], [5, 5, 5, 1], [9, 1], [3, 1])


def rollouts(
    rows: Sequence[Sequence[int]] = ROWS, **extra: Sequence[Any]
) -> Callable[[list[Any], Any], dict[str, Any]]:
    """Returns a rollout function that gives row k of all processes `rows[k]`, step after step."""

    def roll(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        first = trainer.accelerator.process_index * len(prompts)
        mine = [(first + i) % len(rows) for i in range(len(prompts))]
        return {
            "prompt_ids": trainer.processing_class(text=prompts)["input_ids"],
            "completion_ids": [list(rows[k]) for k in mine],
            "logprobs": None,
            **{name: [values[k] for k in mine] for name, values in extra.items()},
        }

    return roll


def paid(values: Sequence[float | None], n: int = 8) -> Callable[..., list[float | None]]:
    """Returns a reward function that pays row k of all processes `values[k]`."""

    def reward(completions: list[Any], **_: Any) -> list[float | None]:
        from accelerate.state import PartialState

        first = PartialState().process_index * len(completions)
        return [values[(first + i) % len(values)] for i in range(len(completions))]

    return reward


MIXED = (1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0)


def lora() -> Any:
    import peft

    return peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")


def stock(
    folder: Any, *, rewards: Any = MIXED, roll: Any = None, peft: Any = None, **settings: Any
) -> GRPOTrainer:
    return GRPOTrainer(
        model(),
        paid(rewards),
        config(folder, **settings),
        dataset(),
        processing_class=tokenizer(),
        rollout_func=roll or rollouts(),
        peft_config=peft,
    )


def ours(
    folder: Any,
    *,
    recipe: Any = None,
    rewards: Any = MIXED,
    roll: Any = None,
    peft: Any = None,
    given: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    from assay.trainers.trl.trainer import AssayTrainer

    return AssayTrainer(
        model(),
        paid(rewards),
        config(folder, **settings),
        dataset(),
        processing_class=tokenizer(),
        rollout_func=roll or rollouts(),
        peft_config=peft,
        recipe={"method": {"name": "grpo", "like": "trl"}} if recipe is None else recipe,
        **(given or {}),
    )


def batch_of(trainer: Any) -> dict[str, Any]:
    """Returns the dict of one generated batch, without training."""
    trainer.model.train()
    inputs = next(iter(trainer.get_train_dataloader()))
    return trainer._generate_and_score_completions(inputs)
