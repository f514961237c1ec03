#!/usr/bin/env bash
# peft 0.21.2: one adapter, saved by two processes, gives two different adapter_config.json.
#
# One would guess: the same LoRA on the same weights is saved to the same bytes, so that a checkpoint
#   can be told by the hash of its files; adapter_model.safetensors is so.
# Behaviour: the list of target modules is kept as a set, and written in the order of Python's hash
#   of strings, which changes with every process. PYTHONHASHSEED fixes the order.
# What follows: hash the parsed file with the list sorted, or hash the tensors alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    peft==0.21.2 transformers==5.23.0 accelerate==1.15.0
cat > "$folder/save.py" <<'PYTHON'
import json
import sys
import warnings
from hashlib import sha256
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
torch.manual_seed(0)
sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": 32}
model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2))
names = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj", "down_proj"]
get_peft_model(model, LoraConfig(r=2, target_modules=names)).save_pretrained(sys.argv[1])
folder = Path(sys.argv[1])
config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
short = [sha256(each.read_bytes()).hexdigest()[:12] for each in (config, weights)]
print(*short, *json.loads(config.read_text())["target_modules"])
PYTHON
for seed in 1 1 2; do
    HF_HUB_OFFLINE=1 PYTHONHASHSEED=$seed "$folder/env/bin/python" "$folder/save.py" "$folder/$seed" |
        tee -a "$folder/said"
done
distinct() { cut -d' ' -f"$1" "$folder/said" | uniq | wc -l; }
sed -n 1p "$folder/said" >"$folder/first"
sed -n 2p "$folder/said" | diff - "$folder/first"
if [ "$(distinct 1)" != 2 ] || [ "$(distinct 2)" != 1 ]; then
    echo "expected two configurations, by the hash seed, and one file of weights" >&2
    exit 1
fi
