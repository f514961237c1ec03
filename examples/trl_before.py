"""A GRPO script as TRL has it. `trl_after.py` is the same with Assay; only two lines differ.

python examples/trl_before.py
"""

from tempfile import mkdtemp

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from assay.policy.loading import load

model, tokenizer = load()  # the policy that ships: 0.8 million parameters


def answers(completions: list[str], **_: object) -> list[float]:
    """Pays 1 for a completion that gives an answer, right or wrong."""
    return [float("=" in each) for each in completions]


settings = GRPOConfig(
    output_dir=mkdtemp(), use_cpu=True, bf16=False, report_to="none", save_strategy="no",
    max_steps=2, per_device_train_batch_size=8, num_generations=4, max_completion_length=32,
)  # fmt: skip
trainer = GRPOTrainer(
    model=model,
    reward_funcs=answers,
    args=settings,
    train_dataset=Dataset.from_dict({"prompt": ["?capital of Peru\n", "?currency of Chad\n"] * 4}),
    processing_class=tokenizer,
)
print(f"loss {trainer.train().training_loss:.4f}")
