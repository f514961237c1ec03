#!/usr/bin/env bash
# TRL 1.16.0: the completions that are logged are no list of what was sampled.
#
# One would guess: completions_{step}.parquet holds the rows that were generated for that step, so
#   the files of a run together are its rows.
# Behaviour: each file is a copy of the rows that were generated last. With num_iterations=2 every
#   batch stands in two files; with logging_steps=2 every other batch is in none; and an evaluation
#   at a step writes its own rows over the file of that step.
# What follows: drop files that equal the one before, and take no gap or row for granted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    trl==1.16.0 transformers==5.23.0 huggingface_hub==2.4.0 datasets==5.2.0 accelerate==1.15.0
cat > "$folder/step.py" <<'PYTHON'
import glob
import tempfile
import warnings

import pandas
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

warnings.simplefilter("ignore")
words = {"<pad>": 0, "<end>": 1, "<unk>": 2, **{f"w{n}": n for n in range(3, 32)}}
plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=plain, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
)
torch.manual_seed(0)
sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 32}
model = LlamaForCausalLM(LlamaConfig(**sizes, **heads, eos_token_id=1, pad_token_id=0))


def files(**fields):
    """Returns, of each file, which generated batches its rows are from."""
    made, out = [], tempfile.mkdtemp()

    def reward(prompts, completions, log_extra, **_):
        batch = f"batch {1 + len(made) - made.count('evaluation')}"
        made.append(batch if trainer.model.training else "evaluation")
        log_extra("made", [made[-1]] * len(prompts))
        return [float(len(set(said.split()))) for said in completions]

    settings = GRPOConfig(
        output_dir=out, use_cpu=True, bf16=False, report_to="none", max_steps=4,
        per_device_train_batch_size=4, per_device_eval_batch_size=4, num_generations=4,
        max_completion_length=6, disable_tqdm=True, save_strategy="no", log_completions=True,
        **{"logging_steps": 1, **fields},
    )
    data = Dataset.from_dict({"prompt": ["w3 w4", "w5 w6"]})
    trainer = GRPOTrainer(
        model=model, args=settings, processing_class=tokenizer, reward_funcs=reward,
        train_dataset=data, eval_dataset=data.select([0]),
    )
    trainer.train()
    found = sorted(glob.glob(f"{out}/completions/*.parquet"))
    return [" ".join(sorted(set(pandas.read_parquet(each)["made"]))) for each in found]


twice = files(num_iterations=2)
sparse = files(logging_steps=2)
evaluated = files(eval_strategy="steps", eval_steps=2)
print("num_iterations=2:", twice)
print("logging_steps=2:", sparse)
print("an evaluation at steps 2 and 4:", evaluated)
assert twice == ["batch 1", "batch 1", "batch 2", "batch 2"], twice
assert sparse == ["batch 2", "batch 4"], sparse
assert evaluated == ["batch 1", "evaluation", "batch 3", "evaluation"], evaluated
PYTHON
"$folder/env/bin/python" "$folder/step.py" 2>"$folder/log" | tail -3 || { tail -3 "$folder/log"; exit 1; }
