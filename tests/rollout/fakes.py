"""A tokenizer of characters, a backend that says what it is told to, and small worlds."""

from collections.abc import Mapping, Sequence
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


class Scripted:
    """Row k says texts[k], token by token; the log-prob of the n-th token of a row is -n/8."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts, self.seeds = list(texts), []
        self.tokenizer = Characters()

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        self.seeds.append(tuple(seed))
        for at, _ in enumerate(prompts):
            since = 0
            said = [END if c == "$" else ord(c) for c in self.texts[at]]
            for n in range(1, min(len(said), sampling.max_tokens) + 1):
                chances = [-i / 8 for i in range(since + 1, n + 1)]
                more = reader(at, said[since:n], chances)
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
