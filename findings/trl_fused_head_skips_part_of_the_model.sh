#!/usr/bin/env bash
# TRL 1.16.0 with transformers 5.23.0: the loss that falls is not the loss of the model.
#
# One would guess: the loss that SFTTrainer trains by is that of the model's own forward, for every
#   causal model of transformers that it takes.
# Behaviour: SFT, DPO, KTO, GRPO and RLOO put hidden states straight through the weight of
#   get_output_embeddings(), without calling the model's head. Scales and caps of Gemma, Cohere and
#   Granite are made up for; what others do is left out. A ModernBertDecoder (Ettin) has a dense
#   layer and a norm before that weight, an Inkling divides hidden states by 24. Nothing is said.
# What follows: the trainer's loss falls to .1; the model's own, which generates, stays near chance
#   (log 32 = 3.47), and the dense layer is never trained. In GRPO the log-probabilities are not
#   those of the policy that sampled. Compare model(input_ids=ids, labels=ids).loss with the first
#   loss that the trainer logs.
# Seen (loss of the model itself and of the trainer, before and after 60 steps on one line of
#   text):
#   Llama             own 3.48 -> 0.06, trainer 3.48 -> 0.06, right tokens 9 of 9
#   ModernBertDecoder own 3.49 -> 3.11, trainer 3.53 -> 0.17, right tokens 1 of 9
#   Inkling           own 3.46 -> 3.20, trainer 3.43 -> 0.05, right tokens 9 of 9
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    trl==1.16.0 transformers==5.23.0 huggingface_hub==2.4.0 datasets==5.2.0 accelerate==1.15.0
cat > "$folder/head.py" <<'PYTHON'
import tempfile

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import InklingForCausalLM, InklingTextConfig, LlamaConfig, LlamaForCausalLM
from transformers import ModernBertDecoderConfig, ModernBertDecoderForCausalLM
from transformers import PreTrainedTokenizerFast, PrinterCallback
from trl import SFTConfig, SFTTrainer

words = {"<pad>": 0, "<end>": 1, "<unk>": 2, **{f"w{n}": n for n in range(3, 32)}}
plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=plain, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
)
line = [3, 14, 5, 9, 20, 6, 25, 11, 30, 8, 17]
ids = torch.tensor([line])
size = dict(
    vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    pad_token_id=0, bos_token_id=1, eos_token_id=1,
)
experts = dict(
    n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, head_dim=8, swa_head_dim=8,
    num_key_value_heads=4, swa_num_attention_heads=4, swa_num_key_value_heads=4, rel_extent=16,
)


def losses(model):
    model.eval()
    with torch.no_grad():
        own = model(input_ids=ids, labels=ids).loss.item()
        return own, model(input_ids=ids, labels=ids, fused_lm_head=True).loss.item()


def train(name, kind, config):
    torch.manual_seed(0)
    settings = SFTConfig(
        output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to="none", max_steps=60,
        per_device_train_batch_size=4, learning_rate=3e-3, lr_scheduler_type="constant",
        logging_strategy="no", save_strategy="no", disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=kind(config), args=settings, processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"input_ids": [line] * 8}),
    )
    trainer.remove_callback(PrinterCallback)
    first = losses(trainer.model)
    trainer.train()
    last = losses(trainer.model)
    said = trainer.model.generate(ids[:, :2], max_new_tokens=9, min_new_tokens=9, do_sample=False)
    right = (said == ids).sum().item() - 2
    print(f"{name:17} own {first[0]:.2f} -> {last[0]:.2f}, ", end="")
    print(f"trainer {first[1]:.2f} -> {last[1]:.2f}, right tokens {right} of 9")
    return *last, right


own, taught, right = train("Llama", LlamaForCausalLM, LlamaConfig(**size))
assert abs(own - taught) < 0.01 and own < 0.2 and right == 9
bert = ModernBertDecoderConfig(**size, cls_token_id=1, sep_token_id=1)
own, taught, right = train("ModernBertDecoder", ModernBertDecoderForCausalLM, bert)
assert own > 2 and taught < 0.5 and right < 6
own, taught, _ = train("Inkling", InklingForCausalLM, InklingTextConfig(**size, **experts))
assert own > 2 and taught < 0.5
PYTHON
echo "trl==1.16.0, transformers==5.23.0, torch==2.13.0"
HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$folder/env/bin/python" "$folder/head.py" 2>"$folder/log" \
    || { cat "$folder/log" >&2; exit 1; }
