"""Many requests at once on a transformers model, each with chance of its own. No verl, no Ray.

A request is known by its seed alone: whatever it is batched with, its tokens are the same. With a
model in 64 bits that holds as far as anything can be seen; in 32 the round-off of a batch moves a
log-probability in its last digits, and once in some hundred thousand tokens a choice.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from xxhash import xxh3_64_intdigest

from assay.errors import UsageError
from assay.policy.sampling import sample
from assay.rollout.backends.base import number

OFF: Final[Mapping[str, tuple[float | None, ...]]] = {
    "top_p": (1.0, None),
    "top_k": (-1, 0, None),
    "min_p": (0.0, None),
    "repetition_penalty": (1.0, None),
}
"""Sampling parameters that we do not have, and the values at which they do nothing."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One text to continue."""

    prompt: tuple[int, ...]
    seed: int
    max_tokens: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    """Texts after which it stops; they stay in what was sampled."""
    ends: frozenset[int] = frozenset()
    """Tokens at which it stops."""


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What was sampled."""

    ids: list[int]
    logprobs: list[float]
    """Nats, of the distribution drawn from."""
    finished: bool
    """It ended by itself, and not at its budget."""


@final
class Engine:
    """A model, its tokenizer, and the seed of requests that bring none."""

    def __init__(self, model: Any, tokenizer: Any, *, seed: int = 0, longest: int = 1024) -> None:
        """Takes a model in evaluation mode.

        Args:
            model: a causal language model.
            tokenizer: the model's own.
            seed: of requests without one: they are numbered by prompt, since the last weights.
            longest: tokens of prompt and answer together, at most.
        """
        self.model, self._tokenizer, self._seed, self._longest = model, tokenizer, seed, longest
        self.version = 0
        """Which weights these are: of what step."""
        self._asked = Counter[int]()
        self._pieces: dict[int, str] = {}

    def load(self, state: Mapping[str, torch.Tensor], version: int | None) -> None:
        """Takes new weights.

        Raises:
            UsageError: they are not this model's.
        """
        missing, unexpected = self.model.load_state_dict(state, strict=False)
        self.model.tie_weights()
        tied = set(getattr(self.model, "_tied_weights_keys", None) or ())
        lost = [*unexpected, *(set(missing) - tied)]
        if lost:
            raise UsageError(
                f"weights: {len(lost)} names do not fit the model, {sorted(lost)[0]} first; the "
                "actor and the rollout must have one architecture, without adapters"
            )
        self.version = self.version if version is None else version
        self._asked.clear()

    def request(self, prompt: Sequence[int], given: Mapping[str, Any]) -> Request:
        """Returns the request of a prompt with sampling parameters, as vLLM calls them.

        Raises:
            UsageError: a parameter that is not known here and would do something, or no room.
        """
        for name, nothing in OFF.items():
            if given.get(name) not in nothing:
                raise UsageError(f"{name}={given[name]}: the transformers rollout samples without")
        room = self._longest - len(prompt)
        if not prompt or room < 1:
            raise UsageError(
                f"a prompt of {len(prompt)} tokens; expected 1 to {self._longest - 1}: raise "
                "rollout.prompt_length or rollout.response_length"
            )
        stop = given.get("stop") or ()
        ends = {*(given.get("stop_token_ids") or ()), self._tokenizer.eos_token_id}
        limit = given.get("max_tokens", given.get("max_new_tokens"))
        return Request(
            prompt=tuple(prompt),
            seed=self._own(prompt) if given.get("seed") is None else int(given["seed"]),
            max_tokens=room if limit is None else max(1, min(int(limit), room)),
            temperature=float(given.get("temperature", 1.0)),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            ends=frozenset(() if given.get("ignore_eos") else ends),
        )

    def _own(self, prompt: Sequence[int]) -> int:
        """Returns a seed for a request without one: of the weights, the prompt, and how many asked
        for it before. Requests of one prompt are alike, so it does not matter who comes first."""
        name = xxh3_64_intdigest(",".join(map(str, prompt)).encode())
        self._asked[name] += 1
        return number((self._seed, self.version, name, self._asked[name]))

    @torch.no_grad()
    def run(self, requests: Sequence[Request]) -> list[Answer]:
        """Returns the answers, in order."""
        answers: dict[int, Answer] = {}
        for temperature in sorted({each.temperature for each in requests}):
            places = [at for at, each in enumerate(requests) if each.temperature == temperature]
            made = self._batch([requests[at] for at in places], temperature)
            answers |= dict(zip(places, made, strict=True))
        return [answers[at] for at in range(len(requests))]

    def _batch(self, requests: Sequence[Request], temperature: float) -> list[Answer]:
        most = max(each.max_tokens for each in requests)
        finished = [False] * len(requests)

        def read(at: int, ids: Sequence[int], _: Sequence[float]) -> Sequence[int] | None:
            finished[at] = self._is_over(ids, requests[at])
            return None if finished[at] or len(ids) >= requests[at].max_tokens else ()

        rows = sample(
            self.model,
            [each.prompt for each in requests],
            read,
            max_tokens=most,
            max_length=self._longest,
            temperature=temperature,
            uniform=torch.stack([uniform(each.seed, most) for each in requests]),
        )
        return [
            Answer([row.ids[at] for at in row.sampled], _single(row.logprobs), over)
            for row, over in zip(rows, finished, strict=True)
        ]

    def _is_over(self, ids: Sequence[int], request: Request) -> bool:
        if ids[-1] in request.ends:
            return True
        if not request.stop:
            return False
        longest = max(map(len, request.stop))
        tail = "".join(self._piece(token) for token in ids[-longest:])
        own = len(self._piece(ids[-1]))  # what was there before stopped nothing
        return any(
            tail.find(stop, max(0, len(tail) - own - len(stop) + 1)) >= 0 for stop in request.stop
        )

    def _piece(self, token: int) -> str:
        if token not in self._pieces:
            self._pieces[token] = self._tokenizer.decode([token])
        return self._pieces[token]


def _single(values: Sequence[float]) -> list[float]:
    """Returns numbers in the 32 bits that trainers have them in."""
    return torch.tensor(values, dtype=torch.float64).float().tolist()


def uniform(seed: int, count: int) -> torch.Tensor:
    """Returns the chance of a request: numbers in [0, 1), the first ones however many are asked."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    return torch.rand(count, dtype=torch.float64, generator=generator)
