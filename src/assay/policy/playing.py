"""Plays tasks with a policy: environments answer, the policy samples, records come out."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import torch

from assay.policy.sampling import sample
from assay.records import Trajectory
from assay.world.environment import Environment
from assay.world.protocol import is_complete
from assay.world.recording import Recorder, Sampled

TURN_TOKENS: Final = 160
"""Tokens of one turn, at most; a longer one is played as far as it got."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt to be made."""

    environment: Environment
    """Belongs to this attempt: two attempts at the same time need two."""
    seed: int
    notes: tuple[str, ...] = ()
    expert: tuple[str, ...] | None = None
    trial: int = 0


@final
class _Player:
    """One row of the batch: reads tokens, plays a turn when it is complete."""

    def __init__(self, task: Task, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.task = task
        self.recorder = Recorder(
            task.environment, task.seed, notes=task.notes, expert=task.expert
        )  # fmt: skip
        self.prompt = self._encoded(self.recorder.prompt)
        self.recorder.read_as(self.prompt)
        self._open: tuple[Sequence[int], Sequence[float]] = (), ()

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def read(self, ids: Sequence[int], logprobs: Sequence[float]) -> Sequence[int] | None:
        """Returns what the world answers once the turn is complete; None at the end."""
        if len(ids) < TURN_TOKENS and not self._complete(ids):
            self._open = ids, logprobs
            return ()
        self._open = (), ()
        sampled = taken(self._tokenizer, ids, logprobs)
        if self.recorder.act("".join(sampled.pieces), sampled).done:
            return None
        read = self._encoded(self.recorder.observation)
        self.recorder.read_as(read)
        return read

    def _complete(self, ids: Sequence[int]) -> bool:
        if ids[-1] == self._tokenizer.eos_token_id:
            return True
        return "\n" in self._tokenizer.decode(ids[-1:]) and is_complete(self._tokenizer.decode(ids))

    def close(self) -> None:
        """Ends an attempt that ran out of tokens."""
        if not self.recorder.last.done:
            ids, logprobs = self._open
            sampled = taken(self._tokenizer, ids, logprobs) if ids else None
            self.recorder.cut_off("".join(sampled.pieces) if sampled else "", sampled)


def taken(tokenizer: Any, ids: Sequence[int], logprobs: Sequence[float]) -> Sampled:
    """Returns sampled tokens with the text of each, so that the texts add up to the whole.

    A token that ends inside a character has no text; the one that completes it has it all.
    """
    pieces: list[str] = []
    before = ""
    for count in range(1, len(ids) + 1):
        text: str = tokenizer.decode(ids[:count], skip_special_tokens=True)
        if text.endswith("\ufffd") and count < len(ids):
            pieces.append("")
            continue
        pieces.append(text[len(before) :])
        before = text
    return Sampled(ids=tuple(ids), logprobs=tuple(logprobs), pieces=tuple(pieces))


def play(
    model: Any,
    tokenizer: Any,
    tasks: Sequence[Task],
    *,
    batch: int = 256,
    max_tokens: int = 400,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    policy_version: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Trajectory]:
    """Yields the record of every attempt, in the order of the tasks.

    Args:
        model, tokenizer: see `loading.load`.
        tasks: the attempts; those of one batch must not share an environment.
        batch: attempts that are sampled at the same time.
        max_tokens: tokens that an attempt may write; one that writes more has failed by budget.
        temperature: see `sampling.sample`.
        generator: source of chance.
        policy_version: written into the records.
        clock: seconds.
    """
    for first in range(0, len(tasks), batch):
        players = [_Player(task, tokenizer) for task in tasks[first : first + batch]]
        began = clock()
        sample(
            model,
            [player.prompt for player in players],
            lambda at, ids, logprobs, players=players: players[at].read(ids, logprobs),
            max_tokens=max_tokens,
            temperature=temperature,
            generator=generator,
        )
        seconds = (clock() - began) / len(players)
        for player in players:
            player.close()
            yield player.recorder.trajectory(
                trial=player.task.trial, policy_version=policy_version, wall_seconds=seconds
            )
