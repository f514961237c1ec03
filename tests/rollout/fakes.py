"""A tokenizer of characters, a backend that says what it is told to, and small worlds."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from assay.rollout import Reader, Sampling
from assay.world import Environment, Reply

END = 1


class Characters:
    """Ids are code points; 1 is the end and has no text."""

    eos_token_id: int | None = END
    chat_template = None

    def __call__(self, text: str, add_special_tokens: bool = True) -> Any:
        assert not add_special_tokens
        return SimpleNamespace(input_ids=[ord(c) for c in text])

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return "".join("" if i == END else chr(i) for i in ids)


Said = Callable[[Sequence[int], Sequence[float]], Sequence[int] | None]
"""A row's `Reader`."""


class Backend:
    """Row by row, what `row` says behind a prompt; keeps what it was asked."""

    def __init__(self) -> None:
        self.tokenizer = Characters()
        self.prompts, self.seeds = list[str](), list[tuple[int, ...]]()

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        self.seeds.append(tuple(seed))
        for at, prompt in enumerate(prompts):
            self.prompts.append("".join(map(chr, prompt)))
            self.row(at, self.prompts[-1], partial(reader, at), sampling)

    def row(self, at: int, prompt: str, said: Said, sampling: Sampling) -> None:
        raise NotImplementedError


class Obeys(Backend):
    """Answers with a digit that stands behind a "!", the first or the last, else with 9."""

    def __init__(self, which: int = 0) -> None:
        super().__init__()
        self.which = which

    def row(self, at: int, prompt: str, said: Said, sampling: Sampling) -> None:
        digits = [c for c in prompt.partition("!")[2] if c.isdigit()] or ["9"]
        said([ord("="), ord(digits[self.which]), END], [-1.0] * 3)


class Scripted(Backend):
    """Row k says texts[k], token by token; the log-prob of the n-th token of a row is -n/8."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__()
        self.texts = list(texts)

    def row(self, at: int, prompt: str, said: Said, sampling: Sampling) -> None:
        since = 0
        ids = [END if c == "$" else ord(c) for c in self.texts[at]]
        for n in range(1, min(len(ids), sampling.max_tokens) + 1):
            more = said(ids[since:n], [-i / 8 for i in range(since + 1, n + 1)])
            if more is None:
                break
            if more:
                since = n


class Guess(Environment):
    """A number from 1 to 9; every wrong call is answered."""

    name = "guess"

    def reset(self, seed: int) -> str:
        self.secret = seed % 9 + 1
        return "?a number from 1 to 9"

    def step(self, text: str) -> Reply:
        text = text.splitlines()[-1]
        if text.startswith(">"):
            higher = int(text[5]) < self.secret
            return Reply(text="<higher" if higher else "<not higher", ran=True)
        right = text.strip() == f"={self.secret}"
        return Reply(done=True, score=float(right), parts={"right": float(right)})


class Silent(Guess):
    """Answers nothing to a call."""

    name = "silent"

    def step(self, text: str) -> Reply:
        return Reply() if text.splitlines()[-1].startswith(">") else super().step(text)


class Raises(Guess):
    """Breaks where it is told to."""

    def __init__(self, where: str = "step") -> None:
        self.where = where

    def reset(self, seed: int) -> str:
        if self.where == "reset":
            raise RuntimeError("no database")
        return super().reset(seed)

    def step(self, text: str) -> Reply:
        if self.where == "step":
            raise KeyError("secret")
        return super().step(text)


class Pays(Guess):
    """Pays what it is told to."""

    def __init__(self, score: float, parts: Mapping[str, float]) -> None:
        self.score, self.parts = score, parts

    def step(self, text: str) -> Reply:
        return Reply(done=True, score=self.score, parts=self.parts)
