"""A world of nine doors, a policy that says what a function of its prompt says, and a batch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log
from typing import Any

from msgspec import structs

from assay.records import ModelStep, Trajectory
from assay.rescue.climb import World
from assay.rollout import Line, Sampling, collect, tasks
from assay.world import Environment, Reply
from assay.world.environment import HintKind
from tests.rollout.fakes import END, Backend, Said


class Doors(Environment):
    """`>look(3)` tells nothing, `>look(0)` is an error, `=3` opens a door; the right one is the
    seed's last digit, from 1 on."""

    name = "doors"

    def reset(self, seed: int) -> str:
        self.right, self.looked, self.opened = seed % 9 + 1, list[str](), ""
        return "?open a door"

    def step(self, text: str) -> Reply:
        said = text.strip().splitlines()[-1]
        if said == ">look(0)":
            return Reply(text="<error no 0", ran=False, found=False)
        if said.startswith(">look("):
            self.looked.append(said[6])
            return Reply(text=f"<saw {said[6]}", ran=True, found=True)
        self.opened = said[1:]
        return Reply(done=True, score=float(said == f"={self.right}"))

    def best(self) -> str | None:
        return f"={self.right}" if str(self.right) in self.looked else f">look({self.right})"

    def answer(self) -> str:
        return f"door {self.right}"

    def hint(self, kind: HintKind) -> str | None:
        return f"!it is {self.right}" if kind == "right" else None

    def achieved(self) -> str | None:
        looked = self.opened in self.looked
        return f"?open door {self.opened}" if looked else None


class Silent(Doors):
    """Has no expert, no hint and no goal but its own."""

    def best(self) -> str | None:
        return None

    def hint(self, kind: HintKind) -> str | None:
        return None

    def achieved(self) -> str | None:
        return None


class Policy(Backend):
    """Says in each turn what `says(everything before)` returns; the n-th token of a turn has the
    log-probability -n/8."""

    def __init__(self, says: Callable[[str], str]) -> None:
        super().__init__()
        self.says = says

    def row(self, at: int, prompt: str, said: Said, sampling: Sampling) -> None:
        more: Sequence[int] | None = ()
        while more is not None:
            text = self.says(prompt)
            ids = [ord(c) for c in text] + ([END] if text[0] == "=" else [])
            more = said(ids, [-n / 8 for n in range(1, len(ids) + 1)]) or None
            prompt += text + "".join(map(chr, more or ()))


SAMPLING = Sampling(max_tokens=60, turn_tokens=20, max_length=400)


def sampled(
    policy: Policy, seeds: Sequence[int], size: int = 3, make: Any = Doors
) -> list[Trajectory]:
    """Returns a batch: `size` trajectories of each task."""
    planned = tasks(make, seeds, size, prefix="0/")
    line = Line(policy.tokenizer)
    return list(collect(policy, planned, sampling=SAMPLING, seed=(0,), clock=None, protocol=line))


def reread(records: Sequence[Trajectory]) -> list[Trajectory]:
    """As a policy that finds each token half as likely as what sampled it did."""
    made: list[Trajectory] = []
    for record in records:
        steps = tuple(
            structs.replace(
                s, helped=s.logprobs, logprobs=tuple((v or 0.0) - log(2) for v in s.logprobs)
            )
            if type(s) is ModelStep and s.logprobs is not None
            else s
            for s in record.steps
        )
        ledger = structs.replace(record.ledger, scoring_forwards=1)
        made.append(structs.replace(record, steps=steps, ledger=ledger))
    return made


def world(policy: Policy, make: Any = Doors, **given: Any) -> World:
    """Returns where the ladder is played."""
    made = World(
        backend=policy,
        make=make,
        protocol=Line(policy.tokenizer),
        sampling=SAMPLING,
        reread=reread,
        seed=(0, 1),
        options={"clock": None},
    )
    return replace(made, **given)


def text_of(record: Trajectory) -> str:
    """Returns all that was read and written."""
    return "".join(step.text for step in record.steps)
