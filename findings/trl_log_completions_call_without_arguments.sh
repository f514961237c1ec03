#!/usr/bin/env bash
# TRL 1.16.0, log_completions=True, with prompts whose history holds a tool call without arguments.
#
# One would guess: a log of completions is beside the training, and a tool that takes no arguments is
#   as good as any.
# Behaviour: the batch is written as one Parquet table, to which pandas gives a struct for the
#   arguments; a struct without fields cannot be written, so the error ends the training at the first
#   logging step. With one argument anywhere in the batch, or without log_completions, it trains on.
# What follows: keep arguments as JSON text, or keep a log of your own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check trl==1.16.0 \
    transformers==5.23.0 huggingface_hub==2.4.0 datasets==5.2.0 accelerate==1.15.0 \
    pandas==3.1.1 pyarrow==26.0.1
cat > "$folder/step.py" <<'PYTHON'
import os
import sys
import tempfile
import warnings

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

warnings.simplefilter("ignore")
arguments, logged = eval(sys.argv[1]), sys.argv[2] == "logged"
words = {"<pad>": 0, "<end>": 1, "<unk>": 2, **{f"w{n}": n for n in range(3, 32)}}
plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=plain, pad_token="<pad>", eos_token="<end>", unk_token="<unk>",
    chat_template="{% for m in messages %}{{ m.content or 'w9' }} {% endfor %}",
)
call = {"type": "function", "function": {"name": "clock", "arguments": arguments}}
history = [
    {"role": "user", "content": "w3 w4"},
    {"role": "assistant", "content": "", "tool_calls": [call]},
    {"role": "tool", "name": "clock", "content": "w5"},
]
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=2, vocab_size=32, eos_token_id=1, pad_token_id=0,
))
settings = GRPOConfig(
    output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to="none", max_steps=2,
    per_device_train_batch_size=4, num_generations=4, max_completion_length=6, logging_steps=1,
    disable_tqdm=True, save_strategy="no", log_completions=logged, num_completions_to_print=0,
)
trainer = GRPOTrainer(
    model=model, args=settings, processing_class=tokenizer,
    reward_funcs=lambda completions, **_: [float(len(str(c)) % 3) for c in completions],
    train_dataset=Dataset.from_list([{"prompt": history}, {"prompt": history}]),
)
try:
    trainer.train()
except Exception as error:
    print(f"step {trainer.state.global_step}, {type(error).__name__}: {str(error)[:42]}")
    sys.exit()
print(f"step {trainer.state.global_step}, trained")
PYTHON
run() { "$folder/env/bin/python" "$folder/step.py" "$@" 2>"$folder/log" | tail -1; }
said=$(
    echo "no argument, logged: $(run '{}' logged)"
    echo "one argument, logged: $(run '{"zone": "w6"}' logged)"
    echo "no argument, not logged: $(run '{}' silent)"
)
echo "trl==1.16.0, pandas==3.1.1, pyarrow==26.0.1"
echo "$said"
expected='no argument, logged: step 1, ArrowNotImplementedError: Cannot write struct type '"'arguments'"' with
one argument, logged: step 2, trained
no argument, not logged: step 2, trained'
if [ "$said" != "$expected" ]; then
    printf 'expected:\n%s\n' "$expected" >&2
    tail -3 "$folder/log" >&2
    exit 1
fi
