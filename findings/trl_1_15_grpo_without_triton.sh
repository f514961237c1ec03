#!/usr/bin/env bash
# TRL 1.15.0 with a torch that brings no Triton (a CPU build): no GRPO step can be taken.
#
# One would guess: TRL falls back to plain PyTorch, since the import of its kernels is guarded and
#   the trainer is made, loads its model and generates.
# Behaviour: the fused log-probability function is None where Triton is missing, and the loss calls
#   it all the same: the first step raises AttributeError. TRL 1.13 and 1.16 train on the same
#   machine: their function needs no Triton.
# What follows: on a machine without Triton take another release than 1.15.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    transformers==5.23.0 huggingface_hub==2.4.0 datasets==5.2.0 accelerate==1.15.0
"$folder/env/bin/pip" uninstall --quiet --yes triton 2>/dev/null || true
cat > "$folder/step.py" <<'PYTHON'
import sys
import tempfile
import warnings

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
settings = GRPOConfig(
    output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to="none", max_steps=1,
    per_device_train_batch_size=4, num_generations=4, max_completion_length=6,
    disable_tqdm=True, save_strategy="no",
)
trainer = GRPOTrainer(
    model=model, args=settings, processing_class=tokenizer,
    reward_funcs=lambda completions, **_: [float(len(set(c.split()))) for c in completions],
    train_dataset=Dataset.from_dict({"prompt": ["w3 w4", "w5 w6"]}),
)
try:
    trainer.train()
except AttributeError as error:
    print("AttributeError:", error)
    sys.exit(3)
print("one step taken")
PYTHON
for version in 1.15.0 1.16.0; do
    "$folder/env/bin/pip" install --quiet --disable-pip-version-check "trl==$version"
    code=0
    said=$("$folder/env/bin/python" "$folder/step.py" 2>"$folder/log" | tail -1) || code=$?
    echo "trl==$version: $said"
    case $version in
        1.15.0) expected="AttributeError: 'NoneType' object has no attribute 'apply'" ;;
        1.16.0) expected='one step taken' ;;
    esac
    if [ "$said" != "$expected" ]; then
        echo "expected: $expected (exit code was $code)" >&2
        exit 1
    fi
done
