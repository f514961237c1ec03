"""Tiny chat tokenizers, made here: characters and special tokens, templates in four manners."""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.world import Environment, Reply

HERMES = (
    "{% if tools or messages[0].role == 'system' %}<|im_start|>system\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}"
    "{% for t in tools or [] %}{{ '\n' }}{{ t | tojson }}{% endfor %}<|im_end|>\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}"
    "{% if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}"
    "<|im_start|>user{% endif %}{{ '\n' }}<tool_response>\n{{ m.content }}\n</tool_response>"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}<|im_end|>\n{% endif %}"
    "{% elif m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{% if m.content or not loop.first %}{{ '\n' }}{% endif %}"
    '<tool_call>\n{"name": "{{ c.function.name }}", '
    '"arguments": {{ c.function.arguments | tojson }}}'
    "\n</tool_call>{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRIPPING = HERMES.replace(
    "\n{{ m.content }}{% for c",
    "\n{% if m.role == 'assistant' and not loop.last %}"
    "{{ m.content.split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ m.content }}{% endif %}{% for c",
)
LLAMA = (
    "{{ bos_token }}{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}"
    "{% for m in messages %}<|start|>{{ 'ipython' if m.role == 'tool' else m.role }}<|close|>\n\n"
    "{% if m.tool_calls %}"
    "{% if m.tool_calls | length > 1 %}{{ raise_exception('one call at a time') }}{% endif %}"
    '{"name": "{{ m.tool_calls[0].function.name }}", '
    '"parameters": {{ m.tool_calls[0].function.arguments | tojson }}}'
    "{% else %}{{ m.content }}{% endif %}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|close|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SPECIAL = (
    *("<eos>", "<bos>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"),
    *("<think>", "</think>", "<tool_response>", "</tool_response>", "<|endoftext|>"),
    *("<|start|>", "<|close|>", "<|eot|>", "<start_of_turn>", "<end_of_turn>"),
)


def tokenizer(template: str | None) -> Any:
    """Bytes and special tokens; `<eos>` is 0."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {text: at for at, text in enumerate([*SPECIAL, *letters])}
    made = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    found = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<eos>", pad_token="<eos>", bos_token="<bos>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    found.chat_template = template
    return found


class Door(Environment):
    """Two tools; the task ends with a text, right where it names the colour."""

    name = "door"

    def reset(self, seed: int) -> str:
        self.colour = ("red", "blue")[seed % 2]
        self.heard: list[Any] = []
        return "Which colour has the door?"

    def system(self) -> str:
        return "Answer in one word."

    def tools(self) -> Sequence[Mapping[str, Any]]:
        one = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
        return [{"name": name, "description": name, "parameters": one} for name in ("look", "open")]

    def call(self, name: str, arguments: Mapping[str, Any]) -> Reply:
        self.heard.append((name, dict(arguments)))
        if name == "look" and arguments.get("at") == "door":
            return Reply(text=f"It is {self.colour}.", ran=True, found=True, on_path=True)
        return Reply(text=f"no {name} here", ran=False, found=False)

    def step(self, text: str) -> Reply:
        self.heard.append(text)
        if text == "hm":
            return Reply(text="Well?")
        return Reply(done=True, score=float(text == self.colour))

    def best(self) -> str:
        looked = any(type(each) is tuple for each in self.heard)
        return self.colour if looked else '{"name": "look", "arguments": {"at": "door"}}'


class Plays:
    """A backend of one row that samples given texts, one a turn, and keeps what it was fed."""

    def __init__(self, tokenizer: Any, *turns: str) -> None:
        self.tokenizer, self.turns, self.fed, self.sampling = tokenizer, turns, list[int](), None

    def run(self, prompts: Any, reader: Any, *, sampling: Any, seed: Any) -> None:
        (prompt,) = prompts
        self.fed, self.sampling = list(prompt), sampling
        for turn in self.turns:
            ids = self.tokenizer(turn, add_special_tokens=False).input_ids
            more: Any = ()
            for count in range(1, len(ids) + 1):
                more = reader(0, ids[:count], [-0.5] * count)
                self.fed.append(ids[count - 1])
                if more is None or len(more):
                    break
            if more is None:
                return
            self.fed += more
