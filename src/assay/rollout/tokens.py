"""A tokenizer, as sampling needs it: prompts to ids, sampled ids to the text of each."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, final

from assay.errors import UsageError
from assay.rollout.recording import Sampled
from assay.world.line import INSTRUCTIONS, is_complete


@final
class Tokens:
    """Wraps a transformers tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        """Takes a tokenizer.

        Raises:
            UsageError: it has no end token, so that no answer could end.
        """
        if tokenizer.eos_token_id is None:
            raise UsageError("the tokenizer has no end token; set tokenizer.eos_token")
        self._tokenizer = tokenizer
        self.end: int = tokenizer.eos_token_id
        self._ends_line: dict[int, bool] = {}

    def prompt(self, text: str) -> list[int]:
        """Returns the ids of a task: by the chat template, with instructions, if there is one.

        Instructions are the system's message; before the task where a template knows no system.

        Raises:
            UsageError: the template refuses that too.
        """
        if getattr(self._tokenizer, "chat_template", None) is None:
            return self.encode(text)
        from jinja2 import TemplateError

        with suppress(TemplateError):
            return self._templated(
                {"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}
            )
        try:
            return self._templated({"role": "user", "content": f"{INSTRUCTIONS}\n\n{text}"})
        except TemplateError as error:
            raise UsageError(f"the tokenizer's chat template refuses a task: {error}") from None

    def _templated(self, *messages: dict[str, str]) -> list[int]:
        made: Any = self._tokenizer.apply_chat_template(
            [*messages], add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return list(made["input_ids"])

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text that continues another one."""
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def turn_is_over(self, ids: Sequence[int]) -> bool:
        """Returns whether these sampled ids are a whole turn."""
        last = ids[-1]
        if last == self.end:
            return True
        if last not in self._ends_line:
            self._ends_line[last] = "\n" in self._tokenizer.decode([last])
        return self._ends_line[last] and is_complete(self._tokenizer.decode(list(ids)))

    def taken(self, ids: Sequence[int], logprobs: Sequence[float]) -> Sampled:
        """Returns sampled tokens with the text of each, so that the texts add up to the whole.

        A token that ends inside a character has no text; the one that completes it has it all.
        """
        pieces: list[str] = []
        before = ""
        for count in range(1, len(ids) + 1):
            text: str = self._tokenizer.decode(list(ids[:count]), skip_special_tokens=True)
            if text.endswith("\ufffd") and count < len(ids):
                pieces.append("")
                continue
            pieces.append(text[len(before) :])
            before = text
        return Sampled(ids=tuple(ids), logprobs=tuple(logprobs), pieces=tuple(pieces))
