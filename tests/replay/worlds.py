"""A world whose values are known, a policy that draws letters, and records of both."""

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

from assay.records import Trajectory
from assay.replay.play import Player
from assay.rollout import Line, Planned, Reader, Sampling, collect
from assay.rollout.backends.base import number
from assay.world import Environment, Reply
from tests.rollout.fakes import Characters

TURNS = 3
CHANCE = 0.4
"""Of an `a`."""


class Letters(Environment):
    """Three turns; it is passed with two `a` or more. `score` pays every `a` a third instead."""

    name = "letters"

    def __init__(self, *, shares: bool = False) -> None:
        self.shares = shares

    def reset(self, seed: int) -> str:
        self.said = ""
        return f"?{seed}"

    def step(self, text: str) -> Reply:
        self.said += text.strip()
        if len(self.said) < TURNS:
            return Reply(text=f"<{self.said}", ran=True)
        count = self.said.count("a")
        return Reply(done=True, score=count / TURNS if self.shares else float(count >= 2))

    def state_key(self) -> str:
        return self.said


@cache
def value(said: str) -> float:
    """The chance to pass from there, by enumeration of what is left to say."""
    if len(said) == TURNS:
        return float(said.count("a") >= 2)
    return CHANCE * value(f"{said}a") + (1 - CHANCE) * value(f"{said}b")


class Drawing:
    """Says `a` with a chance of CHANCE, else `b`, and a newline; row by row."""

    tokenizer: Any = Characters()

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        rng = Random(number(seed))
        for at, _ in enumerate(prompts):
            more: Sequence[int] | None = ()
            while more is not None:
                letter = "a" if rng.random() < CHANCE else "b"
                assert reader(at, [ord(letter)], [-1.0]) == ()
                more = reader(at, [ord(letter), ord("\n")], [-1.0, 0.0])


def player(samples: int, *, seed: int = 0, **dials: Any) -> Player:
    backend = Drawing()
    return Player(
        backend=backend,
        make=lambda: Letters(**dials),
        protocol=Line(backend.tokenizer),
        sampling=Sampling(),
        samples=samples,
        seed=seed,
    )


def log(tasks: int, trials: int = 4, *, seed: int = 0, **dials: Any) -> list[Trajectory]:
    """Rollouts of the policy."""
    planned = [
        Planned(environment=Letters(**dials), seed=task, trial=trial)
        for task in range(tasks)
        for trial in range(trials)
    ]
    return list(collect(Drawing(), planned, sampling=Sampling(), seed=(seed,), clock=None))
