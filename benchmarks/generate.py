"""Generated trajectories for the budgets: attempts that look like real logs to a compressor.

    python benchmarks/generate.py OUT.jsonl [--count 10000] [--tokens] [--seed 0]

Attempts of one task share the instructions and, where they make the same call, the observation, as
real siblings do; what the model writes is each one's own.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from assay.records import (
    Call,
    ExpertCall,
    ModelStep,
    Step,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
    write,
)

GROUP = 8
TOOLS = ("search_flights", "get_user", "get_reservation", "calculate", "update_booking", "lookup")


@dataclass(frozen=True)
class Task:
    number: int
    system: str
    question: str
    calls: tuple[tuple[str, str, str], ...]
    """Name, arguments and observation of what can be asked in this task."""
    chance: float


class Words:
    """Made-up words with the frequencies of a language, so that text compresses like text."""

    def __init__(self, rng: random.Random, size: int = 6000) -> None:
        syllables = [a + b for a in "bcdfglmnprstvz" for b in ("a", "e", "i", "o", "u", "en", "ar")]
        self.words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(size)]
        self.weights = [1 / (rank + 2) for rank in range(size)]

    def text(self, rng: random.Random, characters: int) -> str:
        words = rng.choices(self.words, self.weights, k=max(1, characters // 6))
        for at in range(0, len(words), 11):
            words[at] = words[at].capitalize()
        return " ".join(words)[:characters]


def tasks(count: int, words: Words, rng: random.Random) -> Iterator[Task]:
    system = words.text(rng, 2200)
    for number in range(count):
        calls = []
        for _ in range(10):
            arguments = {"id": f"{rng.getrandbits(32):08x}", "day": rng.randint(1, 28)}
            rows = [
                {
                    "key": f"{rng.getrandbits(24):06x}",
                    "price": rng.randint(40, 2000),
                    "note": words.text(rng, 60),
                }
                for _ in range(rng.randint(3, 10))
            ]
            observation = msgspec.json.encode({"rows": rows}).decode()
            calls.append((rng.choice(TOOLS), msgspec.json.encode(arguments).decode(), observation))
        chance = rng.choice((0.0, 0.0, 0.3, 0.5, 0.7, 1.0))
        yield Task(number, system, words.text(rng, 500), tuple(calls), chance)


def attempt(
    task: Task, trial: int, words: Words, rng: random.Random, *, tokens: int | None
) -> Trajectory:
    steps: list[Step] = [SystemStep(text=task.system), UserStep(text=task.question)]
    for _ in range(rng.randint(6, 14)):
        name, arguments, observation = rng.choice(task.calls)
        failed = rng.random() < 0.06
        call = Call(name=name, arguments=arguments)
        steps.append(ModelStep(text=words.text(rng, rng.randint(150, 620)), calls=(call,)))
        answer = "Error: " + words.text(rng, 40) if failed else observation
        steps.append(ToolStep(text=answer, name=name, call=(len(steps) - 1, 0)))
    passed = rng.random() < task.chance
    closing = "The booking has been updated. " if passed or rng.random() < 0.5 else ""
    steps.append(ModelStep(text=closing + words.text(rng, 500)))
    if tokens is not None:
        steps = [_with_tokens(step, tokens, rng) for step in steps]
    expert = tuple(ExpertCall(name=n, arguments=a) for n, a, _ in task.calls[:3])
    return Trajectory(
        id=f"task-{task.number}/{trial}",
        task=f"task-{task.number}",
        group=f"task-{task.number}",
        trial=trial,
        steps=tuple(steps),
        outcome=float(passed),
        expert=expert,
        end="answered",
    )


def _with_tokens(step: Step, least: int, rng: random.Random) -> Step:
    """Returns the step with made-up token ids, and values for those that the policy sampled."""
    count = max(least, len(step.text) // 4)
    ids = tuple(rng.randrange(32000) for _ in range(count))
    if not isinstance(step, ModelStep):
        return msgspec.structs.replace(step, token_ids=ids)
    head = min(4, count)  # the template's scaffold, which nobody sampled
    entropies = tuple(round(rng.expovariate(1.0), 4) for _ in range(count - head))
    calls = tuple(
        msgspec.structs.replace(call, start=count * 2 // 3, end=count) for call in step.calls
    )
    return msgspec.structs.replace(
        step,
        token_ids=ids,
        sampled=((head, count),),
        calls=calls,
        logprobs=tuple(-value for value in entropies),
        entropies=entropies,
    )


def trajectories(
    count: int, *, seed: int = 0, with_tokens: bool = False, long: int | None = None
) -> Iterator[Trajectory]:
    """Yields `count` trajectories, about 15.5 KB each; the first has a step of `long` tokens."""
    rng = random.Random(seed)
    words = Words(rng)
    made = 0
    for task in tasks((count + GROUP - 1) // GROUP, words, rng):
        for trial in range(min(GROUP, count - made)):
            made += 1
            if long is not None and task.number == 0:
                task = replace(task, chance=0.0)  # dead, so that shaped methods differ per token
            trajectory = attempt(task, trial, words, rng, tokens=1 if with_tokens else None)
            if long is not None and made == 1:
                steps = list(trajectory.steps)
                steps[2] = _with_tokens(steps[2], long, rng)
                trajectory = msgspec.structs.replace(trajectory, steps=tuple(steps))
            yield trajectory


def write_set(path: Path, count: int, *, seed: int = 0, long: int | None = None) -> int:
    """Writes `count` trajectories without token ids, or with, where `long` is given."""
    with_tokens = long is not None
    return write(path, trajectories(count, seed=seed, with_tokens=with_tokens, long=long))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--tokens", action="store_true")
    parser.add_argument("--long", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.out is None:
        print("nothing to measure here: this writes the sets that the other benchmarks read")
        return
    records = trajectories(args.count, seed=args.seed, with_tokens=args.tokens, long=args.long)
    print(write(args.out, records), "trajectories", f"{args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
