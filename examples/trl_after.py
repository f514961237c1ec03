"""The script of `trl_before.py` with Assay: another trainer, and a recipe by name.

python examples/trl_after.py
"""

from tempfile import mkdtemp

from datasets import Dataset
from trl import GRPOConfig

from assay.policy.loading import load
from assay.trainers.trl import AssayTrainer

model, tokenizer = load()  # the policy that ships: 0.8 million parameters


def answers(completions: list[str], **_: object) -> list[float]:
    """Pays 1 for a completion that gives an answer, right or wrong."""
    return [float("=" in each) for each in completions]


settings = GRPOConfig(
    output_dir=mkdtemp(), use_cpu=True, bf16=False, report_to="none", save_strategy="no",
    max_steps=2, per_device_train_batch_size=8, num_generations=4, max_completion_length=32,
)  # fmt: skip
trainer = AssayTrainer(
    model=model,
    reward_funcs=answers,
    args=settings,
    train_dataset=Dataset.from_dict({"prompt": ["?capital of Peru\n", "?currency of Chad\n"] * 4}),
    processing_class=tokenizer,
    recipe="assay",
)
print(f"loss {trainer.train().training_loss:.4f}")
