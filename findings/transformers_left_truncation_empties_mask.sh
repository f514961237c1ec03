#!/usr/bin/env bash
# transformers 5.23.0: cut from the left, a chat can lose the mask of turns that are still whole.
#
# One would guess: with truncation_side="left" the assistant's tokens that stay are still marked by
#   return_assistant_tokens_mask, as those are that stay when a chat is cut from the right.
# Behaviour: the first assistant turn whose first character was cut off ends the search. Its later
#   turns are all there, and the mask is 0 for each: a loss on the mask trains on nothing, without a
#   word. Cut in front of that turn, or not at all, the mask is right.
# What follows: make the mask before cutting, and cut both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0 jinja2==3.1.6
HF_HUB_OFFLINE=1 "$folder/env/bin/python" - <<'PYTHON'
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

words = "<pad> <end> <user> <agent> add two and three five six is wrong say again it".split()
plain = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<pad>"))
plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=plain, pad_token="<pad>", eos_token="<end>", truncation_side="left"
)
template = (
    "{% for each in messages %}<{{ each.role }}> {% if each.role == 'agent' %}{% generation %}"
    "{{ each.content }} <end>{% endgeneration %} {% else %}{{ each.content }} {% endif %}{% endfor %}"
)
chat = [
    {"role": "user", "content": "add two and three"},
    {"role": "agent", "content": "it is six"},
    {"role": "user", "content": "wrong say again"},
    {"role": "agent", "content": "five"},
]


def marked(limit):
    cut = tokenizer.apply_chat_template(
        chat, chat_template=template, return_dict=True, return_assistant_tokens_mask=True,
        truncation=True, max_length=limit,
    )
    kept = tokenizer.convert_ids_to_tokens(cut["input_ids"])
    chosen = [word for word, mask in zip(kept, cut["assistant_masks"], strict=True) if mask]
    print(limit, "tokens:", " ".join(kept), "-> marked:", chosen)
    return kept, chosen


whole = ["it", "is", "six", "<end>", "five", "<end>"]
assert marked(99)[1] == whole
assert marked(12)[1] == whole
for limit in (10, 7, 4):
    kept, chosen = marked(limit)
    assert kept[-3:] == ["<agent>", "five", "<end>"] and chosen == []
PYTHON
