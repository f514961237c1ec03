#!/usr/bin/env bash
# TRL 1.16.0, disable_dropout=True, with a Llama whose configuration has attention_dropout.
#
# One would guess: with disable_dropout=True a policy in training mode gives the log-probabilities
#   it sampled with, so that the first ratio of a batch is 1.
# Behaviour: modules of the class Dropout are set to 0; the attention of Llama (and of Qwen, Mistral
#   and others) reads its rate from a number and keeps it. Two passes over the same tokens differ. A
#   GPT-2, whose attention holds such a module, is switched off whole.
# What follows: set attention_dropout to 0 in the model's configuration too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    trl==1.16.0 transformers==5.23.0 huggingface_hub==2.4.0 datasets==5.2.0 accelerate==1.15.0
cat > "$folder/passes.py" <<'PYTHON'
import tempfile
import warnings

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

warnings.simplefilter("ignore")
words = {"<pad>": 0, "<end>": 1, "<unk>": 2, **{f"w{n}": n for n in range(3, 32)}}
plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=plain, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
)
ids = torch.arange(3, 19)[None]


def spread(model):
    settings = GRPOConfig(
        output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to="none",
        disable_dropout=True, per_device_train_batch_size=4, num_generations=4,
    )
    trained = GRPOTrainer(
        model=model, args=settings, processing_class=tokenizer,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        train_dataset=Dataset.from_dict({"prompt": ["w3 w4", "w5 w6"]}),
    ).model.train()
    with torch.no_grad():
        first, second = (trained(ids).logits.log_softmax(-1) for _ in range(2))
    return "differ" if (first - second).abs().max() > 1e-4 else "agree"


torch.manual_seed(0)
llama = LlamaConfig(
    hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=2, vocab_size=32, attention_dropout=0.5,
)
gpt2 = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=32, attn_pdrop=0.5, resid_pdrop=0.5)
print("Llama: two passes", spread(LlamaForCausalLM(llama)))
print("GPT-2: two passes", spread(GPT2LMHeadModel(gpt2)))
PYTHON
said=$("$folder/env/bin/python" "$folder/passes.py" 2>"$folder/log") || { cat "$folder/log" >&2; exit 1; }
echo "trl==1.16.0, transformers==5.23.0"
echo "$said"
expected=$'Llama: two passes differ\nGPT-2: two passes agree'
if [ "$said" != "$expected" ]; then
    printf 'expected:\n%s\n' "$expected" >&2
    exit 1
fi
