"""A language model of this machine as a judge: asked like one behind an endpoint."""

from collections.abc import Mapping, Sequence
from typing import final

import torch

from assay.errors import UsageError
from assay.judges.chat import NoAnswer, Spent
from assay.policy.loading import device, load
from assay.policy.sampling import sample

Messages = Sequence[Mapping[str, str]]


@final
class LocalJudge:
    """Answers several requests in one batch.

    A model with a chat template gets its template; any other the texts one after another. A request
    that leaves no room for an answer gets none ("long").
    """

    def __init__(
        self,
        name: str,
        *,
        max_tokens: int = 1024,
        temperature: float = 0.6,
        batch: int = 16,
        seed: int = 0,
        spent: Spent | None = None,
        room: int | None = None,
    ) -> None:
        """Opens a model: a folder, a name on Hugging Face, or "start", the one that ships.

        Args:
            name: the model.
            max_tokens: of an answer, at most.
            temperature: of its answers.
            batch: requests at a time.
            seed: of its answers.
            spent: counts its tokens; None: one of its own.
            room: tokens of a request and its answer, at most; None: as its configuration says.

        Raises:
            UsageError: there is no such model, or nothing in a batch.
        """
        if batch < 1 or max_tokens < 1:
            raise UsageError(f"judge {name}: got a batch of {batch}, {max_tokens} tokens; expected "
                             "at least 1")  # fmt: skip
        self._model, self._tokenizer = load(name, device=device())
        self._max_tokens, self._temperature, self._batch = max_tokens, temperature, batch
        self._chance = torch.Generator(self._model.device).manual_seed(seed)
        self._end = self._tokenizer.eos_token_id
        held = getattr(self._model.config, "max_position_embeddings", 1 << 20)
        self._room = int(held) if room is None else room
        self.spent = Spent() if spent is None else spent

    def __call__(self, asked: Sequence[Messages]) -> list[str | NoAnswer]:
        """Returns what it writes of each request."""
        prompts = [self._prompt(messages) for messages in asked]
        found: list[str | NoAnswer] = [
            NoAnswer("long", f"{len(ids)} tokens; the model holds {self._room}") for ids in prompts
        ]
        fits = [i for i, ids in enumerate(prompts) if len(ids) + self._max_tokens <= self._room]
        fits.sort(key=lambda i: len(prompts[i]))  # rows of a batch wait for the longest
        for at in range(0, len(fits), self._batch):
            some = fits[at : at + self._batch]
            for i, text in zip(some, self._written([prompts[i] for i in some]), strict=True):
                found[i] = text
        return found

    def _prompt(self, messages: Messages) -> list[int]:
        tokenizer = self._tokenizer
        if getattr(tokenizer, "chat_template", None):
            said = tokenizer.apply_chat_template(
                [dict(each) for each in messages], add_generation_prompt=True, return_dict=True
            )
            return [*said["input_ids"]]
        text = "\n\n".join(message["content"] for message in messages)
        return [*tokenizer(f"{text}\n\n", add_special_tokens=True)["input_ids"]]

    def _written(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        rows = sample(
            self._model,
            prompts,
            lambda _, ids, __: None if self._end in ids[-1:] else [],
            max_tokens=self._max_tokens,
            max_length=self._room,
            temperature=self._temperature,
            generator=self._chance,
        )
        for prompt, row in zip(prompts, rows, strict=True):
            self.spent.add(len(prompt), len(row.sampled))
        return [
            self._tokenizer.decode(
                [row.ids[at] for at in row.sampled if row.ids[at] != self._end],
                skip_special_tokens=True,
            )
            for row in rows
        ]
