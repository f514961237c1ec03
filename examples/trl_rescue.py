"""A TRL script over an environment in which every group fails at first, rescued as it goes.

python examples/trl_rescue.py
"""

from tempfile import mkdtemp

from datasets import Dataset
from trl import GRPOConfig

from assay.policy.loading import load
from assay.trainers.trl import AssayTrainer

model, tokenizer = load()  # the policy that ships; it all but never solves these tasks
rows = []

settings = GRPOConfig(
    output_dir=mkdtemp(), use_cpu=True, bf16=False, report_to="none", save_strategy="no",
    gradient_checkpointing=False,
    max_steps=2, per_device_train_batch_size=16, num_generations=4, max_completion_length=64,
    learning_rate=1e-3,
)  # fmt: skip
trainer = AssayTrainer(
    model=model,
    args=settings,
    train_dataset=Dataset.from_dict({"prompt": [str(task) for task in range(64)]}),
    processing_class=tokenizer,
    recipe="rescue",
    environment="lookup/dead",  # or a class of your own, as in own_environment.py
    metrics_path=rows.append,
)
trainer.train()
for row in rows:
    helped, rescued = row["rescue/groups"], row["rescue/rescued"]
    print(f"step {row['step']}: {rescued} of {helped} dead groups rescued")
